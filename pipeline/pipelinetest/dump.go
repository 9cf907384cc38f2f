package pipelinetest

import (
	"fmt"
	"strings"
	"testing"
)

// Rows are those of a query, as database/sql has them.
type Rows interface {
	Columns() ([]string, error)
	Next() bool
	Scan(into ...any) error
	Err() error
	Close() error
}

// Dump reads a table of a DuckDB database as the texts that the suites compare, ordered by columns. The table may be a
// subquery in parentheses.
func Dump(t *testing.T, query func(string) (Rows, error), table string, by ...string) []map[string]string {
	t.Helper()
	rows, err := query(dumpQuery(t, query, table, by))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for rows.Next() {
		cells := make([]*string, len(names)) // nil: NULL
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range cells {
			if c != nil {
				row[names[i]] = *c
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// dumpQuery casts every column to the suite's texts.
func dumpQuery(t *testing.T, query func(string) (Rows, error), table string, by []string) string {
	t.Helper()
	rows, err := query(`SELECT column_name, column_type FROM (DESCRIBE ` + table + `)`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	var cols []string
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			t.Fatal(err)
		}
		quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		expr := `t.` + quoted + `::VARCHAR`
		if typ == "TIMESTAMP WITH TIME ZONE" {
			expr = fmt.Sprintf(`strftime(t.%s::TIMESTAMP, '%%Y-%%m-%%dT%%H:%%M:%%S.%%fZ')`, quoted)
		}
		cols = append(cols, expr+` AS `+quoted)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString(`SELECT ` + strings.Join(cols, ", ") + ` FROM ` + table + ` t`)
	for i, name := range by {
		text.WriteString(map[bool]string{true: ` ORDER BY t.`, false: `, t.`}[i == 0] + name)
	}
	return text.String()
}
