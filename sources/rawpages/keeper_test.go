package rawpages_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/rawpages"
)

// rig is a sink in memory with a keeper before it.
type rig struct {
	*testing.T
	dir    string
	sink   *pipelinetest.MemorySink
	keeper *rawpages.Keeper
	table  *schemas.Table
}

func newRig(t *testing.T) *rig {
	t.Helper()
	e, ok := schemas.Lookup("Tickets")
	if !ok {
		t.Fatal("no Tickets")
	}
	r := &rig{T: t, dir: filepath.Join(t.TempDir(), "raw [*]", "acme"), sink: pipelinetest.NewMemorySink("acme", time.Now), table: schemas.NewTable(e, nil, nil)}
	r.keep()
	return r
}

func (r *rig) keep() {
	r.Helper()
	var err error
	if r.keeper, err = rawpages.Keep(r.sink, r.dir); err != nil {
		r.Fatal(err)
	}
}

// begin opens a load of everything and stages pages.
func (r *rig) begin(at time.Time, complete bool, pages ...string) (pipeline.Load, error) {
	r.Helper()
	return r.load(pipeline.LoadSpec{RunID: 7, Mode: pipeline.ModeFirst, Complete: complete}, at, pages...)
}

func (r *rig) load(spec pipeline.LoadSpec, at time.Time, pages ...string) (pipeline.Load, error) {
	r.Helper()
	spec.Table, spec.Class = r.table, schemas.ClassModified
	l, err := r.keeper.Begin(r.Context(), spec)
	if err != nil {
		r.Fatal(err)
	}
	dec := schemas.NewDecoder(r.table)
	for _, page := range pages {
		if _, err := dec.Decode([]byte(page), nil); err != nil {
			r.Fatal(err)
		}
		record, rejects := dec.Flush()
		defer record.Release()
		if err := l.Stage(r.Context(), pipeline.Batch{Record: record, Rejects: rejects, ReadAt: at, Bodies: [][]byte{[]byte(page)}}); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (r *rig) commit(l pipeline.Load, c pipeline.Commit) {
	r.Helper()
	if _, err := l.Commit(r.Context(), c); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) files() []string {
	r.Helper()
	var out []string
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func at(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }

// replayed is what a replay of everything kept makes.
func (r *rig) replayed() (*pipelinetest.MemorySink, pipeline.Run, error) {
	r.Helper()
	sink := pipelinetest.NewMemorySink("acme", time.Now)
	e, _ := schemas.Lookup("Tickets")
	replay := &rawpages.Replay{Tenant: "acme", Dir: r.dir, Sink: sink, Clock: &rawpages.Clock{}}
	run, err := replay.Run(r.Context(), []*schemas.Entity{e})
	return sink, run, err
}

func TestReplayGivesBackWhatWasKept(t *testing.T) {
	r := newRig(t)
	first := []string{
		"\ufeff{\"items\":[{\"id\":-1,\"title\":\"a \\n line\",\r\n\"estimatedHours\":12345678901234.5678}, {\"id\":0,\"title\":\"\xff broken\"}]}\n",
		`{"items":[{"id":3,"title":"]}\",\"page\":","queueID":"no number"},{"id":4,"unknownField":{"x":[1]}}],"pageDetails":{"count":2}}`,
	}
	l, err := r.begin(at(1), true, first...)
	if err != nil {
		t.Fatal(err)
	}
	r.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: at(1), FullAt: at(1)}})
	l, err = r.begin(at(2), false, `{"items":[{"id":3,"title":"changed"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	r.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: at(2), FullAt: at(1)}, Tombstones: []int64{4}, Reason: "log"})
	for minute := 3; minute < 6; minute++ { // nothing new
		if l, err = r.begin(at(minute), false); err != nil {
			t.Fatal(err)
		}
		r.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: at(minute), FullAt: at(1)}})
	}
	if diff := cmp.Diff([]string{"00000007-1.jsonl.zst", "00000007-2.jsonl.zst", "checkpoint.jsonl.zst"}, r.files()); diff != "" {
		t.Error(diff)
	}
	sink, run, err := r.replayed()
	if err != nil || run.Status != pipeline.StatusOK {
		t.Fatalf("%+v, %v", run, err)
	}
	for _, row := range slices.Concat(r.sink.Rows("tickets", "id"), sink.Rows("tickets", "id")) {
		if (row["_deleted_at"] != "") != (row["id"] == "4") {
			t.Errorf("%v", row)
		}
	}
	rows := func(s *pipelinetest.MemorySink) []map[string]string {
		out := s.Rows("tickets", "id")
		for _, row := range out {
			delete(row, "_deleted_at") // noted just before the commit, not in it
		}
		return out
	}
	if diff := cmp.Diff(rows(r.sink), rows(sink)); diff != "" || len(rows(sink)) != 4 {
		t.Errorf("(-kept +replayed): %s", diff)
	}
	want, _ := r.sink.Stream(t.Context(), "Tickets")
	got, _ := sink.Stream(t.Context(), "Tickets")
	if diff := cmp.Diff(want.Checkpoint, got.Checkpoint); diff != "" {
		t.Errorf("checkpoint (-kept +replayed): %s", diff)
	}
}

// TestFirstLoadInParts: a first load that was flushed, interrupted, and finished by another process.
func TestFirstLoadInParts(t *testing.T) {
	r := newRig(t)
	page := func(id int) string { return fmt.Sprintf(`{"items":[{"id":%d,"title":"t"}]}`, id) }
	fresh := func(id int) pipeline.Load {
		t.Helper()
		l, err := r.load(pipeline.LoadSpec{RunID: 7, Mode: pipeline.ModeFirst, Complete: true, Fresh: true}, at(id), page(id))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	progress := func(rows int64) pipeline.Checkpoint {
		return pipeline.Checkpoint{Progress: &pipeline.Progress{StartedAt: at(0), Rows: rows}}
	}
	l := fresh(1)
	if err := l.Flush(t.Context(), progress(1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Abort(); err != nil { // whatever came after the flush
		t.Fatal(err)
	}
	if sink, _, err := r.replayed(); err != nil || len(sink.Rows("tickets", "id")) != 1 {
		t.Errorf("after the flush: %v", err)
	}
	l = fresh(2)
	if err := l.Flush(t.Context(), progress(2)); err != nil {
		t.Fatal(err)
	}
	r.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: at(0), FullAt: at(0)}})
	sink, _, err := r.replayed()
	if st, _ := sink.Stream(t.Context(), "Tickets"); err != nil || len(sink.Rows("tickets", "id")) != 2 || st.Checkpoint.Progress != nil || !st.Checkpoint.FullAt.Equal(at(0)) {
		t.Errorf("%+v, %v, %v", st.Checkpoint, sink.Rows("tickets", "id"), err)
	}
	if err := os.Remove(filepath.Join(r.dir, "Tickets", "00000007-1.jsonl.zst")); err != nil {
		t.Fatal(err)
	}
	if _, run, err := r.replayed(); err == nil || !strings.Contains(run.Streams[0].Error, "no whole read of it is kept") {
		t.Errorf("without the first part: %+v, %v", run.Streams, err)
	}
}

func TestNothingIsCommittedThatIsNotKept(t *testing.T) {
	r := newRig(t)
	blocked := filepath.Join(r.dir, "Tickets")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := r.begin(at(1), true, `{"items":[{"id":1}]}`)
	if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Class != pipeline.ClassSink || e.Entity != "Tickets" || !strings.Contains(e.Remedy, "keep_raw") {
		t.Errorf("stage: %v", err)
	}
	if err := l.Abort(); err != nil {
		t.Error(err)
	}
	l, _ = r.begin(at(1), true)
	if _, err := l.Commit(t.Context(), pipeline.Commit{}); pipeline.ClassOf(err) != pipeline.ClassSink {
		t.Errorf("commit: %v", err)
	}
	if err := l.Abort(); err != nil {
		t.Error(err)
	}
	if st, _ := r.sink.Stream(t.Context(), "Tickets"); st.Columns != nil {
		t.Error("there is a table")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	l, err = r.keeper.Begin(t.Context(), pipeline.LoadSpec{Table: r.table, Class: schemas.ClassModified})
	if err != nil {
		t.Fatal(err)
	}
	dec := schemas.NewDecoder(r.table)
	if _, err := dec.Decode([]byte(`{"items":[{"id":1}]}`), nil); err != nil {
		t.Fatal(err)
	}
	record, _ := dec.Flush()
	defer record.Release()
	if err := l.Stage(t.Context(), pipeline.Batch{Record: record, ReadAt: at(1)}); err == nil {
		t.Error("a batch without its pages was staged")
	}
}

func TestWhatIsNotCommittedLeavesNoFile(t *testing.T) {
	r := newRig(t)
	l, err := r.begin(at(1), true, `{"items":[{"id":1}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Abort(); err != nil {
		t.Fatal(err)
	}
	if left := r.files(); left != nil {
		t.Errorf("after Abort: %v", left)
	}
	if _, err = r.begin(at(1), true, `{"items":[{"id":1}]}`); err != nil { // and the process is killed
		t.Fatal(err)
	}
	if left := r.files(); len(left) != 1 || !strings.HasSuffix(left[0], ".partial") {
		t.Errorf("%v", left)
	}
	r.sink = pipelinetest.NewMemorySink("acme", time.Now)
	r.keep()
	if left := r.files(); left != nil {
		t.Errorf("after the next Keep: %v", left)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	r := newRig(t)
	l, err := r.begin(at(1), true, `{"items":[{"id":1}]}`)
	if err != nil {
		t.Fatal(err)
	}
	r.commit(l, pipeline.Commit{})
	err = filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReplayRefusesWhatIsNotWhole(t *testing.T) {
	r := newRig(t)
	l, err := r.begin(at(1), false, `{"items":[{"id":1}]}`)
	if err != nil {
		t.Fatal(err)
	}
	r.commit(l, pipeline.Commit{})
	if _, run, err := r.replayed(); pipeline.ClassOf(err) != pipeline.ClassConfig || !strings.Contains(run.Streams[0].Error, "no whole read of it is kept") {
		t.Errorf("%+v, %v", run, err)
	}
	path := filepath.Join(r.dir, "Tickets", "00000007-1.jsonl.zst")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "empty": nil, "no zstd": []byte("text")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, run, err := r.replayed(); err == nil || !strings.Contains(run.Streams[0].Error, path) {
			t.Errorf("%s: %+v, %v", name, run.Streams, err)
		}
	}
}

func TestPruneGoesByAge(t *testing.T) {
	r := newRig(t)
	for range 2 {
		l, err := r.begin(at(1), true, `{"items":[{"id":1}]}`)
		if err != nil {
			t.Fatal(err)
		}
		r.commit(l, pipeline.Commit{})
	}
	old := filepath.Join(r.dir, "Tickets", "00000007-1.jsonl.zst")
	if err := os.Chtimes(old, at(1), at(1)); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		gone, left, err := rawpages.Prune(r.dir, at(2), dry)
		if err != nil || gone.Files != 1 || left.Files != 1 || gone.Bytes == 0 {
			t.Errorf("%+v, %+v, %v", gone, left, err)
		}
		if _, err := os.Stat(old); (err == nil) != dry {
			t.Errorf("dry run %v: %v", dry, err)
		}
	}
	if gone, left, err := rawpages.Prune(filepath.Join(r.dir, "none"), at(2), false); err != nil || gone.Files+left.Files != 0 {
		t.Errorf("%v", err)
	}
}
