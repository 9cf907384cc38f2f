package parquet_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/atsync/atsync/pipeline/pipelinetest"
)

// queryer is a *sql.DB or *sql.Conn.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// dump reads a table of a DuckDB database as the texts that the suites compare, ordered by columns. The table may be a
// subquery in parentheses.
func dump(t *testing.T, db queryer, table string, by ...string) []map[string]string {
	t.Helper()
	//nolint:rowserrcheck // Dump does
	return pipelinetest.Dump(t, func(query string) (pipelinetest.Rows, error) { return db.QueryContext(context.Background(), query) }, table, by...)
}
