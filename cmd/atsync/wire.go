package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/cmd/atsync/internal/vault"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/rawpages"
)

// The files wire*.go are the only ones that name concrete sources and sinks: the other commands work with a site, a
// reader, and these names for what they print.
type (
	hint      = autotask.Hint    // a credential that looks mixed up
	freshness = duckdb.Freshness // how current a table is
	rejectRow = duckdb.RejectRow // a value that did not fit its column
	state     = duckdb.State     // how far an entity has been read

	relation   = duckdb.Relation   // a table or a view of a publication
	prunedRuns = duckdb.PrunedRuns // what of the history of runs went
	rawUsage   = rawpages.Usage    // how much is kept of raw pages
)

// site is one tenant with its source, its private warehouse and its publication.
type site struct {
	cfg       config.TenantConfig
	source    *autotask.Client
	warehouse *duckdb.Warehouse
	sink      pipeline.Sink // the warehouse, or what keeps raw pages before it
	publisher publisher
	creds     autotask.Credentials
}

// wiring is what all sites of a command share.
type wiring struct {
	secrets interface {
		Resolve(ctx context.Context, ref secret.Ref) (secret.String, error)
	}
	transport http.RoundTripper
	quotas    *autotask.Quotas
	trace     *pipeline.Trace
	log       *slog.Logger
	patience  time.Duration // how long a request waits for quota; 0: an hour
	lockWait  time.Duration // how long another process may hold a warehouse; 0: 5 s
	threads   int           // of DuckDB's for a warehouse; 0: its own choice
}

// newWiring returns the wiring of a command: one transport for all tenants, and one quota for those of one database.
func (e *env) newWiring(cfg *config.Config, log *slog.Logger) wiring {
	return wiring{secrets: e.resolver(cfg), transport: autotask.NewTransport(nil), quotas: autotask.NewQuotas(), log: log}
}

// resolver resolves the configuration's secret references, those to vaults included.
func (e *env) resolver(cfg *config.Config) secret.Resolver {
	r := cfg.Resolver(e.environ)
	r.Vaults = vault.Services{}
	return r
}

// options says how the tenant's warehouse is opened: always in the same way, since a publication shows what they say. webURL
// returns where the tenant's web pages are, "" while nobody knows.
func (w wiring) options(cfg config.TenantConfig, lockWait time.Duration, webURL func() string) duckdb.Options {
	opts := duckdb.Options{
		Path: cfg.WorkPath, Tenant: cfg.Name, From: cfg.PublishPath, LockWait: lockWait, Logger: w.log, Threads: w.threads,
		TimeZone: cfg.Location.String(), WebURL: webURL,
	}
	if cfg.SinkType == config.SinkParquet {
		opts.Hydrate = func(ctx context.Context, to string) (bool, error) {
			if cfg.PublishURL != "" {
				return parquet.HydrateRemote(ctx, w.remote(cfg), to)
			}
			return parquet.Hydrate(ctx, cfg.PublishDir, cfg.Name, to)
		}
	}
	return opts
}

// open resolves the tenant's secrets and opens its parts. Nothing is sent to Autotask yet.
func (w wiring) open(ctx context.Context, cfg config.TenantConfig) (*site, error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, creds: creds}
	warehouse, err := duckdb.Open(ctx, w.options(cfg, w.lockWait, func() string { return s.source.WebURL() }))
	if err != nil {
		return nil, err
	}
	s.warehouse, s.publisher = warehouse, w.publisher(cfg, warehouse)
	if s.sink, err = keeping(cfg, warehouse); err != nil {
		return nil, errors.Join(err, warehouse.Close())
	}
	if s.source, err = w.client(ctx, cfg, creds, warehouse); err != nil {
		return nil, errors.Join(err, warehouse.Close())
	}
	return s, nil
}

// keeping puts what keeps raw pages before a tenant's warehouse, if the tenant wants that.
func keeping(cfg config.TenantConfig, w *duckdb.Warehouse) (pipeline.Sink, error) {
	if cfg.KeepRaw == 0 {
		return w, nil
	}
	k, err := rawpages.Keep(w, cfg.RawDir)
	return k, located(err, cfg.Name)
}

