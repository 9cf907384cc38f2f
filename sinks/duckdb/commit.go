package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Commit merges what was staged and records it, in one transaction, alone among all commits.
// The load has ended when it returns, whatever it returns.
func (l *load) Commit(ctx context.Context, c pipeline.Commit) (pipeline.LoadResult, error) {
	entity := l.spec.Table.Entity.Name
	if l.ended {
		return pipeline.LoadResult{}, l.w.fail(entity, "commit", errors.New("the load has ended"))
	}
	defer l.release()
	res, err := l.commit(ctx, c)
	if err != nil {
		l.cancel()
		_ = l.finish() // a running insert, if the failure came before it ended; err is what matters
		return pipeline.LoadResult{}, l.w.fail(entity, "commit", err)
	}
	return res, nil
}

func (l *load) commit(ctx context.Context, c pipeline.Commit) (pipeline.LoadResult, error) {
	none := pipeline.LoadResult{}
	if err := l.usable(ctx); err != nil {
		return none, err
	}
	if len(l.rejects) > 0 { // they settle against the staged rows
		if err := l.unhold(ctx); err != nil {
			return none, err
		}
	}
	if err := errors.Join(l.sift(ctx), l.finish()); err != nil {
		return none, err
	}
	if l.fetched == 0 && !l.spec.Fresh {
		l.direct = false // the merge of nothing creates the table
	}
	if err := l.open(); err != nil {
		return none, err
	}
	if err := l.w.lock(ctx); err != nil {
		return none, err
	}
	defer l.w.unlock()
	s := session{ctx, l.conn}
	if err := l.transact(s); err != nil {
		return none, err
	}
	var res pipeline.LoadResult
	err := s.end(func() (err error) {
		res, err = l.merge(s, c)
		return err
	}())
	if err != nil {
		return none, err
	}
	l.w.mu.Lock()
	l.w.recorded[l.loadID] = recordedLoad{string(l.spec.Mode), c.Requests}
	l.w.mu.Unlock()
	l.committed(l.quiet(c, res))
	return res, nil
}

// quiet reports whether a commit has changed nothing of the entity but its checkpoint.
func (l *load) quiet(c pipeline.Commit, res pipeline.LoadResult) bool {
	rows := l.direct || l.fetched > 0 && !l.known || len(c.Tombstones) > 0
	return l.saved != nil && !rows && !l.spilled && !l.renewed && !res.SchemaChanged
}

// committed makes what the transaction has changed known; quiet: nothing but the checkpoint.
func (l *load) committed(quiet bool) {
	l.w.version.Add(1)
	if l.renewed {
		l.renewed = false
		l.w.memo.forgetShapes()
	}
	if quiet {
		l.w.memo.moved(l.spec.Table.Entity.Name, *l.saved)
		return
	}
	l.w.memo.setReadUntil(l.spec.Table.Entity.Name, l.readUntil)
	l.w.memo.forgetStanding(l.spec.Table.Entity.Name)
}

// merge does the work of the transaction, step by step.
func (l *load) merge(s session, c pipeline.Commit) (pipeline.LoadResult, error) {
	res := pipeline.LoadResult{LoadID: l.loadID, Fetched: l.fetched}
	now := l.w.now()
	var err error
	if res.SchemaChanged, err = l.settleShape(s, c, now); err != nil {
		return res, err
	}
	if err := l.flushRejects(s); err != nil {
		return res, err
	}
	switch {
	case l.goesOn():
		err = l.complete(s, &res, now)
	case l.direct:
		err = l.settle(s, &res)
	case l.known:
		res.Unchanged = int64(len(l.ids))
	case l.fetched > 0:
		err = l.upsert(s, &res, now)
	}
	if err == nil {
		err = l.recordMisses(s, now)
	}
	if err != nil {
		return res, err
	}
	if res.Deleted, err = l.bury(s, c, now); err != nil {
		return res, err
	}
	if err := l.record(s, c, res, now); err != nil {
		return res, err
	}
	if len(c.Chunks) > 0 {
		return res, l.saveProgress(s, c.Chunks)
	}
	return res, l.saveCheckpoint(s, c.Checkpoint, now)
}

