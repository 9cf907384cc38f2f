package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/atsync/atsync/pipeline"
)

// Stream returns what is stored of an entity.
func (w *Warehouse) Stream(ctx context.Context, entity string) (pipeline.StreamState, error) {
	st, err := w.stream(ctx, entity)
	return st, w.fail(entity, "read state", err)
}

func (w *Warehouse) stream(ctx context.Context, entity string) (st pipeline.StreamState, err error) {
	stand, err := w.standing(ctx, entity)
	if err != nil {
		return st, err
	}
	st.Checkpoint, st.LiveRows, st.MaxID, st.OpenRejects = stand.checkpoint, stand.live, stand.maxID, stand.open
	if st.Columns, err = w.columns(ctx, entity); err != nil {
		return st, err
	}
	meta, err := w.metadata(ctx, entity)
	if err != nil {
		return st, err
	}
	st.Metadata, st.MetadataAt = meta.parsed, meta.at
	return st, nil
}

// checkpoint reads an entity's checkpoint, zero if it has none.
func checkpoint(ctx context.Context, q querier, entity string) (pipeline.Checkpoint, error) {
	cp, err := scanCheckpoint(q.QueryRowContext(ctx, `SELECT `+checkpointColumns+` FROM _atsync.checkpoints WHERE entity = ?`, entity), entity)
	return cp, noRows(err)
}

// checkpointColumns are those that scanCheckpoint takes.
const checkpointColumns = `complete_through, full_at, reread_at, coalesce(parent_load, 0), coalesce(parent_id, 0), coalesce(log_loads::VARCHAR, '{}'),
	coalesce(progress::VARCHAR, '')`

// scanCheckpoint takes a row of checkpointColumns, and more columns after them.
func scanCheckpoint(row *sql.Row, entity string, more ...any) (cp pipeline.Checkpoint, err error) {
	var logs, progress string
	err = row.Scan(append([]any{when(&cp.CompleteThrough), when(&cp.FullAt), when(&cp.RereadAt), &cp.ParentLoad, &cp.ParentID, &logs, &progress}, more...)...)
	if err != nil {
		return cp, err
	}
	if err := json.Unmarshal([]byte(logs), &cp.LogLoads); err != nil {
		return cp, fmt.Errorf("checkpoint of %s: %w", entity, err)
	}
	if len(cp.LogLoads) == 0 {
		cp.LogLoads = nil
	}
	if progress == "" {
		return cp, nil
	}
	cp.Progress = new(pipeline.Progress)
	if err := json.Unmarshal([]byte(progress), cp.Progress); err != nil {
		return cp, fmt.Errorf("stored progress of %s: %w", entity, err)
	}
	return cp, nil
}

// progressText is how progress is stored; "" is none.
func progressText(p *pipeline.Progress) (string, error) {
	if p == nil {
		return "", nil
	}
	raw, err := json.Marshal(p)
	return string(raw), err
}

// same reports whether progress was stored as the text.
func same(p *pipeline.Progress, stored string) bool {
	text, err := progressText(p)
	return err == nil && text == stored
}

// Changed returns the ids written or tombstoned by loads after the given one, and the newest load among
// the table's rows.
func (w *Warehouse) Changed(ctx context.Context, table string, after int64) ([]int64, int64, error) {
	ids, newest, err := w.changed(ctx, table, after)
	return ids, newest, w.fail(table, "find changed rows", err)
}

func (w *Warehouse) changed(ctx context.Context, table string, after int64) (ids []int64, newest int64, err error) {
	var known int64
	err = w.db.QueryRowContext(ctx, `SELECT count(*) FROM _atsync.columns WHERE table_name = ?`, table).Scan(&known)
	if err != nil || known == 0 {
		return nil, 0, err
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer discard(conn)
	s := session{ctx, conn}
	if err := s.exec("BEGIN TRANSACTION"); err != nil { // both answers from one snapshot
		return nil, 0, err
	}
	if newest, err = s.number(`SELECT coalesce(max(_load_id), 0) FROM ` + mainTable(table)); err != nil {
		return nil, 0, err
	}
	if ids, err = queryIDs(ctx, conn, `SELECT id FROM `+mainTable(table)+` WHERE _load_id > ? ORDER BY id`, after); err != nil {
		return nil, 0, err
	}
	return ids, newest, s.end(nil)
}

// Recall returns a value that Remember keeps, or "".
func (w *Warehouse) Recall(ctx context.Context, key string) (string, error) {
	var value string
	err := w.db.QueryRowContext(ctx, `SELECT value FROM _atsync.info WHERE key = ?`, rememberPrefix+key).Scan(&value)
	return value, w.fail("", "recall", noRows(err))
}

// Remember keeps a value for later processes. It is no change that readers see.
func (w *Warehouse) Remember(ctx context.Context, key, value string) error {
	return w.fail("", "remember", w.record(ctx, func(s session) error {
		return saveInfo(s, rememberPrefix+key, value)
	}))
}

// rememberPrefix keeps remembered keys apart from the warehouse's own.
const rememberPrefix = "remember."
