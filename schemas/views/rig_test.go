package views_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // the driver "duckdb"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/schemas/views"
)

// column describes a column by a type word: "int", "text", "time", with "!" for a picklist and ">Entity" for a reference.
func column(t *testing.T, source, word string) schemas.Column {
	t.Helper()
	c := schemas.Column{Name: schemas.ColumnName(source), Source: source}
	word, c.Reference, _ = strings.Cut(word, ">")
	word, c.Picklist = strings.CutSuffix(word, "!")
	if name, ok := strings.CutPrefix(word, "udf "); ok {
		c.UDF, c.Name, word = true, "udf_"+c.Name, name
	}
	kinds := map[string]schemas.Kind{"int": schemas.Int, "text": schemas.String, "time": schemas.Timestamp, "bool": schemas.Bool}
	if c.Type.Kind = kinds[word]; c.Type.Kind == 0 {
		t.Fatalf("no type %q", word)
	}
	return c
}

// table describes a table by pairs of field and type word; the id comes by itself.
func table(t *testing.T, entity string, fields ...string) views.Table {
	t.Helper()
	out := views.Table{Entity: entity, Name: schemas.TableName(entity), Columns: []schemas.Column{column(t, "id", "int")}}
	for i := 0; i < len(fields); i += 2 {
		out.Columns = append(out.Columns, column(t, fields[i], fields[i+1]))
	}
	return out
}

// create makes the tables, empty, the table picklists and the views in a database in memory.
func create(t *testing.T, w views.Warehouse) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1) // every connection has a database of its own
	exec(t, db, `CREATE TABLE picklists (entity VARCHAR, column_name VARCHAR, value VARCHAR, label VARCHAR, is_active BOOLEAN, last_seen TIMESTAMPTZ)`)
	for _, table := range w.Tables {
		var defs []string
		for _, c := range table.Columns {
			defs = append(defs, schemas.QuoteIdent(c.Name)+" "+c.Type.SQL())
		}
		defs = append(defs, "_synced_at TIMESTAMPTZ", "_load_id BIGINT", "_deleted_at TIMESTAMPTZ", "_extra JSON")
		exec(t, db, "CREATE TABLE "+table.Name+" ("+strings.Join(defs, ", ")+")")
	}
	for _, v := range w.Views() {
		exec(t, db, v.Statements()[0])
	}
	return db
}

// comment adds the comments of a view, which take most of the time.
func comment(t *testing.T, db *sql.DB, v views.View) {
	t.Helper()
	for _, q := range v.Statements()[1:] {
		exec(t, db, q)
	}
}

func exec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
}

// lines runs a query and returns its rows, cells joined by bars.
func lines(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, c := range cells {
			if !c.Valid {
				c.String = "NULL"
			}
			texts = append(texts, c.String)
		}
		out = append(out, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
