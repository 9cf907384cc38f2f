package bench_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// yardstickArgs say what DuckDB alone is to do.
type yardstickArgs struct {
	Database string // file to write to
	Like     string // warehouse that has the table, for its columns
	Table    string
	Items    string // file of items, one a line
}

// openAlone opens a database file with the settings of atsync's warehouse.
func openAlone(path string) (*sql.DB, error) {
	settings := url.Values{"memory_limit": {"512MB"}, "threads": {"2"}, "temp_directory": {path + ".tmp"}}
	connector, err := duckdb.NewConnector(path+"?"+settings.Encode(), nil)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// readJSON is the child that loads items into an empty table of the same columns and types.
func readJSON(ctx context.Context, raw string) error {
	var args yardstickArgs
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	db, err := openAlone(args.Database)
	if err != nil {
		return err
	}
	items, err := itemsOf(ctx, db, args)
	if err != nil {
		return err
	}
	err = execAll(ctx, db,
		`SET TimeZone = 'UTC'`,
		`CREATE TABLE `+args.Table+` AS FROM warehouse.`+args.Table+` LIMIT 0`,
		`DETACH warehouse`,
		`INSERT INTO `+args.Table+` BY NAME `+items,
		`CHECKPOINT`)
	if err != nil {
		return err
	}
	return db.Close()
}

// mergeByHand is the child that brings changed items into a copy of the warehouse as one would by hand.
func mergeByHand(ctx context.Context, raw string) error {
	var args yardstickArgs
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	db, err := openAlone(args.Database)
	if err != nil {
		return err
	}
	items, err := itemsOf(ctx, db, args)
	if err != nil {
		return err
	}
	err = execAll(ctx, db,
		`SET TimeZone = 'UTC'`,
		`BEGIN`,
		`CREATE TEMP TABLE changed AS `+items,
		`DELETE FROM `+args.Table+` t USING changed c WHERE t.id = c.id`,
		`INSERT INTO `+args.Table+` BY NAME FROM changed`,
		`COMMIT`,
		`CHECKPOINT`)
	if err != nil {
		return err
	}
	return db.Close()
}

func execAll(ctx context.Context, db *sql.DB, statements ...string) error {
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.60s: %w", s, err)
		}
	}
	return nil
}

// itemsOf returns the query that reads the items with the names and types of the warehouse's table, which
// it attaches.
func itemsOf(ctx context.Context, db *sql.DB, args yardstickArgs) (string, error) {
	if args.Like != args.Database {
		if err := execAll(ctx, db, `ATTACH '`+args.Like+`' AS warehouse (READ_ONLY)`); err != nil {
			return "", err
		}
	}
	from := `_atsync.columns`
	if args.Like != args.Database {
		from = `warehouse._atsync.columns`
	}
	rows, err := db.QueryContext(ctx, `SELECT column_name, source, udf, type FROM `+from+` WHERE table_name = ? ORDER BY ordinal`, args.Table)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }() // read to the end, or failed already
	var sources, values []string
	udfs := false
	for rows.Next() {
		var column, source, kind string
		var udf bool
		if err := rows.Scan(&column, &source, &udf, &kind); err != nil {
			return "", err
		}
		if udf {
			udfs = true
			values = append(values, fmt.Sprintf(`CAST(userDefinedFields[list_position([u.name FOR u IN userDefinedFields], %s)].value AS %s) AS "%s"`,
				quoted(source), kind, column))
			continue
		}
		sources = append(sources, fmt.Sprintf(`%s: %s`, quoted(source), quoted(kind)))
		values = append(values, fmt.Sprintf(`"%s" AS "%s"`, source, column))
	}
	if udfs {
		sources = append(sources, `userDefinedFields: 'STRUCT(name VARCHAR, "value" VARCHAR)[]'`)
	}
	return `SELECT ` + strings.Join(values, ", ") + ` FROM read_json('` + args.Items +
		`', format = 'newline_delimited', columns = {` + strings.Join(sources, ", ") + `})`, rows.Err()
}

func quoted(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }

// count returns how many rows a table of a database file has.
func count(ctx context.Context, path, table string) (n int64, err error) {
	connector, err := duckdb.NewConnector(path+"?access_mode=READ_ONLY", nil)
	if err != nil {
		return 0, err
	}
	db := sql.OpenDB(connector)
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		return 0, err
	}
	return n, db.Close()
}
