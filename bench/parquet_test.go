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
	Version  int    // that 1,000 rows from First on get before they are published, and the next one before the second time; 0: none
	First    int
	Anew     bool // the second publication has a folder of its own, too
}

// lakeUse is what the work took of a child that does it for the second time, has the warehouse open and has just committed to it: a daemon
// publishes again and again.
type lakeUse struct {
	CPU, Wall time.Duration
	Made      int64 // bytes of new files
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
	return errors.Join(execAll(context.Background(), db, q), // the file is open then, and DuckDB has its memory
		inUse(filepath.Dir(args.To), func() error { return execAll(context.Background(), db, q) }), db.Close())
}

func publishLake(ctx context.Context, args lakeArgs) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: args.Database, Tenant: "acme"})
	if err != nil {
		return err
	}
	err = publishOnce(ctx, w, args, func(_ string, do func() error) error { return do() })
	if args.Anew {
		args.To += "-anew"
	}
	if args.Version > 0 {
		args.Version++
	}
	return errors.Join(err, publishOnce(ctx, w, args, inUse), w.Close())
}

func publishOnce(ctx context.Context, w *duckdb.Warehouse, args lakeArgs, use func(folder string, do func() error) error) error {
	if args.Version > 0 {
		s := stock{table: stockTable()}
		if _, err := s.load(w, args.Version, evenly(args.First, args.Rows)); err != nil {
			return err
		}
	}
	return use(filepath.Join(args.To, ".generations", "tickets"), func() error {
		_, err := parquet.NewPublisher(w, parquet.Options{Folder: args.To, Tenant: "acme"}).Publish(ctx)
		return err
	})
}

// inUse tells on the standard output what a piece of work took.
func inUse(folder string, do func() error) error {
	before, err := written(folder)
	if err != nil {
		return err
	}
	cpu, begun := cpuTime(), time.Now()
	if err := do(); err != nil {
		return err
	}
	use := lakeUse{CPU: cpuTime() - cpu, Wall: time.Since(begun)}
	after, err := written(folder)
	use.Made = after - before
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(use))
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
		version, to := 0, ""
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
					args.Version = version + 1
					version += 2
				}
				if args.Anew = step.name == "first"; args.Anew {
					to = filepath.Join(dir, fmt.Sprint("lake", turn))
				}
				full, _ := lake(b, "copy_parquet", lakeArgs{Database: s.path, To: whole})
				args.To = to
				use, peak := lake(b, "publish_parquet", args)
				cpus, fulls, walls, most = append(cpus, use.CPU), append(fulls, full.CPU), append(walls, use.Wall), max(most, peak)
				made = use.Made
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

// written adds up the Parquet files below a folder, one with several names once; there may be no folder.
func written(dir string) (n int64, err error) {
	seen := map[string]bool{} // a file keeps its name from generation to generation
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && filepath.Ext(path) == ".parquet" && !seen[filepath.Base(path)] {
			seen[filepath.Base(path)] = true
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				n += info.Size()
			}
		}
		return err
	})
	return n, err
}
