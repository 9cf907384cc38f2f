package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/atsync/atsync/pipeline"
)

// A step brings the system tables of an older warehouse to a format. Tables that are new in it need none: what is
// missing is created anyway.
type step struct {
	format int
	sql    []string
}

// steps lists the formats that need one, rising. A new one goes to the end, and its columns to systemTables.
func steps() []step {
	return []step{
		{3, []string{
			`ALTER TABLE _atsync.rejects ADD COLUMN IF NOT EXISTS tenant VARCHAR`,
			`ALTER TABLE _atsync.rejects ADD COLUMN IF NOT EXISTS acknowledged_at TIMESTAMPTZ`,
			`ALTER TABLE _atsync.rejects ADD COLUMN IF NOT EXISTS acknowledged_by VARCHAR`,
			`UPDATE _atsync.rejects SET tenant = (SELECT value FROM _atsync.info WHERE key = 'tenant')`,
			`ALTER TABLE _atsync.columns ADD COLUMN IF NOT EXISTS udf_id BIGINT`,
			`ALTER TABLE _atsync.columns ADD COLUMN IF NOT EXISTS retired_at TIMESTAMPTZ`,
			`ALTER TABLE _atsync.columns ADD COLUMN IF NOT EXISTS partial_since BIGINT`,
			`ALTER TABLE _atsync.schema_changes ADD COLUMN IF NOT EXISTS old_name VARCHAR`,
			`ALTER TABLE _atsync.schema_changes ADD COLUMN IF NOT EXISTS new_name VARCHAR`,
			`ALTER TABLE _atsync.schema_changes ADD COLUMN IF NOT EXISTS value VARCHAR`,
		}},
		{4, []string{`ALTER TABLE _atsync.checkpoints ADD COLUMN IF NOT EXISTS progress JSON`}},
	}
}

// formatVersion is the version of the system tables. A warehouse with a newer one is refused.
func formatVersion() int {
	all := steps()
	return all[len(all)-1].format
}

// A systemTable is one of _atsync's tables: what analysts and `atsync status` read.
type systemTable struct{ name, comment, columns string }

func systemTables() []systemTable {
	return []systemTable{
		{"_atsync.checkpoints", "How far each entity has been read; written with the rows it speaks of. Times are Autotask's clock.",
			`entity VARCHAR, table_name VARCHAR, class VARCHAR, complete_through TIMESTAMPTZ, full_at TIMESTAMPTZ,
			reread_at TIMESTAMPTZ, parent_load BIGINT, parent_id BIGINT, log_loads JSON, load_id BIGINT, run_id BIGINT,
			updated_at TIMESTAMPTZ, progress JSON`},
		{"_atsync.runs", "One row for each command that worked on this tenant; streams holds its report per entity, quota what it took of the hour's requests.",
			`run_id BIGINT, tenant VARCHAR, command VARCHAR, started_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, status VARCHAR,
			requests BIGINT, error VARCHAR, error_class VARCHAR, streams JSON, quota JSON`},
		{"_atsync.loads", "One row for each read of one entity, committed or failed.",
			`load_id BIGINT, run_id BIGINT, entity VARCHAR, table_name VARCHAR, mode VARCHAR, class VARCHAR, complete BOOLEAN,
			read_window JSON, started_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, status VARCHAR, fetched BIGINT, inserted BIGINT,
			updated BIGINT, unchanged BIGINT, deleted BIGINT, rejected BIGINT, source_count BIGINT, requests BIGINT,
			schema_changed BOOLEAN, complete_through TIMESTAMPTZ, error VARCHAR, error_class VARCHAR`},
		{"_atsync.rejects", "Values that did not fit their column and are NULL there. A row goes when its value is read clean; acknowledged ones are accepted.",
			`entity VARCHAR, table_name VARCHAR, id BIGINT, column_name VARCHAR, field VARCHAR, raw VARCHAR, reason VARCHAR,
			load_id BIGINT, found_at TIMESTAMPTZ, tenant VARCHAR, acknowledged_at TIMESTAMPTZ, acknowledged_by VARCHAR`},
		{"_atsync.columns", "The columns of every table with Autotask's own name for them.",
			`entity VARCHAR, table_name VARCHAR, ordinal BIGINT, column_name VARCHAR, source VARCHAR, udf BOOLEAN, type VARCHAR,
			reference VARCHAR, picklist BOOLEAN, queryable BOOLEAN, in_metadata BOOLEAN, load_id BIGINT, added_at TIMESTAMPTZ,
			udf_id BIGINT, retired_at TIMESTAMPTZ, partial_since BIGINT`},
		{"_atsync.schema_changes", "What became of tables, columns and labels: created, added, widened, renamed, retired, restored, left out.",
			`load_id BIGINT, changed_at TIMESTAMPTZ, entity VARCHAR, table_name VARCHAR, change VARCHAR, column_name VARCHAR,
			old_type VARCHAR, new_type VARCHAR, old_name VARCHAR, new_name VARCHAR, value VARCHAR`},
		{"_atsync.tombstone_log", "Rows found deleted, and rows that came back (event: deleted, restored).",
			`entity VARCHAR, table_name VARCHAR, id BIGINT, event VARCHAR, reason VARCHAR, load_id BIGINT, noted_at TIMESTAMPTZ`},
		{"_atsync.stamp_misses", "Whole re-reads: how many rows differed though their stamps say that nothing changed since the last sync.",
			`entity VARCHAR, table_name VARCHAR, load_id BIGINT, noted_at TIMESTAMPTZ, compared BIGINT, missed BIGINT, example_ids JSON`},
		{"_atsync.holds", "A tenant whose login was refused: no request is sent until the credentials change.",
			`tenant VARCHAR, since TIMESTAMPTZ, reason VARCHAR, fingerprint VARCHAR`},
		{"_atsync.state_log", "Checkpoints changed by hand (atsync state): who, when, from what to what; a reset has no new one.",
			`changed_at TIMESTAMPTZ, entity VARCHAR, command VARCHAR, old JSON, new JSON, changed_by VARCHAR, note VARCHAR`},
		{"_atsync.metadata", "The tenant's entityInformation as last read, one row for each entity.",
			`entity VARCHAR, metadata JSON, read_at TIMESTAMPTZ, changed_at TIMESTAMPTZ`},
		chunksTable(),
		{"main.picklists", "The choices of every picklist field, over time: one that vanishes stays, inactive.",
			`entity VARCHAR, field VARCHAR, column_name VARCHAR, value VARCHAR, label VARCHAR, parent_value VARCHAR,
			is_active BOOLEAN, is_default BOOLEAN, is_system BOOLEAN, sort_order BIGINT, first_seen TIMESTAMPTZ, last_seen TIMESTAMPTZ`},
	}
}

