package pipelinetest

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/schemas"
)

// evolve brings the table's columns up to the load's, and stored decimals to their new scale.
func (l *memoryLoad) evolve(t *memoryTable) bool {
	l.before = slices.Clone(t.columns)
	note := func(c schemas.Change) {
		renamed := ""
		if c.OldName != "" {
			renamed = c.Source
		}
		l.s.log("_atsync.schema_changes", map[string]string{"load_id": number(l.id), "entity": t.entity, "change": string(c.Kind),
			"column_name": c.Column, "old_type": c.OldType, "new_type": c.NewType, "old_name": c.OldName, "new_name": renamed})
	}
	for _, c := range slices.Concat(l.spec.Table.Columns, l.columns) {
		i := indexOf(t.columns, c.Name)
		if i < 0 {
			t.columns = append(t.columns, c)
			continue
		}
		c.Type, c.PartialSince = t.columns[i].Type.Widen(c.Type), t.columns[i].PartialSince
		t.columns[i] = c
	}
	l.fill(t)
	changes := []schemas.Change{{Kind: "table"}}
	if l.before != nil {
		changes = schemas.Diff(l.before, t.columns)
	}
	for _, c := range changes {
		note(c)
	}
	for _, c := range l.spec.Frozen {
		c.Kind = "frozen"
		known := slices.ContainsFunc(l.s.logs["_atsync.schema_changes"], func(row map[string]string) bool {
			return row["entity"] == t.entity && row["change"] == "frozen" && row["column_name"] == c.Column && row["old_type"] == c.OldType && row["new_type"] == c.NewType
		})
		if !known {
			note(c)
		}
	}
	if len(changes) > 0 {
		for _, c := range t.columns {
			for _, row := range t.rows {
				rescale(row.cells, c)
			}
		}
	}
	return len(changes) > 0
}

// fill sets which columns are partial after the load.
func (l *memoryLoad) fill(t *memoryTable) {
	complete := l.spec.Complete && (!l.spec.Fresh || len(t.rows) == 0) // a first load that goes on has rows that it did not read
	for i := range t.columns {
		if len(t.rows) == 0 || complete && indexOf(l.spec.Table.Columns, t.columns[i].Name) >= 0 {
			t.columns[i].PartialSince = 0
		}
	}
	if l.before == nil || complete || len(t.rows) == 0 {
		return
	}
	for _, c := range schemas.Diff(l.before, t.columns) {
		if c.Refills() {
			t.columns[indexOf(t.columns, c.Column)].PartialSince = l.id
		}
	}
}

// sameDoubtful reports whether a row has the stored values in the columns of which its hash says nothing.
func (l *memoryLoad) sameDoubtful(t *memoryTable, old, row *memoryRow) bool {
	doubt := map[string]bool{}
	for _, c := range l.before {
		doubt[c.Name] = c.PartialSince != 0
	}
	for _, c := range schemas.Diff(l.before, t.columns) {
		doubt[c.Column] = doubt[c.Column] || c.Refills()
	}
	for name, is := range doubt {
		if v, has := row.cell(name); is && has && v != old.cells[name] {
			return false
		}
	}
	return true
}

// rescale gives a decimal's text all places of its column's type.
func rescale(cells map[string]string, c schemas.Column) {
	v, ok := cells[c.Name]
	if !ok || c.Type.Kind != schemas.Decimal {
		return
	}
	whole, places, _ := strings.Cut(v, ".")
	cells[c.Name] = whole + "." + places + strings.Repeat("0", max(0, c.Type.Scale-len(places)))
}

// see widens the load's columns for one of a batch.
func (l *memoryLoad) see(f arrow.Field) {
	if f.Name == schemas.ColExtra || f.Name == schemas.ColRowHash {
		return
	}
	c := schemas.Column{Name: f.Name, Source: f.Name}
	if i := indexOf(l.spec.Table.Columns, f.Name); i >= 0 {
		c = l.spec.Table.Columns[i]
	}
	switch t := f.Type.(type) {
	case *arrow.Decimal128Type:
		c.Type = schemas.Type{Kind: schemas.Decimal, Precision: int(t.Precision), Scale: int(t.Scale)}
	case *arrow.Int64Type:
		c.Type = schemas.Type{Kind: schemas.Int}
	case *arrow.BooleanType:
		c.Type = schemas.Type{Kind: schemas.Bool}
	case *arrow.TimestampType:
		c.Type = schemas.Type{Kind: schemas.Timestamp}
	default:
		if c.Type.Kind != schemas.JSON {
			c.Type = schemas.Type{Kind: schemas.String}
		}
	}
	if i := indexOf(l.columns, f.Name); i >= 0 {
		l.columns[i].Type = l.columns[i].Type.Widen(c.Type)
		return
	}
	l.columns = append(l.columns, c)
}
