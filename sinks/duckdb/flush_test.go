package duckdb_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// gadgets is a second entity.
func gadgets() *schemas.Table {
	e := *testTable().Entity
	e.Name = "Gadgets"
	return schemas.NewTable(&e, nil, nil)
}

// flushed begins a first load and flushes n rows of it.
func flushed(t *testing.T, w *duckdb.Warehouse, table *schemas.Table, n int) pipeline.Load {
	t.Helper()
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: table, Class: schemas.ClassModified, Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	stage(t, l, makeBatch(table, 0, n, 1))
	last := int64(n - 1)
	progress := &pipeline.Progress{StartedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Left: []pipeline.Range{{After: &last}}}
	if err := l.Flush(t.Context(), pipeline.Checkpoint{Progress: progress}); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPublishLeavesOutWhatIsUnfinished: readers see a table when its first load is complete, and a warehouse that is made
// anew from a publication begins that load anew. It makes no difference whether the load is open.
func TestPublishLeavesOutWhatIsUnfinished(t *testing.T) {
	for name, open1 := range map[string]bool{"the load is open": true, "it was interrupted": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, target := filepath.Join(dir, "work", "acme.duckdb"), filepath.Join(dir, "acme.duckdb")
			w := open(t, path)
			defer func() { w.Close() }()
			loadVersion(t, w, testTable(), 10, 1)
			l := flushed(t, w, gadgets(), 3000)
			if open1 {
				stage(t, l, makeBatch(gadgets(), 3000, 10, 1))
			} else if err := l.Abort(); err != nil {
				t.Fatal(err)
			}
			publish(t, duckdb.NewPublisher(w, target))
			if got := published(t, target); got != "10 v1 v1" {
				t.Errorf("the other table: %s", got)
			}
			db, err := duckdb.OpenReader(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, query := range []string{
				`SELECT count(*) FROM duckdb_tables() WHERE table_name = 'gadgets'`,
				`SELECT count(*) FROM _atsync.columns WHERE entity = 'Gadgets'`,
				`SELECT count(*) FROM _atsync.checkpoints WHERE entity = 'Gadgets'`,
			} {
				n := -1
				if err := db.QueryRow(query).Scan(&n); err != nil || n != 0 {
					t.Errorf("%s: %d %v", query, n, err)
				}
			}
			hydrated, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(dir, "other", "acme.duckdb"), Tenant: "acme", From: target})
			if err != nil {
				t.Fatal(err)
			}
			defer hydrated.Close()
			st, err := hydrated.Stream(t.Context(), "Gadgets")
			if diff := cmp.Diff(pipeline.StreamState{}, st); diff != "" || err != nil {
				t.Errorf("hydrated: %v\n%s", err, diff)
			}
			// the warehouse itself still has what was flushed, and goes on
			if err := l.Abort(); err != nil {
				t.Fatal(err)
			}
			if st, err = w.Stream(t.Context(), "Gadgets"); err != nil || st.LiveRows != 3000 || st.Checkpoint.Progress == nil {
				t.Errorf("left: %+v %v", st, err)
			}
			if l, err = w.Begin(t.Context(), pipeline.LoadSpec{Table: gadgets(), Class: schemas.ClassModified, Fresh: true}); err != nil {
				t.Fatal(err)
			}
			if res, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil || res.Inserted != 0 { // all rows were there
				t.Errorf("%+v %v", res, err)
			}
			p := duckdb.NewPublisher(w, target)
			if pending, err := p.Pending(t.Context()); err != nil || !pending {
				t.Errorf("a table is complete: pending %v %v", pending, err)
			}
			publish(t, p)
			again, err := duckdb.OpenReader(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			var n int
			if err := again.QueryRow(`SELECT count(DISTINCT id) FROM gadgets`).Scan(&n); err != nil || n != 3000 {
				t.Errorf("%d rows are published: %v", n, err)
			}
		})
	}
}

// TestLogGrowsWhileFlushing: as long as some load flushes.
func TestLogGrowsWhileFlushing(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	check := func(when, want string) {
		t.Helper()
		got := dump(t, duckdb.Database(w), `(SELECT value FROM duckdb_settings() WHERE name = 'checkpoint_threshold')`)[0]["value"]
		if got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	const short, long = "15.2 MiB", "61.0 MiB"
	a := flushed(t, w, testTable(), 10)
	b := flushed(t, w, gadgets(), 10)
	check("two loads", long)
	if _, err := a.Commit(t.Context(), pipeline.Commit{}); err != nil {
		t.Fatal(err)
	}
	check("one load", long)
	if err := b.Abort(); err != nil {
		t.Fatal(err)
	}
	check("none", short)
}

// TestUpgrade opens a warehouse as format 1 left it.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 10, 1)
	if err := w.Remember(t.Context(), "zone", "kept"); err != nil {
		t.Fatal(err)
	}
	before, err := w.Stream(t.Context(), testTable().Entity.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`ALTER TABLE _atsync.checkpoints DROP COLUMN progress`,
		`UPDATE _atsync.info SET value = '1' WHERE key = 'format'`,
	} {
		if _, err := duckdb.Database(w).Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	defer w.Close()
	after, err := w.Stream(t.Context(), testTable().Entity.Name)
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("state: %v\n%s", err, diff)
	}
	if kept, err := w.Recall(t.Context(), "zone"); kept != "kept" || err != nil {
		t.Errorf("remembered: %q %v", kept, err)
	}
	if err := flushed(t, w, gadgets(), 10).Abort(); err != nil {
		t.Fatal(err)
	}
	if st, err := w.Stream(t.Context(), "Gadgets"); err != nil || st.Checkpoint.Progress == nil {
		t.Errorf("progress: %+v %v", st.Checkpoint, err)
	}
}

// TestWideTablesHaveRoom: DuckDB pins the end of every column while it commits. With hundreds of them that is more than the
// usual limit, and running into it within a commit would end the instance.
func TestWideTablesHaveRoom(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	limit := func() string {
		return dump(t, duckdb.Database(w), `(SELECT value FROM duckdb_settings() WHERE name = 'memory_limit')`)[0]["value"]
	}
	l := flushed(t, w, gadgets(), 500)
	before := limit()
	wide := testTable(slices.Repeat([]string{"string", "integer", "decimal"}, 100)...)
	m := flushed(t, w, wide, 500)
	if got := limit(); got == before {
		t.Errorf("with %d columns the limit is still %s", len(wide.Columns), got)
	}
	for _, l := range []pipeline.Load{l, m} {
		if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
			t.Error(err)
		}
	}
}
