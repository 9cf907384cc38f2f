package duckdb_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestOldFormat opens a warehouse whose system tables are those of format 1: what is in it stays, and what is new
// works.
func TestOldFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.duckdb")
	w := open(t, path)
	for _, q := range []string{
		`ALTER TABLE _atsync.rejects DROP COLUMN tenant`, `ALTER TABLE _atsync.rejects DROP COLUMN acknowledged_at`,
		`ALTER TABLE _atsync.rejects DROP COLUMN acknowledged_by`, `ALTER TABLE _atsync.columns DROP COLUMN udf_id`,
		`ALTER TABLE _atsync.columns DROP COLUMN retired_at`, `ALTER TABLE _atsync.columns DROP COLUMN partial_since`,
		`ALTER TABLE _atsync.schema_changes DROP COLUMN old_name`, `ALTER TABLE _atsync.schema_changes DROP COLUMN new_name`,
		`ALTER TABLE _atsync.schema_changes DROP COLUMN value`,
		`UPDATE _atsync.info SET value = '1' WHERE key = 'format'`,
		`CREATE TABLE main.things (id BIGINT, name VARCHAR, _extra JSON, _row_hash BIGINT, _synced_at TIMESTAMPTZ, _load_id BIGINT, _deleted_at TIMESTAMPTZ, _delete_reason VARCHAR)`,
		`INSERT INTO main.things VALUES (1, 'old', NULL, 7, now(), 1, NULL, NULL)`,
		`INSERT INTO _atsync.columns VALUES ('Things', 'things', 1, 'id', 'id', false, 'BIGINT', NULL, false, true, true, 1, now()),
			('Things', 'things', 2, 'name', 'name', false, 'VARCHAR', NULL, false, true, true, 1, now())`,
		`INSERT INTO _atsync.rejects VALUES ('Things', 'things', 1, 'name', 'name', '"x"', 'odd', 1, now())`,
	} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := w.Remember(t.Context(), "zone", "kept"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w = open(t, path)
	}
	defer w.Close()
	if v, err := w.Recall(t.Context(), "zone"); err != nil || v != "kept" {
		t.Errorf("remembered %q, %v", v, err)
	}
	st, err := w.Stream(t.Context(), "Things")
	if err != nil {
		t.Fatal(err)
	}
	if st.LiveRows != 1 || len(st.Columns) != 2 || st.OpenRejects.Count != 1 {
		t.Errorf("%+v", st)
	}
	rows, err := duckdb.ReadRejects(t.Context(), duckdb.Database(w), pipeline.RejectSelection{})
	if err != nil || len(rows) != 1 || rows[0].Tenant != "acme" {
		t.Errorf("%+v, %v", rows, err)
	}
	e := &schemas.Entity{Name: "Things", Fields: []schemas.Field{{Name: "id", Type: "long"}}}
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: schemas.NewTable(e, &schemas.Metadata{Fields: []schemas.MetaField{{Name: "id", DataType: "long"}}}, st.Columns)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
		t.Fatal(err)
	}
	after, err := w.Stream(t.Context(), "Things")
	if err != nil {
		t.Fatal(err)
	}
	st.Columns[1].Retired, st.Columns[1].InMetadata, st.Columns[1].Queryable = true, false, false
	st.Columns[0].Queryable = false
	if d := cmp.Diff(st.Columns, after.Columns); d != "" {
		t.Error(d)
	}
}
