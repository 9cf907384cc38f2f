package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// stageTable and the other temporary tables belong to a load's own connection.
const (
	stageTable   = "atsync_stage"
	matchTable   = "atsync_match"
	tombTable    = "atsync_tombs"
	carryTable   = "atsync_carry"
	rejectTable  = "atsync_rejects"
	currentTable = "atsync_rejects_now"
)

// rejectsHeld is how many rejects wait in memory before they are staged too.
const rejectsHeld = 5000

// load is one read on its way into one table.
//
// An empty table is filled directly, inside the load's transaction: nothing is staged, nothing is
// compared. So is one that a first load goes on to fill, and there a flush ends the transaction and starts another one.
// Otherwise rows wait in a temporary table for the merge, or, as long as they are few and may be known, in memory.
type load struct {
	w       *Warehouse
	spec    pipeline.LoadSpec
	started time.Time
	ctx     context.Context // of the staging; ends with the load, not with Begin's
	cancel  context.CancelFunc
	conn    *sql.Conn // nil until the first batch or Commit
	stored  shape     // of the table before the load; nil: there is no table
	target  shape     // of the table (direct) or the stage, as evolved for the batches so far
	staged  shape     // of the stage, set by the merge
	direct  bool
	begun   bool  // the transaction is open
	loadID  int64 // 0 until given out
	base    int64 // rows that were in the table before (fresh)
	dead    bool  // it has tombstones
	partial bool  // its first load is not complete: it has not been published yet
	flushed bool  // some of the load is stored (fresh)
	grown   bool  // the log may grow for its flushes
	evolved bool  // a flush has changed what analysts see of the table's shape
	renewed bool  // the table's description has changed since the last commit
	insert  *insert
	schema  *arrow.Schema // of the running insert
	fetched int64

	rising     bool           // the ids come in ascending order, each once
	lastID     int64          // of the last row that came
	firstRead  time.Time      // of the oldest row staged
	lastRead   time.Time      // of the newest one
	readUntil  time.Time      // what the memo keeps after the commit
	batches    int            // staged, empty ones left out
	everywhere map[string]int // columns by how many of these had them
	carried    []string       // columns whose stored values replaced rows keep, set by the merge

	held  []portion            // rows that wait for more
	known bool                 // they are stored as they are, and are all that there is
	ids   []int64              // theirs
	saved *pipeline.Checkpoint // by the commit

	rejects  []stagedReject
	spilled  bool  // rejects have gone to rejectTable
	rejected int64 // rejects that the entity had before, acknowledged ones too
	ended    bool
	err      error // the first failure; nothing but Abort follows
}

type stagedReject struct {
	schemas.Reject
	readAt time.Time
}

// Begin opens a load. A second one on a table that has one is refused.
func (w *Warehouse) Begin(ctx context.Context, spec pipeline.LoadSpec) (pipeline.Load, error) {
	entity := spec.Table.Entity.Name
	l := &load{w: w, spec: spec, started: w.now(), everywhere: map[string]int{}}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.mu.Lock()
	busy := w.loading[spec.Table.Name] != nil
	if !busy {
		w.loading[spec.Table.Name] = l
	}
	w.mu.Unlock()
	if busy {
		l.cancel()
		return nil, &pipeline.Error{Class: pipeline.ClassInternal, Tenant: w.opts.Tenant, Entity: entity, Op: "begin load",
			Err: fmt.Errorf("the table %s has a load already", spec.Table.Name)}
	}
	if err := l.begin(ctx); err != nil {
		l.release()
		return nil, w.fail(entity, "begin load", err)
	}
	return l, nil
}

func (l *load) begin(ctx context.Context) error {
	var err error
	if l.stored, err = l.w.columns(ctx, l.spec.Table.Entity.Name); err != nil {
		return err
	}
	l.direct = true
	if l.stored != nil {
		stand, err := l.w.standing(ctx, l.spec.Table.Entity.Name)
		if err != nil {
			return err
		}
		l.base, l.partial, l.rejected = stand.rows, stand.checkpoint.Progress != nil, stand.rejects
		l.dead = stand.live < stand.rows
		l.direct = l.base == 0 || l.spec.Fresh
	}
	return nil
}

// Stage takes a batch. It returns once the batch is queued; an error of its insertion comes with a later call.
func (l *load) Stage(ctx context.Context, b pipeline.Batch) error {
	return l.w.fail(l.spec.Table.Entity.Name, "stage", l.keep(l.stage(ctx, b)))
}

// keep remembers the first failure, so that nothing can be committed after it.
func (l *load) keep(err error) error {
	if err != nil && l.err == nil {
		l.err = err
	}
	return err
}

func (l *load) usable(ctx context.Context) error {
	if l.ended {
		return errors.New("the load has ended")
	}
	if l.err != nil {
		return fmt.Errorf("the load has failed: %w", l.err)
	}
	return context.Cause(ctx)
}

