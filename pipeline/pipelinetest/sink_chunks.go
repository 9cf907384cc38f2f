package pipelinetest

import (
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func chunkTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"Chunks":                 testChunks,
		"ChunksWithRows":         testChunksWithRows,
		"ChunksUnknown":          testChunksUnknown,
		"BackfillIsNoSync":       testBackfillRun,
		"OlderReadOfEqualStamp":  testOlderEqualStamp,
		"OlderReadWithoutStamps": testOlderNoStamps,
		"OlderReadOfNewerStamp":  testOlderNewerStamp,
		"ReadBeforeDeletion":     testReadBeforeDeletion,
		"ClockThatWasAhead":      testClockAhead,
	}
}

func (f *fixture) chunks() []pipeline.Chunk {
	f.Helper()
	chunks, err := f.Sink.Chunks(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return chunks
}

func (f *fixture) saveChunks(chunks ...pipeline.Chunk) int64 {
	f.Helper()
	id, err := f.Sink.SaveChunks(f.Context(), chunks)
	if err != nil {
		f.Fatal(err)
	}
	return id
}

// span makes a chunk of the widgets' history.
func (f *fixture) span(number int) pipeline.Chunk {
	from := time.Date(2025, time.Month(number), 1, 0, 0, 0, 0, time.UTC)
	return pipeline.Chunk{Number: number, Entity: f.table.Entity.Name, By: "createDate", Size: pipeline.ChunkMonth, From: from, To: from.AddDate(0, 1, 0),
		Status: pipeline.ChunkPending, Counted: -1}
}

func testChunks(f *fixture) {
	f.equal("at first", 0, len(f.chunks()))
	id := f.saveChunks(f.span(1), f.span(2))
	first, second := f.span(1), f.span(2)
	first.Backfill, second.Backfill = id, id
	f.equal("stored", []pipeline.Chunk{first, second}, f.chunks())
	other := f.span(1)
	other.Backfill = f.saveChunks(other)
	if other.Backfill <= id {
		f.Errorf("backfill %d follows %d", other.Backfill, id)
	}
	second.Status, second.Counted, second.Requests, second.Error = pipeline.ChunkFailed, 7, 3, "it's \"bad\""
	second.StartedAt, second.EndedAt, second.LastID = f.now(), f.now().Add(time.Minute), new(int64(-4))
	third := f.span(3)
	third.Backfill = id
	f.equal("id", id, f.saveChunks(first, second, third))
	want := []pipeline.Chunk{first, second, third, other}
	f.equal("replaced", want, f.chunks())
	f.Reopen(f.T)
	f.equal("after a restart", want, f.chunks())
	if _, err := f.Sink.SaveChunks(f.Context(), nil); err == nil {
		f.Error("a backfill without chunks was stored")
	}
}

// testChunksWithRows: progress comes with the rows, and the checkpoint of the live sync stays.
func testChunksWithRows(f *fixture) {
	cp := pipeline.Checkpoint{CompleteThrough: f.now(), FullAt: f.now(), ParentLoad: 3}
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(9, "live", 0))))
	f.commit(l, pipeline.Commit{Checkpoint: cp})
	id := f.saveChunks(f.span(1), f.span(2))
	first, second := f.span(1), f.span(2)
	first.Backfill, first.Status = id, pipeline.ChunkDone
	second.Backfill, second.Status, second.Read, second.LastID = id, pipeline.ChunkRunning, 1, new(int64(1))

	l = f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "lost", 0))))
	f.equal("abort", nil, l.Abort())
	f.equal("after an abort", pipeline.ChunkPending, f.chunks()[1].Status)

	l = f.begin(pipeline.LoadSpec{Mode: pipeline.ModeBackfill})
	f.stage(l, f.batch(page(widget(1, "history", 0))))
	res := f.commit(l, pipeline.Commit{Chunks: []pipeline.Chunk{second, first}, Requests: 2})
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1}, res)
	first.LoadID, second.LoadID = res.LoadID, res.LoadID
	f.equal("progress", []pipeline.Chunk{first, second}, f.chunks())
	f.equal("checkpoint", cp, f.state().Checkpoint)
	f.equal("rows", want("id=1|name=history", "id=9|name=live"), f.rows("id", "name"))
	loads := f.Rows(f.T, "_atsync.loads", "load_id")
	f.equal("load", want("mode=backfill|requests=2"), only(loads[len(loads)-1:], "mode", "requests"))
}

