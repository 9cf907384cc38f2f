package schemas

import (
	"fmt"
	"slices"
)

// ChangeKind says how a column of a table differs from what it was.
type ChangeKind string

// The changes that a tenant's administrators, and releases of Autotask, make to a table.
const (
	ColumnAdded    ChangeKind = "column"   // a field or UDF that has no column yet
	ColumnType     ChangeKind = "type"     // a wider type
	ColumnRenamed  ChangeKind = "renamed"  // a UDF has another name; the column keeps its own
	ColumnRetired  ChangeKind = "retired"  // the metadata no longer names it; the column keeps its values
	ColumnRestored ChangeKind = "restored" // a retired column's field is there again
	ColumnReplaced ChangeKind = "replaced" // another UDF has taken over the name
)

// Change is one difference between the columns that a table has and those that it is to have.
type Change struct {
	Kind    ChangeKind `json:"change"`
	Column  string     `json:"column"`             // warehouse name
	Source  string     `json:"source"`             // Autotask's name now
	UDF     bool       `json:"udf,omitempty"`      // a user-defined field
	OldName string     `json:"old_name,omitempty"` // renamed: Autotask's name before
	OldType string     `json:"old_type,omitempty"` // type: as SQL
	NewType string     `json:"new_type,omitempty"` // column and type: as SQL
}

// String says it in words.
func (c Change) String() string {
	what := "field"
	if c.UDF {
		what = "user-defined field"
	}
	switch c.Kind {
	case ColumnAdded:
		return fmt.Sprintf("new %s %q: column %s %s", what, c.Source, c.Column, c.NewType)
	case ColumnType:
		return fmt.Sprintf("%s %q: column %s was %s, is %s", what, c.Source, c.Column, c.OldType, c.NewType)
	case ColumnRenamed:
		return fmt.Sprintf("%s %q is now %q: column %s stays", what, c.OldName, c.Source, c.Column)
	case ColumnRetired:
		return fmt.Sprintf("%s %q is gone: column %s keeps its values", what, c.Source, c.Column)
	case ColumnRestored:
		return fmt.Sprintf("%s %q is back: column %s", what, c.Source, c.Column)
	case ColumnReplaced:
		return fmt.Sprintf("%s %q is another one of the same name: column %s", what, c.Source, c.Column)
	}
	return string(c.Kind) + " " + c.Column
}

// Diff returns what makes the columns to of the columns from, in to's order. A column may have changed in more
// ways than one. Columns that only from has are no difference: nothing is ever dropped.
func Diff(from, to []Column) []Change {
	have := make(map[string]Column, len(from))
	for _, c := range from {
		have[c.Name] = c
	}
	var out []Change
	for _, c := range to {
		old, ok := have[c.Name]
		change := Change{Column: c.Name, Source: c.Source, UDF: c.UDF}
		add := func(kind ChangeKind) {
			change.Kind = kind
			out = append(out, change)
		}
		if !ok {
			change.NewType = c.Type.SQL()
			add(ColumnAdded)
			continue
		}
		switch {
		case c.UDF && old.UDFID != 0 && c.UDFID != old.UDFID:
			add(ColumnReplaced)
		case c.UDF && !sameName(c.Source, old.Source):
			change.OldName = old.Source
			add(ColumnRenamed)
			change.OldName = ""
		}
		switch {
		case c.Retired && !old.Retired:
			add(ColumnRetired)
		case old.Retired && !c.Retired:
			add(ColumnRestored)
		}
		if c.Type != old.Type {
			change.OldType, change.NewType = old.Type.SQL(), c.Type.SQL()
			add(ColumnType)
		}
	}
	return out
}

// Refills reports whether, after the change, rows that are stored lack the column's values until they are read again.
func (c Change) Refills() bool {
	return c.Kind == ColumnAdded || c.Kind == ColumnRestored || c.Kind == ColumnReplaced
}

// Frozen returns the table with the columns and types that prior has, and nothing else: what has no column is kept in
// _extra by the decoder, and a value that needs a wider type is rejected. Names of renamed UDFs are followed,
// since they change no column. It also returns what was left out. Without prior columns there is nothing to keep to.
func (t *Table) Frozen(prior []Column) (*Table, []Change) {
	if prior == nil {
		return t, nil
	}
	out := &Table{Entity: t.Entity, Name: t.Name, Fixed: true}
	var left []Change
	for _, c := range Diff(prior, t.Columns) {
		if c.Kind == ColumnAdded || c.Kind == ColumnType {
			left = append(left, c)
		}
	}
	for _, c := range t.Columns {
		i := slices.IndexFunc(prior, func(p Column) bool { return p.Name == c.Name })
		if i < 0 {
			continue
		}
		c.Type = prior[i].Type
		out.Columns = append(out.Columns, c)
	}
	return out, left
}
