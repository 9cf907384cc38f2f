package parquet

import (
	"context"
	"database/sql"
	"strings"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/schemas/views"
)

func ident(name string) string   { return schemas.QuoteIdent(name) }
func literal(text string) string { return schemas.QuoteLiteral(text) }

// state is as of when a publication is current: it changes with everything that readers see, and not with a run that
// found nothing new.
type state struct {
	Load     int64  `json:"load"`     // newest load that changed rows or columns
	Ended    string `json:"ended"`    // when the last of these ended: a long one ends after such as began later
	Metadata string `json:"metadata"` // when metadata changed last
	Views    string `json:"views"`    // sum of the views' texts
}

func readState(ctx context.Context, conn *sql.Conn) (s state, err error) {
	err = conn.QueryRowContext(ctx, `SELECT coalesce(max(load_id), 0), coalesce(max(ended_at)::VARCHAR, ''),
		(SELECT coalesce(max(changed_at)::VARCHAR, '') FROM _atsync.metadata),
		(SELECT coalesce(md5(string_agg(key || '=' || value, ' ' ORDER BY key)), '') FROM _atsync.info WHERE starts_with(key, 'view.'))
		FROM _atsync.loads WHERE coalesce(inserted, 0) + coalesce(updated, 0) + coalesce(deleted, 0) > 0 OR schema_changed`).
		Scan(&s.Load, &s.Ended, &s.Metadata, &s.Views)
	return s, err
}

// survey lists the warehouse's tables and views, by schema and name, without files.
func survey(ctx context.Context, conn *sql.Conn) (tables []Table, made []View, err error) {
	unfinished, err := surveyUnfinished(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	columns, err := surveyColumns(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	err = each(ctx, conn, `SELECT schema_name, table_name, coalesce(comment, ''), '' FROM duckdb_tables()
		WHERE database_name = current_database() AND NOT internal AND NOT temporary AND schema_name IN ('main', '_atsync') ORDER BY 1, 2`,
		func(text [4]string) {
			if unfinished[text[1]] && text[0] == "main" {
				return
			}
			t := Table{Schema: text[0], Name: text[1], Comment: text[2], Columns: columns[[2]string{text[0], text[1]}], Link: text[1]}
			if t.Schema != "main" {
				t.Link = t.Schema + "/" + t.Name
			}
			tables = append(tables, t)
		})
	if err != nil {
		return nil, nil, err
	}
	err = each(ctx, conn, `SELECT schema_name, view_name, coalesce(comment, ''), sql FROM duckdb_views()
		WHERE database_name = current_database() AND NOT internal AND NOT temporary AND schema_name IN ('main', '_atsync') ORDER BY 1, 2`,
		func(text [4]string) {
			if table, ok := strings.CutPrefix(text[1], views.Prefix); ok && unfinished[table] {
				return
			}
			made = append(made, View{Schema: text[0], Name: text[1], Comment: text[2], SQL: text[3], Columns: columns[[2]string{text[0], text[1]}]})
		})
	return tables, made, err
}

// ofUnfinished selects what is known of entities whose first load is not complete. Readers do not see them.
const ofUnfinished = `entity IN (SELECT entity FROM _atsync.checkpoints WHERE progress IS NOT NULL)`

// surveyUnfinished returns the tables of entities whose first load is not complete.
func surveyUnfinished(ctx context.Context, conn *sql.Conn) (map[string]bool, error) {
	tables := map[string]bool{}
	err := each(ctx, conn, `SELECT table_name, '', '', '' FROM _atsync.checkpoints WHERE progress IS NOT NULL`, func(text [4]string) {
		tables[text[0]] = true
	})
	return tables, err
}

// from is the SQL of a table's rows that are published.
func (t Table) from() string {
	if t.Schema == "_atsync" && (t.Name == "checkpoints" || t.Name == "columns" || t.Name == "rejects") {
		return `(FROM ` + t.name() + ` WHERE NOT coalesce(` + ofUnfinished + `, false))`
	}
	return t.name()
}

// surveyColumns returns the columns of every table and view.
func surveyColumns(ctx context.Context, conn *sql.Conn) (map[[2]string][]Column, error) {
	sources := map[[2]string]string{}
	err := each(ctx, conn, `SELECT table_name, column_name, source, '' FROM _atsync.columns WHERE source IS NOT NULL`, func(text [4]string) {
		sources[[2]string{text[0], text[1]}] = text[2]
	})
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, `SELECT schema_name, table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()
		WHERE database_name = current_database() AND NOT internal AND schema_name IN ('main', '_atsync') ORDER BY 1, 2, column_index`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	columns := map[[2]string][]Column{}
	for rows.Next() {
		var schema, table string
		var c Column
		if err := rows.Scan(&schema, &table, &c.Name, &c.Type, &c.Comment); err != nil {
			return nil, err
		}
		if schema == "main" {
			c.Source = sources[[2]string{table, c.Name}]
		}
		key := [2]string{schema, table}
		columns[key] = append(columns[key], c)
	}
	return columns, rows.Err()
}

// each runs a query of four texts.
func each(ctx context.Context, conn *sql.Conn, query string, fn func([4]string)) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var text [4]string
		if err := rows.Scan(&text[0], &text[1], &text[2], &text[3]); err != nil {
			return err
		}
		fn(text)
	}
	return rows.Err()
}

