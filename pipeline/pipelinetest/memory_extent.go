package pipelinetest

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// Extent implements pipeline.Sink.
func (s *MemorySink) Extent(ctx context.Context, table string, after, until *int64) (pipeline.Extent, error) {
	ids, err := s.LiveIDs(ctx, table, after, until)
	e := pipeline.Extent{Live: int64(len(ids))}
	if len(ids) > 0 {
		e.Median = ids[(len(ids)-1)/2]
	}
	return e, err
}

// LiveIDs implements pipeline.Sink.
func (s *MemorySink) LiveIDs(ctx context.Context, table string, after, until *int64) (ids []int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, row := range s.rowsOf(table) {
		if row.deletedAt.IsZero() && (after == nil || id > *after) && (until == nil || id <= *until) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, s.fail(table, "list ids", context.Cause(ctx))
}

// Duplicates implements pipeline.Sink. Rows are kept by id: none can be there twice.
func (s *MemorySink) Duplicates(ctx context.Context, table string) (int64, error) {
	return 0, s.fail(table, "look for repeated ids", context.Cause(ctx))
}

// Named implements pipeline.Sink.
func (s *MemorySink) Named(ctx context.Context, f pipeline.Feed) (values []int64, newest int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.rowsOf(f.Table) {
		newest = max(newest, row.loadID)
		at, err := time.Parse(stampLayout, row.cells[f.Stamp])
		recent := err == nil && !f.Recent.IsZero() && !at.Before(f.Recent)
		if row.loadID <= f.After && !recent || err == nil && at.Before(f.Since) {
			continue
		}
		if v, err := strconv.ParseInt(row.cells[f.Column], 10, 64); err == nil {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values), newest, s.fail(f.Table, "follow log", context.Cause(ctx))
}

// rowsOf returns a table's rows. The caller holds s.mu.
func (s *MemorySink) rowsOf(table string) map[int64]*memoryRow {
	for _, t := range s.tables {
		if t.name == table {
			return t.rows
		}
	}
	return nil
}

// misses counts the rows that a whole re-read finds changed though no stamp says so.
type misses struct {
	compared, missed int64
	ids              []int64
}

func (m *misses) compare(id int64, old, row *memoryRow) {
	if old == nil || !old.deletedAt.IsZero() {
		return
	}
	m.compared++
	if old.hash != row.hash && !row.seen {
		m.missed, m.ids = m.missed+1, append(m.ids, id)
	}
}

// logMisses writes the row of _atsync.stamp_misses that a whole re-read owes.
func (l *memoryLoad) logMisses(t *memoryTable, m misses) {
	if l.spec.MissedSince.IsZero() {
		return
	}
	slices.Sort(m.ids)
	ids, _ := json.Marshal(append([]int64{}, m.ids[:min(10, len(m.ids))]...)) // integers always marshal
	l.s.log("_atsync.stamp_misses", map[string]string{"entity": t.entity, "table_name": t.name, "load_id": number(l.s.loads),
		"compared": number(m.compared), "missed": number(m.missed), "example_ids": string(ids)})
}

// reads returns the columns of the stamps that an incremental read asks for.
func (l *memoryLoad) reads() (out []string) {
	for _, field := range l.spec.Table.Reads().Stamps {
		out = append(out, l.spec.Table.Column(field).Name)
	}
	return out
}
