package duckdb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/pipeline"
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
			return readPublished(t, target)(t, table, by...)
		}
		h.Hold = func(t *testing.T) func(*testing.T, string, ...string) []map[string]string {
			db, err := duckdb.OpenReader(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return func(t *testing.T, table string, by ...string) []map[string]string { return dump(t, db, table, by...) }
		}
		h.Full = func(t *testing.T) func() {
			if _, err := duckdb.Database(w).Exec("CHECKPOINT"); err != nil { // which is the warehouse's own
				t.Fatal(err)
			}
			return pipelinetest.LimitFiles(t, 64<<10)
		}
		h.Pass = func(*testing.T) {} // an old version ends with its last reader
		h.Versions = func(t *testing.T) int {
			files, err := filepath.Glob(filepath.Join(dir, "*.duckdb*"))
			hidden, err2 := filepath.Glob(filepath.Join(dir, ".*.duckdb*"))
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			return len(files) + len(hidden)
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

// readPublished opens a publication as a fresh reader does.
func readPublished(t *testing.T, target string) func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
	t.Helper()
	db, err := duckdb.OpenReader(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
		schema, name, ok := strings.Cut(table, ".")
		if !ok {
			schema, name = "main", table
		}
		var n int
		err := db.QueryRow(`SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?`, schema, name).Scan(&n)
		if err != nil || n == 0 {
			return nil, false
		}
		return dump(t, db, table, by...), true
	}
}

// killHarness is a warehouse and its publication, compacted as if it were always worth it.
func killHarness() pipelinetest.KillHarness {
	open := func(ctx context.Context, dir string) (*duckdb.Warehouse, error) {
		return duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "work", "acme.duckdb"), Tenant: "acme", From: filepath.Join(dir, "acme.duckdb")})
	}
	target := func(dir string) string { return filepath.Join(dir, "acme.duckdb") }
	return pipelinetest.KillHarness{
		Open: func(ctx context.Context, dir string) (pipeline.Sink, pipeline.Publisher, func() error, error) {
			w, err := open(ctx, dir)
			if err != nil {
				return nil, nil, nil, err
			}
			return w, duckdb.NewPublisher(w, target(dir)), w.Close, nil
		},
		Maintain: func(ctx context.Context, dir string) error {
			w, err := open(ctx, dir)
			if err != nil {
				return err
			}
			return w.Compact(ctx)
		},
		Whole: func(t *testing.T, dir string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
			if _, err := os.Stat(target(dir)); errors.Is(err, os.ErrNotExist) {
				return func(*testing.T, string, ...string) ([]map[string]string, bool) { return nil, false }
			}
			return readPublished(t, target(dir))
		},
	}
}

func TestKillPublisher(t *testing.T) { pipelinetest.TestPublisherKilled(t, killHarness()) }
