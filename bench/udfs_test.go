package bench_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// udfLimit is how many times as long a load with 200 UDFs may take as one without them.
const udfLimit = 2.0

// BenchmarkUDFs loads tickets with 200 user-defined fields, and the same tickets without them. Requests take 50 ms,
// which is little for a page of Autotask's: reading the next page and digesting the last go side by side.
func BenchmarkUDFs(b *testing.B) {
	n := tickets(b, 100_000)
	plain := startSimulator(b, simulatorArgs{Tickets: n, Latency: 50 * time.Millisecond})
	many := startSimulator(b, simulatorArgs{Tickets: n, UDFs: 200, Latency: 50 * time.Millisecond})
	load := func(sim *simulator) (usage, int64) {
		u, run := newSite(b, sim).sync(b, "Tickets")
		if s := run.Streams[0]; s.Status != pipeline.StatusOK {
			b.Fatalf("%s %s", s.Status, s.Error)
		}
		return u, run.Streams[0].Inserted
	}
	for b.Loop() {
		with, without, rows := usage{}, usage{}, int64(0)
		for range rounds {
			u, _ := load(plain)
			v, got := load(many)
			without, with, rows = without.least(u), with.least(v), got
		}
		fmt.Printf("\n%s: %d tickets, the least of %d rounds\n", b.Name(), rows, rounds)
		for _, line := range []struct {
			name string
			usage
		}{{"without", without}, {"200 UDFs", with}} {
			fmt.Printf("  %-17s %6.2f CPU s  %5.1f µs/row  %6.1f s  %4.0f MB peak\n", line.name, line.cpu.Seconds(), line.perRow(rows), line.wall.Seconds(), mega(line.peak))
		}
		cpu, wall := ratio(with.cpu, without.cpu), ratio(with.wall, without.wall)
		fmt.Printf("  CPU %.2f ×; time %.2f ×, limit %.1f: %s\n", cpu, wall, udfLimit, verdict(wall, udfLimit))
		b.ReportMetric(wall, "×time")
		b.ReportMetric(cpu, "×CPU")
	}
}

// addUDFs gives an entity n more user-defined fields of all types.
func addUDFs(data *autotasktest.Data, entity string, n int) {
	if n == 0 {
		return
	}
	kinds := []string{"string", "string", "integer", "decimal", "datetime", "boolean"}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("Custom field %03d", i)
		data.AddUDF(entity, autotasktest.UDF{Name: names[i], Type: kinds[i%len(kinds)]})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, id := range data.IDs(entity) {
		values := autotasktest.Fields{}
		for i, name := range names {
			if r.IntN(10) >= 3 {
				continue
			}
			value := fmt.Sprintf("value %d of field %d", r.IntN(500), i)
			switch kinds[i%len(kinds)] {
			case "integer":
				value = fmt.Sprint(r.IntN(1_000_000))
			case "decimal":
				value = fmt.Sprintf("%d.%02d", r.IntN(10_000), r.IntN(100))
			case "datetime":
				value = time.Unix(1.7e9+int64(r.IntN(1e7)), 0).UTC().Format("2006-01-02T15:04:05Z")
			case "boolean":
				value = fmt.Sprint(r.IntN(2) == 1)
			}
			values["udf:"+name] = value
		}
		data.UpdateQuietly(entity, id, values)
	}
}
