package views

import (
	"strings"

	"github.com/atsync/atsync/schemas"
)

// picklist reports whether a column gets a label: the tenant's metadata or the catalogue calls it a picklist. Either
// will do, so that a view keeps its columns when a tenant has no choices for one.
func picklist(entity string, c schemas.Column) bool {
	f := known(entity, c)
	return c.Picklist || f != nil && f.Picklist != nil && *f.Picklist
}

// label adds the label of a picklist column: queue_label beside queue_id; where the table has a column of that name,
// queue_id_label.
//
// Values are compared as text, as metadata spells them (api.md §5). A text column that holds no known value shows
// its text: it may hold the label itself. Of a user-defined list several values can be chosen; the API's
// documents don't say how such a cell is spelled, so that values between commas, with or without blanks, are assumed:
// each that is known is replaced by its label. What has a comma and no known value in it stays as it is.
func (b *builder) label(c schemas.Column) {
	b.maps = append(b.maps, c.Name)
	labels, cell := "p."+schemas.QuoteIdent(c.Name), "t."+schemas.QuoteIdent(c.Name)
	expr := lookUp(labels, "CAST("+cell+" AS VARCHAR)")
	if c.Type.Kind == schemas.String {
		expr = "CASE WHEN " + cell + " = '' THEN NULL"
		expr += " WHEN " + lookUp(labels, cell) + " IS NOT NULL THEN " + lookUp(labels, cell)
		if c.UDF {
			parts := "string_split(" + cell + ", ',')"
			expr += " WHEN contains(" + cell + ", ',') AND list_has_any([trim(x) FOR x IN " + parts + "], map_keys(" + labels + "))"
			expr += " THEN array_to_string([coalesce(" + lookUp(labels, "trim(x)") + ", trim(x)) FOR x IN " + parts + "], ', ')"
		}
		expr += " ELSE " + cell + " END"
	}
	b.add(expr, "label of "+c.Name+", from picklists (entity "+b.t.Entity+", column_name "+c.Name+")",
		stem(c.Name)+"_label", c.Name+"_label")
}

// lookUp returns the value of a map's key. The subscript of a map would be shorter, but yields a list before
// DuckDB 1.3.
func lookUp(labels, key string) string { return "map_extract(" + labels + ", " + key + ")[1]" }

// labelMaps joins one row with a map of labels for each picklist column. An aggregate without groups always is one
// row, so that no row is lost or doubled; maps that a query does not use are not made. Should a value be there
// twice, the label of the active one counts, then of the one seen last. The join has to be the last: DuckDB writes it as
// a comma when it writes a view's text, and a comma binds less than the joins before it.
func (b *builder) labelMaps() string {
	if len(b.maps) == 0 {
		return ""
	}
	var q strings.Builder
	q.WriteString("CROSS JOIN (\n  SELECT\n")
	for i, column := range b.maps {
		q.WriteString("    map_from_entries(list((value, label)) FILTER (WHERE column_name = " + schemas.QuoteLiteral(column) + ")) AS " +
			schemas.QuoteIdent(column))
		if i < len(b.maps)-1 {
			q.WriteString(",")
		}
		q.WriteString("\n")
	}
	q.WriteString("  FROM (\n    SELECT column_name, value,\n" +
		"      first(label ORDER BY is_active DESC NULLS LAST, last_seen DESC NULLS LAST, label) AS label\n" +
		"    FROM main.picklists\n    WHERE entity = " + schemas.QuoteLiteral(b.t.Entity) +
		" AND value IS NOT NULL AND label IS NOT NULL\n    GROUP BY column_name, value\n  )\n) AS p\n")
	return q.String()
}