// settleShape brings the table to its shape and reports whether readers see a difference.
func (l *load) settleShape(s session, c pipeline.Commit, now time.Time) (bool, error) {
	var err error
	switch {
	case !l.direct:
		err = l.fitMerge(s)
	case l.target == nil: // nothing was staged
		err = l.fitTable(nil)
	}
	if err != nil {
		return false, err
	}
	l.fill(l.target)
	changed, err := l.describe(s, now)
	if err != nil || changed || l.evolved || len(c.Chunks) > 0 {
		return changed || l.evolved, err
	}
	return l.partial, nil
}

// fitMerge evolves the table for the staged columns. Afterwards target is the table's shape.
func (l *load) fitMerge(s session) error {
	to, changes := l.stored.grow(l.spec.Table.Columns)
	to, more := to.grow(l.target)
	l.staged, l.target = l.target, to
	return evolve(s, l.spec.Table, l.stored, to, append(changes, more...))
}

// settle removes duplicate ids from a table that this load alone has filled.
func (l *load) settle(s session, res *pipeline.LoadResult) error {
	table := mainTable(l.spec.Table.Name)
	var err error
	if res.Inserted, err = l.dedupe(s, table, l.target); err != nil {
		return err
	}
	res.Rejected, err = l.settleRejects(s, table)
	return err
}

// upsert merges the stage into a table that has rows: the stored versions of rows that are newer in the stage go, then what
// else the stage has of the table leaves the stage, and what is left of the stage is written.
func (l *load) upsert(s session, res *pipeline.LoadResult, now time.Time) error {
	stage := tempTable(stageTable)
	distinct, err := l.dedupe(s, stage, l.staged)
	if err != nil {
		return err
	}
	seen, err := l.look(s, now)
	if err != nil {
		return err
	}
	if err := l.carry(s); err != nil {
		return err
	}
	if !l.spec.MissedSince.IsZero() { // the misses are counted by comparing every row
		if err := l.match(s, seen); err != nil {
			return err
		}
	}
	if res.Updated, err = l.replace(s, seen, now); err != nil {
		return err
	}
	if res.Updated > distinct {
		return fmt.Errorf("%d rows replaced by %d: an id is in the table twice", res.Updated, distinct)
	}
	rest := res.Updated < distinct // rows that are stored as they are staged, or newer, or new ones
	if rest && l.spec.MissedSince.IsZero() {
		if err := l.match(s, seen); err != nil {
			return err
		}
	}
	var late, unchanged int64
	if rest {
		err := s.row(`SELECT count(*) FILTER (older), count(*) FILTER (same AND NOT older) FROM `+tempTable(matchTable)).Scan(&late, &unchanged)
		if err != nil {
			return err
		}
	}
	if err := unstage(s, "older", late); err != nil {
		return err
	}
	if res.Rejected, err = l.settleRejects(s, stage); err != nil {
		return err
	}
	if err := unstage(s, "same AND NOT older", unchanged); err != nil {
		return err
	}
	res.Unchanged = late + unchanged
	res.Inserted = distinct - res.Updated - res.Unchanged
	return l.insertStaged(s, res.Inserted+res.Updated)
}

// sight is what a merge knows of a table before it touches it.
type sight struct {
	older string // condition for staged rows s that must not replace their stored versions t
	same  string // condition for those that say what is stored
}

