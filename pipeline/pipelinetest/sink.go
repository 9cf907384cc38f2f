package pipelinetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// TestSink runs the conformance suite: every subtest opens a sink of its own. A sink that passes keeps the
// promises of pipeline.Sink and pipeline.Load.
func TestSink(t *testing.T, open func(t *testing.T) Harness) {
	for _, group := range []map[string]func(*fixture){mergeTests(), valueTests(), shapeTests(), driftTests(), deleteTests(), lifeTests(), recordTests(), stateTests(), extentTests(), chunkTests(), flushTests(), crashTests()} {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			t.Run(name, func(t *testing.T) {
				test := func() { group[name](newFixture(t, open)) }
				if name == diskFull {
					inOwnProcess(t, test)
					return
				}
				test()
			})
		}
	}
}

func (f *fixture) equal(what string, want, got any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// counts compares what a commit reports, its load's id left out.
func (f *fixture) counts(want, got pipeline.LoadResult) {
	f.Helper()
	if got.LoadID <= 0 {
		f.Errorf("load id %d", got.LoadID)
	}
	got.LoadID = 0
	f.equal("result", want, got)
}

func mergeTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"Upsert":                   testUpsert,
		"DuplicatesNewestWins":     testDuplicates,
		"DuplicatesInFirstLoad":    testDuplicatesFirst,
		"DuplicatesTieLaterWins":   testDuplicateTie,
		"DuplicatesNullStampLoses": testDuplicateNull,
		"OlderAfterNewer":          testOlderAfterNewer,
		"OlderVersionReadLater":    testOlderReadLater,
		"UnchangedIsNotWritten":    testUnchanged,
		"ManyBatches":              testManyBatches,
	}
}

func testUpsert(f *fixture) {
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 2, SchemaChanged: true}, f.load(page(widget(1, "a", 0), widget(2, "b", 0))))
	res := f.load(page(widget(2, "B", 1), widget(3, "c", 1)))
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1, Updated: 1}, res)
	f.equal("rows", want("id=1|name=a", "id=2|name=B", "id=3|name=c"), f.rows("id", "name"))
	st := f.state()
	f.equal("live rows", int64(3), st.LiveRows)
	f.equal("greatest id", int64(3), *st.MaxID)
	f.equal("columns", f.table.Columns, st.Columns)
}

func testDuplicates(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	res := f.load(page(widget(1, "new", 30)), page(widget(1, "old", 10)), page(widget(1, "older", 5)))
	f.counts(pipeline.LoadResult{Fetched: 3, Inserted: 1}, res)
	f.equal("rows", want("id=1|name=new", "id=9|name=other"), f.rows("id", "name"))
}

func testDuplicatesFirst(f *fixture) {
	res := f.load(page(widget(1, "old", 10), widget(2, "b", 0)), page(widget(1, "new", 30)), page(widget(1, "older", 5), widget(3, "c", 0)))
	f.counts(pipeline.LoadResult{Fetched: 5, Inserted: 3, SchemaChanged: true}, res)
	f.equal("rows", want("id=1|name=new", "id=2|name=b", "id=3|name=c"), f.rows("id", "name"))
}

func testDuplicateTie(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	f.load(page(widget(1, "first", 10)), page(widget(1, "second", 10)))
	f.equal("rows", want("id=1|name=second", "id=9|name=other"), f.rows("id", "name"))
}

func testDuplicateNull(f *fixture) {
	f.load(page(widget(1, "stamped", 10)), page(`{"id":1,"name":"no stamp"}`))
	f.equal("rows", want("id=1|name=stamped"), f.rows("id", "name"))
}

// testOlderAfterNewer: a read that began before another one ended brings what it saw then.
func testOlderAfterNewer(f *fixture) {
	f.load(page(widget(1, "first", 0)))
	late := f.batch(page(widget(1, "older", 5), widget(2, "b", 5)))
	f.load(page(widget(1, "newest", 50)))
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, late)
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1, Unchanged: 1}, f.commit(l, pipeline.Commit{}))
	f.equal("rows", want("id=1|name=newest", "id=2|name=b"), f.rows("id", "name"))
}

