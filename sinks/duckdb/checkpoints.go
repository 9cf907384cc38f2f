package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// SetCheckpoint replaces an entity's checkpoint by hand, or forgets it, and logs the change.
func (w *Warehouse) SetCheckpoint(ctx context.Context, entity string, cp *pipeline.Checkpoint, note pipeline.StateNote) error {
	return w.fail(entity, note.Command, w.write(ctx, func(s session) error {
		var known, unfinished bool
		err := s.row(`SELECT count(*) > 0, count(progress) > 0 FROM _atsync.checkpoints WHERE entity = ?`, entity).Scan(&known, &unfinished)
		switch {
		case err != nil:
			return err
		case !known:
			return errors.New("the entity has no checkpoint")
		case unfinished:
			return errors.New("its first load is not complete: the next sync goes on with it, and sync --full reads everything again")
		}
		old, err := checkpointJSON(s, entity)
		if err != nil {
			return err
		}
		if cp == nil {
			if err := s.exec(`DELETE FROM _atsync.checkpoints WHERE entity = ?`, entity); err != nil {
				return err
			}
			return w.logState(s, entity, old, nil, note)
		}
		logs, err := json.Marshal(cp.LogLoads)
		if err != nil {
			return err
		}
		err = s.exec(`UPDATE _atsync.checkpoints SET complete_through = ?, full_at = ?, reread_at = ?, parent_load = ?,
			parent_id = ?, log_loads = ?::JSON, updated_at = ?
			WHERE entity = ?`, instant(cp.CompleteThrough), instant(cp.FullAt), instant(cp.RereadAt), cp.ParentLoad, cp.ParentID,
			string(logs), w.now(), entity)
		if err != nil {
			return err
		}
		set, err := checkpointJSON(s, entity)
		if err != nil {
			return err
		}
		return w.logState(s, entity, old, set, note)
	}))
}

func checkpointJSON(s session, entity string) (string, error) {
	cp, err := checkpoint(s.ctx, s.conn, entity)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(cp)
	return string(text), err
}

// logState notes a change; set is nil for a reset.
func (w *Warehouse) logState(s session, entity, old string, set any, note pipeline.StateNote) error {
	return s.exec(`INSERT INTO _atsync.state_log (changed_at, entity, command, old, new, changed_by, note) VALUES (?, ?, ?, ?::JSON, ?::JSON, ?, ?)`,
		w.now(), entity, note.Command, old, set, text(note.By), text(note.Note))
}

// State is what is stored of one entity's progress.
type State struct {
	Entity     string              `json:"entity"`
	Table      string              `json:"table"`
	Class      string              `json:"class"` // chosen by the last load
	Rows       int64               `json:"rows"`  // live ones
	Checkpoint pipeline.Checkpoint `json:"checkpoint"`
	Reset      bool                `json:"reset"` // there is no checkpoint: the next run reads everything and compares
	LoadID     int64               `json:"load_id,omitempty"`
	RunID      int64               `json:"run_id,omitempty"`
	UpdatedAt  time.Time           `json:"updated_at,omitzero"` // when the checkpoint was written, our clock
}

// ReadStates returns the progress of every entity that has a table, by name, from a database opened with OpenReader.
func ReadStates(ctx context.Context, db Queryer) ([]State, error) {
	out, err := readStates(ctx, db)
	if err != nil {
		return nil, readError("", "", err)
	}
	for i := range out {
		if out[i].Rows, err = LiveRows(ctx, db, out[i].Table); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readStates(ctx context.Context, db Queryer) (out []State, err error) {
	rows, err := db.QueryContext(ctx, `SELECT t.entity, t.table_name, coalesce(c.class, l.class, ''), c.entity IS NULL, c.complete_through,
			c.full_at, c.reread_at, coalesce(c.parent_load, 0), coalesce(c.parent_id, 0), coalesce(c.load_id, 0), coalesce(c.run_id, 0), c.updated_at
		FROM (SELECT entity, any_value(table_name) AS table_name FROM _atsync.columns GROUP BY entity) t
		LEFT JOIN _atsync.checkpoints c ON c.entity = t.entity
		LEFT JOIN (SELECT entity, arg_max(class, load_id) AS class FROM _atsync.loads GROUP BY entity) l ON l.entity = t.entity
		ORDER BY t.entity`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var s State
		cp := &s.Checkpoint
		err := rows.Scan(&s.Entity, &s.Table, &s.Class, &s.Reset, when(&cp.CompleteThrough), when(&cp.FullAt), when(&cp.RereadAt),
			&cp.ParentLoad, &cp.ParentID, &s.LoadID, &s.RunID, when(&s.UpdatedAt))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// saveCheckpoint writes the checkpoint and looks at what has been stored.
func (l *load) saveCheckpoint(s session, cp pipeline.Checkpoint, now time.Time) error {
	entity := l.spec.Table.Entity.Name
	logs, err := json.Marshal(cp.LogLoads)
	if err != nil {
		return err
	}
	progress, err := progressText(cp.Progress)
	if err != nil {
		return err
	}
	const table, returning = `_atsync.checkpoints`, ` RETURNING ` + checkpointColumns
	key := field{"entity", entity}
	fields := []field{
		{"table_name", l.spec.Table.Name}, {"class", string(l.spec.Class)}, {"complete_through", instant(cp.CompleteThrough)},
		{"full_at", instant(cp.FullAt)}, {"reread_at", instant(cp.RereadAt)}, {"parent_load", cp.ParentLoad}, {"parent_id", cp.ParentID},
		{"log_loads", string(logs)}, {"load_id", l.loadID}, {"run_id", l.spec.RunID}, {"updated_at", now}, {"progress", text(progress)},
	}
	got, err := scanCheckpoint(s.row(updateRow(table, fields, key)+returning), entity)
	if errors.Is(err, sql.ErrNoRows) {
		got, err = scanCheckpoint(s.row(insertRow(table, append(fields, key))+returning), entity)
	}
	if err != nil {
		return err
	}
	want := pipeline.Checkpoint{
		CompleteThrough: cp.CompleteThrough.UTC().Truncate(time.Microsecond),
		FullAt:          cp.FullAt.UTC().Truncate(time.Microsecond),
		RereadAt:        cp.RereadAt.UTC().Truncate(time.Microsecond),
		ParentLoad:      cp.ParentLoad,
		ParentID:        cp.ParentID,
		LogLoads:        cp.LogLoads,
	}
	if !got.CompleteThrough.Equal(want.CompleteThrough) || !got.FullAt.Equal(want.FullAt) || !got.RereadAt.Equal(want.RereadAt) ||
		got.ParentLoad != want.ParentLoad || got.ParentID != want.ParentID || !maps.Equal(got.LogLoads, want.LogLoads) ||
		!same(got.Progress, progress) {
		return fmt.Errorf("the checkpoint reads back as %+v, written was %+v", got, want)
	}
	l.saved = &got
	return nil
}
