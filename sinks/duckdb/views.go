package duckdb

import (
	"context"
	"fmt"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/schemas/views"
)

// Keys of _atsync.info that tell of the views: the fingerprint of each as it was made, and the address that links
// begin with, as last known.
const (
	viewPrefix = "view."
	webURLKey  = "web_url"
)

// refreshViews makes the views v_<table> anew that don't fit the tables any more, or the settings. The caller
// holds the commit token. Views of tables that are no longer synced stay, as the tables do.
func (w *Warehouse) refreshViews(ctx context.Context) error {
	stale, webURL, err := w.staleViews(ctx)
	if err != nil || len(stale) == 0 {
		return err
	}
	if err := w.checkTimeZone(ctx); err != nil {
		return err
	}
	return w.transact(ctx, func(s session) error {
		for _, v := range stale {
			for _, q := range v.Statements() {
				if err := s.exec(q); err != nil {
					return fmt.Errorf("view %s: %w", v.Name, err)
				}
			}
			if err := saveInfo(s, viewPrefix+v.Name, v.Fingerprint()); err != nil {
				return err
			}
		}
		return saveInfo(s, webURLKey, webURL)
	})
}

// staleViews returns the views that refreshViews has to make, and the address that their links begin with.
func (w *Warehouse) staleViews(ctx context.Context) (stale []views.View, webURL string, err error) {
	info, err := readInfo(ctx, w.db)
	if err != nil {
		return nil, "", err
	}
	webURL = info[webURLKey]
	if w.opts.WebURL != nil {
		if now := w.opts.WebURL(); now != "" {
			webURL = now
		}
	}
	tables, err := w.tables(ctx)
	if err != nil {
		return nil, "", err
	}
	made, err := w.viewNames(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, v := range (views.Warehouse{Tables: tables, TimeZone: w.opts.TimeZone, WebURL: webURL}).Views() {
		if !made[v.Name] || info[viewPrefix+v.Name] != v.Fingerprint() {
			stale = append(stale, v)
		}
	}
	return stale, webURL, nil
}

// tables returns every entity's table with its columns, but those whose first load is not complete: publications leave them out.
func (w *Warehouse) tables(ctx context.Context) (out []views.Table, err error) {
	rows, err := w.db.QueryContext(ctx, `SELECT entity, table_name, column_name, source, udf, type, coalesce(reference, ''), picklist
		FROM _atsync.columns WHERE entity NOT IN (SELECT entity FROM _atsync.checkpoints WHERE progress IS NOT NULL) ORDER BY entity, ordinal`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var t views.Table
		var c schemas.Column
		var sqlType string
		if err := rows.Scan(&t.Entity, &t.Name, &c.Name, &c.Source, &c.UDF, &sqlType, &c.Reference, &c.Picklist); err != nil {
			return nil, err
		}
		if c.Type, err = schemas.ParseSQLType(sqlType); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		if len(out) == 0 || out[len(out)-1].Entity != t.Entity {
			out = append(out, t)
		}
		last := &out[len(out)-1]
		last.Columns = append(last.Columns, c)
	}
	return out, rows.Err()
}

func (w *Warehouse) viewNames(ctx context.Context) (map[string]bool, error) {
	rows, err := w.db.QueryContext(ctx, `SELECT view_name FROM duckdb_views()
		WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	names := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, rows.Err()
}

// checkTimeZone asks DuckDB whether it knows the zone: it has a list of its own, and a view with a zone that it
// does not know can't be read.
func (w *Warehouse) checkTimeZone(ctx context.Context) error {
	if w.opts.TimeZone == "" {
		return nil
	}
	var day string
	err := w.db.QueryRowContext(ctx, `SELECT timezone(?, TIMESTAMPTZ '2020-01-01 00:00:00+00')::VARCHAR`, w.opts.TimeZone).Scan(&day)
	if err != nil {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: w.opts.Tenant, Op: "make views",
			Err:    fmt.Errorf("DuckDB does not know the time zone %q: %w", w.opts.TimeZone, err),
			Remedy: "set sync.timezone to one of: atsync sql 'SELECT name FROM pg_timezone_names()'"}
	}
	return nil
}
