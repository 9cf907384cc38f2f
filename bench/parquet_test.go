package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// lakeArgs say which warehouse is copied or published, and where to.
type lakeArgs struct {
	Database string
	To       string // folder of the publication, or file of the copy
	Rows     int    // of the table
	Version  int    // that 1,000 rows from First on get before they are published; 0: none
	First    int
}

// lakeUse is what the work took of a child that has the warehouse open and has just committed to it, as the daemon has when it publishes.
type lakeUse struct {
	CPU, Wall time.Duration
}

func lakeChild(role, raw string) error {
	var args lakeArgs
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	if role == "publish_parquet" {
		return publishLake(context.Background(), args)
	}
	db, err := openAlone(args.Database)
	if err != nil {
		return err
	}
	q := `COPY tickets TO '` + args.To + `' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30000)`
	return errors.Join(execAll(context.Background(), db, `SELECT count(*) FROM tickets`), // the file is open then
		inUse(func() error { return execAll(context.Background(), db, q) }), db.Close())
}

func publishLake(ctx context.Context, args lakeArgs) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: args.Database, Tenant: "acme"})
	if err != nil {
		return err
	}
	if args.Version > 0 {
		s := stock{table: stockTable()}
		if _, err := s.load(w, args.Version, evenly(args.First, args.Rows)); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return errors.Join(inUse(func() error {
		_, err := parquet.NewPublisher(w, parquet.Options{Folder: args.To, Tenant: "acme"}).Publish(ctx)
		return err
	}), w.Close())
}

// inUse tells on the standard output what a piece of work took.
func inUse(do func() error) error {
	cpu, begun := cpuTime(), time.Now()
	if err := do(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lakeUse{CPU: cpuTime() - cpu, Wall: time.Since(begun)})
}

// lake runs a child and returns what its work took.
func lake(b *testing.B, role string, args lakeArgs) (use lakeUse, peak int64) {
	b.Helper()
	cmd, err := asChild(role, args)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	u := measure(b, cmd)
	if err := json.Unmarshal(out.Bytes(), &use); err != nil {
		b.Fatalf("%s: %v: %s", role, err, out.String())
	}
	return use, u.peak
}

// BenchmarkPublishParquet publishes a table: for the first time, after 1,000 changed rows among the newest twentieth of the ids,
// after 1,000 everywhere, and when nothing has changed; each beside a COPY of all of it by DuckDB alone, in turns.
func BenchmarkPublishParquet(b *testing.B) {
	n := tickets(b, 1_000_000)
	s := newStock(b, n)
	for b.Loop() {
		dir := b.TempDir()
		whole := filepath.Join(dir, "whole.parquet")
		fmt.Printf("\n%s: %d rows; median of %d turns\n", b.Name(), n, turns)
		before, version, to := int64(0), 0, ""
		for _, step := range []struct {
			name       string
			first      int     // id from which rows change; -1: none
			cpu, bytes float64 // limits as shares of the full COPY's
		}{
			{"first", -1, 1.3, 1.3},
			{"newest 5 %", n - n/20, 0.15, 0.10},
			{"scattered", 0, 1.3, 1.3},
			{"nothing", -1, 0.15, 0},
		} {
			var cpus, fulls, walls []time.Duration
			var made, most int64
			for turn := range turns {
				args := lakeArgs{Database: s.path, Rows: n, First: step.first}
				if step.first >= 0 {
					version++
					args.Version = version
				}
				if step.name == "first" {
					before, to = 0, filepath.Join(dir, fmt.Sprint("lake", turn))
				}
				full, _ := lake(b, "copy_parquet", lakeArgs{Database: s.path, To: whole})
				args.To = to
				use, peak := lake(b, "publish_parquet", args)
				cpus, fulls, walls, most = append(cpus, use.CPU), append(fulls, full.CPU), append(walls, use.Wall), max(most, peak)
				all := written(b, filepath.Join(to, ".generations", "tickets"))
				made, before = all-before, all
			}
			cpu, full := median(cpus), median(fulls)
			bytes := float64(made) / float64(size(b, whole))
			fmt.Printf("  %-10s %.2f CPU s, %.2f s, %.0f MB peak: CPU %.3f of a full COPY's %.2f s, limit %.2f: %s; bytes %.3f, limit %.2f: %s\n", step.name,
				cpu.Seconds(), median(walls).Seconds(), mega(most), ratio(cpu, full), full.Seconds(), step.cpu, verdict(ratio(cpu, full), step.cpu),
				bytes, step.bytes, verdict(bytes, step.bytes))
		}
	}
}

// turns is how often a step is measured.
const turns = 5

// evenly yields 1,000 ids from first up to n.
func evenly(first, n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range 1000 {
			if !yield(first + i*(n-first)/1000) {
				return
			}
		}
	}
}

func size(b *testing.B, path string) int64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// written adds up the Parquet files below a folder, one with several names once.
func written(b *testing.B, dir string) (n int64) {
	b.Helper()
	seen := map[string]bool{} // a file keeps its name from generation to generation
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".parquet" && !seen[filepath.Base(path)] {
			seen[filepath.Base(path)] = true
			n += size(b, path)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
