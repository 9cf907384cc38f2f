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

// keptLoads selects the loads that stay however old they are: of each entity the newest, and the newest that
// succeeded, which freshness speaks of.
const keptLoads = `SELECT id FROM (SELECT max(load_id) AS id FROM _atsync.loads GROUP BY entity
	UNION SELECT max(load_id) FROM _atsync.loads WHERE status = 'ok' AND mode IS DISTINCT FROM 'fetch' AND mode IS DISTINCT FROM 'backfill' GROUP BY entity
	UNION SELECT load_id FROM _atsync.checkpoints) WHERE id IS NOT NULL`

// quietLoads selects the loads that no row speaks of: they found nothing that was not there.
const quietLoads = `(status = 'ok' AND NOT coalesce(schema_changed, false) AND coalesce(inserted, 0) + coalesce(updated, 0) + coalesce(deleted, 0) + coalesce(rejected, 0) = 0)`

// PruneRuns removes runs that began, and loads that ended, before a time, and such syncs as found nothing new if they began or ended before
// quietBefore. Of each entity the newest load stays, with its run; so do the newest run and those that have not ended. With dryRun it only
// counts.
func (w *Warehouse) PruneRuns(ctx context.Context, before, quietBefore time.Time, dryRun bool) (n PrunedRuns, err error) {
	const (
		loads = ` FROM _atsync.loads WHERE (ended_at < ? OR ended_at < ? AND ` + quietLoads + `) AND load_id NOT IN (` + keptLoads + `)`
		runs  = ` FROM _atsync.runs WHERE status <> 'running' AND run_id <> (SELECT max(run_id) FROM _atsync.runs)
			AND (started_at < ? OR started_at < ? AND command = 'sync' AND status = 'ok' AND run_id NOT IN (SELECT run_id FROM _atsync.loads WHERE run_id IS NOT NULL AND NOT ` + quietLoads + `))
			AND run_id NOT IN (SELECT run_id FROM _atsync.loads WHERE run_id IS NOT NULL AND load_id IN (` + keptLoads + `))`
	)
	err = w.write(ctx, func(s session) error {
		if n.Runs, err = s.number(`SELECT count(*)`+runs, instant(before), instant(quietBefore)); err != nil {
			return err
		}
		if n.Loads, err = s.number(`SELECT count(*)`+loads, instant(before), instant(quietBefore)); err != nil || dryRun {
			return err
		}
		if err := s.exec(`DELETE`+runs, instant(before), instant(quietBefore)); err != nil {
			return err
		}
		return s.exec(`DELETE`+loads, instant(before), instant(quietBefore))
	})
	return n, w.fail("", "prune runs", err)
}
