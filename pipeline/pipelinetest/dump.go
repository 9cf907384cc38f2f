package pipelinetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// Queryer is a *sql.DB or *sql.Conn.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Dump reads a table of a DuckDB database as the texts that the suites compare, ordered by columns. The table may be a
// subquery in parentheses.
func Dump(t *testing.T, db Queryer, table string, by ...string) []map[string]string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), dumpQuery(t, db, table, by))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range cells {
			if c.Valid {
				row[names[i]] = c.String
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
func dumpQuery(t *testing.T, db Queryer, table string, by []string) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), `SELECT column_name, column_type FROM (DESCRIBE `+table+`)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
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
	var query strings.Builder
	query.WriteString(`SELECT ` + strings.Join(cols, ", ") + ` FROM ` + table + ` t`)
	for i, name := range by {
		query.WriteString(map[bool]string{true: ` ORDER BY t.`, false: `, t.`}[i == 0] + name)
	}
	return query.String()
}
