package duckdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/schemas"
)

// A shape is a table's source columns in order.
type shape []schemas.Column

func (s shape) find(name string) *schemas.Column {
	for i := range s {
		if strings.EqualFold(s[i].Name, name) {
			return &s[i]
		}
	}
	return nil
}

// A change is one step of a table's evolution: old.Kind is 0 for a new column.
type change struct {
	column   string
	old, new schemas.Type
}

// grow returns s with the wanted columns added and types widened, and what that changed. Nothing is ever
// dropped or narrowed. Descriptions (source, reference, picklist …) follow the wanted columns.
func (s shape) grow(want shape) (shape, []change) {
	out := slices.Clone(s)
	var changes []change
	for _, w := range want {
		have := out.find(w.Name)
		if have == nil {
			changes = append(changes, change{column: w.Name, new: w.Type})
			out = append(out, w)
			continue
		}
		t := have.Type.Widen(w.Type)
		if t != have.Type {
			changes = append(changes, change{column: have.Name, old: have.Type, new: t})
		}
		w.Name, w.Type, w.PartialSince = have.Name, t, have.PartialSince
		*have = w
	}
	return out, changes
}

// shapeOf returns the columns of a batch. What the table does not know is described by its name alone.
func shapeOf(schema *arrow.Schema, table *schemas.Table) (shape, error) {
	var out shape
	for _, f := range schema.Fields() {
		if f.Name == schemas.ColExtra || f.Name == schemas.ColRowHash {
			continue
		}
		c := schemas.Column{Name: f.Name, Source: f.Name}
		known := shape(table.Columns).find(f.Name)
		if known != nil {
			c = *known
		}
		t, err := typeOf(f.Type, known)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		c.Type = t
		out = append(out, c)
	}
	return out, nil
}

// systemColumns follow a table's own, with their comments.
func systemColumns() [][3]string {
	return [][3]string{
		{schemas.ColExtra, "JSON", "properties that no column takes, as sent"},
		{schemas.ColRowHash, "BIGINT", "hash of the row's content"},
		{schemas.ColSyncedAt, "TIMESTAMP WITH TIME ZONE", "when this version was read from Autotask"},
		{schemas.ColLoadID, "BIGINT", "load that wrote the row: _atsync.loads"},
		{schemas.ColDeletedAt, "TIMESTAMP WITH TIME ZONE", "when the row was found deleted, or NULL"},
		{schemas.ColDeleteReason, "VARCHAR", "how that was found: full, parent, log, verify"},
	}
}

// evolve brings a table of the warehouse from one shape to a wider one; a nil from creates it.
func evolve(s session, table *schemas.Table, from, to shape, changes []change) error {
	if from == nil {
		return create(s, table, to)
	}
	name := mainTable(table.Name)
	for _, c := range changes {
		if err := s.exec(alter(name, c)); err != nil {
			return err
		}
		if c.old.Kind == 0 {
			if err := s.exec(columnComment(name, table, *to.find(c.column))); err != nil {
				return err
			}
		}
	}
	for _, c := range schemas.Diff(from, to) { // now: once rows have changed, DuckDB takes it for another's ALTER
		if c.Kind != schemas.ColumnRenamed && c.Kind != schemas.ColumnReplaced {
			continue
		}
		if err := s.exec(columnComment(name, table, *to.find(c.Column))); err != nil {
			return err
		}
	}
	return nil
}

func alter(table string, c change) string {
	if c.old.Kind == 0 {
		return `ALTER TABLE ` + table + ` ADD COLUMN ` + ident(c.column) + ` ` + c.new.SQL()
	}
	return `ALTER TABLE ` + table + ` ALTER COLUMN ` + ident(c.column) + ` SET DATA TYPE ` + c.new.SQL()
}

func create(s session, table *schemas.Table, cols shape) error {
	name := mainTable(table.Name)
	defs := make([]string, 0, len(cols)+6)
	for _, c := range cols {
		defs = append(defs, ident(c.Name)+" "+c.Type.SQL())
	}
	for _, c := range systemColumns() {
		defs = append(defs, ident(c[0])+" "+c[1])
	}
	about := table.Entity.Name
	if table.Entity.Description != "" {
		about += ": " + table.Entity.Description
	}
	ddl := []string{
		`CREATE TABLE ` + name + ` (` + strings.Join(defs, ", ") + `)`,
		`COMMENT ON TABLE ` + name + ` IS ` + literal(about),
	}
	for _, c := range cols {
		ddl = append(ddl, columnComment(name, table, c))
	}
	for _, c := range systemColumns() {
		ddl = append(ddl, `COMMENT ON COLUMN `+name+`.`+ident(c[0])+` IS `+literal(c[2]))
	}
	for _, q := range ddl {
		if err := s.exec(q); err != nil {
			return err
		}
	}
	return nil
}

func columnComment(name string, table *schemas.Table, c schemas.Column) string {
	about := c.Source
	if c.UDF {
		about += " (user-defined field)"
	}
	if c.Reference != "" {
		about += ", refers to " + c.Reference
	}
	if c.Picklist {
		about += fmt.Sprintf(", labels are in picklists (entity %s, column_name %s)", table.Entity.Name, c.Name)
	}
	return `COMMENT ON COLUMN ` + name + `.` + ident(c.Name) + ` IS ` + literal(about)
}