// look makes the conditions of the merge. What was read before the stored version, or before the row was found deleted, comes late;
// a time ahead of our clock was written by a clock that was wrong.
func (l *load) look(s session, now time.Time) (sight, error) {
	table := mainTable(l.spec.Table.Name)
	same := []string{`t._row_hash = s._row_hash`}
	if l.dead {
		same = append(same, `t._deleted_at IS NULL`)
	}
	for _, name := range l.doubtful() {
		same = append(same, `t.`+ident(name)+` IS NOT DISTINCT FROM s.`+ident(name)+`::`+l.target.find(name).Type.SQL())
	}
	seen := sight{older: "false", same: strings.Join(same, " AND ")}
	known := l.w.memo.readUntil(l.spec.Table.Entity.Name)
	if !l.dead && !known.IsZero() && !known.After(l.firstRead) {
		l.readUntil = l.lastRead
		return seen, nil
	}
	var late bool
	since := literal(l.firstRead.Format(time.RFC3339Nano)) + `::TIMESTAMPTZ` // as a constant it spares all but the newest rows
	later := `SELECT EXISTS (FROM ` + table + ` WHERE _synced_at > ` + since + `)`
	if l.dead {
		later += ` OR EXISTS (FROM ` + table + ` WHERE _deleted_at > ` + since + `)`
	}
	err := s.row(later).Scan(&late)
	if err != nil {
		return seen, err
	}
	if !late { // mostly, and then the columns below need not be read
		l.readUntil = l.lastRead
		return seen, nil
	}
	clock := literal(now.Format(time.RFC3339Nano)) + `::TIMESTAMPTZ`
	older := `s._synced_at < t._synced_at AND t._synced_at <= ` + clock
	if sv, tv := l.versions(); sv != "" {
		older += ` AND NOT coalesce(` + sv + ` > ` + tv + `, false)`
	}
	seen.older = `(coalesce(` + older + `, false) OR coalesce(s._synced_at < t._deleted_at AND t._deleted_at <= ` + clock + `, false))`
	return seen, nil
}

// match notes for every staged row that has a stored version how the two compare.
func (l *load) match(s session, seen sight) error {
	return s.exec(`CREATE TEMP TABLE ` + ident(matchTable) + ` AS SELECT s.rowid AS stage_row, s.id, ` + seen.older + ` AS older,
		` + seen.same + ` AS same, t._deleted_at IS NOT NULL AS dead, ` + l.unseen("s.") + ` AS unseen
		FROM ` + tempTable(stageTable) + ` s JOIN ` + mainTable(l.spec.Table.Name) + ` t ON t.id = s.id`)
}

// unstage drops the staged rows that matched so, of which there are want.
func unstage(s session, which string, want int64) error {
	if want == 0 {
		return nil
	}
	n, err := s.count(`DELETE FROM ` + tempTable(stageTable) + ` WHERE rowid IN (SELECT stage_row FROM ` + tempTable(matchTable) + ` WHERE ` + which + `)`)
	if err == nil && n != want {
		err = fmt.Errorf("%d rows need no merging, %d expected: an id is in the table twice", n, want)
	}
	return err
}

// replace removes the stored versions of rows that are newer in the stage, notes the tombstones among them, and returns how many
// there were.
func (l *load) replace(s session, seen sight, now time.Time) (int64, error) {
	from := mainTable(l.spec.Table.Name) + ` AS t `
	which := tempTable(stageTable) + ` AS s WHERE t.id = s.id AND NOT ` + seen.older + ` AND (` + seen.same + `) IS NOT TRUE`
	if l.dead {
		err := s.exec(`INSERT INTO _atsync.tombstone_log SELECT ?, ?, t.id, 'restored', NULL, ?, ? FROM `+from+`, `+which+
			` AND t._deleted_at IS NOT NULL`, l.spec.Table.Entity.Name, l.spec.Table.Name, l.loadID, now)
		if err != nil {
			return 0, err
		}
	}
	return s.count(`DELETE FROM ` + from + `USING ` + which)
}