// client makes the tenant's source; the keeper, mostly the warehouse, keeps its hold.
func (w wiring) client(ctx context.Context, cfg config.TenantConfig, creds autotask.Credentials, warehouse keeper) (*autotask.Client, error) {
	hold, err := warehouse.Hold(ctx)
	if err != nil {
		return nil, err
	}
	moved, err := recallZone(ctx, warehouse)
	if err != nil {
		return nil, err
	}
	source := w.sourceConfig(cfg, creds)
	source.Hold, source.OnHold, source.Moved = hold, warehouse.SetHold, moved
	source.OnMove = func(ctx context.Context, m autotask.Move) error {
		return warehouse.Remember(ctx, "zone", m.From+" "+m.To)
	}
	return autotask.New(source)
}

// sourceConfig is what a tenant's source needs beside what the warehouse keeps for it.
func (w wiring) sourceConfig(cfg config.TenantConfig, creds autotask.Credentials) autotask.Config {
	return autotask.Config{
		Tenant:       cfg.Name,
		Credentials:  creds,
		Zone:         cmp.Or(cfg.URL, cfg.Zone),
		DiscoveryURL: cfg.DiscoveryURL,
		Transport:    w.transport,
		Trace:        w.trace,
		Logger:       w.log,
		Quotas:       w.quotas,
		Bodies:       cfg.KeepRaw > 0,
		Limits:       autotask.Limits{ThreadsPerEntity: cfg.Threads, QuotaWait: w.patience},
	}
}

// login asks Autotask for a tenant's quota with one login, while another process may work on the warehouse. Nothing
// is sent for a tenant on hold. If the login is refused, the hold is kept.
func (w wiring) login(ctx context.Context, cfg config.TenantConfig, hold *pipeline.Hold) (login pipeline.Login, use pipeline.QuotaUse, err error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return login, use, err
	}
	source := w.sourceConfig(cfg, creds)
	source.Hold = hold
	source.OnHold = func(ctx context.Context, hold *pipeline.Hold) error {
		return w.visit(ctx, cfg, func(warehouse *duckdb.Warehouse) error { return warehouse.SetHold(ctx, hold) })
	}
	client, err := autotask.New(source)
	if err != nil {
		return login, use, err
	}
	login, err = client.Login(ctx)
	return login, client.Quota(), errors.Join(err, client.Close())
}

// recallZone returns the zone that an earlier process found in place of the configured one.
func recallZone(ctx context.Context, warehouse keeper) (autotask.Move, error) {
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

// plan says what the tenant's next run would do. The warehouse is held only while what it knows is copied; offline,
// nothing else is asked.
func (w wiring) plan(ctx context.Context, cfg config.TenantConfig, req pipeline.PlanRequest, offline bool) (p pipeline.Preview, err error) {
	stored, keeper, err := w.recall(ctx, cfg, req.Entities)
	if err != nil {
		return p, err
	}
	r := &pipeline.Runner{Tenant: cfg.Name, Overlap: cfg.Overlap}
	if !offline {
		creds, err := w.credentials(ctx, cfg)
		if err != nil {
			return p, err
		}
		source, err := w.client(ctx, cfg, creds, keeper)
		if err != nil {
			return p, err
		}
		defer func() { _ = source.Close() }() // only releases idle connections
		r.Source = source
	}
	return r.Plan(ctx, stored, req)
}

// runner returns the pipeline that syncs the site.
func (s *site) runner(trace *pipeline.Trace) *pipeline.Runner {
	return &pipeline.Runner{
		Tenant:    s.cfg.Name,
		Source:    s.source,
		Sink:      s.sink,
		Publisher: s.publisher,
		Trace:     trace,
		Overlap:   s.cfg.Overlap,
		Threads:   s.cfg.Threads,
		Schema:    pipeline.SchemaMode(s.cfg.Schema),
		FullEvery: s.cfg.FullEvery,

		PublishEvery: s.cfg.PublishEvery,
	}
}

// tidy lets the warehouse give free space back after a job, unless that was stopped: then somebody waits.
func (w wiring) tidy(ctx context.Context, s *site) {
	if ctx.Err() != nil {
		return
	}
	if err := s.warehouse.Tidy(ctx); err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "the warehouse could not be compacted; atsync maintain tries it again", "tenant", s.cfg.Name, "error", err)
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

// located names the tenant in an error that does not.
func located(err error, tenant string) error {
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		named := *e
		named.Tenant = tenant
		return &named
	}
	return err
}
