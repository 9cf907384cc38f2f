package duckdb_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestSnapshotTellsWhatTheWarehouseTells, from the closed file and from a publication.
func TestSnapshotTellsWhatTheWarehouseTells(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "work.duckdb"), filepath.Join(dir, "acme.duckdb")
	w := open(t, path)
	first := loadVersion(t, w, testTable(), 700, 1)
	loadVersion(t, w, testTable(), 3, 2)
	if err := w.Remember(t.Context(), "zone", "a b"); err != nil {
		t.Fatal(err)
	}
	publish(t, duckdb.NewPublisher(w, target))
	want, err := w.Stream(t.Context(), "Widgets")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, target} {
		db, err := duckdb.OpenReader(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := duckdb.NewSnapshot(t.Context(), db, "acme", file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Stream(t.Context(), "Widgets")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", file, err, diff)
		}
		if ids, newest, err := s.Changed(t.Context(), "widgets", first.LoadID); err != nil || len(ids) != 3 || newest <= first.LoadID {
			t.Errorf("changed: %v %d %v", ids, newest, err)
		}
		if v, err := s.Recall(t.Context(), "zone"); err != nil || v != "a b" {
			t.Errorf("recall: %q %v", v, err)
		}
		if _, err := duckdb.NewSnapshot(t.Context(), db, "other", file); pipeline.ClassOf(err) != pipeline.ClassSink {
			t.Errorf("another tenant's file: %v", err)
		}
		states, err := duckdb.ReadStates(t.Context(), db)
		if err != nil || len(states) != 1 || states[0].Rows != want.LiveRows || !states[0].Checkpoint.CompleteThrough.Equal(want.Checkpoint.CompleteThrough) {
			t.Errorf("states: %+v %v", states, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOlderFormatGetsNewTables: what atsync remembers stays, and a snapshot of the old file says what to do.
func TestOlderFormatGetsNewTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 3, 1)
	if err := w.Remember(t.Context(), "zone", "a b"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`DROP TABLE _atsync.state_log`, `UPDATE _atsync.info SET value = '1' WHERE key = 'format'`} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := duckdb.NewSnapshot(t.Context(), db, "acme", path); err == nil || !strings.Contains(err.Error(), "run atsync sync once") {
		t.Errorf("snapshot of an old file: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	w = open(t, path)
	defer w.Close()
	cp := pipeline.Checkpoint{CompleteThrough: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := w.SetCheckpoint(t.Context(), "Widgets", &cp, pipeline.StateNote{Command: "state set", By: "me@here"}); err != nil {
		t.Error(err)
	}
	if v, err := w.Recall(t.Context(), "zone"); err != nil || v != "a b" {
		t.Errorf("recall: %q %v", v, err)
	}
	if n := len(dump(t, duckdb.Database(w), "_atsync.state_log", "changed_at")); n != 1 {
		t.Errorf("%d rows in the log", n)
	}
}
