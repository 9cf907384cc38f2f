package duckdb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// memo is what a warehouse has read of its own records: nobody else changes them while the file is open, and a run asks
// for them several times an entity. It is safe for concurrent use.
type memo struct {
	mu     sync.Mutex
	shapes map[string]shape // by entity; nil: not read yet
	meta   map[string]storedMetadata
	stands map[string]standing  // by entity
	turns  map[string]int64     // by entity, "" for all: how often its standing has changed
	latest map[string]time.Time // by entity: no stored row was read later; unknown where there is none
}

// standing is what is stored of an entity beside its description.
type standing struct {
	checkpoint pipeline.Checkpoint
	rows, live int64
	maxID      *int64
	rejects    int64 // acknowledged ones too
	open       pipeline.OpenRejects
}

// storedMetadata is an entity's row of _atsync.metadata.
type storedMetadata struct {
	parsed *schemas.Metadata // shared: it must not be changed
	at     time.Time
}

// columns returns the shape of an entity's table as it is committed, nil if it has none.
func (w *Warehouse) columns(ctx context.Context, entity string) (shape, error) {
	w.memo.mu.Lock()
	defer w.memo.mu.Unlock()
	if w.memo.shapes == nil {
		shapes, err := readShapes(ctx, w.db)
		if err != nil {
			return nil, err
		}
		w.memo.shapes = shapes
	}
	return slices.Clone(w.memo.shapes[entity]), nil
}

// metadata returns an entity's metadata as it is committed, zero if it has none.
func (w *Warehouse) metadata(ctx context.Context, entity string) (storedMetadata, error) {
	w.memo.mu.Lock()
	defer w.memo.mu.Unlock()
	if m, ok := w.memo.meta[entity]; ok {
		return m, nil
	}
	var m storedMetadata
	raw, at, err := readMetadata(ctx, w.db, entity)
	if err != nil {
		return m, err
	}
	if raw != "" {
		m = storedMetadata{new(schemas.Metadata), at}
		if err := json.Unmarshal([]byte(raw), m.parsed); err != nil {
			return m, fmt.Errorf("stored metadata of %s: %w", entity, err)
		}
	}
	if w.memo.meta == nil {
		w.memo.meta = map[string]storedMetadata{}
	}
	w.memo.meta[entity] = m
	return m, nil
}

// forgetShapes has them read anew, after a commit that has changed one.
func (m *memo) forgetShapes() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shapes = nil
}

// forgetMetadata has an entity's read anew, after it was saved.
func (m *memo) forgetMetadata(entity string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.meta, entity)
}

// standing returns where an entity stands as it is committed.
func (w *Warehouse) standing(ctx context.Context, entity string) (standing, error) {
	for {
		st, turn, ok := w.memo.knownStanding(entity)
		if ok {
			return st, nil
		}
		shape, err := w.columns(ctx, entity)
		if err != nil {
			return standing{}, err
		}
		if st, err = readStanding(ctx, w.db, entity, shape != nil); err != nil {
			return standing{}, err
		}
		if w.memo.keepStanding(entity, turn, st) {
			return st, nil
		}
	}
}

// knownStanding returns an entity's standing, if it is known, and how often it has changed.
func (m *memo) knownStanding(entity string) (st standing, turn int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st, ok = m.stands[entity]
	return st.clone(), m.turn(entity), ok
}

// keepStanding keeps what was read, unless it has changed since that turn: then it must be read again.
func (m *memo) keepStanding(entity string, turn int64, st standing) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn(entity) != turn {
		return false
	}
	if st.checkpoint.Progress != nil { // that of a first load changes with every flush
		return true
	}
	if m.stands == nil {
		m.stands = map[string]standing{}
	}
	m.stands[entity] = st.clone()
	return true
}

func (m *memo) turn(entity string) int64 { return m.turns[entity] + m.turns[""] }

