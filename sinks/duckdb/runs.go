package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// BeginRun records a run's start. Runs that an earlier process left running are marked interrupted; a backfill only by
// the next one, since it works beside others.
func (w *Warehouse) BeginRun(ctx context.Context, run pipeline.Run) (int64, error) {
	id := w.runID.Add(1)
	err := w.record(ctx, func(s session) error {
		if err := w.interrupt(s, run.Command); err != nil {
			return err
		}
		return s.exec(`INSERT INTO _atsync.runs (run_id, tenant, command, started_at, status, requests, streams)
			VALUES (?, ?, ?, ?, 'running', 0, '[]')`, id, w.opts.Tenant, run.Command, instant(run.StartedAt))
	})
	if err != nil {
		return 0, w.fail("", "begin run", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[id] = true
	return id, nil
}

func (w *Warehouse) interrupt(s session, command string) error {
	if n, err := s.number(`SELECT count(*) FROM _atsync.runs WHERE status = 'running'`); err != nil || n == 0 {
		return err
	}
	w.mu.Lock()
	mine := slices.Collect(maps.Keys(w.running))
	w.mu.Unlock()
	query := `UPDATE _atsync.runs SET status = 'interrupted', ended_at = ?, error = 'the process ended before the run did', error_class = 'canceled'
		WHERE status = 'running' AND (command <> 'backfill' OR command = ?)`
	if len(mine) > 0 {
		query += ` AND run_id NOT IN (` + numbers(mine) + `)`
	}
	if err := s.exec(query, w.now(), command); err != nil {
		return err
	}
	// of first loads that had stored some of their rows
	return s.exec(`UPDATE _atsync.loads SET status = 'interrupted', ended_at = ?, error = 'the process ended before the load did', error_class = 'canceled'
		WHERE status = 'running' AND run_id IN (SELECT run_id FROM _atsync.runs WHERE status = 'interrupted')`, w.now())
}

// EndRun records a run's outcome, with a load record for every stream that failed.
func (w *Warehouse) EndRun(ctx context.Context, run pipeline.Run) error {
	streams, err := json.Marshal(slices.Concat([]pipeline.StreamReport{}, run.Streams))
	if err != nil {
		return w.fail("", "end run", err)
	}
	var quota sql.NullString
	if run.Quota != nil {
		b, err := json.Marshal(run.Quota)
		if err != nil {
			return w.fail("", "end run", err)
		}
		quota = sql.NullString{String: clean(string(b)), Valid: true}
	}
	err = w.record(ctx, func(s session) error {
		n, err := s.count(`UPDATE _atsync.runs SET ended_at = ?, status = ?, requests = ?, error = ?, error_class = ?,
			streams = CASE WHEN ? THEN streams ELSE ?::JSON END, quota = coalesce(?::JSON, quota) WHERE run_id = ?`,
			instant(run.EndedAt), string(run.Status), run.Requests, text(run.Error), text(string(run.ErrorClass)),
			run.Streams == nil, clean(string(streams)), quota, run.ID)
		if err != nil {
			return err
		}
		if n != 1 {
			return errors.New("no run " + strconv.FormatInt(run.ID, 10))
		}
		for _, r := range run.Streams {
			if err := w.recordStream(s, run, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return w.fail("", "end run", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, run.ID)
	if len(w.running) == 0 {
		clear(w.recorded)
	}
	return nil
}

// recordedLoad is what a load's record says that its run may know better in the end.
type recordedLoad struct {
	mode     string
	requests int64
}

// recordStream completes the record of a committed load, or writes one for a stream that stored nothing.
func (w *Warehouse) recordStream(s session, run pipeline.Run, r pipeline.StreamReport) error {
	if r.LoadID != 0 {
		w.mu.Lock()
		said, done := w.recorded[r.LoadID]
		w.mu.Unlock()
		done = done && said == recordedLoad{r.Mode, r.Requests}
		var err error
		if !done {
			err = s.exec(`UPDATE _atsync.loads SET mode = ?, requests = ? WHERE load_id = ?`, text(r.Mode), r.Requests, r.LoadID)
		}
		if err != nil || r.Status == pipeline.StatusOK || r.Status == pipeline.StatusPartial {
			return err
		}
	}
	switch r.Status {
	case pipeline.StatusFailed, pipeline.StatusPartial, pipeline.StatusInterrupted:
	default:
		return nil
	}
	n, err := s.count(`UPDATE _atsync.loads SET mode = ?, ended_at = ?, status = ?, requests = ?, error = ?, error_class = ?
		WHERE run_id = ? AND entity = ? AND status = 'running'`, text(r.Mode), instant(run.EndedAt), string(r.Status), r.Requests, text(r.Error),
		text(string(r.ErrorClass)), run.ID, r.Entity) // a first load that has stored some of its rows
	if err != nil || n > 0 {
		return err
	}
	started := run.EndedAt.Add(-time.Duration(r.Seconds * float64(time.Second)))
	return s.exec(`INSERT INTO _atsync.loads (load_id, run_id, entity, table_name, mode, class, started_at, ended_at, status, fetched,
		inserted, updated, unchanged, deleted, rejected, requests, schema_changed, error, error_class)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, ?, false, ?, ?)`,
		w.loadID.Add(1), run.ID, r.Entity, r.Table, text(r.Mode), text(r.Class), instant(started), instant(run.EndedAt), string(r.Status),
		r.Fetched, r.Requests, text(r.Error), text(string(r.ErrorClass)))
}

// Hold returns the tenant's auth hold, or nil.
func (w *Warehouse) Hold(ctx context.Context) (*pipeline.Hold, error) {
	var h pipeline.Hold
	err := w.db.QueryRowContext(ctx, `SELECT since, reason, fingerprint FROM _atsync.holds`).Scan(when(&h.Since), &h.Reason, &h.Fingerprint)
	if err != nil {
		return nil, w.fail("", "read hold", noRows(err))
	}
	return &h, nil
}

// SetHold places a hold, or lifts it.
func (w *Warehouse) SetHold(ctx context.Context, hold *pipeline.Hold) error {
	return w.fail("", "set hold", w.record(ctx, func(s session) error {
		if err := s.exec(`DELETE FROM _atsync.holds`); err != nil || hold == nil {
			return err
		}
		return s.exec(`INSERT INTO _atsync.holds VALUES (?, ?, ?, ?)`, w.opts.Tenant, instant(hold.Since), clean(hold.Reason), clean(hold.Fingerprint))
	}))
}
