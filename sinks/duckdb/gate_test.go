package duckdb_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/sinks/duckdb"
)

// TestGate: the files that a publication's views read can't be written, whoever asks and however it is put.
func TestGate(t *testing.T) {
	dir := t.TempDir()
	file, catalog := filepath.Join(dir, "widgets.parquet"), filepath.Join(dir, "catalog.duckdb")
	made, err := sql.Open("duckdb", catalog)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`COPY (SELECT range AS id FROM range(3)) TO '` + file + `' (FORMAT parquet)`,
		`CREATE SCHEMA _atsync`, `CREATE TABLE _atsync.files AS SELECT '` + file + `' AS path`,
		`CREATE VIEW widgets AS FROM read_parquet('` + file + `')`,
	} {
		if _, err := made.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db, err := duckdb.OpenSQL(t.Context(), map[string]string{"acme": catalog}, duckdb.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	evil := `COPY (SELECT 1 AS id) TO '` + file + `' (FORMAT parquet, USE_TMP_FILE false)`
	for _, q := range []string{
		evil, `SELECT 1; ` + evil, evil + `; SELECT 1`, `EXPLAIN ANALYZE ` + evil, ` explain
			analyze ` + evil, `/* SELECT */ ` + evil, `-- SELECT
			` + evil, `PREPARE x AS ` + evil, `EXPLAIN ANALYZE EXPLAIN ANALYZE ` + evil, `CALL pragma_version()`, `SET threads = 1`, `CREATE TABLE memory.x (a INT)`,
	} {
		var answer any
		if err := db.QueryRow(q).Scan(&answer); err == nil {
			t.Errorf("%s succeeded", q)
		} else if !strings.Contains(err.Error(), "only queries") && !strings.Contains(err.Error(), "Parser Error") {
			t.Errorf("%s: %v", q, err)
		}
		if _, err := db.Exec(q); err == nil {
			t.Errorf("%s succeeded", q)
		}
	}
	for _, q := range []string{`FROM widgets`, `EXPLAIN SELECT * FROM widgets`, `EXPLAIN ANALYZE FROM widgets`, `DESCRIBE widgets`, `SUMMARIZE widgets`, `SHOW TABLES`, `VALUES (1)`} {
		if _, err := db.Exec(q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	out := filepath.Join(dir, "out.parquet")
	for _, q := range []string{`SELECT 1) TO '` + file + `' (FORMAT parquet, USE_TMP_FILE false); COPY (SELECT 2`, evil, `SELECT 1; ` + evil} {
		if _, err := duckdb.CopyParquet(t.Context(), map[string]string{"acme": catalog}, q, out); err == nil {
			t.Errorf("%s was exported", q)
		}
	}
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(before) {
		t.Errorf("the published file has changed, %v", err)
	}
	if n, err := duckdb.CopyParquet(t.Context(), map[string]string{"acme": catalog}, `FROM widgets;`, out); err != nil || n != 3 {
		t.Errorf("%d rows exported, %v", n, err)
	}
}