// key is the column by which a table is cut into files: of an entity's and of the logs that grow all the time. Others are one file.
func (t Table) key() string {
	switch t.Link {
	case "_atsync/loads":
		return "load_id"
	case "_atsync/runs":
		return "run_id"
	}
	if t.keyed() {
		return "id"
	}
	return ""
}

// keyed reports whether a table is an entity's.
func (t Table) keyed() bool {
	return t.has("id") && t.has(schemas.ColRowHash) && t.has(schemas.ColLoadID)
}

func (t Table) has(column string) bool {
	for _, c := range t.Columns {
		if c.Name == column {
			return true
		}
	}
	return false
}

// name returns a table's quoted name.
func (t Table) name() string { return ident(t.Schema) + "." + ident(t.Name) }

// entitySum is the SQL of the Sum of a range of an entity's rows. Whoever writes a row gives it its load's number and time; the time tells
// loads apart that have the same number, because a warehouse was replaced by an older one. The order of rows is of no account. Sums of
// hashes took 27 ms a million rows in place of 16.
const entitySum = `coalesce(sum(xor(id, epoch_us(` + schemas.ColSyncedAt + `))) || ' ' || sum(` + schemas.ColLoadID + `) || ' ' || count(` + schemas.ColDeletedAt + `), '0')`

// cut reports whether a table of so many rows has several files, or may: an entity's, or a log that has grown long.
func (t Table) cut(rows int64) bool { return t.keyed() || t.key() != "" && rows > leastRows }

// wholes counts and sums up the tables that are one file. Of a log that is more than one it has the count.
func wholes(ctx context.Context, conn *sql.Conn, tables []Table) (map[string]File, error) {
	files := map[string]File{}
	var logs, whole []Table
	for _, t := range tables {
		if !t.keyed() && t.key() != "" {
			logs = append(logs, t)
		}
	}
	if err := union(ctx, conn, logs, `count(*), ''`, files); err != nil {
		return nil, err
	}
	for _, t := range tables {
		if !t.cut(files[t.Link].Rows) {
			whole = append(whole, t)
		}
	}
	return files, union(ctx, conn, whole, `count(*), coalesce(sum(hash(t)), 0)::VARCHAR`, files)
}

// union selects the count and the sum of each table into files, in one statement.
func union(ctx context.Context, conn *sql.Conn, tables []Table, what string, files map[string]File) error {
	each := make([]string, len(tables))
	for i, t := range tables {
		each[i] = `SELECT ` + literal(t.Link) + `, ` + what + ` FROM ` + t.from() + ` AS t`
	}
	if len(each) == 0 {
		return nil
	}
	rows, err := conn.QueryContext(ctx, strings.Join(each, ` UNION ALL `))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var link string
		var f File
		if err := rows.Scan(&link, &f.Rows, &f.Sum); err != nil {
			return err
		}
		files[link] = f
	}
	return rows.Err()
}
