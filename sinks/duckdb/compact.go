package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// compactAbove is how much dead space, in parts of what is alive, a warehouse may carry before it is worth a copy.
const compactAbove = 0.30

// compactSuffix begins, behind the warehouse's path, the name of a compaction's unfinished file.
const compactSuffix = ".compact-"

// freshName is the catalog of the new file while it is filled. No tenant can have it: names begin with a letter.
const freshName = "_atsync_fresh"

// Space is what a warehouse's file is made of, in bytes. Dead is an estimate: free blocks, and the deleted rows in
// blocks that are in use.
type Space struct {
	Bytes, Dead int64
}

// Wasteful reports whether a compaction is worth its while: dead space is more than 30 % of what is alive.
func (s Space) Wasteful() bool {
	return float64(s.Dead) > compactAbove*float64(s.Bytes-s.Dead)
}

// A warehouse of such a size, in bytes, that is a fifth free blocks is tidied. DuckDB frees many at once when it joins row groups that
// have lost rows, a tenth of such a file each, and may use them again only much later. Smaller files are not worth it, and larger ones
// have a smaller part of them, and would keep others waiting: they are maintain's.
const (
	leastTidied = 32 << 20
	mostTidied  = 256 << 20
	freeAbove   = 0.20
)

// tidiedKey keeps at what size the warehouse was tidied: if that was in vain, it is not tried again until the size is another one.
const tidiedKey = "tidied_at_bytes"

// Tidy compacts the warehouse if it is small and much of it is free, as the last thing that is done with it: afterwards it can only be
// closed. A failure leaves it as it was, or compacted. It does nothing while a load is open.
func (w *Warehouse) Tidy(ctx context.Context) error {
	w.mu.Lock()
	loading := len(w.loading)
	w.mu.Unlock()
	if loading > 0 {
		return nil
	}
	return w.fail("", "tidy", w.tidy(ctx))
}

func (w *Warehouse) tidy(ctx context.Context) error {
	info, err := os.Stat(w.opts.Path)
	if err != nil || info.Size() < leastTidied || info.Size() > mostTidied {
		return err
	}
	if err := w.lock(ctx); err != nil {
		return err
	}
	defer w.unlock()
	if _, err := w.db.ExecContext(ctx, "CHECKPOINT"); err != nil { // as closing does; it is what frees blocks
		return err
	}
	var free float64
	var size int64
	err = w.db.QueryRowContext(ctx, `SELECT free_blocks / total_blocks, total_blocks * block_size FROM pragma_database_size()
		WHERE database_name = current_database()`).Scan(&free, &size)
	if err != nil || free < freeAbove {
		return err
	}
	known, err := readInfo(ctx, w.db)
	if err != nil || known[tidiedKey] == strconv.FormatInt(size, 10) {
		return err
	}
	err = w.transact(ctx, func(s session) error { return saveInfo(s, tidiedKey, strconv.FormatInt(size, 10)) })
	if err != nil {
		return err
	}
	return w.rewrite(ctx)
}

// Space measures the warehouse's file. It checkpoints first, which is what makes deleted rows free blocks.
func (w *Warehouse) Space(ctx context.Context) (Space, error) {
	if err := w.lock(ctx); err != nil {
		return Space{}, w.fail("", "measure", err)
	}
	defer w.unlock()
	s, err := w.space(ctx)
	return s, w.fail("", "measure", err)
}

