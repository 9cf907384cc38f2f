package duckdb

import (
	"context"
	"strconv"

	"github.com/atsync/atsync/pipeline"
)

// Next returns rows of a table in the order of their loads.
func (w *Warehouse) Next(ctx context.Context, table string, after pipeline.Place, limit int) ([]pipeline.Place, error) {
	places, err := w.next(ctx, table, after, limit)
	return places, w.fail(table, "find changed rows", err)
}

func (w *Warehouse) next(ctx context.Context, table string, after pipeline.Place, limit int) ([]pipeline.Place, error) {
	var known int64
	err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM _atsync.columns WHERE table_name = ?`, table).Scan(&known)
	if err != nil || known == 0 {
		return nil, err
	}
	rows, err := w.db.QueryContext(ctx, `SELECT _load_id, id, _deleted_at IS NOT NULL FROM `+mainTable(table)+`
		WHERE _load_id > ? OR _load_id = ? AND id > ? ORDER BY 1, 2 LIMIT `+strconv.Itoa(limit), after.Load, after.Load, after.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var places []pipeline.Place
	for rows.Next() {
		var p pipeline.Place
		if err := rows.Scan(&p.Load, &p.ID, &p.Deleted); err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, rows.Err()
}
