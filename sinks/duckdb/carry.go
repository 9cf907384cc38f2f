package duckdb

import (
	"slices"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// fill sets which columns are partial after the load: after a complete one none that it has read; before that, those
// that were added to a table with rows, or whose field is there again or is another one.
func (l *load) fill(to shape) {
	if l.stored == nil || (l.spec.Complete || l.direct) && !l.goesOn() {
		for i := range to {
			if l.direct || slices.ContainsFunc(l.spec.Table.Columns, func(c schemas.Column) bool { return c.Name == to[i].Name }) {
				to[i].PartialSince = 0
			}
		}
		return
	}
	for _, c := range schemas.Diff(l.stored, to) {
		if c.Refills() {
			to.find(c.Column).PartialSince = l.loadID
		}
	}
}

// doubtful returns the columns whose value in stored rows the rows' hashes say nothing of: partial ones, and those
// whose field is back or is another one since.
func (l *load) doubtful() []string {
	var out []string
	for _, c := range l.stored {
		if c.PartialSince != 0 {
			out = append(out, c.Name)
		}
	}
	for _, c := range schemas.Diff(l.stored, l.target) {
		if c.Refills() && l.stored.find(c.Column) != nil && !slices.Contains(out, c.Column) {
			out = append(out, c.Column)
		}
	}
	return slices.DeleteFunc(out, func(name string) bool { return l.staged.find(name) == nil })
}

// carry sets aside the stored values of columns that not every batch had, before the rows that hold them are
// replaced: those of retired fields above all, which nobody can read again.
func (l *load) carry(s session) error {
	for _, c := range l.stored {
		if l.everywhere[c.Name] != l.batches {
			l.carried = append(l.carried, c.Name)
		}
	}
	if len(l.carried) == 0 {
		return nil
	}
	return s.exec(`CREATE TEMP TABLE ` + ident(carryTable) + ` AS SELECT t.id, ` + prefixed("t.", l.carried) + ` FROM ` +
		mainTable(l.spec.Table.Name) + ` t WHERE t.id IN (SELECT id FROM ` + tempTable(stageTable) + `)`)
}

// prefixed quotes names, puts a prefix before each and joins them with commas.
func prefixed(prefix string, names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + ident(n)
	}
	return strings.Join(out, ", ")
}
