package pipelinetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// diskFull is a test that limits the process in which it is done.
const diskFull = "DiskFull"

func crashTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"KilledBeforeCommit": testKilledBeforeCommit,
		"KilledInCommit":     testKilledInCommit,
		"CommittedTwice":     testCommittedTwice,
		"LoadsTogether":      testTogether,
		diskFull:             testDiskFull,
		"LeavesNothingOpen":  testLeavesNothing,
	}
}

// TestKilled lets a process load (h.Kill) until it has said a word of the version that is so many ahead, and kills it a while later.
// What is found then is one version, whole, and none older than what was acknowledged.
func TestKilled(t *testing.T, h *Harness, word string, ahead int64, delay time.Duration) {
	t.Helper()
	stored := func() (pipeline.StreamState, int64) {
		st, err := h.Sink.Stream(t.Context(), widgets().Name)
		if err != nil {
			t.Fatal(err)
		}
		return st, st.Checkpoint.ParentLoad
	}
	_, before := stored()
	acked := acknowledged(t, h.Kill(t, fmt.Sprint(word, " ", before+ahead), delay), committed)
	st, v := stored()
	if v < int64(acked) {
		t.Errorf("version %d was acknowledged, the checkpoint says %d", acked, v)
	}
	if v == 0 {
		if st.Columns != nil || st.LiveRows != 0 {
			t.Errorf("without a load there is %+v", st)
		}
		return
	}
	if got := oneVersion(t, h.Rows(t, schemas.TableName(widgets().Name), "id")); int64(got) != v {
		t.Errorf("rows of version %d, the checkpoint says %d", got, v)
	}
	if loads := h.Rows(t, "_atsync.loads", "load_id"); int64(len(loads)) != v {
		t.Errorf("%d loads are recorded of %d", len(loads), v)
	}
}

func testKilledBeforeCommit(f *fixture) {
	TestKilled(f.T, &f.Harness, staged, 1, 0)
	TestKilled(f.T, &f.Harness, staged, 2, 0)
}

func testKilledInCommit(f *fixture) {
	random := seeded(f.T)
	TestKilled(f.T, &f.Harness, committing, 1, time.Millisecond)
	for range Kills(6) {
		TestKilled(f.T, &f.Harness, committing, 2, time.Duration(random.IntN(40))*time.Millisecond)
	}
}

func testCommittedTwice(f *fixture) {
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(2, "b", 0))))
	f.commit(l, pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: f.now()}})
	state, rows, loads := f.state(), f.Rows(f.T, f.table.Name, "id"), f.Rows(f.T, "_atsync.loads", "load_id")
	again := pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: f.now().Add(time.Hour)}, Tombstones: []int64{2}, Reason: "full"}
	if _, err := l.Commit(f.Context(), again); err == nil {
		f.Error("a load was committed twice")
	}
	f.equal("state", state, f.state())
	f.equal("rows", rows, f.Rows(f.T, f.table.Name, "id"))
	f.equal("loads", loads, f.Rows(f.T, "_atsync.loads", "load_id"))
}

// testTogether loads different tables at the same moment.
func testTogether(f *fixture) {
	const tables, rounds = 4, 3
	loads := map[int64]bool{}
	var mu sync.Mutex
	for round := range rounds {
		var all sync.WaitGroup
		for i := range tables {
			e := widgets()
			e.Name = fmt.Sprintf("Widgets%c", 'A'+i)
			table := schemas.NewTable(e, nil, nil)
			l, batch := f.begin(pipeline.LoadSpec{Table: table}), f.batch(page(widget(int64(i), fmt.Sprint("round ", round), round)))
			all.Go(func() {
				err := l.Stage(f.Context(), batch)
				release(batch.Record)
				var res pipeline.LoadResult
				if err == nil {
					res, err = l.Commit(f.Context(), pipeline.Commit{})
				}
				if err != nil {
					f.Errorf("%s: %v", e.Name, err)
				}
				mu.Lock()
				loads[res.LoadID] = true
				mu.Unlock()
			})
		}
		all.Wait()
	}
	f.equal("loads", tables*rounds, len(loads))
	for i := range tables {
		name := schemas.TableName(fmt.Sprintf("Widgets%c", 'A'+i))
		f.equal(name, want(fmt.Sprintf("id=%d|name=round %d", i, rounds-1)), only(f.Rows(f.T, name, "id"), "id", "name"))
	}
}

