package pipelinetest

import (
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func flushTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"FlushIsDurable":          testFlush,
		"FlushedLoadGoesOn":       testFlushedLoadGoesOn,
		"FlushedLoadIsCommitted":  testFlushedCommit,
		"FlushKeepsRejects":       testFlushRejects,
		"FlushWithoutRows":        testFlushEmpty,
		"FlushWidens":             testFlushWidens,
		"FlushOnlyFreshLoads":     testFlushStale,
		"FlushedLoadGetsColumns":  testFlushedColumns,
		"FlushedThenReadAgain":    testFlushedAgain,
		"FlushedLoadThatIsKilled": testFlushedKilled,
	}
}

// left is a checkpoint of a first load with ids from after on to be read.
func (f *fixture) left(after int64) pipeline.Checkpoint {
	return pipeline.Checkpoint{Progress: &pipeline.Progress{StartedAt: f.now(), ParentLoad: 3, Left: []pipeline.Range{{After: &after}}}}
}

func (f *fixture) flush(l pipeline.Load, cp pipeline.Checkpoint) {
	f.Helper()
	if err := l.Flush(f.Context(), cp); err != nil {
		f.Fatalf("flush: %v", err)
	}
}

func testFlush(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(widget(0, "zero", 0), widget(1, "a", 0))))
	cp := f.left(1)
	f.flush(l, cp)
	f.stage(l, f.batch(page(widget(2, "lost", 0))))
	f.equal("abort", nil, l.Abort())
	f.Reopen(f.T)
	f.equal("rows", want("id=0|name=zero", "id=1|name=a"), f.rows("id", "name"))
	for _, by := range []*pipeline.Checkpoint{nil, {CompleteThrough: f.now()}} {
		if err := f.Sink.SetCheckpoint(f.Context(), f.table.Entity.Name, by, pipeline.StateNote{Command: "state"}); err == nil {
			f.Error("the progress of a first load was replaced by hand")
		}
	}
	st := f.state()
	f.equal("checkpoint", cp, st.Checkpoint)
	f.equal("live rows", int64(2), st.LiveRows)
}

func testFlushedLoadGoesOn(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.flush(l, f.left(1))
	f.equal("abort", nil, l.Abort())

	l = f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(widget(2, "b", 0))))
	f.flush(l, f.left(2))
	f.stage(l, f.batch(page(widget(3, "c", 0))))
	cp := pipeline.Checkpoint{CompleteThrough: f.now()}
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 2, SchemaChanged: true}, f.commit(l, pipeline.Commit{Checkpoint: cp}))
	f.equal("checkpoint", cp, f.state().Checkpoint)
	f.equal("rows", want("id=1|name=a", "id=2|name=b", "id=3|name=c"), f.rows("id", "name"))
	f.counts(pipeline.LoadResult{Fetched: 2, Updated: 1, Unchanged: 1}, f.load(page(widget(1, "A", 1), widget(2, "b", 0))))
}

func testFlushedCommit(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.flush(l, f.left(1))
	f.stage(l, f.batch(page(widget(2, "b", 0))))
	f.flush(l, f.left(2))
	running := f.Rows(f.T, "_atsync.loads", "load_id")
	f.equal("loads while it runs", want("status=running"), only(running, "status"))
	res := f.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: f.now()}})
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 2, SchemaChanged: true}, res)
	f.equal("loads", []map[string]string{{"load_id": number(res.LoadID), "status": "ok"}}, only(f.Rows(f.T, "_atsync.loads", "load_id"), "load_id", "status"))
	f.equal("its id", running[0]["load_id"], number(res.LoadID))
	for _, row := range f.rows("_load_id") {
		f.equal("load of a row", number(res.LoadID), row["_load_id"])
	}
	f.equal("schema changes", 1, len(f.Rows(f.T, "_atsync.schema_changes", "load_id")))
}

func testFlushRejects(f *fixture) {
	bad := func(id string) string { return page(`{"id":` + id + `,"ownerID":"nobody"}`) }
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(bad("1")))
	f.flush(l, f.left(1))
	f.equal("rejects", want("id=1|field=ownerID|raw=\"nobody\""), only(f.Rows(f.T, "_atsync.rejects", "id"), "id", "field", "raw"))
	f.equal("abort", nil, l.Abort())
	l = f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(bad("2")))
	f.flush(l, f.left(2))
	f.stage(l, f.batch(bad("3")))
	f.equal("rejected", int64(3), f.commit(l, pipeline.Commit{}).Rejected)
	f.equal("rejects", want("id=1", "id=2", "id=3"), only(f.Rows(f.T, "_atsync.rejects", "id"), "id"))
}

