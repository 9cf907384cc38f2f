package parquet_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// pollsVariable makes TestReadersNeverFail one of 200,000 rows, 50 publications and so many polls.
const pollsVariable = "ATSYNC_TEST_POLLS"

// TestReadersNeverFail polls both publications, in all ways of reading, while all rows are loaded anew and then published back to
// back, for as long as it takes to poll so often. No poll fails, or sees a row twice, a row missing or rows of different versions.
func TestReadersNeverFail(t *testing.T) {
	rows, publications, polls := int64(2_000), 4, 60
	if n, err := strconv.Atoi(os.Getenv(pollsVariable)); err == nil {
		rows, publications, polls = 200_000, 50, n
	}
	step := rows / 20
	h := newHarness(t, parquet.Options{})
	file := filepath.Join(filepath.Dir(h.path), "..", "acme.duckdb")
	single := duckdb.NewPublisher(h.warehouse, file)
	publish := func() {
		for _, p := range []pipeline.Publisher{single, h.publisher} {
			if _, err := p.Publish(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	var every []int64 // rows in every part of the table, which every load changes
	for id := int64(0); id < rows; id += step {
		every = append(every, id)
	}
	h.load(t, 1, upTo(0, rows)...)
	publish()

	// all ids, each once, and one version of the rows that every load changes
	query := fmt.Sprintf(`SELECT count(*) || ' rows, sum ' || sum(id) || ', sum of hashes ' || sum(hash(id)) || ', versions ' ||
		count(DISTINCT CASE WHEN id %% %d = 0 THEN regexp_extract(title, '[0-9]+$') END) FROM `, step)
	link, memory := filepath.Join(h.out, "items"), openMemory(t)
	var want string
	err := memory.QueryRow(query + fmt.Sprintf(`(SELECT range AS id, 'version 1' AS title FROM range(%d))`, rows)).Scan(&want)
	if err != nil {
		t.Fatal(err)
	}
	check := func(db *sql.DB, from string) error {
		var got string
		if err := db.QueryRow(query + from).Scan(&got); err != nil || got == want {
			return err
		}
		return fmt.Errorf("%s; want %s", got, want)
	}
	opened := func(path string) error {
		db, err := duckdb.OpenReader(t.Context(), path)
		if err != nil {
			return err
		}
		return errors.Join(check(db, "items"), db.Close())
	}
	files := func(folder string) error {
		return check(memory, `read_parquet('`+folder+`/*.parquet')`)
	}
	var done atomic.Bool
	var all sync.WaitGroup
	var polled atomic.Int64
	for name, poll := range map[string]func() error{
		"the DuckDB file": func() error { return opened(file) },
		"the catalog":     func() error { return opened(filepath.Join(h.out, parquet.CatalogName)) },
		"the link, resolved": func() error {
			folder, err := filepath.EvalSymlinks(link)
			if err != nil {
				return err
			}
			return files(folder)
		},
		"a glob, with one retry": func() error {
			if files(link) == nil {
				return nil
			}
			return files(link)
		},
	} {
		all.Go(func() {
			n := 0
			defer func() { t.Logf("%s: %d polls", name, n) }()
			for !done.Load() {
				if err := poll(); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				n++
				polled.Add(1)
			}
		})
	}
	h.load(t, 2, upTo(0, rows)...)
	publish()
	v := 2
	for ; v-2 < publications || polled.Load() < int64(polls) && !t.Failed(); v++ {
		h.load(t, v+1, every...)
		publish()
	}
	done.Store(true)
	all.Wait()
	t.Logf("%d polls, %d rows, %d publications of each kind", polled.Load(), rows, v-1)
}
