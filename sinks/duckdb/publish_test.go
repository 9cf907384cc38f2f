package duckdb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// loadVersion commits version v of n rows.
func loadVersion(t *testing.T, w *duckdb.Warehouse, table *schemas.Table, n, v int) pipeline.LoadResult {
	t.Helper()
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: table, Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	stage(t, l, makeBatch(table, 0, n, v))
	res, err := l.Commit(t.Context(), pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: time.Now().Add(-time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func stage(t *testing.T, l pipeline.Load, b pipeline.Batch) {
	t.Helper()
	defer b.Record.Release()
	if err := l.Stage(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, p *duckdb.Publisher) pipeline.Publication {
	t.Helper()
	pub, err := p.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// published reads the versions of the rows in a publication, as an analyst does who opened the folder.
func published(t *testing.T, path string) string {
	t.Helper()
	db, err := duckdb.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var text string
	if err := db.QueryRow(`SELECT count(*) || ' ' || min(name) || ' ' || max(name) FROM widgets`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	w := open(t, filepath.Join(dir, "work", "acme.duckdb"))
	defer w.Close()
	out := filepath.Join(dir, "out")
	p := duckdb.NewPublisher(w, filepath.Join(out, "acme.duckdb"))
	if _, ok := p.Published(); ok {
		t.Error("published before the first time")
	}
	loadVersion(t, w, testTable(), 5000, 1)
	pub := publish(t, p)
	if got := published(t, pub.Path); got != "5000 v1 v1" || pub.Bytes == 0 {
		t.Errorf("%q in %+v", got, pub)
	}
	at, ok := p.Published()
	if !ok || time.Since(at) > time.Hour {
		t.Errorf("published at %v", at)
	}
	publish(t, p)
	if again, _ := p.Published(); !again.Equal(at) {
		t.Error("copied although nothing was committed")
	}

	// left-overs of a killed publication, and a log of somebody who wrote to the old file
	for _, name := range []string{".acme.duckdb.partial-1-2", ".acme.duckdb.partial-1-2.wal", "acme.duckdb.wal"} {
		if err := os.WriteFile(filepath.Join(out, name), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loadVersion(t, w, testTable(), 5000, 2)
	publish(t, p)
	if got := published(t, pub.Path); got != "5000 v2 v2" {
		t.Errorf("second version: %q", got)
	}
	if diff := cmp.Diff([]string{"acme.duckdb"}, files(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	assertLocked(t, w.Path())
}

// TestPublishBesideFirstLoad: a first load writes to the file for hours; publishing must neither wait for it nor
// show anything of it.
func TestPublishBesideFirstLoad(t *testing.T) {
	dir := t.TempDir()
	w := open(t, filepath.Join(dir, "acme.duckdb"))
	defer w.Close()
	loadVersion(t, w, testTable(), 1000, 1)
	e := *testTable().Entity
	e.Name = "Gadgets"
	gadgets := schemas.NewTable(&e, nil, nil)
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: gadgets, Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		stage(t, l, makeBatch(gadgets, i*5000, 5000, 1))
	}
	loadVersion(t, w, testTable(), 1000, 2)
	p := duckdb.NewPublisher(w, filepath.Join(dir, "out", "acme.duckdb"))
	pub := publish(t, p)
	if got := published(t, pub.Path); got != "1000 v2 v2" {
		t.Errorf("beside the load: %q", got)
	}
	assertLocked(t, w.Path())
	if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
		t.Fatal(err)
	}
	publish(t, p)
	db, err := duckdb.OpenReader(t.Context(), pub.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(`SELECT count(DISTINCT id) FROM gadgets`).Scan(&n); err != nil || n != 200_000 {
		t.Errorf("%d gadgets, %v", n, err)
	}
}

func TestPublishRefusals(t *testing.T) {
	dir := t.TempDir()
	w := open(t, filepath.Join(dir, "acme.duckdb"))
	defer w.Close()
	if err := os.Symlink(w.Path(), filepath.Join(dir, "link.duckdb")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for target, class := range map[string]pipeline.Class{
		"acme.duckdb":      pipeline.ClassConfig,
		"link.duckdb":      pipeline.ClassConfig,
		"file/acme.duckdb": pipeline.ClassSink,
	} {
		_, err := duckdb.NewPublisher(w, filepath.Join(dir, target)).Publish(t.Context())
		var e *pipeline.Error
		if !errors.As(err, &e) || e.Class != class || e.Remedy == "" {
			t.Errorf("%s: %v", target, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := duckdb.NewPublisher(w, filepath.Join(dir, "x.duckdb")).Publish(ctx); pipeline.ClassOf(err) != pipeline.ClassCanceled {
		t.Errorf("canceled: %v", err)
	}
	assertLocked(t, w.Path())
}

// TestPendingKnowsWhatAnEarlierProcessCommitted kills nothing, but reopens: what was committed and not published
// must be pending for whoever comes next.
func TestPendingKnowsWhatAnEarlierProcessCommitted(t *testing.T) {
	path, target := filepath.Join(t.TempDir(), "w.duckdb"), filepath.Join(t.TempDir(), "acme.duckdb")
	table := testTable()
	w := open(t, path)
	pending := func(want bool, when string) {
		t.Helper()
		got, err := duckdb.NewPublisher(w, target).Pending(t.Context())
		if err != nil || got != want {
			t.Errorf("%s: pending %v, error %v", when, got, err)
		}
	}
	pending(true, "nothing published")
	loadVersion(t, w, table, 10, 1)
	publish(t, duckdb.NewPublisher(w, target))
	pending(false, "just published")
	loadVersion(t, w, table, 10, 1)
	pending(false, "rows read again and unchanged")
	loadVersion(t, w, table, 10, 2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	defer w.Close()
	pending(true, "committed by an earlier process")
	publish(t, duckdb.NewPublisher(w, target))
	pending(false, "published by this one")
}

// TestDamagedPublicationIsMadeAnew: what somebody has done to the published file is found and made good, though nothing was committed.
func TestDamagedPublicationIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	w := open(t, filepath.Join(dir, "work", "acme.duckdb"))
	defer w.Close()
	target := filepath.Join(dir, "acme.duckdb")
	p := duckdb.NewPublisher(w, target)
	loadVersion(t, w, testTable(), 100, 1)
	publish(t, p)
	old, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	loadVersion(t, w, testTable(), 100, 2)
	publish(t, p)
	for name, damage := range map[string]func() error{
		"deleted":      func() error { return os.Remove(target) },
		"truncated":    func() error { return os.Truncate(target, 5000) },
		"an older one": func() error { return os.WriteFile(target, old, 0o600) },
		"other bytes": func() error {
			content, err := os.ReadFile(target)
			clear(content[8192:])
			return errors.Join(err, os.WriteFile(target, content, 0o600))
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*duckdb.Publisher{p, duckdb.NewPublisher(w, target)} { // that of another process sees it, too
			if pending, err := p.Pending(t.Context()); err != nil || !pending {
				t.Errorf("%s: pending %v, error %v", name, pending, err)
			}
		}
		publish(t, p)
		if got := published(t, target); got != "100 v2 v2" {
			t.Errorf("%s: %s", name, got)
		}
		if pending, err := p.Pending(t.Context()); err != nil || pending {
			t.Errorf("%s, made good: pending %v, error %v", name, pending, err)
		}
	}
}

// TestHydrateRefusesDamage: a warehouse is not made of a publication that can't be read, and nothing stays in its place.
func TestHydrateRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "work", "acme.duckdb"), filepath.Join(dir, "acme.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 5000, 1)
	publish(t, duckdb.NewPublisher(w, target))
	if err := errors.Join(w.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "empty": nil, "no database": []byte("not a database, but long enough to look at")} {
		if err := os.WriteFile(target, content, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", From: target, LockWait: -1})
		if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Class != pipeline.ClassSink || !strings.Contains(e.Remedy, target) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = w.Close()
		}
		if diff := cmp.Diff([]string(nil), databases(t, filepath.Dir(path))); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
		_ = os.Remove(path)
	}
}

// databases returns the files of a folder that are warehouses or parts of them.
func databases(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, name := range files(t, dir) {
		if strings.Contains(name, ".duckdb") && !strings.HasSuffix(name, ".lock") {
			names = append(names, name)
		}
	}
	return names
}
