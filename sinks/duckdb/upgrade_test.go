package duckdb_test

import (
	"path/filepath"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestOpenOlderFormat brings a file of format 1 up to date, and keeps what it remembers.
func TestOpenOlderFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 10, 1)
	if err := w.Remember(t.Context(), "zone", "here there"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`ALTER TABLE _atsync.checkpoints DROP COLUMN parent_id`, `UPDATE _atsync.info SET value = '1' WHERE key = 'format'`} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	defer w.Close()
	if kept, err := w.Recall(t.Context(), "zone"); err != nil || kept != "here there" {
		t.Errorf("remembered %q, %v", kept, err)
	}
	entity := testTable().Entity.Name
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: testTable()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: 3, ParentID: 9}}); err != nil {
		t.Fatal(err)
	}
	if st, err := w.Stream(t.Context(), entity); err != nil || st.Checkpoint.ParentID != 9 || st.LiveRows != 10 {
		t.Errorf("%+v, %v", st, err)
	}
}
