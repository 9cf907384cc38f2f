package bench_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	duckdbdriver "github.com/duckdb/duckdb-go/v2"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// largeVariable lets BenchmarkCommit go up to 5,000,000 rows.
const largeVariable = "ATSYNC_BENCH_LARGE"

// stock is a warehouse with one table of n rows, filled without any source.
type stock struct {
	b     *testing.B
	path  string
	table *schemas.Table
}

// newStock returns a warehouse with rows 0 … n-1 in version 0.
func newStock(b *testing.B, n int) stock {
	b.Helper()
	s := stock{b: b, path: filepath.Join(b.TempDir(), "acme.duckdb"), table: stockTable()}
	w := s.open()
	s.commit(w, 0, func(yield func(id int) bool) {
		for id := range n {
			if !yield(id) {
				return
			}
		}
	})
	s.close(w)
	return s
}

func stockTable() *schemas.Table {
	e := &schemas.Entity{Name: "Tickets", Queryable: true, Class: schemas.ClassModified, Stamps: []string{"lastActivityDate"},
		Fields: []schemas.Field{{Name: "id", Type: "integer"}, {Name: "title", Type: "string"}, {Name: "description", Type: "string"},
			{Name: "lastActivityDate", Type: "datetime"}, {Name: "estimatedHours", Type: "decimal"}}}
	for i := range 25 {
		e.Fields = append(e.Fields, schemas.Field{Name: fmt.Sprintf("reference%d", i), Type: "integer"})
	}
	return schemas.NewTable(e, nil, nil)
}

func (s stock) open() *duckdb.Warehouse {
	s.b.Helper()
	w, err := duckdb.Open(context.Background(), duckdb.Options{Path: s.path, Tenant: "acme"})
	if err != nil {
		s.b.Fatal(err)
	}
	return w
}

func (s stock) close(w *duckdb.Warehouse) {
	s.b.Helper()
	if err := w.Close(); err != nil {
		s.b.Fatal(err)
	}
}

// commit loads a version of some rows, ascending, and returns how long the commit took.
func (s stock) commit(w *duckdb.Warehouse, version int, ids func(yield func(int) bool)) time.Duration {
	s.b.Helper()
	took, err := s.load(w, version, ids)
	if err != nil {
		s.b.Fatal(err)
	}
	return took
}