func testFlushEmpty(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	cp := f.left(7)
	f.flush(l, cp)
	f.equal("checkpoint", cp, f.state().Checkpoint)
	f.equal("columns", f.table.Columns, f.state().Columns)
	f.counts(pipeline.LoadResult{SchemaChanged: true}, f.commit(l, pipeline.Commit{}))
	f.equal("progress", pipeline.Checkpoint{}, f.state().Checkpoint)

	l = f.begin(pipeline.LoadSpec{Fresh: true}) // all was read, but not committed
	f.counts(pipeline.LoadResult{}, f.commit(l, pipeline.Commit{}))
}

func testFlushWidens(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(`{"id":1,"amount":1.5}`)))
	f.flush(l, f.left(1))
	f.stage(l, f.batch(page(`{"id":2,"amount":0.1234567}`)))
	f.flush(l, f.left(2))
	f.stage(l, f.batch(page(`{"id":3,"amount":2}`)))
	f.commit(l, pipeline.Commit{})
	f.equal("rows", want("amount=1.5000000", "amount=0.1234567", "amount=2.0000000"), f.rows("amount"))
}

func testFlushStale(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	before := f.state()
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "b", 1))))
	if err := l.Flush(f.Context(), f.left(1)); err == nil {
		f.Error("a load that compares was flushed")
	}
	f.equal("abort", nil, l.Abort())
	f.equal("state", before, f.state())
}

// testFlushedAgain: an unfinished first load is read whole after all, and compared.
func testFlushedAgain(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(2, "gone", 0))))
	f.flush(l, f.left(2))
	f.equal("abort", nil, l.Abort())
	l = f.begin(pipeline.LoadSpec{Complete: true})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(3, "c", 0))))
	ids, err := l.Absent(f.Context())
	f.equal("error", nil, err)
	f.equal("absent", []int64{2}, ids)
	res := f.commit(l, pipeline.Commit{Tombstones: ids, Reason: "full", Checkpoint: pipeline.Checkpoint{CompleteThrough: f.now()}})
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1, Unchanged: 1, Deleted: 1, SchemaChanged: true}, res)
	f.equal("checkpoint", pipeline.Checkpoint{CompleteThrough: f.now()}, f.state().Checkpoint)
}

func testFlushedKilled(f *fixture) {
	begin := func() int64 {
		id, err := f.Sink.BeginRun(f.Context(), pipeline.Run{Command: "sync", StartedAt: f.now()})
		if err != nil {
			f.Fatal(err)
		}
		return id
	}
	run := begin()
	l, err := f.Sink.Begin(f.Context(), pipeline.LoadSpec{RunID: run, Table: f.table, Class: f.table.Entity.Class, Fresh: true})
	if err != nil {
		f.Fatal(err)
	}
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.flush(l, f.left(1))
	f.Reopen(f.T)
	begin()
	f.equal("loads", want("status=interrupted"), only(f.Rows(f.T, "_atsync.loads", "load_id"), "status"))
}

// testFlushedColumns: a field that came while a load was interrupted is missing in the rows that were stored before.
func testFlushedColumns(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Fresh: true, Complete: true})
	f.stage(l, f.batch(page(widget(1, "a", 0))))
	f.flush(l, f.left(1))
	f.equal("abort", nil, l.Abort())
	e := widgets()
	e.Fields = append(e.Fields, schemas.Field{Name: "color", Type: "string"})
	f.table = schemas.NewTable(e, nil, f.state().Columns)
	l = f.begin(pipeline.LoadSpec{Fresh: true, Complete: true})
	f.stage(l, f.batch(page(`{"id":2,"name":"b","color":"red"}`)))
	f.flush(l, f.left(2))
	f.stage(l, f.batch(page(`{"id":3,"name":"c","color":"blue"}`)))
	f.commit(l, pipeline.Commit{})
	f.equal("rows", want("id=1", "id=2|color=red", "id=3|color=blue"), f.rows("id", "color"))
	for _, c := range f.state().Columns {
		f.equal("partial: "+c.Name, c.Name == "color", c.PartialSince != 0)
	}
}
