package duckdb

import (
	"strings"

	"github.com/atsync/atsync/schemas"
)

// stamps returns the columns whose greatest value is a row's version.
func (l *load) stamps() []string {
	e := l.spec.Table.Entity
	if e.Class != schemas.ClassModified && e.Class != schemas.ClassActivity {
		return nil
	}
	var out []string
	for _, field := range e.Stamps {
		if c := l.spec.Table.Column(field); c != nil {
			out = append(out, c.Name)
		}
	}
	return out
}

// version returns the expression of a row's version, NULL where the entity has none.
func (l *load) version(prefix string, of shape) string {
	var cols []string
	for _, name := range l.stamps() {
		if c := of.find(name); c != nil && c.Type.Kind == schemas.Timestamp {
			cols = append(cols, prefix+ident(name))
		}
	}
	if len(cols) == 0 {
		return "NULL::TIMESTAMPTZ"
	}
	return "greatest(" + strings.Join(cols, ", ") + ")"
}

// versions returns the versions of a staged row s and a stored row t over the stamps that both have, or "".
func (l *load) versions() (staged, stored string) {
	var both shape
	for _, c := range l.staged {
		// stored: the column was there before this load, and still is a time
		if old := l.stored.find(c.Name); old != nil && old.Type == c.Type {
			both = append(both, c)
		}
	}
	if staged = l.version("s.", both); strings.HasPrefix(staged, "NULL") {
		return "", ""
	}
	return staged, l.version("t.", both)
}
