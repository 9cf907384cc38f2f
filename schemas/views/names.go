package views

import (
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// reference returns the entity that a column points to and whose rows have a name, or "".
func reference(entity string, c schemas.Column) string {
	ref := c.Reference
	if f := known(entity, c); ref == "" && f != nil {
		ref = f.Reference
	}
	if c.Source == "id" || len(nameFields(ref)) == 0 || c.Type.Kind != schemas.Int && c.Type.Kind != schemas.String {
		return ""
	}
	return ref
}

// nameFields returns the fields that people call an entity's rows by, or nil.
func nameFields(entity string) []string {
	switch entity {
	case "Companies":
		return []string{"companyName"}
	case "Contacts", "Resources":
		return []string{"firstName", "lastName"}
	case "ConfigurationItems":
		return []string{"referenceTitle"}
	case "Contracts":
		return []string{"contractName"}
	case "HolidaySets":
		return []string{"holidaySetName"}
	case "InventoryLocations":
		return []string{"locationName"}
	case "Invoices":
		return []string{"invoiceNumber"}
	case "Projects":
		return []string{"projectName"}
	case "PurchaseOrders":
		return []string{"purchaseOrderNumber"}
	case "Subscriptions":
		return []string{"subscriptionName"}
	case "Tags", "TagGroups":
		return []string{"label"}
	case "Tickets":
		return []string{"ticketNumber"}
	}
	e, ok := schemas.Lookup(entity)
	if !ok || e.Name != entity {
		return nil
	}
	for _, wanted := range []string{"name", "title"} {
		for _, f := range e.Fields {
			if f.Name == wanted {
				return []string{wanted}
			}
		}
	}
	return nil
}

// name adds the name of what a column refers to: company_name beside company_id; where the table has a column of
// that name, company_id_name. Deleted rows keep their name. If the entity is not synced the name is NULL.
func (b *builder) name(c schemas.Column, ref string) {
	fields := nameFields(ref)
	comment := "name of what " + c.Name + " refers to: " + strings.Join(fields, " and ") + " of " + ref
	expr := "CAST(NULL AS VARCHAR)"
	target := b.tables[ref]
	columns := nameColumns(target, fields)
	if len(columns) == 0 {
		comment += ", which is not synced"
	} else {
		alias := "n" + strconv.Itoa(len(b.joins)+1)
		key := "t." + schemas.QuoteIdent(c.Name)
		if c.Type.Kind == schemas.String {
			key = "TRY_CAST(" + key + " AS BIGINT)"
		}
		b.joins = append(b.joins, "LEFT JOIN main."+schemas.QuoteIdent(target.Name)+" AS "+alias+" ON "+alias+".id = "+key)
		for i, column := range columns {
			columns[i] = alias + "." + schemas.QuoteIdent(column)
		}
		expr = "CAST(" + columns[0] + " AS VARCHAR)"
		if len(columns) > 1 {
			expr = "nullif(concat_ws(' ', " + strings.Join(columns, ", ") + "), '')"
		}
	}
	b.add(expr, comment, stem(c.Name)+"_name", c.Name+"_name")
}

// nameColumns returns the columns that hold the fields, as far as the table has them.
func nameColumns(t *Table, fields []string) (columns []string) {
	if t == nil {
		return nil
	}
	for _, f := range fields {
		if c := (&schemas.Table{Columns: t.Columns}).Column(f); c != nil {
			columns = append(columns, c.Name)
		}
	}
	return columns
}
