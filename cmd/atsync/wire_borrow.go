package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask"
)

// keeper keeps what a source has to know of earlier processes: the warehouse, or a visitor of it.
type keeper interface {
	Hold(ctx context.Context) (*pipeline.Hold, error)
	SetHold(ctx context.Context, hold *pipeline.Hold) error
	Recall(ctx context.Context, key string) (string, error)
	Remember(ctx context.Context, key, value string) error
}

// borrower opens a tenant's warehouse for moments, so that another process can work on it in between. It is safe for
// concurrent use: one after the other has the warehouse.
type borrower struct {
	cfg     config.TenantConfig
	options duckdb.Options
	publish func(*duckdb.Warehouse) publisher
	turn    chan struct{} // holds one token
}

// borrowPatience is how long a borrower waits for a process that works on the warehouse: a sync may run long.
const borrowPatience = time.Hour

// backfiller wires a tenant's backfill. close releases its source. A dry run of a tenant without a warehouse makes none.
func (w wiring) backfiller(ctx context.Context, cfg config.TenantConfig, dryRun bool) (b *pipeline.Backfiller, closeAll func() error, err error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	from := &borrower{cfg: cfg, turn: make(chan struct{}, 1),
		publish: func(warehouse *duckdb.Warehouse) publisher { return w.publisher(cfg, warehouse) },
		options: w.options(cfg, borrowPatience, func() string { return b.Source.(*autotask.Client).WebURL() })}
	scratch := ""
	if _, err := os.Stat(cfg.WorkPath); dryRun && errors.Is(err, os.ErrNotExist) {
		if scratch, err = os.MkdirTemp("", "atsync-dry-run-"); err != nil {
			return nil, nil, &pipeline.Error{Class: pipeline.ClassSink, Tenant: cfg.Name, Op: "dry run", Err: err, Remedy: "set TMPDIR to a folder that can be written"}
		}
		from.options.Path = filepath.Join(scratch, filepath.Base(cfg.WorkPath))
	}
	tidy := func() error {
		if scratch == "" {
			return nil
		}
		return os.RemoveAll(scratch)
	}
	source, err := w.client(ctx, cfg, creds, from)
	if err != nil {
		return nil, nil, errors.Join(err, tidy())
	}
	b = &pipeline.Backfiller{Tenant: cfg.Name, Source: source, Open: from.lease, Trace: w.trace, PublishEvery: cfg.PublishEvery,
		Schema: pipeline.SchemaMode(cfg.Schema)}
	return b, func() error { return errors.Join(source.Close(), tidy()) }, nil
}

// open opens the warehouse until release is called.
func (b *borrower) open(ctx context.Context) (w *duckdb.Warehouse, release func() error, err error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if w, err = duckdb.Open(ctx, b.options); err != nil {
		<-b.turn
		return nil, nil, err
	}
	return w, func() error {
		defer func() { <-b.turn }()
		return w.Close()
	}, nil
}

// lease is how a backfill opens the warehouse.
func (b *borrower) lease(ctx context.Context) (pipeline.Lease, error) {
	w, release, err := b.open(ctx)
	if err != nil {
		return pipeline.Lease{}, err
	}
	sink, err := keeping(b.cfg, w)
	if err != nil {
		return pipeline.Lease{}, errors.Join(err, release())
	}
	return pipeline.Lease{Sink: sink, Publisher: b.publish(w), Release: release}, nil
}

// with opens the warehouse for fn.
func (b *borrower) with(ctx context.Context, fn func(*duckdb.Warehouse) error) error {
	w, release, err := b.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(w), release())
}

// Hold implements keeper.
func (b *borrower) Hold(ctx context.Context) (hold *pipeline.Hold, err error) {
	err = b.with(ctx, func(w *duckdb.Warehouse) (err error) {
		hold, err = w.Hold(ctx)
		return err
	})
	return hold, err
}

// SetHold implements keeper.
func (b *borrower) SetHold(ctx context.Context, hold *pipeline.Hold) error {
	return b.with(ctx, func(w *duckdb.Warehouse) error { return w.SetHold(ctx, hold) })
}

// Recall implements keeper.
func (b *borrower) Recall(ctx context.Context, key string) (value string, err error) {
	err = b.with(ctx, func(w *duckdb.Warehouse) (err error) {
		value, err = w.Recall(ctx, key)
		return err
	})
	return value, err
}

// Remember implements keeper.
func (b *borrower) Remember(ctx context.Context, key, value string) error {
	return b.with(ctx, func(w *duckdb.Warehouse) error { return w.Remember(ctx, key, value) })
}

// visitor is a keeper for commands that leave the warehouse to others: it has read what is kept, and opens the
// warehouse only for the moment in which something is to be kept.
type visitor struct {
	w    wiring
	cfg  config.TenantConfig
	hold *pipeline.Hold
	zone string
}

func (v *visitor) Hold(context.Context) (*pipeline.Hold, error) { return v.hold, nil }
func (v *visitor) Recall(_ context.Context, key string) (string, error) {
	return map[string]string{"zone": v.zone}[key], nil
}

func (v *visitor) SetHold(ctx context.Context, hold *pipeline.Hold) error {
	return v.w.visit(ctx, v.cfg, func(w *duckdb.Warehouse) error { return w.SetHold(ctx, hold) })
}

func (v *visitor) Remember(ctx context.Context, key, value string) error {
	return v.w.visit(ctx, v.cfg, func(w *duckdb.Warehouse) error { return w.Remember(ctx, key, value) })
}

// visit opens the tenant's warehouse for a piece of work.
func (w wiring) visit(ctx context.Context, cfg config.TenantConfig, work func(*duckdb.Warehouse) error) error {
	warehouse, err := duckdb.Open(ctx, w.options(cfg, w.lockWait, nil))
	if err != nil {
		return err
	}
	return errors.Join(work(warehouse), warehouse.Close())
}

// ackRejects acknowledges rejects of one tenant, of which there are none if it was never synced.
func (w wiring) ackRejects(ctx context.Context, cfg config.TenantConfig, which pipeline.RejectSelection, note string) (n int64, err error) {
	if synced(cfg) != nil {
		return 0, nil
	}
	err = w.visit(ctx, cfg, func(warehouse *duckdb.Warehouse) (err error) {
		n, err = warehouse.AckRejects(ctx, which, note)
		return err
	})
	return n, err
}
