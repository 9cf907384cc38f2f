package pipelinetest

import (
	"fmt"
	"math"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func extentTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"Extent":             testExtent,
		"ExtentUnknown":      testExtentUnknown,
		"RepairLoad":         testRepairLoad,
		"Named":              testNamed,
		"LogLoads":           testLogLoads,
		"StampMisses":        testStampMisses,
		"StampMissesNothing": testStampMissesNothing,
	}
}

func (f *fixture) liveIDs(after, until *int64) []int64 {
	f.Helper()
	ids, err := f.Sink.LiveIDs(f.Context(), f.table.Name, after, until)
	if err != nil {
		f.Fatal(err)
	}
	return append([]int64{}, ids...)
}

func testExtent(f *fixture) {
	f.load(page(widget(math.MinInt64, "lowest", 0), widget(-4, "a", 0), widget(0, "b", 0), widget(3, "c", 0), widget(9, "d", 0), widget(math.MaxInt64, "highest", 0)))
	f.load(page(widget(-4, "again", 1))) // not in the order of ids any more
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{9}, Reason: "full"})
	at := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		after, until *int64
		ids          []int64
		median       int64
	}{
		{nil, nil, []int64{math.MinInt64, -4, 0, 3, math.MaxInt64}, 0},
		{at(-4), nil, []int64{0, 3, math.MaxInt64}, 3},
		{at(-5), at(3), []int64{-4, 0, 3}, 0},
		{nil, at(0), []int64{math.MinInt64, -4, 0}, -4},
		{at(-5), at(0), []int64{-4, 0}, -4},
		{at(3), at(100), []int64{}, 0},
		{at(100), at(3), []int64{}, 0},
	} {
		got, err := f.Sink.Extent(f.Context(), f.table.Name, test.after, test.until)
		if err != nil {
			f.Fatal(err)
		}
		f.equal("extent", pipeline.Extent{Live: int64(len(test.ids)), Median: test.median}, got)
		f.equal("ids", test.ids, f.liveIDs(test.after, test.until))
	}
	n, err := f.Sink.Duplicates(f.Context(), f.table.Name)
	f.equal("duplicates", int64(0), n)
	f.equal("error", nil, err)
}

func testExtentUnknown(f *fixture) {
	e, err := f.Sink.Extent(f.Context(), "nothing", nil, nil)
	f.equal("extent", pipeline.Extent{}, e)
	f.equal("error", nil, err)
	f.equal("ids", []int64{}, f.liveIDs(nil, nil))
	n, err := f.Sink.Duplicates(f.Context(), "nothing")
	f.equal("duplicates", int64(0), n)
	f.equal("error", nil, err)
}

// testRepairLoad: a load that inserts, restores and tombstones, and leaves the checkpoint as it is.
func testRepairLoad(f *fixture) {
	cp := pipeline.Checkpoint{CompleteThrough: f.now(), FullAt: f.now()}
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0))))
	f.commit(l, pipeline.Commit{Checkpoint: cp})
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Checkpoint: cp, Tombstones: []int64{3}, Reason: "log"})
	l = f.begin(pipeline.LoadSpec{Mode: pipeline.ModeVerify})
	f.stage(l, f.batch(page(widget(3, "c", 0), widget(4, "d", 0))))
	res := f.commit(l, pipeline.Commit{Checkpoint: cp, Tombstones: []int64{2}, Reason: "verify"})
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1, Updated: 1, Deleted: 1}, res)
	f.equal("rows", want("id=1", "id=2|_delete_reason=verify", "id=3", "id=4"), f.rows("id", schemas.ColDeleteReason))
	f.equal("checkpoint", cp, f.state().Checkpoint)
	loads := f.Rows(f.T, "_atsync.loads", "load_id")
	f.equal("mode", "verify", loads[len(loads)-1]["mode"])
}

