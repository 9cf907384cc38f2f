package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	staged  []stagedRow
	rejects []stagedReject
}

type stagedRow struct {
	id int64
	*memoryRow
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
	for i := range rows {
		rows[i].memoryRow = &memoryRow{cells: map[string]string{}, syncedAt: readAt}
	}
	for c, f := range b.Record.Schema().Fields() {
		col := b.Record.Column(c)
		l.see(f)
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

// see widens the load's columns for one of a batch.
func (l *memoryLoad) see(f arrow.Field) {
	if f.Name == schemas.ColExtra || f.Name == schemas.ColRowHash {
		return
	}
	c := schemas.Column{Name: f.Name, Source: f.Name}
	if i := indexOf(l.spec.Table.Columns, f.Name); i >= 0 {
		c = l.spec.Table.Columns[i]
	}
	switch t := f.Type.(type) {
	case *arrow.Decimal128Type:
		c.Type = schemas.Type{Kind: schemas.Decimal, Precision: int(t.Precision), Scale: int(t.Scale)}
	case *arrow.Int64Type:
		c.Type = schemas.Type{Kind: schemas.Int}
	case *arrow.BooleanType:
		c.Type = schemas.Type{Kind: schemas.Bool}
	case *arrow.TimestampType:
		c.Type = schemas.Type{Kind: schemas.Timestamp}
	default:
		if c.Type.Kind != schemas.JSON {
			c.Type = schemas.Type{Kind: schemas.String}
		}
	}
	if i := indexOf(l.columns, f.Name); i >= 0 {
		l.columns[i].Type = l.columns[i].Type.Widen(c.Type)
		return
	}
	l.columns = append(l.columns, c)
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

// evolve brings the table's columns up to the load's, and stored decimals to their new scale.
func (l *memoryLoad) evolve(t *memoryTable) bool {
	created, changed := t.columns == nil, false
	change := func(kind, column, from, to string) {
		l.s.log("_atsync.schema_changes", map[string]string{"load_id": number(l.id), "entity": t.entity, "change": kind,
			"column_name": column, "old_type": from, "new_type": to})
		changed = true
	}
	if created {
		change("table", "", "", "")
	}
	for _, c := range slices.Concat(l.spec.Table.Columns, l.columns) {
		i := indexOf(t.columns, c.Name)
		if i < 0 {
			t.columns = append(t.columns, c)
			if !created {
				change("column", c.Name, "", c.Type.SQL())
			}
			continue
		}
		old := t.columns[i].Type
		c.Type = old.Widen(c.Type)
		t.columns[i] = c
		if c.Type != old && !created {
			change("type", c.Name, old.SQL(), c.Type.SQL())
		}
	}
	if changed {
		for _, c := range t.columns {
			for _, row := range t.rows {
				rescale(row.cells, c)
			}
		}
	}
	return changed
}

// rescale gives a decimal's text all places of its column's type.
func rescale(cells map[string]string, c schemas.Column) {
	v, ok := cells[c.Name]
	if !ok || c.Type.Kind != schemas.Decimal {
		return
	}
	whole, places, _ := strings.Cut(v, ".")
	cells[c.Name] = whole + "." + places + strings.Repeat("0", max(0, c.Type.Scale-len(places)))
}

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
		case old.hash == row.hash && old.deletedAt.IsZero():
			res.Unchanged++
			continue
		default:
			res.Updated++
			if !old.deletedAt.IsZero() {
				l.s.log("_atsync.tombstone_log", map[string]string{"load_id": number(res.LoadID), "entity": t.entity, "id": number(id), "event": "restored"})
			}
		}
		for _, c := range t.columns {
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

// settleRejects replaces a row's open rejects by those of the version read at the given time.
func (l *memoryLoad) settleRejects(t *memoryTable, id int64, readAt time.Time) (open int64) {
	current := map[[2]string]memoryReject{}
	for _, r := range l.rejects {
		if r.ID == id && r.readAt.Equal(readAt) {
			current[[2]string{number(id), r.Column}] = memoryReject{r.Reject, l.id}
		}
	}
	for key, r := range t.rejects {
		if r.ID != id {
			continue
		}
		if now, ok := current[key]; ok && now.Raw == r.Raw && now.Reason == r.Reason {
			current[key] = r
		}
		delete(t.rejects, key)
	}
	maps.Copy(t.rejects, current)
	return int64(len(current))
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