func (w *Warehouse) space(ctx context.Context) (s Space, err error) {
	if _, err := w.db.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return s, err
	}
	var block, used, free int64
	err = w.db.QueryRowContext(ctx, `SELECT block_size, used_blocks, free_blocks FROM pragma_database_size()
		WHERE database_name = current_database()`).Scan(&block, &used, &free)
	if err != nil {
		return s, err
	}
	tables, err := w.relations(ctx, `SELECT schema_name, table_name, estimated_size * column_count FROM duckdb_tables()
		WHERE database_name = current_database() AND NOT internal AND NOT temporary ORDER BY ALL`)
	if err != nil {
		return s, err
	}
	cells, dead := int64(0), 0.0 // stored cells are the measure of how much of the blocks a table has
	for _, t := range tables {
		var stored, live int64
		err := w.db.QueryRowContext(ctx, `SELECT (SELECT estimated_size FROM duckdb_tables() WHERE database_name = current_database()
			AND schema_name = ? AND table_name = ?), (SELECT count(*) FROM `+t.String()+`)`, t.schema, t.name).Scan(&stored, &live)
		if err != nil {
			return s, err
		}
		cells += t.cells
		if stored > live {
			dead += float64(t.cells) * float64(stored-live) / float64(stored)
		}
	}
	s.Bytes, s.Dead = (used+free)*block, free*block
	if cells > 0 {
		s.Dead += int64(dead / float64(cells) * float64(used*block))
	}
	return s, nil
}

// relation is a table of the warehouse.
type relation struct {
	schema, name string
	cells        int64
}

func (r relation) String() string { return ident(r.schema) + "." + ident(r.name) }

func (w *Warehouse) relations(ctx context.Context, query string) (out []relation, err error) {
	rows, err := w.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var r relation
		if err := rows.Scan(&r.schema, &r.name, &r.cells); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Compact writes everything that is alive into a new file and puts it in the warehouse's place. Afterwards the
// warehouse is closed, whatever came of it: it is opened anew to go on. Killed at any moment it leaves the old file or
// the new one, each whole, and at most an unfinished copy, which the next Open removes. No load may be open.
func (w *Warehouse) Compact(ctx context.Context) error {
	w.mu.Lock()
	loading := len(w.loading)
	w.mu.Unlock()
	err := errors.New("a load is under way")
	if loading == 0 {
		err = w.compact(ctx)
	}
	return errors.Join(w.fail("", "compact", err), w.Close())
}

func (w *Warehouse) compact(ctx context.Context) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	defer w.unlock()
	return w.rewrite(ctx)
}

// rewrite is compact for who holds the commit token.
func (w *Warehouse) rewrite(ctx context.Context) error {
	path := w.opts.Path
	fresh := fmt.Sprintf("%s%s%d-%d", path, compactSuffix, os.Getpid(), time.Now().UnixNano())
	defer removeCopy(fresh)
	space, err := w.space(ctx)
	if err != nil {
		return err
	}
	if err := w.roomFor(space.Bytes - space.Dead); err != nil {
		return err
	}
	if err := w.growMemoryForWidest(ctx); err != nil {
		return err
	}
	if err := w.fill(ctx, fresh); err != nil {
		return err
	}
	if err := syncFile(fresh); err != nil {
		return err
	}
	// From here on the old file does not change any more: everything is in it, its log is empty and goes, and this
	// instance, which holds its lock until the new one has the name, writes nothing when it ends.
	for _, q := range []string{"CHECKPOINT", "PRAGMA disable_checkpoint_on_shutdown"} {
		if _, err := w.db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	if err := os.Remove(path + ".wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := removeHolder(path); err != nil { // while nobody else can open what has this name
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	w.replaced = true
	return syncDir(filepath.Dir(path))
}

// growMemoryForWidest raises the memory limit to what a copy of the widest table needs.
func (w *Warehouse) growMemoryForWidest(ctx context.Context) error {
	var columns int
	err := w.db.QueryRowContext(ctx, `SELECT max(column_count) FROM duckdb_tables() WHERE database_name = current_database()`).Scan(&columns)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fitMemory(ctx, columns)
}

// roomFor refuses a compaction that would fill the disk.
func (w *Warehouse) roomFor(need int64) error {
	dir := filepath.Dir(w.opts.Path)
	need += need/10 + 1<<20
	if free, ok := freeSpace(dir); ok && free < need {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: w.opts.Tenant, Op: "compact",
			Err:    fmt.Errorf("the new file needs about %d MB, %s has %d MB left", need>>20, dir, free>>20),
			Remedy: "free space there; the warehouse is as it was"}
	}
	return nil
}

// fill copies everything into a new file and compares the two.
func (w *Warehouse) fill(ctx context.Context, fresh string) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer discard(conn)
	s := session{ctx, conn}
	var live string
	if err := s.row("SELECT current_database()").Scan(&live); err != nil {
		return err
	}
	if err := s.exec(`ATTACH ` + literal(fresh) + ` AS ` + freshName + ` (STORAGE_VERSION ` + literal(storageVersion) + `)`); err != nil {
		return err
	}
	err = w.transfer(s, live)
	if err == nil {
		err = s.exec("CHECKPOINT " + freshName)
	}
	// The new file must be nobody's before it is opened to be synced, even after a failure.
	calm := session{context.WithoutCancel(ctx), conn}
	return errors.Join(err, calm.exec("DETACH "+freshName))
}

