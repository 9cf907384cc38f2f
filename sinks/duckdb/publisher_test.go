package duckdb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestPublisher(t *testing.T) {
	pipelinetest.TestPublisher(t, func(t *testing.T) *pipelinetest.PublisherHarness {
		dir := t.TempDir()
		path, target := filepath.Join(dir, "work", "acme.duckdb"), filepath.Join(dir, "acme.duckdb")
		h := &pipelinetest.PublisherHarness{}
		var w *duckdb.Warehouse
		start := func(t *testing.T) {
			var err error
			w, err = duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", From: target, LockWait: -1})
			if err != nil {
				t.Fatal(err)
			}
			h.Sink, h.Publisher = w, duckdb.NewPublisher(w, target)
		}
		start(t)
		t.Cleanup(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
		h.Rows = func(t *testing.T, table string, by ...string) []map[string]string {
			return dump(t, duckdb.Database(w), table, by...)
		}
		h.Published = func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
			db, err := duckdb.OpenReader(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			schema, name, ok := strings.Cut(table, ".")
			if !ok {
				schema, name = "main", table
			}
			var n int
			err = db.QueryRow(`SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?`, schema, name).Scan(&n)
			if err != nil || n == 0 {
				return nil, false
			}
			return dump(t, db, table, by...), true
		}
		h.Hold = func(t *testing.T) func(*testing.T, string, ...string) []map[string]string {
			db, err := duckdb.OpenReader(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return func(t *testing.T, table string, by ...string) []map[string]string { return dump(t, db, table, by...) }
		}
		h.Hydrate = func(t *testing.T) {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			start(t)
		}
		return h
	})
}
