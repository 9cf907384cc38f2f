package main

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/atsync/atsync/sinks/duckdb"
)

// emptyPublication is a warehouse without data, to run queries on.
func emptyPublication(t *testing.T) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := openPublications(t.Context(), map[string]string{"acme": path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSheetKeepsValues(t *testing.T) {
	t.Parallel()
	x := &exporter{db: emptyPublication(t)}
	var file bytes.Buffer
	n, err := x.stream(t.Context(), exportJob{format: "xlsx", query: `SELECT * FROM (VALUES
		(9007199254740993, 1234.5000::DECIMAL(18,4), 12345678901234.5678::DECIMAL(18,4), TIMESTAMPTZ '2026-03-01 12:30:15+02', DATE '2026-02-28', '=1+1', true),
		(42, NULL, -0.5, TIMESTAMPTZ '1899-01-01 00:00:00+00', NULL, '', false)) AS t(big, hours, exact, stamp, day, text, flag)`}, &file)
	if err != nil || n != 2 {
		t.Fatalf("%d rows, %v", n, err)
	}
	book, err := excelize.OpenReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	got, err := book.GetRows("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"big", "hours", "exact", "stamp", "day", "text", "flag"},
		{"9007199254740993", "1234.5", "12345678901234.5678", "2026-03-01 10:30:15", "2026-02-28", "=1+1", "TRUE"},
		{"42", "", "-0.5", "1899-01-01T00:00:00Z", "", "", "FALSE"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for cell, want := range map[string]excelize.CellType{"A2": excelize.CellTypeInlineString, "B2": excelize.CellTypeUnset, "C2": excelize.CellTypeInlineString, "D2": excelize.CellTypeUnset, "F2": excelize.CellTypeInlineString} {
		if kind, err := book.GetCellType("Sheet1", cell); err != nil || kind != want {
			t.Errorf("%s is of type %v, want %v (%v)", cell, kind, want, err)
		}
	}
}

func TestSheetRefusesWhatExcelCannotTake(t *testing.T) {
	t.Parallel()
	x := &exporter{db: emptyPublication(t)}
	for query, text := range map[string]string{
		`SELECT range AS id FROM range(1048576)`: "more than 1048576 rows",
		`SELECT repeat('x', 32768) AS body`:      "32768 characters in body",
	} {
		var file bytes.Buffer
		_, err := x.stream(t.Context(), exportJob{format: "xlsx", query: query}, &file)
		if err == nil || !strings.Contains(err.Error(), text) || file.Len() > 0 {
			t.Errorf("%s: %v", query, err)
		}
	}
}
