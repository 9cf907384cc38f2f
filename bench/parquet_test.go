package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// lakeArgs say which warehouse is copied or published, and where to.
type lakeArgs struct {
	Database string
	To       string // folder of the publication, or file of the copy
}

func lakeChild(role, raw string) error {
	var args lakeArgs
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	ctx := context.Background()
	if role == "publish_parquet" {
		return publishParquet(ctx, args)
	}
	db, err := openAlone(args.Database)
	if err != nil {
		return err
	}
	q := `COPY tickets TO '` + args.To + `' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30000)`
	return errors.Join(execAll(ctx, db, q), db.Close())
}

func publishParquet(ctx context.Context, args lakeArgs) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: args.Database, Tenant: "acme"})
	if err != nil {
		return err
	}
	_, err = parquet.NewPublisher(w, parquet.Options{Folder: args.To, Tenant: "acme"}).Publish(ctx)
	return errors.Join(err, w.Close())
}

// BenchmarkPublishParquet publishes a table, beside a COPY of all of it by DuckDB alone: for the first time, after 1,000
// changed rows among the newest twentieth of the ids, after 1,000 everywhere, and when nothing has changed.
func BenchmarkPublishParquet(b *testing.B) {
	n := tickets(b, 1_000_000)
	s := newStock(b, n)
	run := func(role string, args lakeArgs) usage {
		cmd, err := asChild(role, args)
		if err != nil {
			b.Fatal(err)
		}
		return measure(b, cmd)
	}
	for b.Loop() {
		dir := b.TempDir()
		args := lakeArgs{Database: s.path, To: filepath.Join(dir, "lake")}
		var full usage
		for i := range turns {
			full = full.least(run("copy_parquet", lakeArgs{Database: args.Database, To: filepath.Join(dir, fmt.Sprint(i, ".parquet"))}))
		}
		whole := size(b, filepath.Join(dir, "0.parquet"))
		fmt.Printf("\n%s: %d rows, full COPY %.2f CPU s, %.2f s, %.0f MB, %.0f MB peak\n", b.Name(), n, full.cpu.Seconds(), full.wall.Seconds(),
			mega(whole), mega(full.peak))
		before, version := int64(0), 0
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
			var u usage
			var made int64
			for turn := range turns {
				if step.first >= 0 {
					version++
					s.change(version, step.first, n)
				}
				if step.name == "first" {
					before, args.To = 0, filepath.Join(dir, fmt.Sprint("lake", turn))
				}
				u = u.least(run("publish_parquet", args))
				all := written(b, filepath.Join(args.To, ".generations", "tickets"))
				made, before = all-before, all
			}
			cpu, bytes := ratio(u.cpu, full.cpu), float64(made)/float64(whole)
			fmt.Printf("  %-10s %.2f CPU s, %.2f s, %.0f MB peak: CPU %.2f of a full COPY, limit %.2f: %s; bytes %.3f, limit %.2f: %s\n", step.name,
				u.cpu.Seconds(), u.wall.Seconds(), mega(u.peak), cpu, step.cpu, verdict(cpu, step.cpu), bytes, step.bytes, verdict(bytes, step.bytes))
		}
	}
}

// turns is how often a step is measured; the least counts, since other work on the machine only adds to it.
const turns = 3

// change commits a new version of 1,000 rows, evenly spread over the ids from a first up to n.
func (s stock) change(version, first, n int) {
	s.b.Helper()
	w := s.open()
	s.commit(w, version, func(yield func(int) bool) {
		for i := range 1000 {
			if !yield(first + i*(n-first)/1000) {
				return
			}
		}
	})
	s.close(w)
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