// clone makes a copy that its owner may change.
func (st standing) clone() standing {
	st.checkpoint.LogLoads = maps.Clone(st.checkpoint.LogLoads)
	st.open.IDs = slices.Clone(st.open.IDs)
	return st
}

// forgetStanding has it read anew, after a commit; "" is every entity's.
func (m *memo) forgetStanding(entity string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(entity)
}

func (m *memo) forget(entity string) {
	if m.turns == nil {
		m.turns = map[string]int64{}
	}
	m.turns[entity]++
	delete(m.stands, entity)
	if entity == "" {
		clear(m.stands)
	}
}

// readUntil returns a time after which no stored row of an entity was read, zero if that is not known.
func (m *memo) readUntil(entity string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest[entity]
}

// setReadUntil notes that time, zero if it is not known any more.
func (m *memo) setReadUntil(entity string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest == nil {
		m.latest = map[string]time.Time{}
	}
	m.latest[entity] = at
}

// moved notes a checkpoint that a commit has moved without changing anything else.
func (m *memo) moved(entity string, cp pipeline.Checkpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st, ok := m.stands[entity]
	m.forget(entity)
	if ok && cp.Progress == nil {
		st.checkpoint = cp
		m.stands[entity] = st.clone()
	}
}

// readStanding reads where an entity stands in one statement; it may have a table or not.
func readStanding(ctx context.Context, q querier, entity string, table bool) (st standing, err error) {
	if !table {
		st.checkpoint, err = checkpoint(ctx, q, entity)
		return st, err
	}
	row := q.QueryRowContext(ctx, `SELECT `+checkpointColumns+`, stored, live, top, rejects, open
		FROM (SELECT count(*) AS stored, count(*) FILTER (WHERE _deleted_at IS NULL) AS live, max(id) AS top FROM `+mainTable(schemas.TableName(entity))+`),
			(SELECT count(*) AS rejects, count(*) FILTER (WHERE acknowledged_at IS NULL) AS open FROM _atsync.rejects WHERE entity = ?)
		LEFT JOIN _atsync.checkpoints ON entity = ?`, entity, entity)
	st.checkpoint, err = scanCheckpoint(row, entity, &st.rows, &st.live, &st.maxID, &st.rejects, &st.open.Count)
	if err == nil && st.open.Count > 0 {
		st.open, err = openRejects(ctx, q, entity)
	}
	return st, err
}

// readShapes reads the shapes of all tables by entity.
func readShapes(ctx context.Context, q querier) (map[string]shape, error) {
	rows, err := q.QueryContext(ctx, `SELECT entity, column_name, source, udf, type, coalesce(reference, ''), picklist, queryable, in_metadata,
		coalesce(udf_id, 0), retired_at IS NOT NULL, coalesce(partial_since, 0) FROM _atsync.columns ORDER BY entity, ordinal`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	shapes := map[string]shape{}
	for rows.Next() {
		var c schemas.Column
		var entity, sqlType string
		if err := rows.Scan(&entity, &c.Name, &c.Source, &c.UDF, &sqlType, &c.Reference, &c.Picklist, &c.Queryable, &c.InMetadata,
			&c.UDFID, &c.Retired, &c.PartialSince); err != nil {
			return nil, err
		}
		if c.Type, err = schemas.ParseSQLType(sqlType); err != nil {
			return nil, fmt.Errorf("column %s of %s: %w", c.Name, entity, err)
		}
		shapes[entity] = append(shapes[entity], c)
	}
	return shapes, rows.Err()
}

// readMetadata reads an entity's metadata as it is stored, "" if there is none.
func readMetadata(ctx context.Context, q querier, entity string) (raw string, at time.Time, err error) {
	err = q.QueryRowContext(ctx, `SELECT metadata::VARCHAR, read_at FROM _atsync.metadata WHERE entity = ?`, entity).Scan(&raw, when(&at))
	return raw, at, noRows(err)
}