// testDiskFull: what finds no room leaves no trace, says so, and what comes when there is room is loaded.
func testDiskFull(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	before := f.state()
	l := f.begin(pipeline.LoadSpec{})
	var items []string
	for id := range 3000 {
		items = append(items, widget(int64(id), strings.Repeat(fmt.Sprint(id, " does not fit "), 10), 1))
	}
	b := f.batch(page(items...))
	room := f.Full(f.T)
	err := l.Stage(f.Context(), b)
	if err == nil {
		_, err = l.Commit(f.Context(), pipeline.Commit{Checkpoint: pipeline.Checkpoint{CompleteThrough: f.now()}})
	}
	room()
	release(b.Record)
	if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Class != pipeline.ClassSink || !strings.Contains(e.Remedy, "space") {
		f.Errorf("on a full disk: %v", err)
	}
	_ = l.Abort() // it has failed
	f.Reopen(f.T)
	f.equal("state", before, f.state())
	f.equal("rows", want("id=1|name=a"), f.rows("id", "name"))
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1, Updated: 1}, f.load(page(widget(1, "b", 1), widget(2, "fits", 1))))
}

// testLeavesNothing: loads that are committed, given up, and broken off leave no goroutine and no record behind.
func testLeavesNothing(f *fixture) {
	f.load(page(widget(9, "first", 0)))
	here, memory := goleak.IgnoreCurrent(), memory.NewCheckedAllocator(memory.DefaultAllocator)
	ends := []func(pipeline.Load){
		func(l pipeline.Load) { f.commit(l, pipeline.Commit{}) },
		func(l pipeline.Load) { f.equal("abort", nil, l.Abort()) },
		func(l pipeline.Load) {
			bad := f.textBatch(memory, "broken \xff text")
			if err := l.Stage(f.Context(), bad); err == nil {
				f.Error("text that is not UTF-8 was staged")
			}
			release(bad.Record)
			f.equal("abort", nil, l.Abort())
		},
	}
	for _, end := range ends {
		l := f.begin(pipeline.LoadSpec{})
		for range 3 {
			f.stage(l, f.textBatch(memory, "text"))
		}
		end(l)
	}
	memory.AssertSize(f.T, 0)
	if err := goleak.Find(here, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")); err != nil {
		f.Error(err)
	}
}

// textBatch makes a batch of one row with a text, as no decoder need do.
func (f *fixture) textBatch(from memory.Allocator, text string) pipeline.Batch {
	b := array.NewRecordBuilder(from, schemas.ArrowSchema(f.table.Columns))
	defer b.Release()
	for i, field := range b.Schema().Fields() {
		switch {
		case field.Name == "name":
			b.Field(i).(*array.StringBuilder).Append(text)
		case arrow.TypeEqual(field.Type, arrow.PrimitiveTypes.Int64):
			b.Field(i).(*array.Int64Builder).Append(1)
		default:
			b.Field(i).AppendNull()
		}
	}
	return pipeline.Batch{Record: b.NewRecordBatch(), ReadAt: f.now()}
}

// killMemory is Harness.Kill of a sink that lives and dies with its process: what was not committed is forgotten.
func killMemory(s *MemorySink) func(t *testing.T, mark string, _ time.Duration) []string {
	return func(t *testing.T, mark string, _ time.Duration) (lines []string) {
		t.Helper()
		killed := errors.New("killed")
		s.OnCommit = func(string) error {
			if lines[len(lines)-1] == mark {
				return killed
			}
			return nil
		}
		err := LoadVersions(t.Context(), s, func(line string) error {
			lines = append(lines, line)
			if line == mark && strings.HasPrefix(mark, staged) {
				return killed
			}
			return nil
		})
		if !errors.Is(err, killed) {
			t.Fatal(err)
		}
		s.OnCommit = nil
		s.Reopen()
		return lines
	}
}

// fullMemory is Harness.Full of a sink that has no disk.
func fullMemory(s *MemorySink) func(*testing.T) func() {
	return func(*testing.T) func() {
		s.OnCommit = func(entity string) error {
			return &pipeline.Error{Class: pipeline.ClassSink, Entity: entity, Op: "commit", Err: errors.New("no space left"), Remedy: "free space"}
		}
		return func() { s.OnCommit = nil }
	}
}
