package parquet_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// pythonVariable names a Python with testdata/requirements.txt that is to read what this test publishes; `make outputs` sets it.
const pythonVariable = "ATSYNC_TEST_PYTHON"

// TestReadersAgree publishes a table with all types, both ways, and holds that every reader finds the same values.
func TestReadersAgree(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	e := items()
	e.Fields = append(e.Fields, schemas.Field{Name: "count", Type: "long"}, schemas.Field{Name: "flag", Type: "boolean"})
	err := loadRows(t.Context(), h.Sink, e, 1,
		`{"id":-9223372036854775808,"title":"","amount":-99999999999999.9999,"huge":-9999999999999999999999999999.9999999999,"isActive":false,"createDate":"1753-01-01T00:00:00Z","count":-9223372036854775808}`,
		`{"id":-1,"title":null,"lastModifiedDate":"1969-12-31T23:59:59.999999Z","count":9223372036854775807}`,
		`{"id":0,"title":" \t\"quoted\"\\ \r\n;,'","amount":0,"huge":0.0000000001,"isActive":true,"createDate":"1970-01-01T00:00:00Z","count":0}`,
		`{"id":9007199254740993,"title":"é e\u0301 🛠 \u202e日本","amount":0.0001,"huge":1234567890123456789012345678.0123456789,"createDate":"2026-03-29T01:30:00.123456Z","count":9007199254740993}`,
		`{"id":9223372036854775807,"title":"NULL","amount":12.5,"createDate":"9999-12-31T23:59:59.999999Z","lastModifiedDate":"2024-02-29T12:00:00.1Z","unknown":{"a":[1,"x",null],"b":"é"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := load(t.Context(), h.Sink, 2, upTo(1, 4_500)...); err != nil { // files enough for readers to put together
		t.Fatal(err)
	}
	h.publish(t)
	file := filepath.Join(t.TempDir(), "acme.duckdb")
	if _, err := duckdb.NewPublisher(h.warehouse, file).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := h.Rows(t, "items", "id")
	published, err := duckdb.OpenReader(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, dump(t, published, "items", "id")); diff != "" {
		t.Errorf("the DuckDB file: %s", diff)
	}
	if err := published.Close(); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*testing.T, string) reader{"the catalog": byCatalog, "the files": byLink} {
		got, _ := open(t, h.out)(t, "items", "id")
		if diff := cmp.Diff(rows, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if python, ok := os.LookupEnv(pythonVariable); ok {
		readByPython(t, python, map[string]any{"table": "items", "rows": rows, "databases": []string{file, filepath.Join(h.out, parquet.CatalogName)},
			"folders": []string{filepath.Join(h.out, "items")}})
	}
}

func readByPython(t *testing.T, python string, want map[string]any) {
	t.Helper()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(t.TempDir(), "want.json")
	if err := os.WriteFile(spec, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "readers.py"), spec)
	cmd.Env = append(slices.Clone(os.Environ()), "PYTHONUTF8=1", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("%s: %v", python, err)
	}
}
