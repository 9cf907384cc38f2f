package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask"
)

// This file is the only one that names concrete sources and sinks: the other commands work with a site, a
// reader, and these names for what they print.
type (
	hint      = autotask.Hint    // a credential that looks mixed up
	freshness = duckdb.Freshness // how current a table is
	rejectRow = duckdb.RejectRow // a value that did not fit its column
)

// site is one tenant with its source, its private warehouse and its publication.
type site struct {
	cfg       config.TenantConfig
	source    *autotask.Client
	warehouse *duckdb.Warehouse
	publisher *duckdb.Publisher
	creds     autotask.Credentials
}

// wiring is what all sites of a command share.
type wiring struct {
	secrets   secret.Resolver
	transport http.RoundTripper
	trace     *pipeline.Trace
	log       *slog.Logger
	patience  time.Duration // how long a request waits for quota; 0: an hour
}

// newWiring returns the wiring of a command: one transport for all tenants.
func (e *env) newWiring(cfg *config.Config, log *slog.Logger) wiring {
	return wiring{secrets: cfg.Resolver(e.environ), transport: autotask.NewTransport(nil), log: log}
}

// open resolves the tenant's secrets and opens its parts. Nothing is sent to Autotask yet.
func (w wiring) open(ctx context.Context, cfg config.TenantConfig) (*site, error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return nil, err
	}
	warehouse, err := duckdb.Open(ctx, duckdb.Options{Path: cfg.WorkPath, Tenant: cfg.Name, From: cfg.PublishPath, Logger: w.log})
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, warehouse: warehouse, publisher: duckdb.NewPublisher(warehouse, cfg.PublishPath), creds: creds}
	if s.source, err = w.client(ctx, cfg, creds, warehouse); err != nil {
		return nil, errors.Join(err, warehouse.Close())
	}
	return s, nil
}

// openSink opens the tenant's warehouse alone: for what needs no login.
func (w wiring) openSink(ctx context.Context, cfg config.TenantConfig) (pipeline.Sink, error) {
	return duckdb.Open(ctx, duckdb.Options{Path: cfg.WorkPath, Tenant: cfg.Name, From: cfg.PublishPath, Logger: w.log})
}

// client makes the tenant's source; the warehouse keeps its hold.
func (w wiring) client(ctx context.Context, cfg config.TenantConfig, creds autotask.Credentials, warehouse *duckdb.Warehouse) (*autotask.Client, error) {
	hold, err := warehouse.Hold(ctx)
	if err != nil {
		return nil, err
	}
	moved, err := recallZone(ctx, warehouse)
	if err != nil {
		return nil, err
	}
	return autotask.New(autotask.Config{
		Tenant:       cfg.Name,
		Credentials:  creds,
		Zone:         cmp.Or(cfg.URL, cfg.Zone),
		DiscoveryURL: cfg.DiscoveryURL,
		Transport:    w.transport,
		Trace:        w.trace,
		Logger:       w.log,
		Hold:         hold,
		OnHold:       warehouse.SetHold,
		Moved:        moved,
		OnMove: func(ctx context.Context, m autotask.Move) error {
			return warehouse.Remember(ctx, "zone", m.From+" "+m.To)
		},
		Limits: autotask.Limits{ThreadsPerEntity: cfg.Threads, QuotaWait: w.patience},
	})
}

// recallZone returns the zone that an earlier process found in place of the configured one.
func recallZone(ctx context.Context, warehouse *duckdb.Warehouse) (autotask.Move, error) {
	kept, err := warehouse.Recall(ctx, "zone")
	from, to, _ := strings.Cut(kept, " ")
	return autotask.Move{From: from, To: to}, err
}

func (w wiring) credentials(ctx context.Context, cfg config.TenantConfig) (autotask.Credentials, error) {
	var values [3]string
	var missing []string // everything, at once
	for i, ref := range []secret.Ref{cfg.Username, cfg.IntegrationCode, cfg.Secret} {
		v, err := w.secrets.Resolve(ctx, ref)
		if err != nil {
			missing = append(missing, []string{"username", "integration_code", "secret"}[i]+": "+err.Error())
		}
		values[i] = v.Reveal()
	}
	if len(missing) > 0 {
		return autotask.Credentials{}, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: cfg.Name, Err: errors.New(strings.Join(missing, "; "))}
	}
	return autotask.NewCredentials(values[0], values[1], values[2]), nil
}

// runner returns the pipeline that syncs the site.
func (s *site) runner(trace *pipeline.Trace) *pipeline.Runner {
	return &pipeline.Runner{
		Tenant:    s.cfg.Name,
		Source:    s.source,
		Sink:      s.warehouse,
		Publisher: s.publisher,
		Trace:     trace,
		Overlap:   s.cfg.Overlap,
		Schema:    pipeline.SchemaMode(s.cfg.Schema),

		PublishEvery: s.cfg.PublishEvery,
	}
}

// Close closes everything that open opened.
func (s *site) Close() error {
	return errors.Join(s.source.Close(), s.warehouse.Close())
}

// release ends the tenant's hold and lets the source try the login again.
func (s *site) release(ctx context.Context, w wiring) error {
	if err := s.warehouse.SetHold(ctx, nil); err != nil {
		return err
	}
	source, err := w.client(ctx, s.cfg, s.creds, s.warehouse)
	if err != nil {
		return err
	}
	err = s.source.Close()
	s.source = source
	return err
}

// reader reads what is stored of a tenant, without a source.
type reader struct {
	db   *sql.DB
	from string // the file
}

// openReader opens the private warehouse, which is the newest, or its publication while a process works on
// the warehouse.
func openReader(ctx context.Context, t config.TenantConfig) (*reader, error) {
	if db, err := duckdb.OpenReader(ctx, t.WorkPath); err == nil {
		return &reader{db, t.WorkPath}, nil
	}
	db, err := duckdb.OpenReader(ctx, t.PublishPath)
	return &reader{db, t.PublishPath}, located(err, t.Name)
}

// located names the tenant in an error that does not.
func located(err error, tenant string) error {
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		named := *e
		named.Tenant = tenant
		return &named
	}
	return err
}

func (r *reader) runs(ctx context.Context, limit int) ([]pipeline.Run, error) {
	return duckdb.Runs(ctx, r.db, limit)
}

func (r *reader) hold(ctx context.Context) (*pipeline.Hold, error) { return duckdb.ReadHold(ctx, r.db) }

func (r *reader) freshness(ctx context.Context) ([]freshness, error) {
	return duckdb.ReadFreshness(ctx, r.db)
}

func (r *reader) liveRows(ctx context.Context, table string) (int64, error) {
	return duckdb.LiveRows(ctx, r.db, table)
}

func (r *reader) rejects(ctx context.Context, which pipeline.RejectSelection) ([]rejectRow, error) {
	return duckdb.ReadRejects(ctx, r.db, which)
}

// Close closes the file.
func (r *reader) Close() error { return r.db.Close() }

// openPublications opens published files, by tenant, for queries from outside: read-only and locked down.
func openPublications(ctx context.Context, files map[string]string) (*sql.DB, error) {
	return duckdb.OpenSQL(ctx, files, duckdb.ReadOptions{})
}
