package duckdb_test

import (
	"path/filepath"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestOpenUpgradesAnOlderWarehouse opens one of format 1, which had no stamp misses and followed no logs.
func TestOpenUpgradesAnOlderWarehouse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	loadVersion(t, w, testTable(), 10, 1)
	if err := w.Remember(t.Context(), "zone", "a b"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`DROP TABLE _atsync.stamp_misses`, `DROP TABLE _atsync.state_log`, `DROP TABLE _atsync.chunks`, `ALTER TABLE _atsync.checkpoints DROP COLUMN log_loads`,
		`ALTER TABLE _atsync.checkpoints DROP COLUMN parent_id`,
		`UPDATE _atsync.info SET value = '1' WHERE key = 'format'`,
	} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	w = open(t, path)
	defer w.Close()
	if zone, err := w.Recall(t.Context(), "zone"); err != nil || zone != "a b" {
		t.Errorf("what was remembered is %q, error %v", zone, err)
	}
	if st, err := w.Stream(t.Context(), testTable().Entity.Name); err != nil || st.LiveRows != 10 {
		t.Errorf("%+v, error %v", st, err)
	}
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: testTable()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentID: 9, LogLoads: map[string]int64{"DeletedTicketLogs": 1}}}); err != nil {
		t.Error(err)
	}
	if rows := dump(t, duckdb.Database(w), "_atsync.stamp_misses"); len(rows) != 0 {
		t.Errorf("%v", rows)
	}
}

func TestDuplicatesAreCounted(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	loadVersion(t, w, testTable(), 10, 1)
	table := testTable().Name
	if _, err := duckdb.Database(w).Exec(`INSERT INTO "` + table + `" SELECT * FROM "` + table + `" LIMIT 3`); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Duplicates(t.Context(), table); err != nil || n != 3 {
		t.Errorf("%d, error %v", n, err)
	}
}
