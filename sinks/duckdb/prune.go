package duckdb

import (
	"context"
	"time"
)

// PrunedRuns counts what PruneRuns removed.
type PrunedRuns struct {
	Runs  int64 `json:"runs"`
	Loads int64 `json:"loads"`
}

const (
	// keptLoads selects the loads that stay however old they are: of each entity the newest, and the newest that
	// succeeded, which freshness speaks of.
	keptLoads = `SELECT id FROM (SELECT max(load_id) AS id FROM _atsync.loads GROUP BY entity
		UNION SELECT max(load_id) FROM _atsync.loads WHERE status = 'ok' AND mode IS DISTINCT FROM 'fetch' AND mode IS DISTINCT FROM 'backfill' GROUP BY entity
		UNION SELECT load_id FROM _atsync.checkpoints) WHERE id IS NOT NULL`

	// idleLoads selects the loads of syncs that found nothing new and that nothing else in the warehouse speaks of.
	idleLoads = `coalesce(status = 'ok' AND mode IN ('incremental', 'parent', 'full', 'log') AND NOT coalesce(schema_changed, false)
		AND coalesce(inserted, 0) + coalesce(updated, 0) + coalesce(deleted, 0) + coalesce(rejected, 0) = 0
		AND load_id NOT IN (SELECT load_id FROM _atsync.schema_changes WHERE load_id IS NOT NULL UNION SELECT load_id FROM _atsync.stamp_misses WHERE load_id IS NOT NULL), false)`

	// doomedLoads and doomedRuns take the two times of PruneRuns.
	doomedLoads = ` FROM _atsync.loads WHERE (ended_at < ? OR ended_at < ? AND ` + idleLoads + `) AND load_id NOT IN (` + keptLoads + `)`
	doomedRuns  = ` FROM _atsync.runs WHERE status <> 'running' AND run_id <> (SELECT max(run_id) FROM _atsync.runs)
		AND (coalesce(ended_at, started_at) < ? OR coalesce(ended_at, started_at) < ? AND command = 'sync' AND status = 'ok' AND NOT contains(coalesce(streams::VARCHAR, ''), '"warnings":')
			AND run_id NOT IN (SELECT run_id FROM _atsync.loads WHERE run_id IS NOT NULL AND NOT ` + idleLoads + `))
		AND run_id NOT IN (SELECT run_id FROM _atsync.loads WHERE run_id IS NOT NULL AND load_id IN (` + keptLoads + `))`
)

// PruneRuns removes runs and loads that ended before a time, and syncs and their loads that found nothing new if they ended before
// idleBefore. Of each entity the newest load stays, with its run; so do the newest run and those that have not ended. With dryRun it only
// counts.
func (w *Warehouse) PruneRuns(ctx context.Context, before, idleBefore time.Time, dryRun bool) (n PrunedRuns, err error) {
	err = w.write(ctx, func(s session) error {
		times := []any{instant(before), instant(idleBefore)}
		if n.Runs, err = s.number(`SELECT count(*)`+doomedRuns, times...); err != nil {
			return err
		}
		if n.Loads, err = s.number(`SELECT count(*)`+doomedLoads, times...); err != nil || dryRun {
			return err
		}
		if err := s.exec(`DELETE`+doomedRuns, times...); err != nil {
			return err
		}
		return s.exec(`DELETE`+doomedLoads, times...)
	})
	return n, w.fail("", "prune runs", err)
}
