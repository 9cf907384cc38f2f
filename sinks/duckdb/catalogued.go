package duckdb

import (
	"context"
	"database/sql"
	"path/filepath"
)

// catalogued returns, as SQL literals, the files that views of attached catalogs read, out of their _atsync.files:
// those below the catalog's folder, and no others. A publication that is a database of its own has none.
func catalogued(ctx context.Context, conn *sql.Conn, publications map[string]string) (files []string, err error) {
	for tenant, path := range publications {
		var n int
		err := conn.QueryRowContext(ctx, `SELECT count(*) FROM duckdb_tables()
			WHERE database_name = ? AND schema_name = '_atsync' AND table_name = 'files'`, tenant).Scan(&n)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		more, err := texts(ctx, conn, `SELECT path FROM `+ident(tenant)+`._atsync.files`)
		if err != nil {
			return nil, err
		}
		folder, err := filepath.Abs(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			if rel, err := filepath.Rel(folder, f); err == nil && filepath.IsLocal(rel) {
				files = append(files, literal(f))
			}
		}
	}
	return files, nil
}

// texts returns a column of texts.
func texts(ctx context.Context, conn querier, query string) (out []string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}
