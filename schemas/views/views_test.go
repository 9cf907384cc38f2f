package views_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/schemas/views"
)

var update = flag.Bool("update", false, "write testdata anew") //nolint:gochecknoglobals // a flag

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	w := views.Warehouse{
		TimeZone: "America/New_York", WebURL: "https://ww3.autotask.net/",
		Tables: []views.Table{
			table(t, "Tickets", "ticketNumber", "text", "status", "int!", "queueID", "int!", "companyID", "int>Companies", "contractID", "int>Contracts",
				"assignedResourceID", "int>Resources", "createDate", "time", "Severity", "udf text!", "Go live", "udf time"),
			table(t, "Contracts", "contractName", "text", "contactID", "int>Contacts", "contactName", "text", "status", "int!", "startDate", "time"),
			table(t, "Companies", "companyName", "text"),
			table(t, "Resources", "firstName", "text", "lastName", "text"),
			table(t, "TimeEntries", "ticketID", "int>Tickets", "taskID", "int>Tasks", "dateWorked", "time"),
		},
	}
	db := create(t, w)
	for _, v := range w.Views() {
		comment(t, db, v)
		if slices.Contains([]string{"v_tickets", "v_contracts", "v_time_entries"}, v.Name) {
			golden(t, v.Name+".sql", strings.Join(v.Statements(), ";\n")+";\n")
		}
	}
}

// catalogue is a warehouse with every table, as the catalogue alone knows it.
func catalogue() (w views.Warehouse) {
	for _, e := range schemas.Catalogue() {
		table := schemas.NewTable(e, nil, nil)
		w.Tables = append(w.Tables, views.Table{Entity: e.Name, Name: table.Name, Columns: table.Columns})
	}
	return w
}

// TestEveryViewHasTheLiveRows: of two live rows and a deleted one in every table, with every picklist value there
// twice and every reference to a row that is there and one that is not.
func TestEveryViewHasTheLiveRows(t *testing.T) {
	w := catalogue()
	w.TimeZone, w.WebURL = "Europe/Berlin", "https://ww18.autotask.net/"
	db := create(t, w)
	for _, table := range w.Tables {
		var cells []string
		for _, c := range table.Columns {
			cell := "NULL"
			if c.Type.Kind == schemas.Int {
				cell = "i"
			}
			cells = append(cells, cell+" AS "+schemas.QuoteIdent(c.Name))
			if c.Picklist {
				exec(t, db, "INSERT INTO picklists SELECT "+schemas.QuoteLiteral(table.Entity)+", "+schemas.QuoteLiteral(c.Name)+
					", '1', 'label ' || i, i = 1, NULL FROM range(2) q(i)")
			}
		}
		exec(t, db, "INSERT INTO "+table.Name+" BY NAME SELECT "+strings.Join(cells, ", ")+
			", CASE WHEN i = 3 THEN now() END AS _deleted_at FROM range(1, 4) q(i)")
	}
	for _, v := range w.Views() {
		var want []string
		for _, c := range v.Columns {
			want = append(want, c.Name+" "+c.Type)
		}
		got := lines(t, db, "SELECT column_name || ' ' || column_type FROM (DESCRIBE "+v.Name+")")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is not as it says (-want +got):\n%s", v.Name, diff)
		}
		if got := lines(t, db, "SELECT id FROM (SELECT id, hash(v) AS h FROM "+v.Name+" AS v) WHERE h IS NOT NULL ORDER BY id"); strings.Join(got, " ") != "1 2" {
			t.Errorf("%s has the rows %v", v.Name, got)
		}
	}
	if got := lines(t, db, "SELECT status_label, queue_label, company_name, assigned_resource_name FROM v_tickets ORDER BY id"); len(got) != 2 ||
		got[0] != "label 1|label 1|NULL|NULL" {
		t.Errorf("tickets: %v", got)
	}
}

