package parquet

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
)

// storageVersion is that of files made here: readable by every DuckDB since 1.0.
const storageVersion = "v1.0.0"

// partCatalog is the catalog while it is made.
const partCatalog = "." + CatalogName + newPrefix + "part"

// makeCatalog writes the catalog of a version beside the current one, as partCatalog, on a connection that the warehouse lent: an
// instance of its own would take longer than the rest. It starts from a copy of the current one: only what differs is made anew.
func (p *Publisher) makeCatalog(ctx context.Context, conn *sql.Conn, m *Manifest) error {
	path := p.dir.path(partCatalog)
	clear := func() error { return errors.Join(os.RemoveAll(path), os.RemoveAll(path+".wal")) }
	if err := clear(); err != nil {
		return err
	}
	b := builder{ctx, conn}
	if err := b.exec(`ROLLBACK`); err != nil { // what was read is read: the transaction would not let other files be written
		return err
	}
	fill := func(b builder) error { return b.catalog(p.opts.Folder, m) }
	err := p.dir.copy(CatalogName, partCatalog)
	if err == nil {
		err = b.file(path, fill)
	}
	if err != nil && ctx.Err() == nil { // there is none, or it is damaged
		if err = clear(); err == nil {
			err = b.file(path, fill)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("catalog: %w", err), clear())
	}
	return syncPath(path)
}

// An entry is a view of the catalog: one that reads a table's files, or one of the warehouse's own.
type entry struct {
	schema, name string
	sql, comment string
	columns      []Column
}

// sum changes with whatever the catalog says of an entry.
func (e entry) sum() string {
	raw := sha256.New()
	_ = json.NewEncoder(raw).Encode([]any{e.sql, e.comment, e.columns}) // texts, into a hash: neither fails
	return hex.EncodeToString(raw.Sum(nil))
}

func (m *Manifest) entries(root string) (out []entry) {
	for _, t := range m.Tables {
		out = append(out, entry{t.Schema, t.Name, `CREATE VIEW ` + t.name() + ` AS SELECT ` + t.selectList() + ` FROM ` + t.scan(root), t.Comment, t.Columns})
	}
	for _, v := range m.Views {
		out = append(out, entry{v.Schema, v.Name, v.SQL, v.Comment, v.Columns})
	}
	return out
}

// catalog makes a new or older catalog that of a version.
func (b builder) catalog(root string, m *Manifest) error {
	err := b.exec(`CREATE TABLE IF NOT EXISTS _atsync.entries (view_schema VARCHAR, view_name VARCHAR, sum VARCHAR)`,
		`COMMENT ON TABLE _atsync.entries IS 'What each view of this catalog was made of, as a sum.'`,
		`CREATE OR REPLACE TABLE _atsync.files (table_schema VARCHAR, table_name VARCHAR, path VARCHAR, rows BIGINT, bytes BIGINT, min_id BIGINT, max_id BIGINT)`,
		`COMMENT ON TABLE _atsync.files IS 'The Parquet files of this version, which the views read.'`)
	if err != nil {
		return err
	}
	var files []string
	for _, t := range m.Tables {
		files = append(files, t.fileRows(root)...)
	}
	if len(files) > 0 {
		if err := b.exec(`INSERT INTO _atsync.files VALUES ` + strings.Join(files, ", ")); err != nil {
			return err
		}
	}
	made := map[[2]string]string{}
	if err := each(b.ctx, b.conn, `SELECT view_schema, view_name, sum, '' FROM _atsync.entries`, func(text [4]string) {
		made[[2]string{text[0], text[1]}] = text[2]
	}); err != nil {
		return err
	}
	var stale []entry
	for _, e := range m.entries(root) {
		key := [2]string{e.schema, e.name}
		if made[key] != e.sum() {
			stale = append(stale, e)
		} else {
			delete(made, key)
		}
	}
	for key := range made { // to be made anew, or gone
		err := b.exec(`DROP VIEW IF EXISTS `+ident(key[0])+`.`+ident(key[1]),
			`DELETE FROM _atsync.entries WHERE view_schema = `+literal(key[0])+` AND view_name = `+literal(key[1]))
		if err != nil {
			return err
		}
	}
	return b.views(stale, func(e entry) error {
		return b.exec(`INSERT INTO _atsync.entries VALUES (` + literal(e.schema) + `, ` + literal(e.name) + `, ` + literal(e.sum()) + `)`)
	})
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

func (t Table) fileRows(root string) []string {
	rows := make([]string, len(t.Files))
	for i, f := range t.Files {
		rows[i] = fmt.Sprintf("(%s, %s, %s, %d, %d, %s, %s)", literal(t.Schema), literal(t.Name), literal((folder{root: root}).path(f.Path)),
			f.Rows, f.Bytes, number(f.MinID), number(f.MaxID))
	}
	return rows
}

func number(n *int64) string {
	if n == nil {
		return "NULL"
	}
	return strconv.FormatInt(*n, 10)
}

// builder writes a DuckDB file on a connection of any instance.
type builder struct {
	ctx  context.Context
	conn *sql.Conn
}

// build is builder.file in an instance of its own.
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
		`SET GLOBAL autoinstall_known_extensions = false`, `SET GLOBAL autoload_known_extensions = false`)
	if err != nil {
		return err
	}
	return b.file(path, fill)
}

// builtName is the catalog of a file while it is filled. No tenant can have it: names begin with a letter.
const builtName = "_atsync_built"

// file opens a DuckDB file, made if it is not there, as the current database, with the schema _atsync, and lets fill do the rest.
func (b builder) file(path string, fill func(builder) error) (err error) {
	var home string
	if err := b.conn.QueryRowContext(b.ctx, `SELECT current_database()`).Scan(&home); err != nil {
		return err
	}
	if err := b.exec(`ATTACH ` + literal(path) + ` AS ` + builtName + ` (STORAGE_VERSION ` + literal(storageVersion) + `)`); err != nil {
		return err
	}
	calm := builder{context.WithoutCancel(b.ctx), b.conn}
	defer func() { err = errors.Join(err, calm.exec(`USE `+ident(home), `DETACH `+builtName)) }()
	if err := b.exec(`USE `+builtName, `BEGIN TRANSACTION`); err != nil {
		return err
	}
	err = b.exec(`CREATE SCHEMA IF NOT EXISTS _atsync`)
	if err == nil {
		err = fill(b)
	}
	if err != nil {
		return errors.Join(err, calm.exec(`ROLLBACK`))
	}
	return b.exec(`COMMIT`, `CHECKPOINT `+builtName)
}

// exec runs statements, each to its end: an instance whose statements were interrupted may keep its files open for good.
func (b builder) exec(statements ...string) error {
	for _, q := range statements {
		if err := context.Cause(b.ctx); err != nil {
			return err
		}
		if _, err := b.conn.ExecContext(context.WithoutCancel(b.ctx), q); err != nil {
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
func (b builder) views(views []entry, then func(entry) error) error {
	for len(views) > 0 {
		var left []entry
		var failed error
		for _, v := range views {
			if err := b.view(v, then); err != nil {
				left, failed = append(left, v), fmt.Errorf("view %s: %w", v.name, err)
			}
		}
		if len(left) == len(views) {
			return failed
		}
		views = left
	}
	return nil
}

func (b builder) view(v entry, then func(entry) error) error {
	if err := b.exec(v.sql); err != nil {
		return err
	}
	if err := b.comments("VIEW", ident(v.schema)+"."+ident(v.name), v.comment, v.columns); err != nil {
		return err
	}
	return then(v)
}