// insertStaged moves what is left of the stage into the table.
func (l *load) insertStaged(s session, want int64) error {
	if want == 0 {
		return nil
	}
	names := make([]string, 0, len(l.target)+4)
	values := make([]string, 0, len(l.target)+4)
	from := tempTable(stageTable) + ` s`
	for _, c := range l.staged {
		if !slices.Contains(l.carried, c.Name) {
			names = append(names, c.Name)
			values = append(values, "s."+ident(c.Name)) // the table's type is the same or wider: the cast is exact
		}
	}
	for _, name := range l.carried {
		value, typ := "k."+ident(name), l.target.find(name).Type.SQL()
		if l.staged.find(name) != nil {
			value = "coalesce(s." + ident(name) + "::" + typ + ", " + value + ")"
		}
		names = append(names, name)
		values = append(values, value)
	}
	if len(l.carried) > 0 {
		from += ` LEFT JOIN ` + tempTable(carryTable) + ` k ON k.id = s.id`
	}
	for _, c := range systemColumns()[:3] {
		names = append(names, c[0])
		values = append(values, "s."+ident(c[0]))
	}
	names = append(names, schemas.ColLoadID)
	values = append(values, fmt.Sprint(l.loadID))
	n, err := s.count(`INSERT INTO ` + mainTable(l.spec.Table.Name) + ` (` + idents(names) + `) SELECT ` + strings.Join(values, ", ") + ` FROM ` + from)
	if err == nil && n != want {
		err = fmt.Errorf("%d rows written, %d expected", n, want)
	}
	return err
}

// dedupe keeps the newest version of each id among the load's rows, which the table has and no others, and returns how many ids
// there are.
func (l *load) dedupe(s session, table string, of shape) (int64, error) {
	if l.rising {
		return l.fetched, nil
	}
	return dedupe(s, table, l.version("", of))
}

// dedupe keeps the newest version of each id, of equals the one staged last, and returns how many ids there
// are. Only narrow columns are read.
func dedupe(s session, table, version string) (int64, error) {
	var rows, ids int64
	if err := s.row(`SELECT count(*), count(DISTINCT id) FROM `+table).Scan(&rows, &ids); err != nil || rows == ids {
		return ids, err
	}
	n, err := s.count(`DELETE FROM ` + table + ` WHERE rowid IN (SELECT r FROM (
		SELECT rowid AS r, row_number() OVER (PARTITION BY id ORDER BY ` + version + ` DESC NULLS LAST, rowid DESC) AS nth
		FROM ` + table + ` WHERE id IN (SELECT id FROM ` + table + ` GROUP BY id HAVING count(*) > 1)) WHERE nth > 1)`)
	if err == nil && n != rows-ids {
		err = fmt.Errorf("%d duplicate rows removed, %d expected", n, rows-ids)
	}
	return ids, err
}

// record writes the load's own row.
func (l *load) record(s session, c pipeline.Commit, res pipeline.LoadResult, now time.Time) error {
	window, err := json.Marshal(l.spec.Window)
	if err != nil {
		return err
	}
	var counted any
	if c.SourceCount != nil {
		counted = *c.SourceCount
	}
	return s.exec(insertRow(`_atsync.loads`, []field{
		{"load_id", l.loadID}, {"run_id", l.spec.RunID}, {"entity", l.spec.Table.Entity.Name}, {"table_name", l.spec.Table.Name},
		{"mode", text(string(l.spec.Mode))}, {"class", string(l.spec.Class)}, {"complete", l.spec.Complete}, {"read_window", string(window)},
		{"started_at", l.started}, {"ended_at", now}, {"status", string(pipeline.StatusOK)},
		{"fetched", res.Fetched}, {"inserted", res.Inserted}, {"updated", res.Updated}, {"unchanged", res.Unchanged},
		{"deleted", res.Deleted}, {"rejected", res.Rejected}, {"source_count", counted}, {"requests", c.Requests},
		{"schema_changed", res.SchemaChanged}, {"complete_through", instant(c.Checkpoint.CompleteThrough)},
	}))
}
