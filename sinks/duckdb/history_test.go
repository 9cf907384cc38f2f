package duckdb_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestHistory(t *testing.T) {
	db, err := duckdb.OpenReader(t.Context(), publications(t, "acme")["acme"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	tables, err := duckdb.ReadSummaries(t.Context(), db, today.AddDate(0, 0, -1)) // the load may be from before midnight
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.TableSummary{Entity: "Widgets", Table: "widgets", Rows: 10, Days: []pipeline.Day{{Loads: 1, Fetched: 10, Inserted: 10}}}
	ignore := cmpopts.IgnoreFields(pipeline.Day{}, "Day")
	if diff := cmp.Diff([]pipeline.TableSummary{want}, tables, ignore); diff != "" {
		t.Fatal(diff)
	}
	if day := tables[0].Days[0].Day; !day.Equal(day.Truncate(24*time.Hour)) || today.Sub(day) > 24*time.Hour {
		t.Errorf("the day is %s", day)
	}
	h, err := duckdb.ReadHistory(t.Context(), db, "Widgets", today.AddDate(0, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, h.TableSummary, ignore); diff != "" || len(h.Loads) != 1 || h.Loads[0].Inserted != 10 || len(h.Changes) == 0 || len(h.Misses) != 0 {
		t.Errorf("%s %+v", diff, h)
	}
	if h, err := duckdb.ReadHistory(t.Context(), db, "Gadgets", today); h != nil || err != nil {
		t.Errorf("an unknown entity: %v %v", h, err)
	}
	later, err := duckdb.ReadSummaries(t.Context(), db, today.AddDate(0, 0, 2))
	if err != nil || len(later) != 1 || len(later[0].Days) != 0 || later[0].Rows != 10 {
		t.Errorf("later: %v %+v", err, later)
	}
	run, err := duckdb.ReadRun(t.Context(), db, 1)
	if err != nil || run == nil || run.ID != 1 || len(run.Streams) != 1 {
		t.Errorf("run: %v %+v", err, run)
	}
	if run, err := duckdb.ReadRun(t.Context(), db, 2); run != nil || err != nil {
		t.Errorf("an unknown run: %v %v", run, err)
	}
	loads, err := duckdb.ReadLoads(t.Context(), db, 1)
	if err != nil || len(loads) > 1 {
		t.Errorf("loads: %v %+v", err, loads)
	}
}
