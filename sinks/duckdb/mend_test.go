package duckdb_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/sinks/duckdb"
)

const (
	blockSize   = 256 << 10
	firstBlock  = 12 << 10
	blockNumber = 1<<56 - 1 // of a pointer, whose first byte is a place in the block
)

// flip changes one byte of a block.
func flip(t *testing.T, path string, block int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, b := firstBlock+block*blockSize+100, make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// rootBlock is the block in which the newest checkpoint's catalog begins.
func rootBlock(t *testing.T, path string) int64 {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := content[4096:], content[8192:] // each: a sum, the checkpoint's number, the pointer
	if binary.LittleEndian.Uint64(two[8:]) > binary.LittleEndian.Uint64(one[8:]) {
		one = two
	}
	return int64(binary.LittleEndian.Uint64(one[16:]) & blockNumber)
}

// publishedThenChanged is a warehouse of version 1, published so, and closed with version 2.
func publishedThenChanged(t *testing.T) (duckdb.Options, map[string][]map[string]string) {
	t.Helper()
	dir := t.TempDir()
	opts := duckdb.Options{Path: filepath.Join(dir, "work", "acme.duckdb"), Tenant: "acme", From: filepath.Join(dir, "acme.duckdb")}
	w, err := duckdb.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	loadRows(t, w, 0, 3000, 1)
	if _, err := duckdb.NewPublisher(w, opts.From).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := map[string][]map[string]string{"rows": dump(t, duckdb.Database(w), testTable().Name, "id")}
	loadRows(t, w, 0, 3000, 2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return opts, rows
}

// mended opens a warehouse that is damaged, and fails the test unless it is as it was published and takes loads again.
func mended(t *testing.T, opts duckdb.Options, want map[string][]map[string]string) {
	t.Helper()
	w, err := duckdb.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got := (map[string][]map[string]string{"rows": dump(t, duckdb.Database(w), testTable().Name, "id")}); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	st, err := w.Stream(t.Context(), testTable().Entity.Name)
	if err != nil || st.Checkpoint.ParentLoad != 1 {
		t.Errorf("checkpoint %+v, %v", st.Checkpoint, err)
	}
	for suffix, there := range map[string]bool{".damaged": true, ".suspect": false} {
		if _, err := os.Stat(opts.Path + suffix); (err == nil) != there {
			t.Errorf("%s: %v", suffix, err)
		}
	}
	loadRows(t, w, 0, 3000, 3)
}

// TestDamagedCatalog: DuckDB cannot open the file. With a publication it is made anew from that, without one it is left for a person.
func TestDamagedCatalog(t *testing.T) {
	opts, want := publishedThenChanged(t)
	flip(t, opts.Path, rootBlock(t, opts.Path))
	alone := opts
	alone.From = ""
	if w, err := duckdb.Open(t.Context(), alone); err == nil || !strings.Contains(err.Error(), "is damaged") {
		if err == nil {
			w.Close()
		}
		t.Fatalf("without a publication: %v", err)
	}
	mended(t, opts, want)
}

// TestDamagedRows: DuckDB opens the file and finds the damage when it reads. That fails, and the next process mends it.
func TestDamagedRows(t *testing.T) {
	opts, want := publishedThenChanged(t)
	whole, err := os.ReadFile(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for block := range int64(len(whole)-firstBlock) / blockSize {
		if err := os.WriteFile(opts.Path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		flip(t, opts.Path, block)
		alone := opts
		alone.From = ""
		w, err := duckdb.Open(t.Context(), alone)
		if err != nil {
			continue // a block of the catalog
		}
		err = w.Compact(t.Context()) // reads everything
		if found = err != nil && strings.Contains(err.Error(), "Corrupt database file"); found {
			break
		}
	}
	if !found {
		t.Fatal("no block has rows")
	}
	if _, err := os.Stat(opts.Path + ".suspect"); err != nil {
		t.Fatal(err)
	}
	mended(t, opts, want)
}
