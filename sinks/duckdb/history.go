package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// How much of its past ReadHistory tells of a table.
const (
	historyLoads   = 25
	historyChanges = 50
	historyMisses  = 12
)

// ReadSummaries returns every table at a glance, by entity, with the days since a time, from a database opened with
// OpenReader.
func ReadSummaries(ctx context.Context, db Queryer, since time.Time) ([]pipeline.TableSummary, error) {
	out, err := readSummaries(ctx, db, "", since)
	if err != nil {
		return nil, readError("", "", err)
	}
	return out, nil
}

// ReadHistory returns what is known of one entity's table, its days since a time; nil if there is no such table.
func ReadHistory(ctx context.Context, db Queryer, entity string, since time.Time) (*pipeline.History, error) {
	tables, err := readSummaries(ctx, db, entity, since)
	if err != nil {
		return nil, readError("", "", err)
	}
	if len(tables) == 0 {
		return nil, nil
	}
	h := &pipeline.History{TableSummary: tables[0]}
	if h.Loads, err = readLoads(ctx, db, `entity = ? ORDER BY load_id DESC LIMIT ?`, entity, historyLoads); err != nil {
		return nil, readError("", "", err)
	}
	if h.Changes, err = readSchemaEvents(ctx, db, entity); err != nil {
		return nil, readError("", "", err)
	}
	if h.Misses, err = readMisses(ctx, db, entity); err != nil {
		return nil, readError("", "", err)
	}
	return h, nil
}

// ReadLoads returns the loads of one run in the order in which they began.
func ReadLoads(ctx context.Context, db Queryer, run int64) ([]pipeline.LoadRecord, error) {
	loads, err := readLoads(ctx, db, `run_id = ? ORDER BY started_at, load_id`, run)
	if err != nil {
		return nil, readError("", "", err)
	}
	return loads, nil
}

// each calls scan for every row of a query.
func each(ctx context.Context, db Queryer, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// readSummaries reads the summaries of one entity, or with "" of all.
func readSummaries(ctx context.Context, db Queryer, entity string, since time.Time) ([]pipeline.TableSummary, error) {
	var out []pipeline.TableSummary
	at := map[string]int{}
	err := each(ctx, db, func(rows *sql.Rows) error {
		t := pipeline.TableSummary{Days: []pipeline.Day{}}
		if err := rows.Scan(&t.Entity, &t.Table, &t.OpenRejects); err != nil {
			return err
		}
		at[t.Entity] = len(out)
		out = append(out, t)
		return nil
	}, `SELECT c.entity, any_value(c.table_name), (SELECT count(*) FROM _atsync.rejects r WHERE r.entity = c.entity AND r.acknowledged_at IS NULL)
		FROM _atsync.columns c WHERE ? IN ('', c.entity) GROUP BY c.entity ORDER BY c.entity`, entity)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	if err := countRows(ctx, db, out); err != nil {
		return nil, err
	}
	err = each(ctx, db, func(rows *sql.Rows) error {
		var name string
		var d pipeline.Day
		if err := rows.Scan(&name, when(&d.Day), &d.Loads, &d.Fetched, &d.Inserted, &d.Updated, &d.Deleted, &d.Requests); err != nil {
			return err
		}
		if i, ok := at[name]; ok {
			out[i].Days = append(out[i].Days, d)
		}
		return nil
	}, `SELECT entity, to_timestamp(86400 * (epoch(started_at)::BIGINT // 86400)) AS day, count(*), coalesce(sum(fetched), 0)::BIGINT, coalesce(sum(inserted), 0)::BIGINT,
			coalesce(sum(updated), 0)::BIGINT, coalesce(sum(deleted), 0)::BIGINT, coalesce(sum(requests), 0)::BIGINT
		FROM _atsync.loads WHERE started_at >= ? AND ? IN ('', entity) GROUP BY ALL ORDER BY entity, day`, since.UTC(), entity)
	return out, err
}

// countRows counts the live rows of all tables in one query.
func countRows(ctx context.Context, db Queryer, tables []pipeline.TableSummary) error {
	var parts []string
	for i, t := range tables {
		parts = append(parts, fmt.Sprintf(`SELECT %d, count(*) FROM %s WHERE _deleted_at IS NULL`, i, ident(t.Table)))
	}
	return each(ctx, db, func(rows *sql.Rows) error {
		var i int
		var n int64
		if err := rows.Scan(&i, &n); err != nil {
			return err
		}
		tables[i].Rows = n
		return nil
	}, strings.Join(parts, " UNION ALL "))
}

func readLoads(ctx context.Context, db Queryer, where string, args ...any) ([]pipeline.LoadRecord, error) {
	out := []pipeline.LoadRecord{}
	err := each(ctx, db, func(rows *sql.Rows) error {
		var l pipeline.LoadRecord
		var count sql.NullInt64
		err := rows.Scan(&l.LoadID, &l.RunID, &l.Entity, &l.Mode, &l.Status, when(&l.StartedAt), when(&l.EndedAt), &l.Fetched, &l.Inserted,
			&l.Updated, &l.Unchanged, &l.Deleted, &l.Rejected, &l.Requests, &count, &l.Error)
		if count.Valid {
			l.SourceCount = &count.Int64
		}
		out = append(out, l)
		return err
	}, `SELECT load_id, coalesce(run_id, 0), entity, coalesce(mode, ''), coalesce(status, ''), started_at, ended_at, coalesce(fetched, 0),
		coalesce(inserted, 0), coalesce(updated, 0), coalesce(unchanged, 0), coalesce(deleted, 0), coalesce(rejected, 0),
		coalesce(requests, 0), source_count, coalesce(error, '') FROM _atsync.loads WHERE `+where, args...)
	return out, err
}

func readSchemaEvents(ctx context.Context, db Queryer, entity string) ([]pipeline.SchemaEvent, error) {
	out := []pipeline.SchemaEvent{}
	err := each(ctx, db, func(rows *sql.Rows) error {
		var e pipeline.SchemaEvent
		err := rows.Scan(when(&e.At), &e.LoadID, &e.Change, &e.Column, &e.OldType, &e.NewType, &e.OldName, &e.NewName, &e.Value)
		out = append(out, e)
		return err
	}, `SELECT changed_at, coalesce(load_id, 0), coalesce(change, ''), coalesce(column_name, ''), coalesce(old_type, ''), coalesce(new_type, ''),
		coalesce(old_name, ''), coalesce(new_name, ''), coalesce("value", '')
		FROM _atsync.schema_changes WHERE entity = ? ORDER BY changed_at DESC, load_id DESC, column_name LIMIT ?`, entity, historyChanges)
	return out, err
}

func readMisses(ctx context.Context, db Queryer, entity string) ([]pipeline.StampMiss, error) {
	out := []pipeline.StampMiss{}
	err := each(ctx, db, func(rows *sql.Rows) error {
		var m pipeline.StampMiss
		err := rows.Scan(when(&m.At), &m.Compared, &m.Missed)
		out = append(out, m)
		return err
	}, `SELECT noted_at, compared, missed FROM _atsync.stamp_misses WHERE entity = ? ORDER BY noted_at DESC LIMIT ?`, entity, historyMisses)
	return out, err
}
