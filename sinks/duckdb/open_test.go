package duckdb_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := filepath.Join(dir, "good.duckdb")
	if err := open(t, good).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(content)
	for i := 4096; i < 12288; i++ {
		damaged[i] ^= 0x55
	}
	held := open(t, filepath.Join(dir, "held.duckdb"))
	defer held.Close()
	for name, test := range map[string]struct{ path, tenant, text string }{
		"no path":            {"", "acme", "set data_dir"},
		"no DuckDB file":     {write("text.duckdb", bytes.Repeat([]byte("text "), 5000)), "acme", "not a DuckDB file"},
		"a damaged file":     {write("damaged.duckdb", damaged), "acme", "is damaged"},
		"a folder":           {dir, "acme", "choose another path"},
		"a file for folder":  {filepath.Join(good, "x.duckdb"), "acme", "is a file"},
		"a question mark":    {filepath.Join(dir, "what?.duckdb"), "acme", "?"},
		"another tenant's":   {good, "globex", "give each tenant its own file"},
		"open twice":         {held.Path(), "acme", "close the other"},
		"a reserved name":    {filepath.Join(dir, "main.duckdb"), "acme", "another name"},
		"no folder possible": {"/proc/none/x.duckdb", "acme", "create the folder"},
	} {
		w, err := duckdb.Open(t.Context(), duckdb.Options{Path: test.path, Tenant: test.tenant})
		if err == nil {
			w.Close()
		}
		var e *pipeline.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.text) || e.Remedy == "" && name != "a question mark" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// the refused second opening has not hurt the first
	loadVersion(t, held, testTable(), 10, 1)
	assertLocked(t, held.Path())
}

func TestOpenNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	if _, err := duckdb.Database(w).Exec(`UPDATE _atsync.info SET value = '99' WHERE key = 'format'`); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme"})
	if err == nil || !strings.Contains(err.Error(), "use a newer atsync") {
		t.Errorf("format 99: %v", err)
	}
}

// TestOpenOlderFormat: a warehouse of format 1 has no quota in its runs. Its publication can be read as it is, and
// opening the warehouse brings it up to date without losing what it remembers.
func TestOpenOlderFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	id, err := w.BeginRun(t.Context(), pipeline.Run{Command: "sync"})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`UPDATE _atsync.info SET value = '1' WHERE key = 'format'`, `ALTER TABLE _atsync.runs DROP COLUMN quota`} {
		if _, err := duckdb.Database(w).Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Remember(t.Context(), "zone", "here"), w.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := duckdb.Runs(t.Context(), db, 5)
	if err := errors.Join(err, db.Close()); err != nil || len(runs) != 1 || runs[0].Quota != nil {
		t.Errorf("read as it is: %v, %v", runs, err)
	}

	w = open(t, path)
	defer w.Close()
	if zone, err := w.Recall(t.Context(), "zone"); zone != "here" || err != nil {
		t.Errorf("remembered %q, %v", zone, err)
	}
	if err := w.EndRun(t.Context(), pipeline.Run{ID: id, Status: pipeline.StatusOK, Quota: &pipeline.QuotaUse{UsedAfter: 7}}); err != nil {
		t.Fatal(err)
	}
	if runs, err = w.Runs(t.Context(), 5); err != nil || len(runs) != 1 || runs[0].Quota == nil || runs[0].Quota.UsedAfter != 7 {
		t.Errorf("brought up to date: %v, %v", runs, err)
	}
}

func TestOpenSettings(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "a folder", "äöü 1.duckdb"))
	defer w.Close()
	if v := w.StorageVersion(); v != "v1.0.0+" {
		t.Errorf("storage version %q", v)
	}
	got := dump(t, duckdb.Database(w), `(SELECT name, value FROM duckdb_settings()
		WHERE name IN ('memory_limit', 'threads', 'TimeZone', 'temp_directory', 'autoinstall_known_extensions'))`, "name")
	want := []map[string]string{{"name": "TimeZone", "value": "UTC"}, {"name": "autoinstall_known_extensions", "value": "false"},
		{"name": "memory_limit", "value": "183.1 MiB"}, {"name": "temp_directory", "value": w.Path() + ".tmp"}, {"name": "threads", "value": "2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestComments(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	e := &schemas.Entity{Name: "Widgets", Description: "It's a thing.", Fields: []schemas.Field{{Name: "ownerID", Type: "integer", Reference: "Resources"}}}
	m := &schemas.Metadata{
		Fields: []schemas.MetaField{{Name: "status", DataType: "integer", IsPicklist: true}},
		UDFs:   []schemas.MetaField{{Name: `O'Rank "1"; --`, Type: "string"}},
	}
	table := schemas.NewTable(e, m, nil)
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
		t.Fatal(err)
	}
	got := dump(t, duckdb.Database(w), `(SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'widgets' AND column_name NOT LIKE '\_%' ESCAPE '\'
		UNION ALL SELECT '', comment FROM duckdb_tables() WHERE table_name = 'widgets')`, "column_name")
	udf := ""
	for _, c := range table.Columns {
		if c.UDF {
			udf = c.Name
		}
	}
	want := []map[string]string{{"column_name": "", "comment": "Widgets: It's a thing."}, {"column_name": "id", "comment": "id"},
		{"column_name": "owner_id", "comment": "ownerID, refers to Resources"},
		{"column_name": "status", "comment": "status, labels are in picklists (entity Widgets, column_name status)"},
		{"column_name": udf, "comment": `O'Rank "1"; -- (user-defined field)`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
}

// TestManyLoads proves that loads leave nothing behind: no connection, no temporary table, no feed.
func TestManyLoads(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	table := testTable()
	loadVersion(t, w, table, 10, 1)
	for v := range 60 {
		l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: table})
		if err != nil {
			t.Fatal(err)
		}
		stage(t, l, makeBatch(table, 0, 10, v))
		if v%3 == 0 {
			if err := l.Abort(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := l.Commit(t.Context(), pipeline.Commit{Tombstones: []int64{3}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := duckdb.OpenFeeds(w); n != 0 {
		t.Errorf("%d feeds left", n)
	}
	if n := duckdb.Database(w).Stats().InUse; n != 0 {
		t.Errorf("%d connections left", n)
	}
	got := dump(t, duckdb.Database(w), `(SELECT count(*) AS temps FROM duckdb_tables() WHERE temporary)`)
	if diff := cmp.Diff([]map[string]string{{"temps": "0"}}, got); diff != "" {
		t.Error(diff)
	}
}