func (l *load) stage(ctx context.Context, b pipeline.Batch) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	readAt := b.ReadAt.UTC().Truncate(time.Microsecond)
	for _, r := range b.Rejects {
		l.rejects = append(l.rejects, stagedReject{r, readAt})
	}
	if b.Record != nil && b.Record.NumRows() > 0 {
		if err := checkBatch(b.Record); err != nil {
			return err
		}
		p := portion{b.Record, readAt}
		if !l.hold(p) {
			if err := l.unhold(ctx); err != nil {
				return err
			}
			if err := l.send(ctx, p); err != nil {
				return err
			}
		}
		l.rising = (l.rising || l.fetched == 0) && l.rise(b.Record)
		if l.fetched == 0 || readAt.Before(l.firstRead) {
			l.firstRead = readAt
		}
		if readAt.After(l.lastRead) {
			l.lastRead = readAt
		}
		l.fetched += b.Record.NumRows()
		l.batches++
		for _, f := range b.Record.Schema().Fields() {
			l.everywhere[f.Name]++
		}
	}
	if len(l.rejects) >= rejectsHeld {
		return l.spillRejects()
	}
	return nil
}

// rise reports whether a record's ids ascend from those before.
func (l *load) rise(rec arrow.RecordBatch) bool {
	ids := rec.Column(rec.Schema().FieldIndices("id")[0]).(*array.Int64).Int64Values() // checkBatch has seen them
	for i, id := range ids {
		if id <= l.lastID && (i > 0 || l.fetched > 0) {
			return false
		}
		l.lastID = id
	}
	return true
}

// open takes the load's connection; a direct load starts its transaction.
func (l *load) open() error {
	if l.conn == nil {
		conn, err := l.w.db.Conn(l.ctx)
		if err != nil {
			return err
		}
		l.conn = conn
	}
	if !l.direct {
		return nil
	}
	return l.transact(l.session())
}

// transact starts the load's transaction, unless it has one, and gives out its id.
func (l *load) transact(s session) error {
	if l.begun {
		return nil
	}
	l.begun = true
	if l.loadID == 0 {
		l.loadID = l.w.loadID.Add(1)
	}
	return s.exec("BEGIN TRANSACTION")
}

func (l *load) session() session { return session{l.ctx, l.conn} }

// Absent returns the live ids in the load's scope that were not staged.
func (l *load) Absent(ctx context.Context) ([]int64, error) {
	ids, err := l.absent(ctx)
	return ids, l.w.fail(l.spec.Table.Entity.Name, "find absent rows", l.keep(err))
}

func (l *load) absent(ctx context.Context) ([]int64, error) {
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	if err := l.sift(ctx); err != nil {
		return nil, err
	}
	if err := l.finish(); err != nil {
		return nil, err
	}
	scope, ok := l.scope()
	if l.direct || !ok {
		return nil, nil
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	query := `SELECT t.id FROM ` + mainTable(l.spec.Table.Name) + ` t WHERE t._deleted_at IS NULL AND ` + scope
	if l.target != nil {
		query += ` AND NOT EXISTS (SELECT 1 FROM ` + tempTable(stageTable) + ` s WHERE s.id = t.id)`
	}
	if l.known {
		query += ` AND t.id NOT IN (` + numbers(l.ids) + `)`
	}
	return queryIDs(ctx, l.conn, query+` ORDER BY 1`)
}

// scope returns the condition for rows that the load would have seen, and false if it saw no whole scope.
func (l *load) scope() (string, bool) {
	if l.spec.Complete {
		return "true", true
	}
	win := l.spec.Window
	if len(win.In) == 0 {
		return "", false
	}
	known := l.spec.Table.Column(win.InField)
	if known == nil {
		return "", false
	}
	col := l.stored.find(known.Name)
	if col == nil {
		return "", false
	}
	values := make([]string, len(win.In))
	for i, v := range win.In {
		values[i] = strconv.FormatInt(v, 10)
		if col.Type.Kind == schemas.String {
			values[i] = literal(values[i])
		}
	}
	slices.Sort(values)
	return `t.` + ident(col.Name) + ` IN (` + strings.Join(slices.Compact(values), ", ") + `)`, true
}

// Abort drops everything staged. After Commit it does nothing.
func (l *load) Abort() error {
	if l.ended {
		return nil
	}
	l.cancel()
	_ = l.finish() // the load is given up: its failure is known or wanted
	l.release()
	return nil
}

// release ends the load: its connection goes, and with it what is left of the transaction and the stage.
func (l *load) release() {
	l.ended = true
	l.cancel()
	for _, p := range l.held {
		p.rec.Release()
	}
	l.held = nil
	if l.conn != nil {
		discard(l.conn)
		l.conn = nil
	}
	if l.grown {
		l.grown = false
		_ = l.w.letLogGrow(context.Background(), -1) // at worst the log gets longer than it need be
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	delete(l.w.loading, l.spec.Table.Name)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func queryIDs(ctx context.Context, q querier, query string, args ...any) ([]int64, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