func (s stock) load(w *duckdb.Warehouse, version int, ids func(yield func(int) bool)) (time.Duration, error) {
	ctx := context.Background()
	l, err := w.Begin(ctx, pipeline.LoadSpec{Table: s.table, Class: schemas.ClassModified})
	if err != nil {
		return 0, err
	}
	dec := schemas.NewDecoder(s.table)
	var page bytes.Buffer
	rows := 0
	flush := func() error {
		if rows == 0 {
			return nil
		}
		if _, err := dec.Decode(append(page.Bytes(), "]}"...), nil); err != nil {
			return err
		}
		record, _ := dec.Flush()
		defer record.Release()
		page.Reset()
		rows = 0
		return l.Stage(ctx, pipeline.Batch{Record: record, ReadAt: time.Now()})
	}
	for id := range ids {
		if page.WriteByte(','); rows == 0 {
			page.Reset()
			page.WriteString(`{"items":[`)
		}
		s.write(&page, id, version)
		if rows++; rows == 4000 {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := flush(); err != nil {
		return 0, err
	}
	if _, err := l.Absent(ctx); err != nil { // what was staged is in its table then, as it is by hand
		return 0, err
	}
	begun := time.Now()
	_, err = l.Commit(ctx, pipeline.Commit{})
	return time.Since(begun), err
}

func (s stock) write(page *bytes.Buffer, id, version int) {
	at := time.Date(2026, 1, 1, 0, 0, version, id%1000*1_000_000, time.UTC).Format("2006-01-02T15:04:05.000Z")
	fmt.Fprintf(page, `{"id":%d,"title":"ticket %d version %d","description":"what is wrong with number %d is told here, at some length",`+
		`"lastActivityDate":%q,"estimatedHours":%d.25`, id, id, version, id*7919%100_003, at, id%40)
	for i := range 25 {
		fmt.Fprintf(page, `,"reference%d":%d`, i, (id+version)*(i+3)%(1000*(i+1)))
	}
	page.WriteByte('}')
}

// spread returns 1,000 ids below n, a fifth of them anywhere and the rest among the newest 5 %.
func spread(n, round int) []int {
	seen := map[int]bool{}
	for i := 0; len(seen) < 1000; i++ {
		at := (i*7919 + round*104_729) % n
		if i%5 != 0 {
			at = n - 1 - at%max(n/20, 2000)
		}
		seen[max(at, 0)] = true
	}
	out := make([]int, 0, len(seen))
	for id := range seen {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

const commitRounds = 41

// BenchmarkCommit brings 1,000 changed rows into tables of different sizes, beside a DELETE and INSERT by hand in a
// copy of the same file.
func BenchmarkCommit(b *testing.B) {
	sizes := []int{tickets(b, 100_000), tickets(b, 1_000_000)}
	if os.Getenv(largeVariable) != "" {
		sizes = append(sizes, tickets(b, 5_000_000))
	}
	for b.Loop() {
		var least time.Duration
		for _, n := range sizes {
			s := newStock(b, n)
			by := filepath.Join(b.TempDir(), "hand.duckdb")
			copyFile(b, s.path, by)
			w, byHand := s.open(), newHand(b, by)
			var times, hands []time.Duration
			for round := range commitRounds { // by turns, so that both have the same disk
				times = append(times, s.commit(w, round+1, slices.Values(spread(n, round))))
				hands = append(hands, byHand(spread(n, round)))
			}
			s.close(w)
			commit, hand := median(times), median(hands)
			if least == 0 {
				least = commit
			}
			fmt.Printf("\n%s: 1,000 changed rows of %d, median of %d\n", b.Name(), n, commitRounds)
			fmt.Printf("  commit %.1f ms, DELETE + INSERT by hand %.1f ms: %.2f ×, limit 1.5: %s\n", commit.Seconds()*1000, hand.Seconds()*1000,
				ratio(commit, hand), verdict(ratio(commit, hand), 1.5))
			fmt.Printf("  %.2f × the time with %d rows, limit 3: %s\n", ratio(commit, least), sizes[0], verdict(ratio(commit, least), 3))
			b.ReportMetric(ratio(commit, hand), fmt.Sprintf("×by-hand-%dk", n/1000))
			b.ReportMetric(ratio(commit, least), fmt.Sprintf("×least-%dk", n/1000))
		}
	}
}

// newHand opens a copy and returns what replaces rows in it, and tells the time from BEGIN to COMMIT.
func newHand(b *testing.B, path string) func(ids []int) time.Duration {
	b.Helper()
	ctx := context.Background()
	connector, err := duckdbdriver.NewConnector(path+"?memory_limit=192MB&threads=2", nil)
	if err != nil {
		b.Fatal(err)
	}
	db := sql.OpenDB(connector)
	b.Cleanup(func() { _ = db.Close() }) // a copy that nobody needs any more
	conn, err := db.Conn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	exec := func(q string) {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			b.Fatalf("%.60s: %v", q, err)
		}
	}
	return func(ids []int) time.Duration {
		exec(`CREATE OR REPLACE TEMP TABLE stage AS SELECT * REPLACE (title || ' changed' AS title) FROM tickets WHERE list_contains(` +
			fmt.Sprintf("[%s]", joined(ids)) + `, id)`)
		begun := time.Now()
		exec(`BEGIN`)
		exec(`DELETE FROM tickets USING stage WHERE tickets.id = stage.id`)
		exec(`INSERT INTO tickets SELECT * FROM stage`)
		exec(`COMMIT`)
		return time.Since(begun)
	}
}

func joined(ids []int) string {
	var b bytes.Buffer
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, id)
	}
	return b.String()
}

// BenchmarkGrowth brings 200 increments of 1,000 rows into a large table, each by a warehouse that is opened, tidied and closed for it, and
// compares the file, as it was after each, with a fresh one of the same rows, and once more after a compaction.
func BenchmarkGrowth(b *testing.B) {
	n := tickets(b, 1_000_000)
	for b.Loop() {
		s := newStock(b, n)
		var most, last int64
		for round := range 200 {
			w := s.open()
			s.commit(w, round+1, slices.Values(spread(n, round)))
			if err := w.Tidy(context.Background()); err != nil { // as every sync does in the end
				b.Fatal(err)
			}
			s.close(w)
			last = fileSize(b, s.path)
			most = max(most, last)
		}
		w := s.open()
		begun := time.Now()
		if err := w.Compact(context.Background()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(begun)
		after := fileSize(b, s.path)
		fresh := newStock(b, n)
		base := fileSize(b, fresh.path)
		grown, left := float64(most)/float64(base), float64(after)/float64(base)
		fmt.Printf("\n%s: 200 increments of 1,000 rows of %d\n", b.Name(), n)
		fmt.Printf("  %.0f MB at most, fresh %.0f MB: %.2f ×, limit 1.45: %s; %.2f × in the end\n", mega(most), mega(base), grown, verdict(grown, 1.45), float64(last)/float64(base))
		fmt.Printf("  compacted in %.1f s: %.0f MB, %.2f ×, limit 1.05: %s\n", took.Seconds(), mega(after), left, verdict(left, 1.05))
		b.ReportMetric(grown, "×fresh")
		b.ReportMetric(left, "×fresh-compacted")
	}
}

func fileSize(b *testing.B, path string) int64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}
