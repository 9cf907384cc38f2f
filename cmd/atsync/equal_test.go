package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the driver "duckdb"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// column is what the warehouse itself says of one of its columns.
type column struct {
	name, source, kind string
	udf                bool
}

// equal fails the test unless each entity's live rows in the published file are the source's rows, field
// for field; columns of fields that are gone hold history. It reads the JSON text that the simulator sends and the values that DuckDB returns, and
// shares no code with what moved them.
func equal(t *testing.T, path string, data *autotasktest.Data, entities []string) {
	t.Helper()
	for _, difference := range differences(path, data, entities) {
		t.Error(difference)
	}
}

func openPublished(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// compareEntity returns the first difference, or "".
func compareEntity(db *sql.DB, data *autotasktest.Data, entity string, cols []column) string {
	source := data.Rows(entity)
	if len(cols) == 0 {
		if len(source) == 0 {
			return ""
		}
		return fmt.Sprintf("no table for %d rows", len(source))
	}
	missing, sent := sentKeys(source, cols)
	if missing != "" {
		return missing
	}
	rows, err := db.Query(selectAll(entity, cols))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for ; rows.Next(); n++ {
		values := make([]sql.NullString, len(cols))
		targets := make([]any, len(cols))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err.Error()
		}
		if n >= len(source) {
			return fmt.Sprintf("row %s is not in the source (or twice)", values[0].String)
		}
		for i, c := range cols {
			raw := source[n].Raw(c.key())
			if !c.udf && c.name != "id" && !sent[strings.ToLower(c.source)] {
				raw = "" // the bytes of attachments are not in answers to queries
			}
			if d := differs(raw, values[i], c.kind); d != "" {
				return fmt.Sprintf("row %d (warehouse id %s) column %s: %s", source[n].ID, values[0].String, c.name, d)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	if n != len(source) {
		return fmt.Sprintf("%d rows in the warehouse, %d at the source", n, len(source))
	}
	return ""
}

func (c column) key() string {
	if c.udf {
		return "udf:" + c.source
	}
	return c.source
}

// sentKeys returns the keys of the source's rows, lower case, and a word about one that no column takes.
func sentKeys(source []autotasktest.Row, cols []column) (missing string, sent map[string]bool) {
	sent = map[string]bool{}
	if len(source) == 0 {
		return "", sent
	}
	var item map[string]json.RawMessage
	if err := json.Unmarshal([]byte(source[0].JSON()), &item); err != nil {
		return err.Error(), sent
	}
	have := map[string]bool{"userdefinedfields": true}
	for _, c := range cols {
		if !c.udf {
			have[strings.ToLower(c.source)] = true
		}
	}
	for key := range item {
		sent[strings.ToLower(key)] = true
		if !have[strings.ToLower(key)] {
			return "no column holds " + key, sent
		}
	}
	return "", sent
}

// warehouseColumns returns the columns of an entity's table, the id first.
func warehouseColumns(db *sql.DB, entity string) ([]column, error) {
	all, err := allColumns(db)
	return all[entity], err
}

// allColumns returns the columns of each entity's table.
func allColumns(db *sql.DB) (map[string][]column, error) {
	rows, err := db.Query(`SELECT c.entity, c.column_name, c.source, d.data_type, c.udf
		FROM _atsync.columns c JOIN duckdb_columns() d
		  ON d.schema_name = 'main' AND d.table_name = c.table_name AND d.column_name = c.column_name
		     AND d.database_name = current_database()
		WHERE c.retired_at IS NULL
		ORDER BY c.column_name <> 'id', c.column_name`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[string][]column{}
	for rows.Next() {
		var entity string
		var c column
		if err := rows.Scan(&entity, &c.name, &c.source, &c.kind, &c.udf); err != nil {
			return nil, err
		}
		out[entity] = append(out[entity], c)
	}
	return out, rows.Err()
}

func selectAll(entity string, cols []column) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, c := range cols {
		if i > 0 {
			b.WriteString(", ")
		}
		quoted := `"` + strings.ReplaceAll(c.name, `"`, `""`) + `"`
		if c.kind == "TIMESTAMP WITH TIME ZONE" {
			quoted = "epoch_us(" + quoted + ")"
		}
		b.WriteString("CAST(" + quoted + " AS VARCHAR)")
	}
	return b.String() + ` FROM "` + schemas.TableName(entity) + `" WHERE _deleted_at IS NULL ORDER BY id`
}

// differs compares the JSON text of a value with what the warehouse holds.
func differs(raw string, got sql.NullString, kind string) string {
	var v any
	if raw == "" {
		v = nil // the source does not have the field: NULL
	} else {
		dec := json.NewDecoder(strings.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			return err.Error()
		}
	}
	text, isText := v.(string)
	if v == nil || isText && text == "" && kind != "VARCHAR" {
		if got.Valid {
			return fmt.Sprintf("source %s, warehouse %q", raw, got.String)
		}
		return ""
	}
	if !got.Valid {
		return fmt.Sprintf("source %.200s, warehouse NULL", raw)
	}
	want := fmt.Sprint(v)
	same := false
	switch kind {
	case "VARCHAR":
		same = want == got.String
	case "BOOLEAN":
		same = want == got.String || want == "1" && got.String == "true" || want == "0" && got.String == "false"
	case "TIMESTAMP WITH TIME ZONE":
		at, err := parseStamp(want)
		same = err == nil && strconv.FormatInt(at.UnixMicro(), 10) == got.String
	default: // numbers
		a, okA := new(big.Rat).SetString(want)
		b, okB := new(big.Rat).SetString(got.String)
		same = okA && okB && a.Cmp(b) == 0
	}
	if !same {
		return fmt.Sprintf("source %.200s, warehouse %.200q (%s)", raw, got.String, kind)
	}
	return ""
}

func parseStamp(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("not a date: %q", s)
}
