package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/atsync/atsync/pipeline"
)

// hydrate makes the warehouse from its publication if it is missing: checkpoints, tombstones and history
// included, so that a lost disk costs no first load. The publication is no file that DuckDB has open here.
func hydrate(ctx context.Context, opts Options) error {
	if _, err := os.Stat(opts.Path); !errors.Is(err, os.ErrNotExist) {
		return nil //nolint:nilerr // it is there, or opening it will say what is wrong
	}
	// The log of a warehouse that is gone does not belong to this one.
	if err := os.Remove(opts.Path + ".wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	part, made, err := opts.fromPublication(ctx)
	if err != nil || !made {
		return err
	}
	defer func() { _ = os.Remove(part) }() // a second name of the warehouse by then
	if err := opts.settleIn(part); err != nil {
		return err
	}
	opts.Logger.InfoContext(ctx, "the warehouse was missing and is made anew from its publication", "path", opts.Path)
	return nil
}

// copyPublication is the Hydrate of a publication that is a DuckDB file. One that can't be read to its end is refused: nothing is made of
// it, and what is wrong is not found long after.
func (o Options) copyPublication(ctx context.Context, to string) (bool, error) {
	if o.From == "" {
		return false, nil
	}
	err := copyFile(o.From, to)
	if _, missing := os.Stat(o.From); errors.Is(missing, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := readThrough(ctx, to); err != nil {
		if e, ok := errors.AsType[*pipeline.Error](err); ok {
			err = e.Err
		}
		return false, &pipeline.Error{Class: pipeline.ClassSink, Tenant: o.Tenant, Op: "hydrate", Err: fmt.Errorf("the publication %s is damaged: %w", o.From, err),
			Remedy: "put a whole copy of " + o.From + " in its place; or remove it and sync: everything is read anew"}
	}
	return true, nil
}

// readThrough reads every row of a database, and with it every block, whose sums DuckDB compares.
func readThrough(ctx context.Context, path string) (err error) {
	db, err := OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var tables []string
	for rows.Next() {
		var schema, name string
		if err := rows.Scan(&schema, &name); err != nil {
			return err
		}
		tables = append(tables, ident(schema)+"."+ident(name))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(tables) == 0 {
		return errors.New("it has no tables")
	}
	for _, table := range tables {
		var sum sql.NullString
		if err := db.QueryRowContext(ctx, `SELECT bit_xor(hash(t))::VARCHAR FROM `+table+` t`).Scan(&sum); err != nil {
			return err
		}
	}
	return nil
}
