package duckdb

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/atsync/atsync/pipeline"
)

// Extent counts the live rows of a range of ids and finds the middle one.
func (w *Warehouse) Extent(ctx context.Context, table string, after, until *int64) (pipeline.Extent, error) {
	var e pipeline.Extent
	known, err := w.known(ctx, table)
	if err == nil && known {
		var median sql.NullInt64
		err = w.db.QueryRowContext(ctx, `SELECT count(*), quantile_disc(id, 0.5)`+liveRange(table, after, until)).Scan(&e.Live, &median)
		e.Median = median.Int64
	}
	return e, w.fail(table, "count rows", err)
}

// LiveIDs lists the ids of live rows in a range.
func (w *Warehouse) LiveIDs(ctx context.Context, table string, after, until *int64) ([]int64, error) {
	var ids []int64
	known, err := w.known(ctx, table)
	if err == nil && known {
		ids, err = queryIDs(ctx, w.db, `SELECT id`+liveRange(table, after, until)+` ORDER BY id`)
	}
	return ids, w.fail(table, "list ids", err)
}

// Duplicates counts rows that repeat an id.
func (w *Warehouse) Duplicates(ctx context.Context, table string) (n int64, err error) {
	known, err := w.known(ctx, table)
	if err == nil && known {
		err = w.db.QueryRowContext(ctx, `SELECT count(*) - count(DISTINCT id) FROM `+mainTable(table)).Scan(&n)
	}
	return n, w.fail(table, "look for repeated ids", err)
}

// Named returns the values of a column among the rows that a feed selects.
func (w *Warehouse) Named(ctx context.Context, f pipeline.Feed) (values []int64, newest int64, err error) {
	values, newest, err = w.named(ctx, f)
	return values, newest, w.fail(f.Table, "follow log", err)
}

func (w *Warehouse) named(ctx context.Context, f pipeline.Feed) (values []int64, newest int64, err error) {
	var columns int64
	err = w.db.QueryRowContext(ctx, `SELECT count(*) FROM _atsync.columns WHERE table_name = ? AND column_name IN (?, ?)`,
		f.Table, f.Column, f.Stamp).Scan(&columns)
	if err != nil || columns < 2 {
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
	if newest, err = s.number(`SELECT coalesce(max(_load_id), 0) FROM ` + mainTable(f.Table)); err != nil {
		return nil, 0, err
	}
	column, stamp := ident(f.Column), ident(f.Stamp)
	values, err = queryIDs(ctx, conn, `SELECT DISTINCT `+column+`::BIGINT AS named FROM `+mainTable(f.Table)+`
		WHERE (_load_id > ? OR `+stamp+` >= ?) AND `+column+` IS NOT NULL AND (`+stamp+` IS NULL OR `+stamp+` >= ?) ORDER BY named`, f.After, instant(f.Recent), f.Since.UTC())
	if err != nil {
		return nil, 0, err
	}
	return values, newest, s.end(nil)
}

// known reports whether there is such a table.
func (w *Warehouse) known(ctx context.Context, table string) (bool, error) {
	var columns int64
	err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM _atsync.columns WHERE table_name = ?`, table).Scan(&columns)
	return columns > 0, err
}

// liveRange is the FROM and WHERE of a range of live rows. The bounds are in the text, where the planner sees them
// and leaves out the row groups that hold none of them.
func liveRange(table string, after, until *int64) string {
	q := ` FROM ` + mainTable(table) + ` WHERE _deleted_at IS NULL`
	if after != nil {
		q += ` AND id > ` + strconv.FormatInt(*after, 10)
	}
	if until != nil {
		q += ` AND id <= ` + strconv.FormatInt(*until, 10)
	}
	return q
}
