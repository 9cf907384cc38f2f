package duckdb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// load commits versions v of the rows from..from+n.
func loadRows(t *testing.T, w *duckdb.Warehouse, from, n, v int, tombstones ...int64) {
	t.Helper()
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: testTable(), Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	b := makeBatch(testTable(), from, n, v)
	defer b.Record.Release()
	if err := l.Stage(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: int64(v)}, Tombstones: tombstones, Reason: "log"}); err != nil {
		t.Fatal(err)
	}
}

// content is everything that a warehouse holds: rows of every table and view, definitions and comments.
func content(t *testing.T, w *duckdb.Warehouse) map[string][]map[string]string {
	t.Helper()
	db := duckdb.Database(w)
	out := map[string][]map[string]string{}
	for _, list := range []string{
		`(SELECT schema_name, table_name, sql, comment FROM duckdb_tables() WHERE NOT internal ORDER BY ALL)`,
		`(SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL)`,
		`(SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL)`,
	} {
		out[list] = dump(t, db, list)
	}
	for _, r := range dump(t, db, `(SELECT schema_name AS s, table_name AS n FROM duckdb_tables() WHERE NOT internal
		UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND view_name <> 'freshness')`) {
		name := fmt.Sprintf("%s.%q", r["s"], r["n"])
		out[name] = dump(t, db, `(SELECT * FROM `+name+` ORDER BY ALL)`)
	}
	return out
}

func TestCompactKeepsEverything(t *testing.T) {
	r := newViewRig(t)
	w := r.w
	for v := range 12 {
		loadRows(t, w, 0, 4000, v+1, 7)
	}
	if _, err := r.p.Publish(t.Context()); err != nil { // makes the views
		t.Fatal(err)
	}
	before, space := content(t, w), measure(t, w)
	if !space.Wasteful() {
		t.Errorf("12 versions of all rows are no waste: %+v", space)
	}
	if len(before["main.\"v_widgets\""]) != 3_999 {
		t.Errorf("the view has %d rows", len(before["main.\"v_widgets\""]))
	}
	if err := w.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.open()
	if diff := cmp.Diff(before, content(t, r.w)); diff != "" {
		t.Errorf("(-before +after): %.2000s", diff)
	}
	after := measure(t, r.w)
	if after.Wasteful() || after.Bytes >= space.Bytes {
		t.Errorf("before %+v, after %+v", space, after)
	}
	if v := r.w.StorageVersion(); !strings.HasPrefix(v, "v1.0.0") {
		t.Errorf("storage version %s", v)
	}
	loadRows(t, r.w, 5, 10, 99)
	if n := len(dump(t, duckdb.Database(r.w), `(SELECT 1 FROM widgets WHERE name = 'v99')`)); n != 10 {
		t.Errorf("%d rows of the next load", n)
	}
}

