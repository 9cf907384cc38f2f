package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CopyParquet writes a query's result to a new Parquet file, ZSTD-compressed, with an instance like OpenSQL's: of all
// files the query can reach the publications, to read, and the new file. The query is one SELECT from outside.
// Its errors are DuckDB's own, so that they can be told like those of other queries.
func CopyParquet(ctx context.Context, publications map[string]string, query, path string) (rows int64, err error) {
	db, err := OpenSQL(ctx, publications, ReadOptions{writable: path})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := onlyQuery(ctx, db, query); errors.Is(err, errUnparsable) {
		_, err = db.ExecContext(ctx, query) // says what is wrong
		return 0, cmp.Or(err, errUnparsable)
	} else if err != nil {
		return 0, err
	}
	query = strings.TrimRight(query, "; \t\r\n")
	res, err := db.ExecContext(ctx, "COPY (\n"+query+"\n) TO "+literal(path)+" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30000, USE_TMP_FILE false)")
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// onlyQuery refuses what is no query. The instance may write one file, so its gate is open.
func onlyQuery(ctx context.Context, db *sql.DB, query string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	return conn.Raw(func(c any) error {
		gated, ok := c.(*gatedConn)
		if !ok {
			return fmt.Errorf("a connection is a %T", c)
		}
		return gated.judge(ctx, query)
	})
}

// Relation is a table or a view of a publication. A table of Parquet files, which a catalog has as a view, is a table.
type Relation struct {
	Tenant, Schema, Name string
	View                 bool
}

// SQL names the relation in a query over publications.
func (r Relation) SQL() string { return ident(r.Tenant) + "." + ident(r.Schema) + "." + ident(r.Name) }

// Relations lists the tables and views in a database opened with OpenSQL, by tenant, schema and name.
func Relations(ctx context.Context, db *sql.DB) (out []Relation, err error) {
	rows, err := db.QueryContext(ctx, `SELECT database_name, schema_name, table_name, false FROM duckdb_tables() WHERE NOT internal AND NOT temporary
		UNION ALL SELECT database_name, schema_name, view_name, true FROM duckdb_views() WHERE NOT internal AND NOT temporary ORDER BY ALL`)
	if err != nil {
		return nil, readError("", "", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var r Relation
		if err := rows.Scan(&r.Tenant, &r.Schema, &r.Name, &r.View); err != nil {
			return nil, readError("", "", err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("", "", err)
	}
	for _, files := range slices.Clone(out) {
		if files.View || files.Schema != "_atsync" || files.Name != "files" {
			continue
		}
		tables, err := texts(ctx, db, `SELECT DISTINCT table_schema || '.' || table_name FROM `+files.SQL())
		if err != nil {
			return nil, readError(files.Tenant, "", err)
		}
		for i, r := range out {
			out[i].View = r.View && (r.Tenant != files.Tenant || !slices.Contains(tables, r.Schema+"."+r.Name))
		}
	}
	return out, nil
}
