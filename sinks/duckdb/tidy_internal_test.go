package duckdb

import (
	"os"
	"strings"
	"testing"
)

// TestTidy: a warehouse of which much is free is written anew, once, has all of its rows, and takes nothing more until it is opened again.
func TestTidy(t *testing.T) {
	opts := Options{Path: t.TempDir() + "/acme.duckdb", Tenant: "acme"}
	open := func() *Warehouse {
		w, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	closed := func(w *Warehouse) int64 {
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(opts.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	exec := func(w *Warehouse, query string) {
		if _, err := w.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	w := open()
	exec(w, `CREATE TABLE main.random AS SELECT i AS id, md5(i::VARCHAR) || md5((-i)::VARCHAR) AS text FROM range(1_000_000) r(i)`)
	full := closed(w)
	if full < leastTidied {
		t.Fatalf("%d bytes are too few to be tidied", full)
	}
	w = open()
	exec(w, `DELETE FROM main.random WHERE id >= 200_000 AND id < 900_000`)
	exec(w, `CHECKPOINT`)
	exec(w, `INSERT INTO main.random VALUES (1, 'late')`) // what stands in the log counts, too
	if err := w.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Remember(t.Context(), "a", "b"); err == nil || !strings.Contains(err.Error(), "open it again") {
		t.Errorf("what the old file is told would be lost: %v", err)
	}
	tidied := closed(w)
	if tidied > full/2 {
		t.Errorf("%d of %d bytes are left", tidied, full)
	}
	if again := closed(open()); again != tidied {
		t.Errorf("%d bytes were %d when nothing had changed", again, tidied)
	}
	w = open()
	var rows, sum int64
	if err := w.db.QueryRowContext(t.Context(), `SELECT count(*), sum(id) FROM main.random`).Scan(&rows, &sum); err != nil {
		t.Fatal(err)
	}
	if rows != 300_001 || sum != 199_999*100_000+1_899_999*50_000+1 {
		t.Errorf("%d rows, the sum of their ids is %d", rows, sum)
	}
	closed(w)
}
