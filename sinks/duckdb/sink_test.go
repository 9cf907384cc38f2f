package duckdb_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestSink(t *testing.T) {
	pipelinetest.TestSink(t, func(t *testing.T) pipelinetest.Harness {
		h := &harness{path: filepath.Join(t.TempDir(), "acme.duckdb"), now: time.Now}
		h.open(t)
		t.Cleanup(func() { h.close(t) })
		return pipelinetest.Harness{Sink: h, Rows: h.rows, Reopen: func(t *testing.T) {
			h.close(t)
			h.open(t)
		}, Clock: func(now func() time.Time) { h.now = now }}
	})
}

// harness is a warehouse that can be closed and opened again under its users.
type harness struct {
	*duckdb.Warehouse
	path string
	now  func() time.Time
}

func open(t *testing.T, path string) *duckdb.Warehouse {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", LockWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (h *harness) open(t *testing.T) {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: h.path, Tenant: "acme", LockWait: -1, Now: func() time.Time { return h.now() }})
	if err != nil {
		t.Fatal(err)
	}
	h.Warehouse = w
}

func (h *harness) close(t *testing.T) {
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func (h *harness) rows(t *testing.T, table string, by ...string) []map[string]string {
	t.Helper()
	return dump(t, duckdb.Database(h.Warehouse), table, by...)
}

// dump reads a table as texts.
func dump(t *testing.T, db *sql.DB, table string, by ...string) []map[string]string {
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
func dumpQuery(t *testing.T, db *sql.DB, table string, by []string) string {
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
	query := `SELECT ` + strings.Join(cols, ", ") + ` FROM ` + table + ` t`
	for i, name := range by {
		query += map[bool]string{true: ` ORDER BY t.`, false: `, t.`}[i == 0] + name
	}
	return query
}

var _ pipeline.Sink = (*harness)(nil)
