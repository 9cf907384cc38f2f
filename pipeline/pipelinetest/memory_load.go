package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// memoryLoad stages rows in a list and merges them at once.
type memoryLoad struct {
	s       *MemorySink
	spec    pipeline.LoadSpec
	ended   bool
	failed  bool
	id      int64 // 0 until given out
	res     pipeline.LoadResult
	columns []schemas.Column // of the batches so far
	before  []schemas.Column // of the table, when the load was committed
	staged  []stagedRow
	rejects []stagedReject
}

type stagedRow struct {
	id int64
	*memoryRow
}

// cell says what the row's batch has of a column; false: nothing.
func (r *memoryRow) cell(column string) (string, bool) {
	_, has := r.has[column]
	return r.cells[column], has
}

type stagedReject struct {
	schemas.Reject
	readAt time.Time
}

// Begin implements pipeline.Sink.
func (s *MemorySink) Begin(ctx context.Context, spec pipeline.LoadSpec) (pipeline.Load, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return nil, s.fail(spec.Table.Entity.Name, "begin load", err)
	}
	if s.loading[spec.Table.Name] != nil {
		return nil, s.fail(spec.Table.Entity.Name, "begin load", fmt.Errorf("the table %s has a load already", spec.Table.Name))
	}
	l := &memoryLoad{s: s, spec: spec}
	s.loading[spec.Table.Name] = l
	return l, nil
}

// usable reports whether the load may go on.
func (l *memoryLoad) usable(ctx context.Context) error {
	if l.ended || l.failed || l.s.loading[l.spec.Table.Name] != l {
		return errors.New("the load has ended")
	}
	return context.Cause(ctx)
}

// Stage implements pipeline.Load.
func (l *memoryLoad) Stage(ctx context.Context, b pipeline.Batch) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	err := l.usable(ctx)
	if err == nil {
		err = l.stage(b)
	}
	l.failed = l.failed || err != nil
	return l.s.fail(l.spec.Table.Entity.Name, "stage", err)
}

func (l *memoryLoad) stage(b pipeline.Batch) error {
	readAt := b.ReadAt.UTC().Truncate(time.Microsecond)
	for _, r := range b.Rejects {
		l.rejects = append(l.rejects, stagedReject{r, readAt})
	}
	if b.Record == nil {
		return nil
	}
	stamps, reads := l.stamps(), l.reads()
	rows := make([]stagedRow, b.Record.NumRows())
	has := map[string]bool{}
	for i := range rows {
		rows[i].memoryRow = &memoryRow{cells: map[string]string{}, has: has, syncedAt: readAt}
	}
	for c, f := range b.Record.Schema().Fields() {
		col := b.Record.Column(c)
		l.see(f)
		has[f.Name] = true
		for i := range rows {
			if col.IsNull(i) {
				continue
			}
			text, err := cellText(col, i)
			if err != nil {
				return fmt.Errorf("column %s: %w", f.Name, err)
			}
			switch f.Name {
			case "id":
				rows[i].id = col.(*array.Int64).Value(i)
			case schemas.ColRowHash:
				rows[i].hash = col.(*array.Int64).Value(i)
			default:
				rows[i].cells[f.Name] = text
			}
			if at, ok := col.(*array.Timestamp); ok {
				v := at.Value(i).ToTime(arrow.Microsecond)
				if slices.Contains(stamps, f.Name) && v.After(rows[i].version) {
					rows[i].version = v
				}
				rows[i].seen = rows[i].seen || slices.Contains(reads, f.Name) && !v.Before(l.spec.MissedSince)
			}
		}
	}
	l.staged = append(l.staged, rows...)
	return nil
}

// stamps returns the columns whose greatest value is a row's version.
func (l *memoryLoad) stamps() (out []string) {
	e := l.spec.Table.Entity
	if e.Class != schemas.ClassModified && e.Class != schemas.ClassActivity {
		return nil
	}
	for _, field := range e.Stamps {
		if c := l.spec.Table.Column(field); c != nil {
			out = append(out, c.Name)
		}
	}
	return out
}

