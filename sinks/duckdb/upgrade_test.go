package duckdb_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/sinks/duckdb"
)

// TestOpenFormatOne: a warehouse of the first format gets what has come since, and keeps what it holds.
func TestOpenFormatOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 10, 1)
	if err := w.Remember(t.Context(), "zone", "a b"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`DROP TABLE _atsync.chunks`, `UPDATE _atsync.info SET value = '1' WHERE key = 'format'`} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w = open(t, path)
		if chunks, err := w.Chunks(t.Context()); err != nil || len(chunks) != 0 {
			t.Errorf("%d chunks, %v", len(chunks), err)
		}
		if zone, err := w.Recall(t.Context(), "zone"); err != nil || zone != "a b" {
			t.Errorf("remembered %q, %v", zone, err)
		}
		got := dump(t, duckdb.Database(w), `(SELECT count(*) AS n FROM widgets)`)
		if diff := cmp.Diff([]map[string]string{{"n": "10"}}, got); diff != "" {
			t.Error(diff)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
