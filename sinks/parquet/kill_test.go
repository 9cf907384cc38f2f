package parquet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// killHarness is a warehouse and a publication of it without a grace period, so that every step happens each time.
func killHarness() pipelinetest.KillHarness {
	lake := func(dir string) string { return filepath.Join(dir, "lake", "acme") }
	open := func(ctx context.Context, dir string) (*duckdb.Warehouse, *parquet.Publisher, error) {
		w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "work", "acme.duckdb"), Tenant: "acme"})
		if err != nil {
			return nil, nil, err
		}
		return w, parquet.NewPublisher(w, parquet.Options{Folder: lake(dir), Tenant: "acme", Grace: -1}), nil
	}
	read := func(by func(*testing.T, string) reader) func(*testing.T, string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
		return func(t *testing.T, dir string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
			if _, err := os.Stat(filepath.Join(lake(dir), parquet.CatalogName)); err != nil {
				return func(*testing.T, string, ...string) ([]map[string]string, bool) { return nil, false }
			}
			return by(t, lake(dir))
		}
	}
	return pipelinetest.KillHarness{
		Open: func(ctx context.Context, dir string) (pipeline.Sink, pipeline.Publisher, func() error, error) {
			w, p, err := open(ctx, dir)
			if err != nil {
				return nil, nil, nil, err
			}
			return w, p, w.Close, nil
		},
		Maintain: func(ctx context.Context, dir string) error {
			w, p, err := open(ctx, dir)
			if err != nil {
				return err
			}
			_, err = p.Recut(ctx)
			if err == nil {
				_, err = p.Prune(ctx, 0)
			}
			return errors.Join(err, w.Close())
		},
		Whole: read(byCatalog),
		Table: read(byLink),
	}
}

func TestKill(t *testing.T) { pipelinetest.TestPublisherKilled(t, killHarness()) }