func indexOf(cols []schemas.Column, name string) int {
	return slices.IndexFunc(cols, func(c schemas.Column) bool { return c.Name == name })
}

func cellText(col arrow.Array, i int) (string, error) {
	switch col := col.(type) {
	case *array.Int64:
		return number(col.Value(i)), nil
	case *array.Boolean:
		return strconv.FormatBool(col.Value(i)), nil
	case *array.Timestamp:
		return col.Value(i).ToTime(arrow.Microsecond).Format(stampLayout), nil
	case *array.Decimal128:
		return col.Value(i).ToString(col.DataType().(*arrow.Decimal128Type).Scale), nil
	case *array.String:
		if !utf8.ValidString(col.Value(i)) {
			return "", fmt.Errorf("row %d: text is not UTF-8", i)
		}
		return strings.Clone(col.Value(i)), nil
	}
	return "", fmt.Errorf("no column can take %s", col.DataType())
}

// Absent implements pipeline.Load.
func (l *memoryLoad) Absent(ctx context.Context) ([]int64, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.usable(ctx); err != nil {
		return nil, l.s.fail(l.spec.Table.Entity.Name, "find absent rows", err)
	}
	win := l.spec.Window
	var column string
	if c := l.spec.Table.Column(win.InField); c != nil {
		column = c.Name
	}
	var ids []int64
	for id, row := range l.s.table(l.spec.Table.Entity.Name).rows {
		value := row.cells[column]
		if column == "id" {
			value = number(id)
		}
		inScope := l.spec.Complete || slices.ContainsFunc(win.In, func(v int64) bool { return number(v) == value })
		if row.deletedAt.IsZero() && inScope && !slices.ContainsFunc(l.staged, func(s stagedRow) bool { return s.id == id }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Abort implements pipeline.Load.
func (l *memoryLoad) Abort() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.end()
	return nil
}

func (l *memoryLoad) end() {
	l.ended = true
	if l.s.loading[l.spec.Table.Name] == l {
		delete(l.s.loading, l.spec.Table.Name)
	}
}

// Commit implements pipeline.Load. Nothing in it can fail once it has begun to write.
func (l *memoryLoad) Commit(ctx context.Context, c pipeline.Commit) (pipeline.LoadResult, error) {
	entity := l.spec.Table.Entity.Name
	var err error
	if l.s.OnCommit != nil {
		err = l.s.OnCommit(entity)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err == nil {
		err = l.usable(ctx)
	}
	if err == nil {
		err = l.s.progress(c.Chunks)
	}
	defer l.end()
	if err != nil {
		return pipeline.LoadResult{}, l.s.fail(entity, "commit", err)
	}
	t := l.s.table(entity)
	l.store(t)
	if t.checkpoint.Progress != nil && len(c.Chunks) == 0 {
		l.res.SchemaChanged = true // readers have not seen the table yet
	}
	if l.spec.Fresh {
		l.res.Rejected = int64(len(t.rejects)) // those of earlier flushes included
	}
	l.bury(t, c, &l.res)
	if len(c.Chunks) > 0 {
		l.s.saveProgress(c.Chunks, l.id)
	} else {
		t.checkpoint, t.checked = microCheckpoint(c.Checkpoint), true
	}
	l.s.closeLoad(l.id)
	l.s.log("_atsync.loads", map[string]string{"load_id": number(l.id), "entity": entity, "table_name": t.name, "status": "ok",
		"mode": string(l.spec.Mode), "class": string(l.spec.Class), "requests": number(c.Requests)})
	return l.res, nil
}

// Flush implements pipeline.Load.
func (l *memoryLoad) Flush(ctx context.Context, cp pipeline.Checkpoint) error {
	entity := l.spec.Table.Entity.Name
	var err error
	if l.s.OnFlush != nil {
		err = l.s.OnFlush(entity)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err == nil {
		err = l.usable(ctx)
	}
	if err == nil && !l.spec.Fresh {
		err = errors.New("only a fresh load can be flushed")
	}
	l.failed = l.failed || err != nil
	if err != nil {
		return l.s.fail(entity, "flush", err)
	}
	t := l.s.table(entity)
	if l.store(t) {
		l.s.log("_atsync.loads", map[string]string{"load_id": number(l.id), "run_id": number(l.spec.RunID), "entity": entity,
			"table_name": t.name, "status": "running", "mode": string(l.spec.Mode), "class": string(l.spec.Class)})
	}
	t.checkpoint, t.checked = microCheckpoint(cp), true
	return nil
}

// store merges what is staged. It reports whether it is the load's first time.
func (l *memoryLoad) store(t *memoryTable) (first bool) {
	if first = l.id == 0; first {
		l.s.loads++
		l.id = l.s.loads
		l.res.LoadID = l.id
	}
	l.res.Fetched += int64(len(l.staged))
	l.res.SchemaChanged = l.evolve(t) || l.res.SchemaChanged
	var missed misses
	l.merge(t, &l.res, &missed)
	l.logMisses(t, missed)
	l.staged, l.rejects = nil, nil
	return first
}

func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// merge applies the staged rows and their rejects.
func (l *memoryLoad) merge(t *memoryTable, res *pipeline.LoadResult, missed *misses) {
	newest := map[int64]*memoryRow{}
	var order []int64
	for _, row := range l.staged {
		have, ok := newest[row.id]
		if !ok {
			order = append(order, row.id)
		}
		if !ok || !row.version.Before(have.version) {
			newest[row.id] = row.memoryRow
		}
	}
	for _, id := range order {
		row, old := newest[id], t.rows[id]
		if old != nil && l.late(row, old) {
			res.Unchanged++
			continue
		}
		res.Rejected += l.settleRejects(t, id, row.syncedAt)
		missed.compare(id, old, row)
		switch {
		case old == nil:
			res.Inserted++
		case old.hash == row.hash && old.deletedAt.IsZero() && l.sameDoubtful(t, old, row):
			res.Unchanged++
			continue
		default:
			res.Updated++
			if !old.deletedAt.IsZero() {
				l.s.log("_atsync.tombstone_log", map[string]string{"load_id": number(res.LoadID), "entity": t.entity, "id": number(id), "event": "restored"})
			}
		}
		for _, c := range t.columns {
			if _, has := row.cell(c.Name); !has && old != nil {
				if v, ok := old.cells[c.Name]; ok {
					row.cells[c.Name] = v
				}
			}
			rescale(row.cells, c)
		}
		row.loadID = res.LoadID
		t.rows[id] = row
	}
}

// late reports whether a row was read before the stored version, or before that was found deleted.
func (l *memoryLoad) late(row, old *memoryRow) bool {
	before := func(at time.Time) bool {
		return !at.IsZero() && row.syncedAt.Before(at) && !at.After(micros(l.s.now()))
	}
	newer := !old.version.IsZero() && row.version.After(old.version)
	return before(old.syncedAt) && !newer || before(old.deletedAt)
}

// bury marks rows deleted.
func (l *memoryLoad) bury(t *memoryTable, c pipeline.Commit, res *pipeline.LoadResult) {
	for _, id := range c.Tombstones {
		row := t.rows[id]
		if row == nil || !row.deletedAt.IsZero() {
			continue
		}
		row.deletedAt, row.reason, row.loadID = micros(l.s.now()), c.Reason, res.LoadID
		res.Deleted++
		l.s.log("_atsync.tombstone_log", map[string]string{"load_id": number(res.LoadID), "entity": t.entity, "id": number(id), "event": "deleted", "reason": c.Reason})
		for key, r := range t.rejects {
			if r.ID == id {
				delete(t.rejects, key)
			}
		}
	}
}
