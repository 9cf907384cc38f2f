package duckdb_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestSink(t *testing.T) {
	pipelinetest.TestSink(t, func(t *testing.T) pipelinetest.Harness { return newHarness(t).Harness })
}

// harness is a warehouse that can be closed and opened again under its users.
type harness struct {
	pipelinetest.Harness
	*duckdb.Warehouse
	path string
	now  func() time.Time
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{path: filepath.Join(t.TempDir(), "acme.duckdb"), now: time.Now}
	h.open(t)
	t.Cleanup(func() { h.close(t) })
	h.Harness = pipelinetest.Harness{
		Sink: h, Rows: h.rows, Kill: h.kill(killVariable),
		Reopen: func(t *testing.T) {
			h.close(t)
			h.open(t)
		},
		Full:  func(t *testing.T) func() { return pipelinetest.LimitFiles(t, 64<<10) },
		Clock: func(now func() time.Time) { h.now = now },
	}
	return h
}

// kill is Harness.Kill with a process that works as the variable says.
func (h *harness) kill(variable string) func(*testing.T, string, time.Duration) []string {
	return func(t *testing.T, mark string, delay time.Duration) []string {
		h.close(t)
		defer h.open(t)
		return pipelinetest.KillProcess(t, []string{variable + "=" + h.path}, mark, delay)
	}
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
	//nolint:rowserrcheck // Dump does
	return pipelinetest.Dump(t, func(query string) (pipelinetest.Rows, error) { return db.QueryContext(context.Background(), query) }, table, by...)
}

var _ pipeline.Sink = (*harness)(nil)
