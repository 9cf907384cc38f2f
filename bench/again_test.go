package bench_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// BenchmarkSecondSync syncs again when nothing has changed.
func BenchmarkSecondSync(b *testing.B) {
	sim := startSimulator(b, simulatorArgs{Tickets: tickets(b, 200_000), TicketSize: 1500})
	site := newSite(b, sim)
	site.sync(b, "Tickets")
	for b.Loop() {
		again, run := site.sync(b, "Tickets")
		s := run.Streams[0]
		fmt.Printf("\n%s: %d rows written, %d read\n", b.Name(), s.Inserted+s.Updated, s.Fetched)
		fmt.Printf("  %d requests, limit %d: %s; %.2f CPU s, %.2f s, %.0f MB peak\n", run.Requests, 1+5,
			verdict(float64(run.Requests), 1+5), again.cpu.Seconds(), again.wall.Seconds(), mega(again.peak))
		b.ReportMetric(float64(run.Requests), "requests")
		b.ReportMetric(again.cpu.Seconds()*1000, "ms-CPU")
		b.ReportMetric(mega(again.peak), "peak-MB")
	}
}

// BenchmarkIncrement brings 1,000 changed tickets into a large table, beside DuckDB doing so by hand with a
// copy of the same warehouse.
func BenchmarkIncrement(b *testing.B) {
	const changed = 1000
	sim := startSimulator(b, simulatorArgs{Tickets: tickets(b, 200_000), TicketSize: 1500})
	site := newSite(b, sim)
	site.sync(b, "Tickets")
	for b.Loop() {
		dir := b.TempDir()
		args := yardstickArgs{Database: filepath.Join(dir, "copy.duckdb"), Table: "tickets", Items: filepath.Join(dir, "changed.ndjson")}
		args.Like = args.Database
		copyFile(b, site.warehouse(), args.Database)
		sim.order(b, order{Do: "edit", Entity: "Tickets", N: changed, File: args.Items})
		site.sync(b, "Resources")
		nothing, _ := site.sync(b, "Resources") // what any sync costs
		sync, run := site.sync(b, "Tickets")
		if s := run.Streams[0]; s.Updated != changed || s.Status != pipeline.StatusOK {
			b.Fatalf("%d of %d rows updated: %s %s", s.Updated, changed, s.Status, s.Error)
		}
		cmd, err := asChild("merge", args)
		if err != nil {
			b.Fatal(err)
		}
		hand := measure(b, cmd)
		fmt.Printf("\n%s: %d changed rows, %d requests\n", b.Name(), changed, run.Requests)
		fmt.Printf("  atsync sync             %4d ms CPU  %5.2f s  %4.0f MB peak\n", ms(sync.cpu), sync.wall.Seconds(), mega(sync.peak))
		fmt.Printf("  of that for any sync    %4d ms CPU  %5.2f s  (nothing changed)\n", ms(nothing.cpu), nothing.wall.Seconds())
		fmt.Printf("  DuckDB delete + insert  %4d ms CPU  %5.2f s  %4.0f MB peak\n", ms(hand.cpu), hand.wall.Seconds(), mega(hand.peak))
		fmt.Printf("  CPU %.2f × by hand; no limit is promised\n", ratio(sync.cpu, hand.cpu))
		b.ReportMetric(ratio(sync.cpu, hand.cpu), "×by-hand")
		b.ReportMetric(float64(ms(sync.cpu)), "ms-CPU")
	}
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

// copyFile copies a warehouse at rest.
func copyFile(b *testing.B, from, to string) {
	b.Helper()
	src, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = src.Close() }() // only read
	dst, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		b.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSchedule holds the time of a first load with a slow service, and ids that tell little of where rows are,
// against the time that its pages would take with as many requests at a time as Autotask allows and nothing in between.
func BenchmarkSchedule(b *testing.B) {
	const pageRows, threads, latency = 500, 3, 200 * time.Millisecond
	n := tickets(b, 100_000)
	sim := startSimulator(b, simulatorArgs{Tickets: n, Latency: latency, Skewed: true})
	pages := (n + pageRows - 1) / pageRows
	for b.Loop() {
		sync, run := newSiteWith(b, sim, fmt.Sprintf("sync: {threads_per_entity: %d}\n", threads)).sync(b, "Tickets")
		s := run.Streams[0]
		read := time.Duration(s.Seconds * float64(time.Second))
		ideal := time.Duration((pages+threads-1)/threads) * latency
		fmt.Printf("\n%s: %d tickets, %d pages at %s, %d at a time\n", b.Name(), s.Fetched, pages, latency, threads)
		fmt.Printf("  stream %.2f s, whole sync %.2f s, ideal %.2f s\n", read.Seconds(), sync.wall.Seconds(), ideal.Seconds())
		fmt.Printf("  %.3f × the ideal time, goal 1.10: %s\n", ratio(read, ideal), verdict(ratio(read, ideal), 1.10))
		fmt.Printf("  %d requests for %d pages; goal at most 2 %% and 10 over: %s\n", run.Requests, pages,
			verdict(float64(run.Requests), float64(pages)*1.02+10))
		b.ReportMetric(ratio(read, ideal), "×schedule")
		b.ReportMetric(float64(run.Requests), "requests")
	}
}