// testOlderReadLater: what the server says now counts, even if its stamp went back.
func testOlderReadLater(f *fixture) {
	f.load(page(widget(1, "stamp ahead", 50)))
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1}, f.load(page(widget(1, "stamp put right", 5))))
	f.equal("rows", want("id=1|name=stamp put right"), f.rows("id", "name"))
}

func testUnchanged(f *fixture) {
	first := f.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	before := f.rows("id", "name", schemas.ColLoadID, schemas.ColSyncedAt)
	res := f.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	f.counts(pipeline.LoadResult{Fetched: 2, Unchanged: 2}, res)
	if res.Changed() || res.LoadID <= first.LoadID {
		f.Errorf("result %+v after load %d", res, first.LoadID)
	}
	f.equal("rows", before, f.rows("id", "name", schemas.ColLoadID, schemas.ColSyncedAt))
}

// testManyBatches crosses the sizes in which a sink may cut its work.
func testManyBatches(f *fixture) {
	const per, batches = 1500, 4
	for round, name := range []string{"a", "b"} {
		l := f.begin(pipeline.LoadSpec{})
		for b := range batches {
			var items []string
			for i := range per {
				items = append(items, widget(int64(b*per+i), name, round))
			}
			f.stage(l, f.batch(page(items...)))
		}
		res := f.commit(l, pipeline.Commit{})
		f.equal("fetched", int64(per*batches), res.Fetched)
		f.equal("written", int64(per*batches), res.Inserted+res.Updated)
	}
	f.equal("live rows", int64(per*batches), f.state().LiveRows)
	for i, row := range f.rows("id", "name", "amount") {
		if row["name"] != "b" || len(row) != 2 {
			f.Fatalf("row %d: %v", i, row)
		}
	}
}

func lifeTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"EmptyLoadMovesCheckpoint": testEmptyLoad,
		"AbortLeavesNoTrace":       testAbort,
		"AbortAfterCommit":         testAbortAfterCommit,
		"CanceledContext":          testCanceled,
		"FailedStagePoisons":       testPoisoned,
		"TablesSideBySide":         testSideBySide,
		"OneLoadATable":            testOneLoad,
		"SurvivesReopen":           testReopen,
		"KilledLoad":               testKilledLoad,
		"Changed":                  testChanged,
		"Next":                     testNext,
	}
}

func testEmptyLoad(f *fixture) {
	for i := range 2 {
		cp := pipeline.Checkpoint{
			CompleteThrough: f.now().AddDate(0, 0, i), FullAt: f.now().AddDate(0, 0, -i), RereadAt: f.now().AddDate(0, i, 0), ParentLoad: int64(i), ParentID: int64(-i),
		}
		l := f.begin(pipeline.LoadSpec{})
		f.counts(pipeline.LoadResult{SchemaChanged: i == 0}, f.commit(l, pipeline.Commit{Checkpoint: cp}))
		f.equal("checkpoint", cp, f.state().Checkpoint)
	}
	f.equal("rows", want(), f.rows("id"))
	f.equal("columns", f.table.Columns, f.state().Columns)
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1}, f.load(page(widget(1, "a", 0))))
}

func testAbort(f *fixture) {
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.equal("abort", nil, l.Abort())
	f.equal("state", pipeline.StreamState{}, f.state())

	f.load(page(widget(1, "a", 0)))
	before := f.state()
	l = f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "b", 1), widget(2, "b", 1))))
	f.equal("abort", nil, l.Abort())
	f.equal("state", before, f.state())
	f.equal("rows", want("id=1|name=a"), f.rows("id", "name"))
	if _, err := l.Commit(f.Context(), pipeline.Commit{}); err == nil {
		f.Error("commit after abort succeeded")
	}
}

func testAbortAfterCommit(f *fixture) {
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.commit(l, pipeline.Commit{})
	f.equal("abort", nil, l.Abort())
	f.equal("rows", want("id=1|name=a"), f.rows("id", "name"))
	if err := l.Stage(f.Context(), pipeline.Batch{}); err == nil {
		f.Error("stage after commit succeeded")
	}
}

