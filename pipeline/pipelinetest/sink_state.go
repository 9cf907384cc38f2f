package pipelinetest

import (
	"time"

	"github.com/atsync/atsync/pipeline"
)

func stateTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"CheckpointByHand":  testSetCheckpoint,
		"CheckpointReset":   testResetCheckpoint,
		"CheckpointMissing": testNoCheckpoint,
		"LoadByID":          testLoadByID,
	}
}

// checkpointed loads two widgets with a checkpoint and returns it.
func (f *fixture) checkpointed() pipeline.Checkpoint {
	f.Helper()
	cp := pipeline.Checkpoint{CompleteThrough: f.now(), FullAt: f.now().Add(-time.Hour), RereadAt: f.now().Add(-time.Minute), ParentLoad: 3}
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(2, "b", 0))))
	f.commit(l, pipeline.Commit{Checkpoint: cp})
	return cp
}

func (f *fixture) stateLog() []map[string]string {
	f.Helper()
	return only(f.Rows(f.T, "_atsync.state_log", "changed_at"), "entity", "command", "old", "new", "changed_by", "note")
}

func testSetCheckpoint(f *fixture) {
	old := f.checkpointed()
	moved := old
	moved.CompleteThrough = old.CompleteThrough.Add(-48*time.Hour - 1500*time.Microsecond)
	note := pipeline.StateNote{Command: "state set", By: "o'neil@host", Note: "it's \"missing\" rows"}
	before := f.rows("id", "name", "_load_id")
	f.equal("set", nil, f.Sink.SetCheckpoint(f.Context(), "Widgets", &moved, note))
	f.equal("checkpoint", moved, f.state().Checkpoint)
	f.equal("log", []map[string]string{{
		"entity": "Widgets", "command": note.Command, "changed_by": note.By, "note": note.Note,
		"old": checkpointText(old), "new": checkpointText(moved),
	}}, f.stateLog())
	f.equal("rows", before, f.rows("id", "name", "_load_id"))
	f.Reopen(f.T)
	f.equal("after a restart", moved, f.state().Checkpoint)
	if row := f.Rows(f.T, "_atsync.state_log", "changed_at")[0]; row["changed_at"] == "" {
		f.Error("a change without its time")
	}
}

func testResetCheckpoint(f *fixture) {
	old := f.checkpointed()
	f.equal("reset", nil, f.Sink.SetCheckpoint(f.Context(), "Widgets", nil, pipeline.StateNote{Command: "state reset", By: "me@here"}))
	f.equal("log", []map[string]string{{"entity": "Widgets", "command": "state reset", "changed_by": "me@here", "old": checkpointText(old)}}, f.stateLog())
	st := f.state()
	f.equal("checkpoint", pipeline.Checkpoint{}, st.Checkpoint)
	f.equal("live rows", int64(2), st.LiveRows) // they stay, and so does the table's shape
	f.equal("columns", f.table.Columns, st.Columns)
	f.counts(pipeline.LoadResult{Fetched: 2, Unchanged: 1, Updated: 1}, f.load(page(widget(1, "a", 0), widget(2, "c", 1))))
}

// testNoCheckpoint: what was never read has nothing to steer, and nothing is logged of the attempt.
func testNoCheckpoint(f *fixture) {
	for _, cp := range []*pipeline.Checkpoint{nil, {CompleteThrough: f.now()}} {
		if err := f.Sink.SetCheckpoint(f.Context(), "Widgets", cp, pipeline.StateNote{Command: "state set"}); err == nil {
			f.Errorf("%v was set on an entity that was never read", cp)
		}
	}
	f.equal("log", []map[string]string{}, f.stateLog())
	f.equal("state", pipeline.StreamState{}, f.state())
	f.checkpointed()
	reset := func() error {
		return f.Sink.SetCheckpoint(f.Context(), "Widgets", nil, pipeline.StateNote{Command: "state reset"})
	}
	f.equal("reset", nil, reset())
	if err := reset(); err == nil {
		f.Error("a checkpoint was reset twice")
	}
}

// testLoadByID is what a fetch relies on: before anything is staged, Absent tells which of the ids are live; an
// equal version is no older one; and Changed tells what the load has written.
func testLoadByID(f *fixture) {
	f.load(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0), widget(4, "d", 0)))
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{4}, Reason: "full"})
	l := f.begin(pipeline.LoadSpec{Window: pipeline.Window{InField: "id", In: []int64{1, 2, 3, 4, 9, -5}}})
	f.equal("live before", []int64{1, 2, 3}, f.absent(l))
	f.stage(l, f.batch(page(widget(1, "equal stamp", 0), widget(2, "b", 0), widget(4, "d", 0), widget(9, "new", 0))))
	f.equal("absent", []int64{3}, f.absent(l))
	res := f.commit(l, pipeline.Commit{Tombstones: []int64{3}, Reason: "fetch"})
	ids, newest, err := f.Sink.Changed(f.Context(), f.table.Name, res.LoadID-1)
	f.equal("error", nil, err)
	f.equal("written", []int64{1, 3, 4, 9}, ids)
	f.equal("newest", res.LoadID, newest)
	f.counts(pipeline.LoadResult{Fetched: 4, Inserted: 1, Updated: 2, Unchanged: 1, Deleted: 1}, res)
	f.equal("rows", want("id=1|name=equal stamp", "id=2|name=b", "id=3|name=c|_delete_reason=fetch", "id=4|name=d", "id=9|name=new"),
		f.rows("id", "name", "_delete_reason"))
}
