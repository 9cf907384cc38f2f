package duckdb

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// DuckDB folds its log into the file when it is this long. That writes the last row group again, which a load that flushes
// page by page would pay for every second, so its log may grow longer. What the log holds is in memory, too, so it must stay
// well below the memory limit: a checkpoint that cannot get the memory it needs ends the warehouse.
const (
	logSize        = "16MB"
	logSizeFlushed = "64MB"
)

// letLogGrow sets how long the log may get while n loads are flushed.
func (w *Warehouse) letLogGrow(ctx context.Context, n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.flushing
	w.flushing += n
	size := logSize
	if w.flushing > 0 {
		size = logSizeFlushed
	}
	if (before > 0) == (w.flushing > 0) {
		return nil
	}
	_, err := w.db.ExecContext(ctx, `SET GLOBAL checkpoint_threshold = `+literal(size))
	return err
}

// Flush stores what was staged of a first load, and how far it has come, and starts the load's next transaction with
// the next batch.
func (l *load) Flush(ctx context.Context, cp pipeline.Checkpoint) error {
	return l.w.fail(l.spec.Table.Entity.Name, "flush", l.keep(l.flush(ctx, cp)))
}

func (l *load) flush(ctx context.Context, cp pipeline.Checkpoint) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	if !l.spec.Fresh {
		return errors.New("only a fresh load can be flushed")
	}
	if err := l.finish(); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	if !l.grown {
		l.grown = true
		if err := errors.Join(l.w.letLogGrow(ctx, 1), l.w.growMemory(ctx)); err != nil {
			return err
		}
	}
	if err := l.w.lock(ctx); err != nil {
		return err
	}
	defer l.w.unlock()
	s := session{ctx, l.conn}
	if err := s.end(l.storeRows(s, cp)); err != nil {
		return err
	}
	l.begun, l.flushed = false, true
	l.stored = slices.Clone(l.target)
	l.committed(false)
	return nil
}

// storeRows completes the transaction of a flush.
func (l *load) storeRows(s session, cp pipeline.Checkpoint) error {
	now := l.w.now()
	if l.target == nil { // nothing was staged yet
		if err := l.fitTable(nil); err != nil {
			return err
		}
	}
	l.fill(l.target)
	changed, err := l.describe(s, now)
	if err != nil {
		return err
	}
	l.evolved = l.evolved || changed
	if err := l.storeRejects(s, now); err != nil {
		return err
	}
	if !l.flushed {
		err := s.exec(`INSERT INTO _atsync.loads (load_id, run_id, entity, table_name, class, complete, started_at, status, fetched, inserted,
			updated, unchanged, deleted, rejected, requests, schema_changed) VALUES (?, ?, ?, ?, ?, ?, ?, 'running', 0, 0, 0, 0, 0, 0, 0, false)`,
			l.loadID, l.spec.RunID, l.spec.Table.Entity.Name, l.spec.Table.Name, string(l.spec.Class), l.spec.Complete, l.started)
		if err != nil {
			return err
		}
	}
	return l.saveCheckpoint(s, cp, now)
}

// storeRejects moves the rejects of rows that are in the table for the first time to _atsync.rejects.
func (l *load) storeRejects(s session, now time.Time) error {
	if err := l.flushRejects(s); err != nil || !l.spilled {
		return err
	}
	err := s.exec(`INSERT INTO _atsync.rejects (entity, table_name, id, column_name, field, raw, reason, load_id, found_at, tenant)
		SELECT ?, ?, id, column_name, any_value(field), any_value(raw), any_value(reason), ?, ?::TIMESTAMPTZ, ?
		FROM `+tempTable(rejectTable)+` GROUP BY id, column_name`, l.spec.Table.Entity.Name, l.spec.Table.Name, l.loadID, now, l.w.opts.Tenant)
	if err != nil {
		return err
	}
	return s.exec(`DELETE FROM ` + tempTable(rejectTable))
}

// goesOn reports whether the table has rows of the load already: those of earlier flushes, or of one that was interrupted.
func (l *load) goesOn() bool { return l.flushed || l.direct && l.base > 0 }

// complete settles a load whose rows are in the table already: those of earlier flushes, of this load or of one that
// was interrupted, and the last ones.
func (l *load) complete(s session, res *pipeline.LoadResult, now time.Time) error {
	if err := l.storeRejects(s, now); err != nil {
		return err
	}
	ids, err := dedupe(s, mainTable(l.spec.Table.Name), l.version("", l.target))
	if err != nil {
		return err
	}
	res.Inserted = ids - l.base
	if res.Rejected, err = s.number(`SELECT count(*) FROM _atsync.rejects WHERE entity = ? AND acknowledged_at IS NULL`, l.spec.Table.Entity.Name); err != nil {
		return err
	}
	return s.exec(`DELETE FROM _atsync.loads WHERE load_id = ?`, l.loadID) // the record that says that it is running
}
