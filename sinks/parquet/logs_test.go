package parquet_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// TestLogsAreCut publishes a history of years: what is old of it is not written again, and comes back whole.
func TestLogsAreCut(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	h.load(t, 1, 1)
	h.publish(t)
	if n := len(h.table(t, "_atsync/loads").Files); n != 1 {
		t.Errorf("%d files for one load", n)
	}
	h.fill(t, `INSERT INTO _atsync.loads (load_id, entity, status, ended_at) SELECT 1000 + i, 'Items', 'ok', TIMESTAMPTZ '2026-01-01 00:00:00+00' FROM range(20_000) t(i)`,
		`INSERT INTO _atsync.runs (run_id, status) SELECT 1000 + i, 'ok' FROM range(5_000) t(i)`)
	logs := func() (loads, runs parquet.Table) {
		h.load(t, 2, 1)
		h.publish(t)
		return h.table(t, "_atsync/loads"), h.table(t, "_atsync/runs")
	}
	loads, runs := logs()
	if len(loads.Files) != 6 || len(runs.Files) != 2 {
		t.Fatalf("%d files of loads, %d of runs", len(loads.Files), len(runs.Files))
	}
	h.load(t, 3, 2)
	next, _ := logs()
	if n := h.kept(t, loads, next); n != 5 || len(next.Files) != 6 {
		t.Errorf("%d files kept of %d", n, len(next.Files))
	}
	h.sameLogs(t)
	for _, gone := range []string{
		`load_id BETWEEN 5000 AND 12000`,                      // the middle
		`load_id < 3000 OR run_id < 2000`,                     // the beginning
		`load_id > 17000 AND load_id < 21000`,                 // most of the end
		`load_id BETWEEN 100 AND 15000`,                       // what is left is one file
		`load_id IN (SELECT max(load_id) FROM _atsync.loads)`, // as when a copy of the warehouse was put back
	} {
		h.fill(t, `DELETE FROM _atsync.loads WHERE `+gone, `DELETE FROM _atsync.runs WHERE run_id < 2000`)
		loads, _ := logs()
		h.sameLogs(t)
		for _, f := range loads.Files {
			if f.Rows == 0 {
				t.Errorf("%s: an empty file", gone)
			}
		}
	}
	h.fill(t, `UPDATE _atsync.loads SET status = 'interrupted' WHERE load_id = 15500`)
	h.publish(t)
	h.sameLogs(t)
	before := h.Rows(t, logSums)
	h.Hydrate(t)
	if diff := cmp.Diff(before, h.Rows(t, logSums)); diff != "" {
		t.Errorf("made anew (-before +after): %s", diff)
	}
}

const logSums = `(SELECT count(*) AS n, sum(load_id) AS ids, sum(hash(t)) AS hashes, (SELECT sum(hash(r)) FROM _atsync.runs AS r) AS runs FROM _atsync.loads AS t)`

// sameLogs compares the published logs with the warehouse's.
func (h *harness) sameLogs(t *testing.T) {
	t.Helper()
	catalog, err := duckdb.OpenReader(t.Context(), filepath.Join(h.out, parquet.CatalogName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = catalog.Close() }() // only read
	if diff := cmp.Diff(h.Rows(t, logSums), dump(t, catalog, logSums)); diff != "" {
		t.Errorf("(-warehouse +publication): %s", diff)
	}
}

// fill runs statements on the warehouse's file.
func (h *harness) fill(t *testing.T, statements ...string) {
	t.Helper()
	if err := h.warehouse.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", h.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.start(t)
}
