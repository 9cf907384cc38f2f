package parquet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
)

// storageVersion is that of files made here: readable by every DuckDB since 1.0.
const storageVersion = "v1.0.0"

// makeCatalog writes the catalog of a version beside the current one and returns its name.
func (p *Publisher) makeCatalog(ctx context.Context, m *Manifest) (part string, err error) {
	part = "." + CatalogName + newPrefix + "part"
	for _, name := range []string{part, part + ".wal"} {
		if err := os.Remove(p.dir.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return part, err
		}
	}
	err = build(ctx, p.dir.path(part), func(b builder) error {
		if err := b.exec(`CREATE TABLE _atsync.files (table_schema VARCHAR, table_name VARCHAR, path VARCHAR, rows BIGINT, bytes BIGINT, min_id BIGINT, max_id BIGINT)`,
			`COMMENT ON TABLE _atsync.files IS 'The Parquet files of this version, which the views read.'`); err != nil {
			return err
		}
		for _, t := range m.Tables {
			if err := b.exec(`CREATE VIEW `+t.name()+` AS SELECT `+t.selectList()+` FROM `+t.scan(p.opts.Folder),
				`INSERT INTO _atsync.files VALUES `+t.fileRows(p.opts.Folder)); err != nil {
				return fmt.Errorf("%s: %w", t.Link, err)
			}
			if err := b.comments("VIEW", t.name(), t.Comment, t.Columns); err != nil {
				return err
			}
		}
		return b.views(m.Views)
	})
	if err == nil {
		err = syncPath(p.dir.path(part))
	}
	return part, err
}

// scan is the SQL of a table's files by their full names, whatever is beside them.
func (t Table) scan(root string) string {
	names := make([]string, len(t.Files))
	for i, f := range t.Files {
		names[i] = literal(strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace((folder{root: root}).path(f.Path)))
	}
	return "read_parquet([" + strings.Join(names, ", ") + "], hive_partitioning = false)"
}

// selectList is the SQL of a table's columns out of its files, where all have their types but JSON.
func (t Table) selectList() string {
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = ident(c.Name)
		if c.Type == jsonType {
			cols[i] += "::JSON AS " + ident(c.Name)
		}
	}
	return strings.Join(cols, ", ")
}

func (t Table) fileRows(root string) string {
	rows := make([]string, len(t.Files))
	for i, f := range t.Files {
		rows[i] = fmt.Sprintf("(%s, %s, %s, %d, %d, %s, %s)", literal(t.Schema), literal(t.Name), literal((folder{root: root}).path(f.Path)),
			f.Rows, f.Bytes, number(f.MinID), number(f.MaxID))
	}
	return strings.Join(rows, ", ")
}

func number(n *int64) string {
	if n == nil {
		return "NULL"
	}
	return strconv.FormatInt(*n, 10)
}

// builder writes a new DuckDB file, which is the current database of its connection.
type builder struct {
	ctx  context.Context
	conn *sql.Conn
}

// build makes a DuckDB file with the schema _atsync and lets fill do the rest.
func build(ctx context.Context, path string, fill func(builder) error) (err error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	b := builder{ctx, conn}
	err = b.exec(`SET GLOBAL memory_limit = '192MB'`, `SET GLOBAL threads = 2`, `SET GLOBAL TimeZone = 'UTC'`,
		`SET GLOBAL temp_directory = `+literal(path+".tmp"),
		`SET GLOBAL autoinstall_known_extensions = false`, `SET GLOBAL autoload_known_extensions = false`,
		`ATTACH `+literal(path)+` AS made (STORAGE_VERSION `+literal(storageVersion)+`)`, `USE made`, `BEGIN TRANSACTION`, `CREATE SCHEMA _atsync`)
	if err != nil {
		return err
	}
	if err := fill(b); err != nil {
		return err
	}
	return b.exec(`COMMIT`, `CHECKPOINT made`, `USE memory`, `DETACH made`)
}

func (b builder) exec(statements ...string) error {
	for _, q := range statements {
		if _, err := b.conn.ExecContext(b.ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// comments sets the comments of a table or view.
func (b builder) comments(kind, name, comment string, columns []Column) error {
	var out []string
	if comment != "" {
		out = append(out, `COMMENT ON `+kind+` `+name+` IS `+literal(comment))
	}
	for _, c := range columns {
		if c.Comment != "" {
			out = append(out, `COMMENT ON COLUMN `+name+`.`+ident(c.Name)+` IS `+literal(c.Comment))
		}
	}
	return b.exec(out...)
}

// views makes views in an order in which each finds what it reads.
func (b builder) views(views []View) error {
	for len(views) > 0 {
		var left []View
		var failed error
		for _, v := range views {
			if err := b.view(v); err != nil {
				left, failed = append(left, v), fmt.Errorf("view %s: %w", v.Name, err)
			}
		}
		if len(left) == len(views) {
			return failed
		}
		views = left
	}
	return nil
}

func (b builder) view(v View) error {
	if err := b.exec(v.SQL); err != nil {
		return err
	}
	return b.comments("VIEW", ident(v.Schema)+"."+ident(v.Name), v.Comment, v.Columns)
}
