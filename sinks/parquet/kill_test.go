package parquet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

// killHarness is a warehouse and a publication of it without a grace period, so that every step happens each time.
func killHarness() pipelinetest.KillHarness {
	lake := func(dir string) string { return filepath.Join(dir, "lake", "acme") }
	read := func(by func(*testing.T, string) reader) func(*testing.T, string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
		return func(t *testing.T, dir string) func(*testing.T, string, ...string) ([]map[string]string, bool) {
			if _, err := os.Stat(filepath.Join(lake(dir), parquet.CatalogName)); err != nil {
				return func(*testing.T, string, ...string) ([]map[string]string, bool) { return nil, false }
			}
			return by(t, lake(dir))
		}
	}
	h := killed(func(w *duckdb.Warehouse, dir string) keeper {
		return parquet.NewPublisher(w, parquet.Options{Folder: lake(dir), Tenant: "acme", Grace: -1})
	}, func(ctx context.Context, dir, to string) (bool, error) {
		return parquet.Hydrate(ctx, lake(dir), "acme", to)
	})
	h.Whole, h.Table = read(byCatalog), read(byLink)
	return h
}

// keeper is a publisher with its upkeep.
type keeper interface {
	pipeline.Publisher
	Recut(ctx context.Context) (pipeline.Publication, error)
	Prune(ctx context.Context, grace time.Duration) (int, error)
}

// killed is a harness of a warehouse and what publishes it, without readers. A warehouse that a kill has damaged is made anew from the
// publication.
func killed(publisher func(w *duckdb.Warehouse, dir string) keeper, hydrate func(ctx context.Context, dir, to string) (bool, error)) pipelinetest.KillHarness {
	open := func(ctx context.Context, dir string) (*duckdb.Warehouse, keeper, error) {
		w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "work", "acme.duckdb"), Tenant: "acme",
			Hydrate: func(ctx context.Context, to string) (bool, error) { return hydrate(ctx, dir, to) }})
		if err != nil {
			return nil, nil, err
		}
		return w, publisher(w, dir), nil
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
	}
}

func TestKill(t *testing.T) { pipelinetest.TestPublisherKilled(t, killHarness()) }
