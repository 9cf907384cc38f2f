package views

import (
	"strings"

	"github.com/atsync/atsync/schemas"
)

// command is what opens a record in the browser: Autotask's ExecuteCommand API.
type command struct{ code, parameter string }

// commandOf returns the command that opens an entity's records. Several keep the names that the entities had before
// the REST API: accounts are companies, installed products are configuration items.
func commandOf(entity string) (command, bool) {
	switch entity {
	case "Companies":
		return command{"OpenAccount", "AccountID"}, true
	case "ConfigurationItems":
		return command{"OpenInstalledProduct", "InstalledProductID"}, true
	case "Contacts":
		return command{"OpenContact", "ContactID"}, true
	case "Contracts":
		return command{"OpenContract", "ContractID"}, true
	case "KnowledgeBaseArticles":
		return command{"OpenKBArticle", "ID"}, true
	case "Opportunities":
		return command{"OpenOpportunity", "OpportunityID"}, true
	case "Projects":
		return command{"OpenProject", "ProjectID"}, true
	case "SalesOrders":
		return command{"OpenSalesOrder", "SalesOrderID"}, true
	case "ServiceCalls":
		return command{"OpenServiceCall", "ServiceCallID"}, true
	case "Tasks":
		return command{"OpenTaskDetail", "TaskID"}, true
	case "Tickets":
		return command{"OpenTicketDetail", "TicketID"}, true
	}
	return command{}, false
}

// linkPath is where the web application takes commands.
const linkPath = "Autotask/AutotaskExtend/ExecuteCommand.aspx?Code="

// link adds the deep link, at the end. Entities without a command of their own link to the ticket or task that they
// belong to; those that belong to none have no such column.
func (b *builder) link() {
	if cmd, ok := commandOf(b.t.Entity); ok {
		b.add(b.open(cmd, "t.id"), "opens the record in Autotask, for those who are logged in there", DeepLink, DeepLink)
		return
	}
	if b.t.Entity == "DeletedTicketLogs" {
		return // the ticket is gone
	}
	var addresses, columns []string
	for _, parent := range [][2]string{{"ticketID", "Tickets"}, {"taskID", "Tasks"}} {
		c := (&schemas.Table{Columns: b.t.Columns}).Column(parent[0])
		if c == nil || c.Type.Kind != schemas.Int {
			continue
		}
		cmd, _ := commandOf(parent[1])
		addresses = append(addresses, b.open(cmd, "t."+schemas.QuoteIdent(c.Name)))
		columns = append(columns, c.Name)
	}
	if len(columns) == 0 {
		return
	}
	expr := addresses[0]
	if len(addresses) > 1 && b.w.WebURL != "" {
		expr = "coalesce(" + strings.Join(addresses, ", ") + ")"
	}
	b.add(expr, "opens in Autotask what "+strings.Join(columns, " or ")+" refers to", DeepLink, DeepLink)
}

// open returns the address that runs a command, NULL if the web application's address is unknown.
func (b *builder) open(cmd command, id string) string {
	if b.w.WebURL == "" {
		return "CAST(NULL AS VARCHAR)"
	}
	return schemas.QuoteLiteral(b.w.WebURL+linkPath+cmd.code+"&"+cmd.parameter+"=") + " || CAST(" + id + " AS VARCHAR)"
}
