// Package views generates the analyst layer of a warehouse: for every entity's table the view v_<table>, with a
// label beside each picklist column, a name beside each reference, a link that opens the record in Autotask,
// and dates where Autotask means a date.
//
// A view has exactly one row for each live row of its table: what stands beside a row is looked up by keys that are
// unique, or made unique. Labels and names are looked up when the view is read, so that they are the newest ones
// without a row being read again. A view binds whatever else the warehouse holds: names of entities that are not
// synced are NULL.
//
// The package writes SQL and runs none. Names and comments come from tenants and are hostile input: they
// reach SQL only quoted.
package views

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// Prefix stands before a table's name in the name of its view.
const Prefix = "v_"

// DeepLink is the column that opens a record in Autotask.
const DeepLink = "deep_link"

// Warehouse is what the views of one tenant depend on.
type Warehouse struct {
	Tables   []Table
	TimeZone string // IANA name of the tenant's zone, for dates; empty: UTC
	WebURL   string // of Autotask's web application, ending in a slash; empty: unknown, links are NULL
}

// Table is one entity's table.
type Table struct {
	Entity  string // Tickets
	Name    string // tickets
	Columns []schemas.Column
}

// View is one generated view.
type View struct {
	Name    string // v_tickets
	Entity  string
	Table   string
	Comment string
	Columns []Column
	Query   string // the SELECT
}

// Column is one column of a view.
type Column struct {
	Name    string
	Type    string // SQL name
	Comment string
}

// Views returns the views of all tables, sorted by name.
func (w Warehouse) Views() []View {
	tables := make(map[string]*Table, len(w.Tables))
	for i := range w.Tables {
		tables[w.Tables[i].Entity] = &w.Tables[i]
	}
	out := make([]View, 0, len(w.Tables))
	for _, t := range w.Tables {
		b := builder{w: w, t: t, tables: tables, taken: map[string]bool{}}
		out = append(out, b.build())
	}
	slices.SortFunc(out, func(a, b View) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Statements returns what creates the view, or replaces an older version of it, and its comments.
func (v View) Statements() []string {
	name := "main." + schemas.QuoteIdent(v.Name)
	out := make([]string, 0, len(v.Columns)+2)
	out = append(out, "CREATE OR REPLACE VIEW "+name+" AS\n"+v.Query,
		"COMMENT ON VIEW "+name+" IS "+schemas.QuoteLiteral(v.Comment))
	for _, c := range v.Columns {
		out = append(out, "COMMENT ON COLUMN "+name+"."+schemas.QuoteIdent(c.Name)+" IS "+schemas.QuoteLiteral(c.Comment))
	}
	return out
}

// Fingerprint changes whenever the view has to be made anew: with its text, its comments and the types of its columns,
// which DuckDB fixes when a view is made.
func (v View) Fingerprint() string {
	h := sha256.New()
	for _, s := range v.Statements() {
		_, _ = io.WriteString(h, s+"\x00") // a hash takes everything
	}
	for _, c := range v.Columns {
		_, _ = io.WriteString(h, c.Type+"\x00")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// builder collects one view.
type builder struct {
	w      Warehouse
	t      Table
	tables map[string]*Table
	taken  map[string]bool // names of the view's columns
	cols   []Column
	exprs  []string // of cols
	maps   []string // columns with labels
	joins  []string
}

func (b *builder) build() View {
	for _, c := range b.t.Columns {
		b.taken[strings.ToLower(c.Name)] = true
	}
	b.taken[schemas.ColSyncedAt] = true
	for _, c := range b.t.Columns {
		b.own(c)
		if picklist(b.t.Entity, c) {
			b.label(c)
		}
		if ref := reference(b.t.Entity, c); ref != "" {
			b.name(c, ref)
		}
	}
	synced := schemas.Type{Kind: schemas.Timestamp}.SQL()
	b.exprs = append(b.exprs, "t."+schemas.QuoteIdent(schemas.ColSyncedAt))
	b.cols = append(b.cols, Column{schemas.ColSyncedAt, synced, "when this version was read from Autotask"})
	b.link()

	v := View{
		Name: Prefix + b.t.Name, Entity: b.t.Entity, Table: b.t.Name, Columns: b.cols, Query: b.query(),
		Comment: "Live rows of " + b.t.Name + " with labels, names and dates" + about(b.t.Entity),
	}
	return v
}

// about returns an entity's description as the end of a comment.
func about(entity string) string {
	if e, ok := schemas.Lookup(entity); ok && e.Description != "" {
		return ". " + e.Name + ": " + e.Description
	}
	return ""
}

// query writes the SELECT.
func (b *builder) query() string {
	var q strings.Builder
	q.WriteString("SELECT\n")
	for i, e := range b.exprs {
		q.WriteString("  " + e + " AS " + schemas.QuoteIdent(b.cols[i].Name))
		if i < len(b.exprs)-1 {
			q.WriteString(",")
		}
		q.WriteString("\n")
	}
	q.WriteString("FROM main." + schemas.QuoteIdent(b.t.Name) + " AS t\n")
	for _, j := range b.joins {
		q.WriteString(j + "\n")
	}
	q.WriteString(b.labelMaps())
	q.WriteString("WHERE t." + schemas.QuoteIdent(schemas.ColDeletedAt) + " IS NULL")
	return q.String()
}

// own adds a column of the table itself, dates as dates.
func (b *builder) own(c schemas.Column) {
	expr, typ, comment := "t."+schemas.QuoteIdent(c.Name), c.Type.SQL(), c.Source
	if c.UDF {
		comment += " (user-defined field)"
	}
	if c.Reference != "" {
		comment += ", refers to " + c.Reference
	}
	if isDate(b.t.Entity, c) {
		expr, typ = b.date(expr), "DATE"
		comment += ", as the date that it means"
	}
	b.exprs = append(b.exprs, expr)
	b.cols = append(b.cols, Column{c.Name, typ, comment})
}

// add adds a column that the table does not have, under the first of the wanted names that is free.
func (b *builder) add(expr, comment string, wanted ...string) {
	name := ""
	for i := 0; name == "" || b.taken[name]; i++ {
		if name = wanted[min(i, len(wanted)-1)]; i >= len(wanted) {
			name += "_" + strconv.Itoa(i-len(wanted)+2)
		}
	}
	b.taken[name] = true
	b.exprs = append(b.exprs, expr)
	b.cols = append(b.cols, Column{name, "VARCHAR", comment})
}

// stem is a column's name without a trailing _id.
func stem(column string) string {
	if s := strings.TrimSuffix(column, "_id"); s != "" {
		return s
	}
	return column
}

// known returns the catalogue's entry of a column, or nil.
func known(entity string, c schemas.Column) *schemas.Field {
	e, ok := schemas.Lookup(entity)
	if !ok || c.UDF {
		return nil
	}
	for i := range e.Fields {
		if strings.EqualFold(e.Fields[i].Name, c.Source) {
			return &e.Fields[i]
		}
	}
	return nil
}
