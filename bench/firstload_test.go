package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/atsync/atsync/pipeline"
)

// The promises about a first load.
const (
	cpuLimit    = 3.0 // times the CPU of DuckDB's read_json
	peakLimit   = 700 // MB, with 200,000 tickets
	growthLimit = 1.2 // times that, with 600,000
)

// BenchmarkFirstLoad loads tickets into an empty warehouse, beside DuckDB loading the same items from a file.
func BenchmarkFirstLoad(b *testing.B) {
	cases := []struct {
		name          string
		tickets, size int
	}{
		{"200k", 200_000, 1500},
		{"200k-wide", 200_000, 0}, // all fields that Autotask has
		{"600k", 600_000, 1500},
	}
	var base int64 // peak with 200,000
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			n := tickets(b, c.tickets)
			sim := startSimulator(b, simulatorArgs{Tickets: n, TicketSize: c.size})
			items := filepath.Join(b.TempDir(), "items.ndjson")
			dumped := sim.order(b, order{Do: "dump", Entity: "Tickets", File: items})
			limit := float64(peakLimit)
			if c.tickets == 600_000 {
				limit *= growthLimit
			}
			for b.Loop() {
				sync, alone := usage{}, usage{}
				for range rounds {
					s, a := firstLoad(b, sim, items, dumped.Rows)
					sync, alone = sync.least(s), alone.least(a)
				}
				reportFirstLoad(b, sync, alone, dumped, limit)
				switch c.name {
				case "200k":
					base = sync.peak
				case "600k":
					if base > 0 {
						growth := mega(sync.peak) / mega(base)
						fmt.Printf("  peak %.2f × that of 200k, limit %.1f: %s\n", growth, growthLimit, verdict(growth, growthLimit))
					}
				}
			}
		})
	}
}

// rounds is how often a comparison is made: by turns, since other work on the machine slows both.
const rounds = 3

// firstLoad loads once by atsync and once by DuckDB alone.
func firstLoad(b *testing.B, sim *simulator, items string, want int64) (sync, alone usage) {
	b.Helper()
	site := newSite(b, sim)
	sync, run := site.sync(b, "Tickets")
	if s := run.Streams[0]; s.Inserted != want || s.Status != pipeline.StatusOK {
		b.Fatalf("%d of %d rows arrived: %s %s", s.Inserted, want, s.Status, s.Error)
	}
	alone = loadAlone(b, site, items, want)
	if err := os.RemoveAll(site.dir); err != nil {
		b.Fatal(err)
	}
	return sync, alone
}

func reportFirstLoad(b *testing.B, sync, alone usage, dumped reply, limit float64) {
	fmt.Printf("\n%s: %d tickets of %d bytes, the least of %d rounds\n", b.Name(), dumped.Rows, dumped.Bytes/dumped.Rows, rounds)
	for _, line := range []struct {
		name string
		usage
	}{{"atsync sync", sync}, {"DuckDB read_json", alone}} {
		fmt.Printf("  %-17s %6.2f CPU s  %5.1f µs/row  %6.1f s  %7.0f rows/s  %4.0f MB peak\n", line.name,
			line.cpu.Seconds(), line.perRow(dumped.Rows), line.wall.Seconds(), float64(dumped.Rows)/line.wall.Seconds(), mega(line.peak))
	}
	times := ratio(sync.cpu, alone.cpu)
	fmt.Printf("  CPU %.2f × read_json, limit %.1f: %s; peak %.0f MB, limit %.0f MB: %s\n",
		times, cpuLimit, verdict(times, cpuLimit), mega(sync.peak), limit, verdict(mega(sync.peak), limit))
	b.ReportMetric(times, "×read_json")
	b.ReportMetric(mega(sync.peak), "peak-MB")
	b.ReportMetric(sync.perRow(dumped.Rows), "µs-CPU/row")
	b.ReportMetric(float64(dumped.Rows)/sync.wall.Seconds(), "rows/s")
}

// loadAlone has DuckDB load the items into a table like the warehouse's.
func loadAlone(b *testing.B, s site, items string, want int64) usage {
	b.Helper()
	args := yardstickArgs{Database: filepath.Join(b.TempDir(), "alone.duckdb"), Like: s.publication(), Table: "tickets", Items: items}
	cmd, err := asChild("read_json", args)
	if err != nil {
		b.Fatal(err)
	}
	u := measure(b, cmd)
	if n, err := count(b.Context(), args.Database, args.Table); err != nil || n != want {
		b.Fatalf("DuckDB loaded %d of %d rows: %v", n, want, err)
	}
	return u
}

// BenchmarkManyStreams loads three large entities side by side.
func BenchmarkManyStreams(b *testing.B) {
	n := tickets(b, 200_000)
	sim := startSimulator(b, simulatorArgs{Tickets: n, PerTicket: 1, TicketSize: 1500})
	for b.Loop() {
		sync, run := newSite(b, sim).sync(b, "Tickets", "TicketNotes", "TimeEntries")
		var rows int64
		for _, s := range run.Streams {
			rows += s.Inserted
		}
		fmt.Printf("\n%s: %d rows of tickets, notes and time entries\n", b.Name(), rows)
		fmt.Printf("  atsync sync       %6.2f CPU s  %5.1f µs/row  %6.1f s  %7.0f rows/s\n",
			sync.cpu.Seconds(), sync.perRow(rows), sync.wall.Seconds(), float64(rows)/sync.wall.Seconds())
		fmt.Printf("  peak %.0f MB, limit %d MB: %s\n", mega(sync.peak), peakLimit, verdict(mega(sync.peak), peakLimit))
		b.ReportMetric(mega(sync.peak), "peak-MB")
		b.ReportMetric(sync.perRow(rows), "µs-CPU/row")
	}
}
