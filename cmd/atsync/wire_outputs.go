package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
	"github.com/atsync/atsync/sources/rawpages"
)

// published tells where readers find a tenant's publication, since when, and how many bytes it has; "" if there is none.
func published(cfg config.TenantConfig) (where string, at time.Time, bytes int64) {
	info, err := os.Stat(cfg.PublishPath)
	if err != nil {
		return "", at, 0
	}
	at, bytes = info.ModTime().UTC(), info.Size()
	if m, err := parquet.ReadManifest(cfg.PublishDir); cfg.SinkType == config.SinkParquet && err == nil {
		bytes += m.Bytes()
	}
	if cfg.PublishURL != "" {
		var ok bool
		if at, ok = parquet.NewRemote(nil, wiring{}.remote(cfg)).Published(); !ok {
			return "", at, 0
		}
	}
	return cfg.Readers(), at, bytes
}

// publisher is a pipeline.Publisher that can say beforehand what is in its way.
type publisher interface {
	pipeline.Publisher
	Check() error
}

// publisher returns the tenant's kind of publisher of a warehouse.
func (w wiring) publisher(cfg config.TenantConfig, warehouse *duckdb.Warehouse) publisher {
	switch {
	case cfg.PublishURL != "":
		return parquet.NewRemote(warehouse, w.remote(cfg))
	case cfg.SinkType == config.SinkParquet:
		return parquet.NewPublisher(warehouse, parquet.Options{Folder: cfg.PublishDir, Tenant: cfg.Name, Logger: w.log})
	}
	return duckdb.NewPublisher(warehouse, cfg.PublishPath)
}

// remote says where a tenant's publication in a bucket is, and what is kept of it here.
func (w wiring) remote(cfg config.TenantConfig) parquet.RemoteOptions {
	return parquet.RemoteOptions{Options: parquet.Options{Folder: cfg.PublishDir, Tenant: cfg.Name, Logger: w.log}, URL: cfg.PublishURL,
		State: strings.TrimSuffix(cfg.WorkPath, ".duckdb") + ".bucket.json"}
}

// replay rebuilds a tenant's missing tables from the pages that were kept. No secret is resolved, nothing is sent.
func (w wiring) replay(ctx context.Context, cfg config.TenantConfig, trace *pipeline.Trace) (run pipeline.Run, err error) {
	clock := &rawpages.Clock{}
	opts := w.options(cfg, w.lockWait, nil)
	opts.Now = clock.Now
	warehouse, err := duckdb.Open(ctx, opts)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, warehouse.Close()) }()
	r := &rawpages.Replay{Tenant: cfg.Name, Dir: cfg.RawDir, Sink: warehouse, Clock: clock, Trace: trace,
		Publisher: w.publisher(cfg, warehouse)}
	return r.Run(ctx, cfg.Entities)
}

// maintain looks after what a tenant has on disk: raw pages, old versions of the publication, history of runs, dead space, the publication.
// What only removes comes first and stops nothing: on a full disk it makes the room that the rest needs.
func (w wiring) maintain(ctx context.Context, cfg config.TenantConfig, opts maintainOptions) (m maintained, err error) {
	m.Tenant = cfg.Name
	now := time.Now()
	before := now.Add(-cfg.KeepRaw)
	if cfg.KeepRaw == 0 {
		before = time.Time{} // what was kept once is a person's to remove
	}
	m.RawPruned, m.Raw, err = rawpages.Prune(cfg.RawDir, before, opts.dryRun)
	if _, missing := os.Stat(cfg.WorkPath); missing == nil {
		err = errors.Join(err, w.maintainWarehouse(ctx, cfg, opts, now, &m))
	}
	return m, located(err, cfg.Name)
}

// keptIdle is for how many days syncs and loads are kept that found nothing new, which are most of them: longer than the status pages look
// back, since their requests count.
const keptIdle = historyDays + 10

func (w wiring) maintainWarehouse(ctx context.Context, cfg config.TenantConfig, opts maintainOptions, now time.Time, m *maintained) (err error) {
	options := w.options(cfg, w.lockWait, nil)
	warehouse, err := duckdb.Open(ctx, options)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, warehouse.Close())
		}
	}()
	if !opts.dryRun {
		removed, failed := pruneVersions(ctx, w.publisher(cfg, warehouse))
		m.Generations = removed
		defer func() { err = errors.Join(failed, err) }()
	}
	if m.RunsPruned, err = warehouse.PruneRuns(ctx, now.Add(-cfg.KeepRuns), now.AddDate(0, 0, -keptIdle), opts.dryRun); err != nil {
		return err
	}
	space, err := warehouse.Space(ctx)
	if err != nil {
		return err
	}
	m.Bytes, m.Dead, m.After = space.Bytes, space.Dead, space.Bytes
	m.Compacted = opts.force || space.Wasteful()
	if opts.dryRun {
		return nil
	}
	if m.Compacted {
		closed = true
		if err := warehouse.Compact(ctx); err != nil {
			return err
		}
		if warehouse, err = duckdb.Open(ctx, options); err != nil {
			return err
		}
		closed = false
		if space, err = warehouse.Space(ctx); err != nil {
			return err
		}
		m.After = space.Bytes
	}
	return maintainPublication(ctx, w.publisher(cfg, warehouse), m)
}

// pruneVersions removes versions of a publication that are past their time.
func pruneVersions(ctx context.Context, p pipeline.Publisher) (removed int, err error) {
	r, ok := p.(interface {
		Prune(ctx context.Context, grace time.Duration) (int, error)
	})
	if _, published := p.Published(); !ok || !published {
		return 0, nil
	}
	return r.Prune(ctx, parquet.DefaultGrace)
}

// maintainPublication publishes what maintenance has changed, and lets a publisher whose files outgrow their cut look after them.
func maintainPublication(ctx context.Context, p pipeline.Publisher, m *maintained) error {
	if _, ok := p.Published(); !ok {
		return nil
	}
	made, err := pipeline.Publication{}, error(nil)
	before, _ := p.Published()
	if r, ok := p.(interface {
		Recut(ctx context.Context) (pipeline.Publication, error)
	}); ok {
		made, err = r.Recut(ctx)
	} else if m.Compacted || m.RunsPruned.Runs+m.RunsPruned.Loads > 0 {
		made, err = p.Publish(ctx)
	}
	if err != nil {
		return err
	}
	if after, _ := p.Published(); !after.Equal(before) {
		m.Publication = &made
	}
	return nil
}

// steer changes what is stored of a tenant's progress, and publishes the change where there is a publication: a
// warehouse that is lost is made anew from that.
func (w wiring) steer(ctx context.Context, cfg config.TenantConfig, work func(pipeline.Sink) error) error {
	return w.visit(ctx, cfg, func(warehouse *duckdb.Warehouse) error {
		if err := work(warehouse); err != nil {
			return err
		}
		publisher := w.publisher(cfg, warehouse)
		if _, ok := publisher.Published(); !ok {
			return nil
		}
		_, err := publisher.Publish(ctx)
		return err
	})
}

// openPublications opens published files, by tenant, for queries from outside: read-only and locked down.
func openPublications(ctx context.Context, files map[string]string) (*sql.DB, error) {
	return duckdb.OpenSQL(ctx, files, duckdb.ReadOptions{})
}

func relations(ctx context.Context, db *sql.DB) ([]relation, error) {
	return duckdb.Relations(ctx, db)
}

// copyParquet writes a query's result to a new file.
func copyParquet(ctx context.Context, files map[string]string, query, path string) (int64, error) {
	return duckdb.CopyParquet(ctx, files, query, path)
}