func (w *Warehouse) transfer(s session, live string) error {
	if err := s.exec(`COPY FROM DATABASE ` + ident(live) + ` TO ` + freshName + ` (SCHEMA)`); err != nil {
		return err
	}
	tables, err := w.relations(s.ctx, `SELECT schema_name, table_name, 0 FROM duckdb_tables()
		WHERE database_name = current_database() AND NOT internal AND NOT temporary ORDER BY ALL`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		n, err := s.count(`INSERT INTO ` + freshName + `.` + t.String() + ` SELECT * FROM ` + ident(live) + `.` + t.String())
		if err != nil {
			return fmt.Errorf("copy %s: %w", t, err)
		}
		want, err := s.number(`SELECT count(*) FROM ` + ident(live) + `.` + t.String())
		if err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%d of %d rows of %s copied", n, want, t)
		}
	}
	return sameShape(s, live)
}

// shapeQueries list what a file has beside its rows; $db is its catalog.
func shapeQueries() []string {
	return []string{
		`SELECT 'table', schema_name, table_name, sql, comment FROM duckdb_tables() WHERE database_name = $db AND NOT internal`,
		`SELECT 'view', schema_name, view_name, sql, comment FROM duckdb_views() WHERE database_name = $db AND NOT internal`,
		`SELECT 'column', schema_name, table_name, column_index || ' ' || column_name || ' ' || data_type || ' ' || coalesce(column_default, ''), comment
			FROM duckdb_columns() WHERE database_name = $db AND NOT internal`,
		`SELECT 'other', schema_name, sequence_name, sql, NULL FROM duckdb_sequences() WHERE database_name = $db`,
		`SELECT 'other', schema_name, type_name, logical_type, NULL FROM duckdb_types() WHERE database_name = $db AND NOT internal`,
		`SELECT 'other', schema_name, function_name, macro_definition, NULL FROM duckdb_functions() WHERE database_name = $db AND NOT internal`,
	}
}

// sameShape fails if the new file lacks a table, a view, a column or a comment of the old one.
func sameShape(s session, live string) error {
	for _, q := range shapeQueries() {
		old := strings.ReplaceAll(q, "$db", literal(live))
		fresh := strings.ReplaceAll(q, "$db", literal(freshName))
		for _, pair := range [][2]string{{old, fresh}, {fresh, old}} {
			n, err := s.number(`SELECT count(*) FROM (` + pair[0] + ` EXCEPT ALL ` + pair[1] + `)`)
			if err != nil {
				return err
			}
			if n > 0 {
				var kind, schema, name string
				row := s.row(`SELECT * EXCLUDE (d, c) FROM (` + pair[0] + ` EXCEPT ALL ` + pair[1] + `) AS t(kind, s, n, d, c) LIMIT 1`)
				if err := row.Scan(&kind, &schema, &name); err != nil {
					return err
				}
				return fmt.Errorf("the copy differs in %d places, first in the %s %s.%s", n, kind, schema, name)
			}
		}
	}
	return nil
}

// sweep removes what a killed compaction left beside a warehouse that this process holds.
func sweep(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+compactSuffix) {
			if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