// freshnessView needs no extension to be read: the lag is made of plain integers.
const freshnessView = `CREATE OR REPLACE VIEW _atsync.freshness AS
SELECT (SELECT value FROM _atsync.info WHERE key = 'tenant') AS tenant,
	l.table_name AS "table", l.entity, c.complete_through, l.last_success_at, coalesce(c.class, l.class) AS class,
	to_microseconds(epoch_us(now()) - epoch_us(c.complete_through)) AS lag
FROM (SELECT entity, arg_max(table_name, load_id) AS table_name, arg_max(class, load_id) AS class,
		max(ended_at) FILTER (WHERE status = 'ok' AND mode IS DISTINCT FROM 'fetch' AND mode IS DISTINCT FROM 'backfill') AS last_success_at
	FROM _atsync.loads GROUP BY entity) l
LEFT JOIN _atsync.checkpoints c ON c.entity = l.entity
ORDER BY l.entity`

// createSystem creates what is missing of _atsync and brings the rest up to date, or refuses a warehouse of a newer
// format.
func (w *Warehouse) createSystem(ctx context.Context) error {
	version, err := w.format(ctx)
	if err != nil || version == formatVersion() {
		return err
	}
	return w.write(ctx, func(s session) error {
		ddl := []string{
			`CREATE SCHEMA IF NOT EXISTS _atsync`,
			`CREATE TABLE IF NOT EXISTS _atsync.info (key VARCHAR, value VARCHAR)`,
		}
		for _, t := range systemTables() {
			ddl = append(ddl, `CREATE TABLE IF NOT EXISTS `+t.name+` (`+t.columns+`)`)
			for column := range strings.SplitSeq(t.columns, ",") { // a warehouse of an older format may lack some
				ddl = append(ddl, `ALTER TABLE `+t.name+` ADD COLUMN IF NOT EXISTS `+column)
			}
			ddl = append(ddl, `COMMENT ON TABLE `+t.name+` IS `+literal(t.comment))
		}
		ddl = append(ddl, freshnessView,
			`COMMENT ON VIEW _atsync.freshness IS 'Up to when each table is complete, and how long ago that is.'`)
		for _, step := range steps() {
			if version > 0 && step.format > version {
				ddl = append(ddl, step.sql...)
			}
		}
		ddl = append(ddl, `DELETE FROM _atsync.info WHERE key IN ('format', 'tenant')`)
		for _, q := range ddl {
			if err := s.exec(q); err != nil {
				return err
			}
		}
		return s.exec(`INSERT INTO _atsync.info VALUES ('format', ?), ('tenant', ?)`, strconv.Itoa(formatVersion()), w.opts.Tenant)
	})
}

// format returns the format version of the file, 0 for a new one.
func (w *Warehouse) format(ctx context.Context) (int, error) {
	info, err := readInfo(ctx, w.db)
	if e, ok := errors.AsType[*duckdb.Error](err); ok && e.Type == duckdb.ErrorTypeCatalog {
		return 0, nil // there is no such table
	}
	if err != nil {
		return 0, err
	}
	return w.checkInfo(info)
}

func (w *Warehouse) checkInfo(info map[string]string) (int, error) {
	version, err := strconv.Atoi(info["format"])
	if err != nil {
		return 0, fmt.Errorf("the warehouse has no format version: %w", err)
	}
	if version > formatVersion() {
		return 0, &pipeline.Error{Class: pipeline.ClassSink, Tenant: w.opts.Tenant, Op: "open warehouse",
			Err:    fmt.Errorf("%s has format %d, this atsync knows %d", w.opts.Path, version, formatVersion()),
			Remedy: "use a newer atsync"}
	}
	if owner := info["tenant"]; owner != w.opts.Tenant {
		return 0, &pipeline.Error{Class: pipeline.ClassSink, Tenant: w.opts.Tenant, Op: "open warehouse",
			Err:    fmt.Errorf("%s belongs to the tenant %q", w.opts.Path, owner),
			Remedy: "give each tenant its own file, or rename the tenant back"}
	}
	return version, nil
}

// readInfo returns the settings that the warehouse keeps of itself.
func readInfo(ctx context.Context, q querier) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT key, coalesce(value, '') FROM _atsync.info`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	info := map[string]string{}
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, err
		}
		info[k] = v
	}
	return info, rows.Err()
}

func saveInfo(s session, key, value string) error {
	if err := s.exec(`DELETE FROM _atsync.info WHERE key = ?`, key); err != nil {
		return err
	}
	return s.exec(`INSERT INTO _atsync.info VALUES (?, ?)`, key, text(value))
}

// noRows turns "no such row" into nil.
func noRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
