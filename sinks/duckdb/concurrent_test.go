package duckdb_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestConcurrentLoads runs first loads, growing tables and merges of many tables side by side: every load has begun
// and staged before the first one commits, while others read and publish. It must neither deadlock, even
// with a single thread of DuckDB's, nor conflict.
func TestConcurrentLoads(t *testing.T) {
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint("Threads", threads), func(t *testing.T) { testConcurrent(t, threads) })
	}
}

func testConcurrent(t *testing.T, threads int) {
	dir := t.TempDir()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(dir, "acme.duckdb"), Tenant: "acme", Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const tables, rounds, rows = 6, 3, 5000
	names := make([]*schemas.Entity, tables)
	for i := range names {
		e := *testTable().Entity
		e.Name = fmt.Sprintf("Things%c", 'A'+i)
		names[i] = &e
		if i%2 == 0 { // half of the tables exist, empty, and get a column from the first load
			loadVersion(t, w, schemas.NewTable(&e, nil, nil), 0, 0)
		}
	}
	p := duckdb.NewPublisher(w, filepath.Join(dir, "out", "acme.duckdb"))
	for round := 1; round <= rounds; round++ {
		var ready, done sync.WaitGroup
		ready.Add(tables)
		errs := make([]error, tables)
		for i, e := range names {
			done.Go(func() { errs[i] = loadTogether(t.Context(), w, *e, round, rows, &ready) })
		}
		done.Go(func() {
			ready.Wait()
			if _, err := p.Publish(t.Context()); err != nil {
				t.Error(err)
			}
		})
		done.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("round %d, table %d: %v", round, i, err)
			}
		}
	}
	for _, e := range names {
		got := dump(t, duckdb.Database(w), `(SELECT count(*) AS n, count(DISTINCT id) AS ids, min(name) AS lo, max(name) AS hi FROM main.`+schemas.TableName(e.Name)+`)`)
		want := []map[string]string{{"n": fmt.Sprint(rows), "ids": fmt.Sprint(rows), "lo": fmt.Sprint("v", rounds), "hi": fmt.Sprint("v", rounds)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Name, diff)
		}
	}
}

// loadTogether stages a version of a table that has one more column each round, and commits once all others have staged.
func loadTogether(ctx context.Context, w *duckdb.Warehouse, e schemas.Entity, round, rows int, ready *sync.WaitGroup) error {
	arrived := sync.OnceFunc(ready.Done)
	defer arrived()
	for i := range round {
		e.Fields = append(slices.Clip(e.Fields), schemas.Field{Name: fmt.Sprint("extra", i), Type: "string"})
	}
	st, err := w.Stream(ctx, e.Name)
	if err != nil {
		return err
	}
	table := schemas.NewTable(&e, nil, st.Columns)
	l, err := w.Begin(ctx, pipeline.LoadSpec{Table: table, Class: schemas.ClassModified})
	if err != nil {
		return err
	}
	defer func() { _ = l.Abort() }() // after the commit it does nothing
	for from := 0; from < rows; from += 1000 {
		batch := makeBatch(table, from, 1000, round)
		err := l.Stage(ctx, batch)
		batch.Record.Release()
		if err != nil {
			return err
		}
	}
	arrived()
	ready.Wait()
	_, err = l.Commit(ctx, pipeline.Commit{})
	return err
}