func testChunksUnknown(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	before := f.state()
	c := f.span(1)
	c.Backfill = 77
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(2, "b", 0))))
	if _, err := l.Commit(f.Context(), pipeline.Commit{Chunks: []pipeline.Chunk{c}}); err == nil {
		f.Error("progress of an unknown backfill was stored")
	}
	f.equal("state", before, f.state())
}

// testBackfillRun: a backfill in another process goes on while syncs come and go.
func testBackfillRun(f *fixture) {
	f.beginRun("backfill")
	f.beginRun("sync")
	f.Reopen(f.T)
	f.beginRun("sync")
	f.equal("beside a sync", want("command=backfill|status=running|requests=0", "command=sync|status=interrupted|requests=0|error_class=canceled",
		"command=sync|status=running|requests=0"), f.runs())
	f.Reopen(f.T)
	f.beginRun("backfill")
	f.equal("after the next backfill", "interrupted", f.runs()[0]["status"])
}

// late loads a body that was read before the one that is loaded first.
func (f *fixture) late(body, loaded string) pipeline.LoadResult {
	f.Helper()
	early := f.batch(body)
	f.load(loaded)
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, early)
	return f.commit(l, pipeline.Commit{})
}

// testOlderEqualStamp: an edit that moved no stamp is told by the time of reading.
func testOlderEqualStamp(f *fixture) {
	f.load(page(widget(1, "first", 0)))
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1}, f.late(page(widget(1, "early", 5)), page(widget(1, "quiet edit", 5))))
	f.equal("rows", want("id=1|name=quiet edit"), f.rows("id", "name"))
}

func testOlderNoStamps(f *fixture) {
	e := widgets()
	e.Class, e.Stamps = schemas.ClassAppend, []string{"createDate"}
	f.table = schemas.NewTable(e, nil, nil)
	row := func(name string) string {
		return page(`{"id":1,"name":"` + name + `","createDate":"2026-01-01T00:00:00Z"}`)
	}
	f.load(row("first"))
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1}, f.late(row("early"), row("newest")))
	f.equal("rows", want("id=1|name=newest"), f.rows("id", "name"))
	f.load(row("newer still"))
	f.equal("rows", want("id=1|name=newer still"), f.rows("id", "name"))
}

// testOlderNewerStamp: a batch's time is that of its first page; a later page may be newer than it says.
func testOlderNewerStamp(f *fixture) {
	f.load(page(widget(1, "first", 0)))
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1}, f.late(page(widget(1, "newest", 30)), page(widget(1, "older", 5))))
	f.equal("rows", want("id=1|name=newest"), f.rows("id", "name"))
}

// testReadBeforeDeletion: what was read before a row was found deleted does not bring it back; what is read after it does.
func testReadBeforeDeletion(f *fixture) {
	f.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	early := f.batch(page(widget(2, "b edited", 9)))
	f.ticks.Add(1)
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{2}, Reason: "full"})
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, early)
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1}, f.commit(l, pipeline.Commit{}))
	f.equal("rows", want("id=1|name=a", "id=2|name=b|_delete_reason=full"), f.rows("id", "name", schemas.ColDeleteReason))
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1}, f.load(page(widget(2, "back", 9))))
	f.equal("rows", want("id=1|name=a", "id=2|name=back"), f.rows("id", "name", schemas.ColDeleteReason))
}

// testClockAhead: a clock that was put right must not keep every later version out.
func testClockAhead(f *fixture) {
	const year = 365 * 24 * 60 * 60
	f.ticks.Add(year)
	f.load(page(widget(1, "read next year", 5), widget(2, "deleted next year", 5)))
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{2}, Reason: "full"})
	f.ticks.Add(-year)
	f.counts(pipeline.LoadResult{Fetched: 2, Updated: 2}, f.load(page(widget(1, "read now", 5), widget(2, "back", 5))))
	f.equal("rows", want("id=1|name=read now", "id=2|name=back"), f.rows("id", "name"))
}
