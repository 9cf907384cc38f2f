package pipelinetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// MemorySink is a Sink without a disk that keeps every promise of the seam: it passes TestSink. It is safe for
// concurrent use.
type MemorySink struct {
	// OnCommit, if set, is called before a load's commit; its error fails the commit.
	OnCommit func(entity string) error
	// OnFlush, if set, is called before a load's flush; its error fails the flush.
	OnFlush func(entity string) error

	tenant string
	now    func() time.Time

	mu      sync.Mutex
	tables  map[string]*memoryTable // by entity
	loading map[string]*memoryLoad  // by table
	loads   int64
	runs    []pipeline.Run
	mine    map[int64]bool
	hold    *pipeline.Hold
	chunks  []pipeline.Chunk
	logs    map[string][]map[string]string // the system tables that are only appended to
}

// A memoryTable is what the sink knows of one entity.
type memoryTable struct {
	entity, name string
	checkpoint   pipeline.Checkpoint
	checked      bool             // there is a checkpoint
	columns      []schemas.Column // nil: never loaded
	rows         map[int64]*memoryRow
	metadata     *schemas.Metadata
	metadataAt   time.Time
	choices      map[[2]string]memoryChoice // by column and value
	rejects      map[[2]string]memoryReject // by id and column
}

// A memoryRow is one stored version. cells holds texts by column; NULLs are left out.
type memoryRow struct {
	cells     map[string]string
	has       map[string]bool // columns of the batch that it came in
	version   time.Time       // greatest change stamp; zero: none
	seen      bool            // a stamp is at or after LoadSpec.MissedSince
	hash      int64
	syncedAt  time.Time
	loadID    int64
	deletedAt time.Time
	reason    string
}

type memoryChoice struct {
	schemas.PicklistValue
	field       string
	first, last time.Time
}

type memoryReject struct {
	schemas.Reject
	loadID int64
	acked  bool
	note   string
}

var _ pipeline.Sink = (*MemorySink)(nil)

// NewMemorySink returns an empty sink.
func NewMemorySink(tenant string, now func() time.Time) *MemorySink {
	return &MemorySink{
		tenant: tenant, now: now, tables: map[string]*memoryTable{}, loading: map[string]*memoryLoad{}, mine: map[int64]bool{},
		logs: map[string][]map[string]string{},
	}
}

// table returns an entity's table, made if missing.
func (s *MemorySink) table(entity string) *memoryTable {
	t := s.tables[entity]
	if t == nil {
		t = &memoryTable{entity: entity, name: schemas.TableName(entity), rows: map[int64]*memoryRow{},
			choices: map[[2]string]memoryChoice{}, rejects: map[[2]string]memoryReject{}}
		s.tables[entity] = t
	}
	return t
}

// Stream implements pipeline.Sink.
func (s *MemorySink) Stream(ctx context.Context, entity string) (pipeline.StreamState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(entity)
	st := pipeline.StreamState{Checkpoint: t.checkpoint, Columns: slices.Clone(t.columns), Metadata: t.metadata, MetadataAt: t.metadataAt}
	for id, row := range t.rows {
		if row.deletedAt.IsZero() {
			st.LiveRows++
		}
		if st.MaxID == nil || id > *st.MaxID {
			st.MaxID = &id
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(t.rejects), compareRejects) {
		r := t.rejects[key]
		if r.acked {
			continue
		}
		if st.OpenRejects.Count++; st.OpenRejects.First == nil {
			st.OpenRejects.First = &r.Reject
		}
		if ids := st.OpenRejects.IDs; len(ids) < 500 && (len(ids) == 0 || ids[len(ids)-1] != r.ID) {
			st.OpenRejects.IDs = append(ids, r.ID)
		}
	}
	return st, s.fail(entity, "read state", context.Cause(ctx))
}

// Changed implements pipeline.Sink.
func (s *MemorySink) Changed(ctx context.Context, table string, after int64) (ids []int64, newest int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		if t.name != table {
			continue
		}
		for id, row := range t.rows {
			newest = max(newest, row.loadID)
			if row.loadID > after {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, newest, s.fail(table, "find changed rows", context.Cause(ctx))
}

// BeginRun implements pipeline.Sink.
func (s *MemorySink) BeginRun(ctx context.Context, run pipeline.Run) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return 0, s.fail("", "begin run", err)
	}
	for i := range s.runs {
		if r := &s.runs[i]; r.Status == pipeline.StatusRunning && !s.mine[r.ID] && (r.Command != "backfill" || run.Command == "backfill") {
			r.Status, r.ErrorClass, r.EndedAt = pipeline.StatusInterrupted, pipeline.ClassCanceled, s.now()
			s.interruptLoads(r.ID)
		}
	}
	run.ID, run.Tenant, run.Status = int64(len(s.runs)+1), s.tenant, pipeline.StatusRunning
	s.runs = append(s.runs, run)
	s.mine[run.ID] = true
	return run.ID, nil
}

// EndRun implements pipeline.Sink.
func (s *MemorySink) EndRun(ctx context.Context, run pipeline.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return s.fail("", "end run", err)
	}
	if run.ID < 1 || run.ID > int64(len(s.runs)) {
		return s.fail("", "end run", fmt.Errorf("no run %d", run.ID))
	}
	begun := &s.runs[run.ID-1]
	if run.Streams == nil {
		run.Streams = begun.Streams
	}
	if run.Quota == nil {
		run.Quota = begun.Quota
	}
	run.Command, run.Tenant, run.StartedAt = begun.Command, begun.Tenant, begun.StartedAt
	*begun = run
	delete(s.mine, run.ID)
	for _, r := range run.Streams {
		s.recordStream(r)
	}
	return nil
}

