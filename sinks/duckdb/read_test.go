package duckdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// publications makes a publication for each tenant, with one run in it.
func publications(t *testing.T, tenants ...string) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	for _, tenant := range tenants {
		w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(dir, "work", tenant+".duckdb"), Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		run := pipeline.Run{Command: "sync", StartedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		if run.ID, err = w.BeginRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		res := loadVersion(t, w, testTable(), 10, 1)
		run.Status, run.EndedAt, run.Requests = pipeline.StatusOK, run.StartedAt.Add(time.Minute), 3
		run.Streams = []pipeline.StreamReport{{Entity: "Widgets", Table: "widgets", Mode: "first", Status: pipeline.StatusOK, LoadID: res.LoadID, Inserted: 10}}
		if err := w.EndRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		out[tenant] = publish(t, duckdb.NewPublisher(w, filepath.Join(dir, tenant+".duckdb"))).Path
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestRunsAndFreshness(t *testing.T) {
	db, err := duckdb.OpenReader(t.Context(), publications(t, "acme")["acme"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	runs, err := duckdb.Runs(t.Context(), db, 10)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := []pipeline.Run{{ID: 1, Tenant: "acme", Command: "sync", StartedAt: start, EndedAt: start.Add(time.Minute), Status: pipeline.StatusOK, Requests: 3,
		Streams: []pipeline.StreamReport{{Entity: "Widgets", Table: "widgets", Mode: "first", Status: pipeline.StatusOK, LoadID: 1, Inserted: 10}}}}
	if diff := cmp.Diff(want, runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	last, err := duckdb.LastRuns(t.Context(), db)
	if diff := cmp.Diff(map[string]time.Time{"sync": start}, last); diff != "" || err != nil {
		t.Errorf("last runs (-want +got): %v\n%s", err, diff)
	}
	fresh, err := duckdb.ReadFreshness(t.Context(), db)
	if err != nil || len(fresh) != 1 {
		t.Fatalf("%v, %v", fresh, err)
	}
	f := fresh[0]
	if f.Tenant != "acme" || f.Table != "widgets" || f.Entity != "Widgets" || f.Class != "modified" || f.LastSuccessAt.IsZero() ||
		f.Lag < time.Hour || f.Lag > 2*time.Hour || f.CompleteThrough.IsZero() {
		t.Errorf("freshness %+v", f)
	}
}

func TestOpenSQL(t *testing.T) {
	paths := publications(t, "acme", "globex")
	db, err := duckdb.OpenSQL(t.Context(), paths, duckdb.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM acme.widgets JOIN globex.widgets USING (id)`).Scan(&n); err != nil || n != 10 {
		t.Errorf("%d rows, %v", n, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	for _, query := range []string{
		`COPY acme.widgets TO '` + out + `'`,
		`SELECT * FROM read_text('/etc/hostname')`,
		`SELECT * FROM glob('/*')`,
		`ATTACH '` + out + `' AS x`,
		`EXPORT DATABASE '` + out + `'`,
		`INSERT INTO acme.widgets (id) VALUES (1)`,
		`DROP TABLE acme.widgets`,
		`CREATE TABLE acme.x AS SELECT 1`,
		`SET enable_external_access = true`,
		`SET GLOBAL memory_limit = '90GB'`,
		`RESET lock_configuration`,
		`INSTALL httpfs`,
		`LOAD httpfs`,
	} {
		if _, err := db.Exec(query); err == nil {
			t.Errorf("%s succeeded", query)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a query wrote a file")
	}
}

func TestOpenSQLOneTenant(t *testing.T) {
	db, err := duckdb.OpenSQL(t.Context(), publications(t, "acme"), duckdb.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"widgets", "acme.widgets", "_atsync.runs", "picklists", "acme._atsync.freshness"} {
		conn, err := db.Conn(t.Context()) // a connection of its own, left open
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.ExecContext(t.Context(), `SELECT * FROM `+table); err != nil {
			t.Errorf("%s: %v", table, err)
		}
	}
	var zone string
	if err := db.QueryRow(`SELECT current_setting('TimeZone')`).Scan(&zone); err != nil || zone != "UTC" {
		t.Errorf("time zone %q, %v", zone, err)
	}
}

func TestOpenSQLRefusals(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	for name, test := range map[string]struct{ tenant, path, text string }{
		"no publication":  {"acme", filepath.Join(t.TempDir(), "none.duckdb"), "atsync sync"},
		"a reserved name": {"main", w.Path(), "rename the tenant"},
		"the live file":   {"acme", w.Path(), "read the publication instead"},
	} {
		db, err := duckdb.OpenSQL(t.Context(), map[string]string{test.tenant: test.path}, duckdb.ReadOptions{})
		if err == nil {
			db.Close()
		}
		var e *pipeline.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	assertLocked(t, w.Path())
}
