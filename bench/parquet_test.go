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

// lakeArgs say which warehouse is changed, copied or published, and where to.
type lakeArgs struct {
	Database string
	To       string // folder of the publication, or file of the copy
	Where    string // of the rows that change
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
	if role == "change" { // as a load does: rows go, and come back at the end of the table
		q = `CREATE TEMP TABLE changed AS SELECT * REPLACE ('x' || title AS title, _row_hash + 1 AS _row_hash, _load_id + 1 AS _load_id) FROM tickets WHERE ` + args.Where +
			`; DELETE FROM tickets WHERE id IN (SELECT id FROM changed); INSERT INTO tickets FROM changed; CHECKPOINT`
	}
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

// BenchmarkPublishParquet publishes a table of tickets, beside a COPY of all of it by DuckDB alone: for the first time,
// after changes of the newest twentieth of the ids, after changes everywhere, and when nothing has changed.
func BenchmarkPublishParquet(b *testing.B) {
	sim := startSimulator(b, simulatorArgs{Tickets: tickets(b, 200_000), TicketSize: 1500})
	site := newSite(b, sim)
	site.sync(b, "Tickets")
	run := func(role string, args lakeArgs) usage {
		cmd, err := asChild(role, args)
		if err != nil {
			b.Fatal(err)
		}
		return measure(b, cmd)
	}
	for b.Loop() {
		dir := b.TempDir()
		args := lakeArgs{Database: filepath.Join(dir, "acme.duckdb"), To: filepath.Join(dir, "lake")}
		copyFile(b, site.warehouse(), args.Database)
		var full usage
		for i := range 3 {
			full = full.least(run("copy_parquet", lakeArgs{Database: args.Database, To: filepath.Join(dir, fmt.Sprint(i, ".parquet"))}))
		}
		fmt.Printf("\n%s: full COPY %.2f CPU s, %.2f s, %.0f MB, %.0f MB peak\n", b.Name(), full.cpu.Seconds(), full.wall.Seconds(),
			mega(size(b, filepath.Join(dir, "0.parquet"))), mega(full.peak))
		before := int64(0)
		for _, step := range []struct {
			name, where string
			cpu, bytes  float64 // limits as shares of the full COPY's
		}{
			{"first", "", 1.3, 1.3},
			{"newest 5 %", "id > (SELECT quantile_disc(id, 0.95) FROM tickets)", 0.15, 0.10},
			{"scattered", "id % 50 = 0", 1.3, 1.3},
			{"nothing", "", 0.15, 0},
		} {
			if step.where != "" {
				run("change", lakeArgs{Database: args.Database, Where: step.where})
			}
			u := run("publish_parquet", args)
			all := written(b, filepath.Join(args.To, ".generations", "tickets"))
			cpu, bytes := ratio(u.cpu, full.cpu), float64(all-before)/float64(size(b, filepath.Join(dir, "0.parquet")))
			before = all
			fmt.Printf("  %-10s %.2f CPU s, %.2f s, %.0f MB peak: CPU %.2f of a full COPY, limit %.2f: %s; bytes %.3f, limit %.2f: %s\n", step.name,
				u.cpu.Seconds(), u.wall.Seconds(), mega(u.peak), cpu, step.cpu, verdict(cpu, step.cpu), bytes, step.bytes, verdict(bytes, step.bytes))
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
