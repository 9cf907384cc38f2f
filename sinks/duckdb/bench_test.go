package duckdb_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// ticketLike is a table of 62 columns in the proportions of Tickets.
func ticketLike() *schemas.Table {
	var types []string
	for i := range 59 {
		switch {
		case i < 34:
			types = append(types, "integer")
		case i < 42:
			types = append(types, "string")
		case i < 45:
			types = append(types, "decimal")
		case i < 56:
			types = append(types, "datetime")
		default:
			types = append(types, "boolean")
		}
	}
	return testTable(types...)
}

func benchBatches(table *schemas.Table, from, rows, v int) (out []pipeline.Batch) {
	const per = 4000
	for at := 0; at < rows; at += per {
		out = append(out, makeBatch(table, from+at, min(per, rows-at), v))
	}
	return out
}

func loadBatches(b *testing.B, w *duckdb.Warehouse, table *schemas.Table, batches []pipeline.Batch) {
	b.Helper()
	l, err := w.Begin(b.Context(), pipeline.LoadSpec{Table: table, Class: schemas.ClassModified})
	if err != nil {
		b.Fatal(err)
	}
	for _, batch := range batches {
		if err := l.Stage(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := l.Commit(b.Context(), pipeline.Commit{}); err != nil {
		b.Fatal(err)
	}
}

func benchOpen(b *testing.B, name string) *duckdb.Warehouse {
	b.Helper()
	w, err := duckdb.Open(b.Context(), duckdb.Options{Path: filepath.Join(b.TempDir(), name+".duckdb"), Tenant: "acme"})
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// BenchmarkFirstLoad loads 200,000 rows of 62 columns into an empty table.
func BenchmarkFirstLoad(b *testing.B) {
	table := ticketLike()
	batches := benchBatches(table, 0, 200_000, 1)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		w := benchOpen(b, strconv.Itoa(i))
		b.StartTimer()
		loadBatches(b, w, table, batches)
		b.StopTimer()
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/200_000, "µs/row")
}

// BenchmarkIncrement merges 1,000 rows, one in ten of them new, into a million.
func BenchmarkIncrement(b *testing.B) {
	table, w := ticketLike(), benchOpen(b, "w")
	l, err := w.Begin(b.Context(), pipeline.LoadSpec{Table: table, Class: schemas.ClassModified})
	if err != nil {
		b.Fatal(err)
	}
	for from := 0; from < 1_000_000; from += 4000 {
		batch := makeBatch(table, from, 4000, 1)
		if err := l.Stage(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		batch.Record.Release()
	}
	if _, err := l.Commit(b.Context(), pipeline.Commit{}); err != nil {
		b.Fatal(err)
	}
	var recs []arrow.RecordBatch
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		batch := makeBatch(table, 999_100+i*100, 1000, 2+i)
		recs = append(recs, batch.Record)
		b.StartTimer()
		loadBatches(b, w, table, []pipeline.Batch{batch})
	}
	for _, rec := range recs {
		rec.Release()
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