func (s *MemorySink) recordStream(r pipeline.StreamReport) {
	for _, l := range s.logs["_atsync.loads"] {
		if l["load_id"] == number(r.LoadID) {
			l["mode"], l["requests"] = r.Mode, number(r.Requests)
			if r.Status == pipeline.StatusOK || r.Status == pipeline.StatusPartial {
				return
			}
		}
	}
	switch r.Status {
	case pipeline.StatusFailed, pipeline.StatusPartial, pipeline.StatusInterrupted:
		for _, l := range s.logs["_atsync.loads"] {
			if l["entity"] == r.Entity && l["status"] == "running" {
				l["status"], l["error"], l["error_class"] = string(r.Status), r.Error, string(r.ErrorClass)
				return
			}
		}
		s.loads++
		s.log("_atsync.loads", map[string]string{"load_id": number(s.loads), "entity": r.Entity, "table_name": r.Table, "status": string(r.Status),
			"mode": r.Mode, "class": r.Class, "requests": number(r.Requests), "error": r.Error, "error_class": string(r.ErrorClass)})
	}
}

// interruptLoads marks the unfinished loads of a run.
func (s *MemorySink) interruptLoads(run int64) {
	for _, l := range s.logs["_atsync.loads"] {
		if l["run_id"] == number(run) && l["status"] == "running" {
			l["status"], l["error_class"] = string(pipeline.StatusInterrupted), string(pipeline.ClassCanceled)
		}
	}
}

// closeLoad takes away the record of a load that was running: its commit writes a new one.
func (s *MemorySink) closeLoad(id int64) {
	s.logs["_atsync.loads"] = slices.DeleteFunc(s.logs["_atsync.loads"], func(l map[string]string) bool { return l["load_id"] == number(id) })
}

// Runs returns copies of all runs, oldest first.
func (s *MemorySink) Runs() []pipeline.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs)
}

// Hold implements pipeline.Sink.
func (s *MemorySink) Hold(context.Context) (*pipeline.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hold, nil
}

// SetHold implements pipeline.Sink.
func (s *MemorySink) SetHold(_ context.Context, hold *pipeline.Hold) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return nil
}

// Close does nothing: what was committed can be looked at afterwards.
func (s *MemorySink) Close() error { return nil }

// Reopen forgets what a killed process forgets: open loads, and which runs are its own.
func (s *MemorySink) Reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading, s.mine = map[string]*memoryLoad{}, map[int64]bool{}
}

// Harness makes the sink ready for TestSink.
func (s *MemorySink) Harness() Harness {
	return Harness{
		Sink:   s,
		Rows:   func(_ *testing.T, table string, by ...string) []map[string]string { return s.Rows(table, by...) },
		Reopen: func(*testing.T) { s.Reopen() },
		Kill:   killMemory(s),
		Full:   fullMemory(s),
		Clock:  func(now func() time.Time) { s.now = now },
	}
}

// Rows returns a table's rows as Harness.Rows describes them.
func (s *MemorySink) Rows(table string, by ...string) []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []map[string]string
	switch table {
	case "_atsync.runs":
		for _, r := range s.runs {
			out = append(out, texts(map[string]string{"run_id": number(r.ID), "command": r.Command, "status": string(r.Status),
				"requests": number(r.Requests), "error": r.Error, "error_class": string(r.ErrorClass), "quota": quotaText(r.Quota)}))
		}
	case "_atsync.rejects":
		for _, t := range s.tables {
			for _, r := range t.rejects {
				row := map[string]string{"tenant": s.tenant, "entity": t.entity, "id": number(r.ID), "column_name": r.Column, "field": r.Field,
					"raw": r.Raw, "reason": r.Reason, "load_id": number(r.loadID)}
				if r.acked {
					row["acknowledged_by"] = r.note
				}
				out = append(out, texts(row))
			}
		}
	case "picklists":
		for _, t := range s.tables {
			out = append(out, t.picklists()...)
		}
	default:
		for _, row := range s.logs[table] {
			out = append(out, maps.Clone(row))
		}
		for _, t := range s.tables {
			if t.name == table {
				out = append(out, t.dump()...)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b map[string]string) int { return compareBy(a, b, by) })
	return out
}

func compareBy(a, b map[string]string, by []string) int {
	for _, name := range by {
		x, errX := strconv.ParseInt(a[name], 10, 64)
		y, errY := strconv.ParseInt(b[name], 10, 64)
		order := cmp.Compare(x, y)
		if errX != nil || errY != nil {
			order = cmp.Compare(a[name], b[name])
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

func (t *memoryTable) dump() (out []map[string]string) {
	for id, row := range t.rows {
		m := maps.Clone(row.cells)
		maps.Copy(m, texts(map[string]string{"id": number(id), schemas.ColSyncedAt: stamp(row.syncedAt), schemas.ColLoadID: number(row.loadID),
			schemas.ColRowHash: number(row.hash), schemas.ColDeletedAt: stamp(row.deletedAt), schemas.ColDeleteReason: row.reason}))
		out = append(out, m)
	}
	return out
}

// texts drops the empty ones, which stand for NULL.
func texts(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

const stampLayout = "2006-01-02T15:04:05.000000Z"

// stamp prints a time; the zero time is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}

// log appends a row to a system table.
func (s *MemorySink) log(table string, row map[string]string) {
	s.logs[table] = append(s.logs[table], texts(row))
}

func (s *MemorySink) fail(entity, op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Error](err); ok {
		return err
	}
	class := pipeline.ClassSink
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		class = pipeline.ClassCanceled
	}
	return &pipeline.Error{Class: class, Tenant: s.tenant, Entity: entity, Op: op, Err: err}
}