func testCanceled(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	before := f.state()
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "b", 1))))
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if _, err := l.Commit(ctx, pipeline.Commit{}); !errors.Is(err, context.Canceled) || pipeline.ClassOf(err) != pipeline.ClassCanceled {
		f.Errorf("commit: %v (%s)", err, pipeline.ClassOf(err))
	}
	f.equal("abort", nil, l.Abort())
	f.equal("state", before, f.state())

	l = f.begin(pipeline.LoadSpec{})
	b := f.batch(page(widget(1, "b", 1)))
	if err := l.Stage(ctx, b); !errors.Is(err, context.Canceled) {
		f.Errorf("stage: %v", err)
	}
	release(b.Record)
	f.equal("abort", nil, l.Abort())
	f.load(page(widget(1, "c", 2)))
	f.equal("rows", want("id=1|name=c"), f.rows("id", "name"))
}

func testPoisoned(f *fixture) {
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	bad := brokenText(f)
	if err := l.Stage(f.Context(), bad); err == nil {
		f.Error("text that is not UTF-8 was staged")
	}
	release(bad.Record)
	if _, err := l.Commit(f.Context(), pipeline.Commit{}); err == nil {
		f.Error("commit after a failed stage succeeded")
	}
	f.equal("state", pipeline.StreamState{}, f.state())
}

func testSideBySide(f *fixture) {
	other := widgets()
	other.Name = "Gadgets"
	table := schemas.NewTable(other, nil, nil)
	for round, res := range []pipeline.LoadResult{{Fetched: 1, Inserted: 1, SchemaChanged: true}, {Fetched: 1, Updated: 1}} {
		a, b := f.begin(pipeline.LoadSpec{}), f.begin(pipeline.LoadSpec{Table: table})
		f.stage(a, f.batch(page(widget(1, "widget", round))))
		f.stage(b, f.batch(page(widget(1, "gadget", round))))
		f.counts(res, f.commit(b, pipeline.Commit{}))
		f.counts(res, f.commit(a, pipeline.Commit{}))
	}
	f.equal("widgets", want("id=1|name=widget"), f.rows("id", "name"))
	f.equal("gadgets", want("id=1|name=gadget"), only(f.Rows(f.T, table.Name, "id"), "id", "name"))
}

func testOneLoad(f *fixture) {
	l := f.begin(pipeline.LoadSpec{})
	if _, err := f.Sink.Begin(f.Context(), pipeline.LoadSpec{Table: f.table}); err == nil {
		f.Error("a second load of the table was opened")
	}
	f.equal("abort", nil, l.Abort())
	f.load(page(widget(1, "a", 0)))
}

func testReopen(f *fixture) {
	cp := pipeline.Checkpoint{CompleteThrough: f.now()}
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	first := f.commit(l, pipeline.Commit{Checkpoint: cp})
	before := f.state()
	f.Reopen(f.T)
	f.equal("state", before, f.state())
	if next := f.load(page(widget(1, "b", 1))); next.LoadID <= first.LoadID {
		f.Errorf("load %d follows load %d", next.LoadID, first.LoadID)
	}
}

func testKilledLoad(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	before := f.state()
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "b", 1))))
	f.Reopen(f.T)
	f.equal("state", before, f.state())
	f.equal("rows", want("id=1|name=a"), f.rows("id", "name"))
}

func testChanged(f *fixture) {
	changed := func(after int64) (any, int64) {
		ids, newest, err := f.Sink.Changed(f.Context(), f.table.Name, after)
		if err != nil {
			f.Fatal(err)
		}
		return append([]int64{}, ids...), newest
	}
	ids, newest := changed(0)
	f.equal("of an unknown table", []int64{}, ids)
	f.equal("newest of an unknown table", int64(0), newest)
	first := f.load(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0)))
	second := f.load(page(widget(1, "a", 0), widget(2, "B", 1)))
	l := f.begin(pipeline.LoadSpec{})
	third := f.commit(l, pipeline.Commit{Tombstones: []int64{3}, Reason: "full"})
	for after, wanted := range map[int64][]int64{0: {1, 2, 3}, first.LoadID: {2, 3}, second.LoadID: {3}, third.LoadID: {}} {
		ids, newest = changed(after)
		f.equal("changed", wanted, ids)
		f.equal("newest", third.LoadID, newest)
	}
}
