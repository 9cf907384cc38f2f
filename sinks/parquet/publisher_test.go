package parquet_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// harness is a warehouse with its Parquet publication.
type harness struct {
	pipelinetest.PublisherHarness
	warehouse *duckdb.Warehouse
	publisher *parquet.Publisher
	path, out string
	options   parquet.Options
}

func newHarness(t *testing.T, options parquet.Options) *harness {
	dir := t.TempDir()
	h := &harness{path: filepath.Join(dir, "work", "acme.duckdb"), out: filepath.Join(dir, "lake", "acme"), options: options}
	h.options.Folder, h.options.Tenant = h.out, "acme"
	h.start(t)
	t.Cleanup(func() {
		if err := h.warehouse.Close(); err != nil {
			t.Error(err)
		}
	})
	h.Rows = func(t *testing.T, table string, by ...string) []map[string]string {
		var rows []map[string]string
		err := h.warehouse.Export(t.Context(), func(_ context.Context, conn *sql.Conn) error {
			rows = dump(t, conn, table, by...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	h.Hydrate = func(t *testing.T) {
		if err := h.warehouse.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Dir(h.path)); err != nil {
			t.Fatal(err)
		}
		h.start(t)
	}
	return h
}

func (h *harness) start(t *testing.T) {
	t.Helper()
	h.warehouse = openWarehouse(t, h.path, h.out)
	h.publisher = parquet.NewPublisher(h.warehouse, h.options)
	h.Sink, h.Publisher = h.warehouse, h.publisher
}

// A reader reads a table of a publication; false if there is none of the name.
type reader func(t *testing.T, table string, by ...string) ([]map[string]string, bool)

// byCatalog reads as somebody does who opened the catalog.
func byCatalog(t *testing.T, out string) reader {
	t.Helper()
	db, err := duckdb.OpenReader(t.Context(), filepath.Join(out, parquet.CatalogName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
		schema, name, ok := strings.Cut(table, ".")
		if !ok {
			schema, name = "main", table
		}
		var n int
		err := db.QueryRow(`SELECT count(*) FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?`, schema, name).Scan(&n)
		if err != nil || n == 0 {
			return nil, false
		}
		return dump(t, db, table, by...), true
	}
}

// byLink reads as somebody does who resolves a table's link and reads the files there.
func byLink(t *testing.T, out string) reader {
	t.Helper()
	db := openMemory(t)
	folders := map[string]string{}
	links, err := filepath.Glob(filepath.Join(out, "*"))
	more, err2 := filepath.Glob(filepath.Join(out, "_atsync", "*"))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for _, link := range append(links, more...) {
		folder, err := filepath.EvalSymlinks(link)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(out, link)
		folders[strings.ReplaceAll(rel, "/", ".")] = folder
	}
	return func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
		folder, ok := folders[table]
		if !ok {
			return nil, false
		}
		return dump(t, db, `(FROM read_parquet('`+folder+`/*.parquet'))`, by...), true
	}
}

// TestPublisher reads every version by the catalog and by the links.
func TestPublisher(t *testing.T) {
	pipelinetest.TestPublisher(t, func(t *testing.T) *pipelinetest.PublisherHarness {
		ahead := time.Duration(0)
		h := newHarness(t, parquet.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
		h.Full = func(t *testing.T) func() { return pipelinetest.LimitFiles(t, 4<<10) }
		h.Pass = func(*testing.T) { ahead += parquet.DefaultGrace }
		h.Versions = func(t *testing.T) int {
			folders, err := os.ReadDir(filepath.Join(h.out, ".generations", "widgets"))
			if err != nil {
				t.Fatal(err)
			}
			return len(folders)
		}
		h.Published = func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
			rows, ok := byCatalog(t, h.out)(t, table, by...)
			linked, there := byLink(t, h.out)(t, table, by...)
			if diff := cmp.Diff(rows, linked); diff != "" || ok != there {
				t.Errorf("%s by its link (-catalog +link): %s", table, diff)
			}
			return rows, ok
		}
		h.Hold = func(t *testing.T) func(*testing.T, string, ...string) []map[string]string {
			catalog, link := byCatalog(t, h.out), byLink(t, h.out)
			return func(t *testing.T, table string, by ...string) []map[string]string {
				rows, _ := catalog(t, table, by...)
				linked, _ := link(t, table, by...)
				if diff := cmp.Diff(rows, linked); diff != "" {
					t.Errorf("%s, held, by its link (-catalog +link): %s", table, diff)
				}
				return rows
			}
		}
		return &h.PublisherHarness
	})
}

func openMemory(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func openWarehouse(t *testing.T, path, from string) *duckdb.Warehouse {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", LockWait: -1, Hydrate: func(ctx context.Context, to string) (bool, error) {
		return parquet.Hydrate(ctx, from, "acme", to)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