func testNamed(f *fixture) {
	item := func(id, owner int64, at string) string {
		return fmt.Sprintf(`{"id":%d,"ownerID":%d,"lastModifiedDate":%s}`, id, owner, at)
	}
	feed := pipeline.Feed{Table: f.table.Name, Column: "owner_id", Stamp: "last_modified_date", Since: f.now()}
	named := func() (any, int64) {
		values, newest, err := f.Sink.Named(f.Context(), feed)
		if err != nil {
			f.Fatal(err)
		}
		return append([]int64{}, values...), newest
	}
	values, newest := named()
	f.equal("of an unknown table", []int64{}, values)
	f.equal("newest of an unknown table", int64(0), newest)
	first := f.load(page(item(1, 30, `"2026-03-01T12:00:00Z"`), item(2, 10, `"2026-03-01T11:59:59Z"`), item(3, 20, `null`), `{"id":4}`, item(5, 30, `null`)))
	values, newest = named()
	f.equal("at or after the time, or without one", []int64{20, 30}, values)
	f.equal("newest", first.LoadID, newest)
	second := f.load(page(item(1, 30, `"2026-03-01T12:00:00Z"`), item(6, 10, `"2026-03-02T12:00:00Z"`)))
	feed.After = first.LoadID
	values, newest = named()
	f.equal("of later loads", []int64{10}, values)
	f.equal("newest", second.LoadID, newest)
	feed.Column = "no_such_column"
	values, _ = named()
	f.equal("of an unknown column", []int64{}, values)
}

func testLogLoads(f *fixture) {
	for _, loads := range []map[string]int64{{"DeletedTicketLogs": 3, "DeletedTaskActivityLogs": 1 << 60}, {"DeletedTicketLogs": 4}, nil} {
		cp := pipeline.Checkpoint{CompleteThrough: f.now(), LogLoads: loads}
		f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Checkpoint: cp})
		f.equal("checkpoint", cp, f.state().Checkpoint)
	}
}

// whole loads bodies as a whole re-read after incremental reads up to half past ten.
func (f *fixture) whole(bodies ...string) pipeline.LoadResult {
	f.Helper()
	l := f.begin(pipeline.LoadSpec{Complete: true, MissedSince: f.now().AddDate(0, -1, 0).Truncate(24 * 3600e9).Add(10.5 * 3600e9)})
	for _, body := range bodies {
		f.stage(l, f.batch(body))
	}
	return f.commit(l, pipeline.Commit{})
}

func testStampMisses(f *fixture) {
	created := `{"id":%d,"name":%q,"createDate":"2026-02-01T10:%02d:00Z"}`
	f.load(page(widget(1, "same", 0), widget(2, "b", 0), widget(3, "c", 0), widget(4, "d", 0), widget(5, "gone", 0),
		fmt.Sprintf(created, 6, "f", 0), fmt.Sprintf(created, 7, "g", 45)))
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{5}, Reason: "log"})
	res := f.whole(page(widget(1, "same", 0), widget(2, "changed, stamp still", 0), widget(3, "changed, seen", 30), widget(4, "changed, seen", 50),
		widget(5, "back", 0), fmt.Sprintf(created, 6, "changed", 0), fmt.Sprintf(created, 7, "changed, just created", 45)), page(widget(2, "changed, stamp still", 0), widget(8, "new", 0)))
	f.equal("misses", want(fmt.Sprintf("entity=Widgets|table_name=widgets|load_id=%d|compared=6|missed=2|example_ids=[2,6]", res.LoadID)),
		only(f.Rows(f.T, "_atsync.stamp_misses", "load_id"), "entity", "table_name", "load_id", "compared", "missed", "example_ids"))
}

func testStampMissesNothing(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	f.equal("of an incremental load", want(), only(f.Rows(f.T, "_atsync.stamp_misses", "load_id")))
	f.whole(page(widget(1, "a", 0)))
	f.whole()
	f.equal("misses", want("compared=1|missed=0|example_ids=[]", "compared=0|missed=0|example_ids=[]"),
		only(f.Rows(f.T, "_atsync.stamp_misses", "load_id"), "compared", "missed", "example_ids"))
}