func measure(t *testing.T, w *duckdb.Warehouse) duckdb.Space {
	t.Helper()
	s, err := w.Space(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCompactRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w := open(t, path)
	loadRows(t, w, 0, 100, 1)
	l, err := w.Begin(t.Context(), pipeline.LoadSpec{Table: testTable(), Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Compact(t.Context()); err == nil || !strings.Contains(err.Error(), "a load is under way") {
		t.Errorf("%v", err)
	}
	if err := l.Abort(); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Compact(ctx); pipeline.ClassOf(err) != pipeline.ClassCanceled {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	checkNoRemains(t, path)
}

func checkNoRemains(t *testing.T, path string) {
	t.Helper()
	remains, err := filepath.Glob(path + ".compact-*")
	if err != nil || len(remains) > 0 {
		t.Errorf("left: %v, %v", remains, err)
	}
}

// compactForever is the child of TestKillCompaction: it loads a version of all rows and compacts, over and over.
func compactForever(ctx context.Context, path string) error {
	for {
		w, err := duckdb.Open(ctx, duckdb.Options{Path: path, Tenant: "acme"})
		if err != nil {
			return err
		}
		loaded, version := errors.New("loaded"), ""
		err = pipelinetest.LoadVersions(ctx, w, func(line string) (err error) {
			var is bool
			if version, is = strings.CutPrefix(line, "committed "); is {
				err = loaded
			}
			return errors.Join(tell(line), err)
		})
		if !errors.Is(err, loaded) {
			return err
		}
		if err := errors.Join(tell("compacting "+version), w.Compact(ctx)); err != nil {
			return err
		}
	}
}

// TestKillCompaction kills a process at many moments of a compaction: what is there afterwards is the newest load,
// whole, and no unfinished file. ATSYNC_TEST_KILLS sets how often.
func TestKillCompaction(t *testing.T) {
	h := newHarness(t)
	h.Kill = h.kill(compactVariable)
	for round := range pipelinetest.Kills(3) {
		pipelinetest.TestKilled(t, &h.Harness, "compacting", 2, time.Duration(round%25)*4*time.Millisecond)
		checkNoRemains(t, h.path)
	}
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for day := range 10 {
		now = now.Add(24 * time.Hour)
		run := pipeline.Run{Command: "sync", StartedAt: now}
		if run.ID, err = w.BeginRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if day < 3 { // then this entity was not synced any more
			l, err := w.Begin(t.Context(), pipeline.LoadSpec{RunID: run.ID, Table: testTable(), Class: schemas.ClassModified})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
				t.Fatal(err)
			}
		}
		run.Status, run.EndedAt = pipeline.StatusOK, now
		if err := w.EndRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	counts := func() string {
		return fmt.Sprint(dump(t, duckdb.Database(w), `(SELECT (SELECT string_agg(run_id, ',' ORDER BY run_id) FROM _atsync.runs) AS runs,
			(SELECT string_agg(load_id, ',' ORDER BY load_id) FROM _atsync.loads) AS loads)`))
	}
	before := counts()
	cut := now.Add(-2*24*time.Hour - time.Minute)
	if n, err := w.PruneRuns(t.Context(), cut, cut, true); err != nil || n != (duckdb.PrunedRuns{Runs: 6, Loads: 2}) || counts() != before {
		t.Errorf("counted %+v, error %v; left %s", n, err, counts())
	}
	if n, err := w.PruneRuns(t.Context(), cut, cut, false); err != nil || n != (duckdb.PrunedRuns{Runs: 6, Loads: 2}) {
		t.Errorf("%+v, error %v", n, err)
	}
	if got, want := counts(), `[map[loads:3 runs:3,8,9,10]]`; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	fresh, err := w.Freshness(t.Context())
	if err != nil || len(fresh) != 1 || fresh[0].LastSuccessAt.IsZero() {
		t.Errorf("%+v, %v", fresh, err)
	}
	if err := errors.Join(w.Close()); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	defer w.Close()
	if id, err := w.BeginRun(t.Context(), pipeline.Run{Command: "sync"}); err != nil || id != 11 {
		t.Errorf("run %d, %v", id, err)
	}
}

// TestPruneIdle removes what syncs found that found nothing new, and nothing that anybody may ask for.
func TestPruneIdle(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "acme.duckdb"))
	defer w.Close()
	for _, q := range []string{
		`CREATE MACRO day(n) AS TIMESTAMPTZ '2026-01-01 00:00:00+00' + n * INTERVAL 1 DAY`,
		`INSERT INTO _atsync.runs (run_id, command, status, started_at, ended_at, streams) SELECT i, CASE i WHEN 8 THEN 'backfill' ELSE 'sync' END,
			CASE i WHEN 15 THEN 'partial' ELSE 'ok' END, day(0), day(CASE i WHEN 16 THEN 8 ELSE 1 END),
			CASE i WHEN 12 THEN '[{"warnings":["drift"]}]' ELSE '[{}]' END FROM range(1, 18) t(i)`,
		`INSERT INTO _atsync.loads (load_id, run_id, entity, mode, status, ended_at, inserted, updated, deleted, rejected, schema_changed)
			SELECT i, CASE i WHEN 14 THEN 13 ELSE i END, 'Widgets', CASE WHEN i = 8 THEN 'backfill' WHEN i IN (10, 11) THEN 'full' ELSE 'incremental' END,
			CASE i WHEN 7 THEN 'failed' ELSE 'ok' END, day(CASE i WHEN 16 THEN 8 ELSE 1 END),
			(i IN (2, 14))::BIGINT, (i = 3)::BIGINT, (i = 4)::BIGINT, (i = 5)::BIGINT, i = 6 FROM range(1, 18) t(i)`,
		`INSERT INTO _atsync.schema_changes (entity, load_id) VALUES ('Widgets', 9), ('Widgets', NULL)`,
		`INSERT INTO _atsync.stamp_misses (entity, load_id) VALUES ('Widgets', 10)`,
	} {
		if _, err := duckdb.Database(w).ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n, err := w.PruneRuns(t.Context(), day, day.AddDate(0, 0, 5), false)
	if err != nil || n != (duckdb.PrunedRuns{Runs: 3, Loads: 5}) {
		t.Errorf("%+v, error %v", n, err)
	}
	got := fmt.Sprint(dump(t, duckdb.Database(w), `(SELECT (SELECT string_agg(run_id, ',' ORDER BY run_id) FROM _atsync.runs) AS runs,
		(SELECT string_agg(load_id, ',' ORDER BY load_id) FROM _atsync.loads) AS loads)`))
	if want := `[map[loads:2,3,4,5,6,7,8,9,10,14,16,17 runs:2,3,4,5,6,7,8,9,10,12,13,15,16,17]]`; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}