// TestColumnOrder: id, each column followed by what explains it, _synced_at, the link; names that the table has are its own.
func TestColumnOrder(t *testing.T) {
	w := views.Warehouse{Tables: []views.Table{table(t, "Contracts",
		"contactID", "int>Contacts", "contactName", "text", "queueID", "int!", "queueLabel", "text", "queueIDLabel", "text", "queue", "int!",
		"companyID", "int>Companies", "billingRef", "int>Companies", "deepLink", "text", "unknownID", "int>Nothing")}}
	var got []string
	for _, c := range w.Views()[0].Columns {
		got = append(got, c.Name)
	}
	want := []string{"id", "contact_id", "contact_id_name", "contact_name", "queue_id", "queue_id_label_2", "queue_label", "queue_id_label",
		"queue", "queue_label_2", "company_id", "company_name", "billing_ref", "billing_ref_name", "deep_link", "unknown_id", "_synced_at", "deep_link_2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	create(t, w)
}

func TestFingerprint(t *testing.T) {
	print := func(change func(*views.Warehouse)) string {
		w := views.Warehouse{Tables: []views.Table{table(t, "Contracts", "contractName", "text", "companyID", "int>Companies", "startDate", "time")}}
		change(&w)
		all := w.Views()
		return all[slices.IndexFunc(all, func(v views.View) bool { return v.Name == "v_contracts" })].Fingerprint()
	}
	base := print(func(*views.Warehouse) {})
	if again := print(func(*views.Warehouse) {}); again != base {
		t.Error("it changes by itself")
	}
	for name, change := range map[string]func(*views.Warehouse){
		"time zone":     func(w *views.Warehouse) { w.TimeZone = "Europe/Berlin" },
		"web address":   func(w *views.Warehouse) { w.WebURL = "https://ww3.autotask.net/" },
		"another table": func(w *views.Warehouse) { w.Tables = append(w.Tables, table(t, "Companies", "companyName", "text")) },
		"a wider type": func(w *views.Warehouse) {
			w.Tables[0].Columns[1].Type = schemas.DefaultDecimal()
		},
		"a column": func(w *views.Warehouse) {
			w.Tables[0].Columns = append(w.Tables[0].Columns, column(t, "status", "int"))
		},
		"a comment": func(w *views.Warehouse) { w.Tables[0].Columns[1].Source = "ContractName" },
	} {
		if print(change) == base {
			t.Errorf("%s does not change it", name)
		}
	}
}

// TestHostileNames: what people call a user-defined field is text, whatever it looks like.
func TestHostileNames(t *testing.T) {
	names := []string{`"; DROP TABLE tickets; --`, `'; DROP TABLE tickets; --`, "two\nlines", "🛠", "a\x00b", "\xff\xfe", strings.Repeat("long'\"", 1000), `\`, "$$"}
	e, _ := schemas.Lookup("Tickets")
	m := &schemas.Metadata{}
	for _, n := range names {
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: n, Type: "string", IsPicklist: true})
	}
	shape := schemas.NewTable(e, m, nil)
	hostile := shape.Columns[len(shape.Columns)-1]
	hostile.Name = `evil" AS x FROM y; --'` // no name that schemas makes, but a warehouse could hold it
	w := views.Warehouse{WebURL: `https://ww3.autotask.net/'; --/`,
		Tables: []views.Table{{Entity: "Tickets", Name: "tickets", Columns: append(shape.Columns, hostile)}}}
	db := create(t, w)
	comment(t, db, w.Views()[0])
	exec(t, db, `INSERT INTO tickets BY NAME SELECT 7 AS id, 'x' AS "evil"" AS x FROM y; --'"`)
	if got := lines(t, db, `SELECT id, "evil"" AS x FROM y; --'_label", deep_link FROM v_tickets`); len(got) != 1 ||
		got[0] != `7|x|https://ww3.autotask.net/'; --/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTicketDetail&TicketID=7` {
		t.Errorf("%v", got)
	}
	comments := lines(t, db, `SELECT comment FROM duckdb_columns() WHERE table_name = 'v_tickets'`)
	for _, n := range names {
		if !slices.Contains(comments, schemas.CleanText(n)+" (user-defined field)") {
			t.Errorf("no comment names %.40q", n)
		}
	}
}
