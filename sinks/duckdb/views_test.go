package duckdb_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// viewRig is a warehouse of widgets with a publication.
type viewRig struct {
	*testing.T
	opts   duckdb.Options
	target string
	webURL string
	w      *duckdb.Warehouse
	p      *duckdb.Publisher
}

func newViewRig(t *testing.T) *viewRig {
	t.Helper()
	dir := t.TempDir()
	r := &viewRig{T: t, target: filepath.Join(dir, "acme.duckdb")}
	r.opts = duckdb.Options{Path: filepath.Join(dir, "work", "acme.duckdb"), Tenant: "acme", LockWait: -1, WebURL: func() string { return r.webURL }}
	r.open()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *viewRig) open() {
	r.Helper()
	w, err := duckdb.Open(r.Context(), r.opts)
	if err != nil {
		r.Fatal(err)
	}
	r.w, r.p = w, duckdb.NewPublisher(w, r.target)
}

func (r *viewRig) close() {
	r.Helper()
	if err := r.w.Close(); err != nil {
		r.Error(err)
	}
}

// reopen is a new process, whose settings change may have altered.
func (r *viewRig) reopen(change func()) {
	r.Helper()
	r.close()
	change()
	r.open()
}

func (r *viewRig) pending() bool {
	r.Helper()
	pending, err := r.p.Pending(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return pending
}

// ask runs a query of one text on the publication.
func (r *viewRig) ask(query string) string {
	r.Helper()
	db, err := duckdb.OpenReader(r.Context(), r.target)
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	var text sql.NullString
	if err := db.QueryRow(query).Scan(&text); err != nil {
		r.Fatalf("%s: %v", query, err)
	}
	return text.String
}

const viewShape = `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE v_widgets)`

// TestViewsFollowTheirTables: columns that are added and types that are widened are in the next publication's
// views, which DuckDB would refuse to read otherwise.
func TestViewsFollowTheirTables(t *testing.T) {
	r := newViewRig(t)
	loadVersion(t, r.w, testTable("integer"), 10, 1)
	publish(t, r.p)
	before := r.ask(viewShape)
	if want := "id BIGINT, name VARCHAR, last_modified_date TIMESTAMP WITH TIME ZONE, field0 BIGINT, _synced_at TIMESTAMP WITH TIME ZONE"; before != want {
		t.Errorf("%s\nwant %s", before, want)
	}
	loadVersion(t, r.w, testTable("decimal", "boolean"), 10, 2)
	publish(t, r.p)
	after := r.ask(viewShape)
	if want := strings.Replace(before, "field0 BIGINT", "field0 DECIMAL(23,4), field1 BOOLEAN", 1); after != want {
		t.Errorf("%s\nwant %s", after, want)
	}
	if got := r.ask(`SELECT count(*) || ' ' || min(name) FROM (SELECT * FROM v_widgets)`); got != "10 v2" {
		t.Errorf("rows: %s", got)
	}
	if got := r.ask(`SELECT comment FROM duckdb_columns() WHERE table_name = 'v_widgets' AND column_name = 'last_modified_date'`); got != "lastModifiedDate" {
		t.Errorf("comment: %q", got)
	}
}

func TestViewsHideDeletedRows(t *testing.T) {
	r := newViewRig(t)
	loadVersion(t, r.w, testTable(), 10, 1)
	l, err := r.w.Begin(t.Context(), pipeline.LoadSpec{Table: testTable(), Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{Tombstones: []int64{3, 4}, Reason: "full"}); err != nil {
		t.Fatal(err)
	}
	publish(t, r.p)
	if got := r.ask(`SELECT (SELECT count(*) FROM widgets) || ' ' || (SELECT count(*) FROM v_widgets)`); got != "10 8" {
		t.Errorf("rows and live rows: %s", got)
	}
}

// TestViewsFollowTheSettings: what a view depends on besides its table makes the publication due, and nothing else does.
func TestViewsFollowTheSettings(t *testing.T) {
	r := newViewRig(t)
	e, _ := schemas.Lookup("Contracts")
	table := schemas.NewTable(e, nil, nil)
	loadVersion(t, r.w, table, 3, 1)
	publish(t, r.p)
	link := func() string { return r.ask(`SELECT deep_link FROM v_contracts WHERE id = 1`) }
	if got := link(); got != "" {
		t.Errorf("a link from nowhere: %s", got)
	}
	if r.pending() {
		t.Error("pending although nothing has changed")
	}
	for _, c := range []struct {
		name    string
		change  func()
		pending bool
	}{
		{"nothing", func() {}, false},
		{"the web address is known", func() { r.webURL = "https://ww3.autotask.net/" }, true},
		{"a process that does not know it", func() { r.webURL = "" }, false},
		{"another time zone", func() { r.opts.TimeZone = "America/New_York" }, true},
		{"nothing again", func() {}, false},
	} {
		r.reopen(c.change)
		if got := r.pending(); got != c.pending {
			t.Errorf("%s: pending is %v", c.name, got)
		}
		if c.pending {
			publish(t, r.p)
		}
	}
	if want := "https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenContract&ContractID=1"; link() != want {
		t.Errorf("link %s", link())
	}
	if sql := r.ask(`SELECT sql FROM duckdb_views() WHERE view_name = 'v_contracts'`); !strings.Contains(sql, "America/New_York") {
		t.Errorf("the time zone is not in %s", sql)
	}
}

func TestViewsOfAnUnknownTimeZone(t *testing.T) {
	r := newViewRig(t)
	r.reopen(func() { r.opts.TimeZone = "Middle/Earth" })
	loadVersion(t, r.w, testTable(), 3, 1)
	_, err := r.p.Publish(t.Context())
	e, ok := errors.AsType[*pipeline.Error](err)
	if !ok {
		t.Fatal(err)
	}
	got := []string{string(e.Class), e.Tenant, e.Op}
	if diff := cmp.Diff([]string{string(pipeline.ClassConfig), "acme", "make views"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(e.Remedy, "sync.timezone") {
		t.Errorf("remedy %q", e.Remedy)
	}
}
