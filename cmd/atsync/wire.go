package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/rawpages"
)

// This file is the only one that names concrete sources and sinks: the other commands work with a site, a
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
	publisher *duckdb.Publisher
	creds     autotask.Credentials
}

// wiring is what all sites of a command share.
type wiring struct {
	secrets   secret.Resolver
	transport http.RoundTripper
	quotas    *autotask.Quotas
	trace     *pipeline.Trace
	log       *slog.Logger
	patience  time.Duration // how long a request waits for quota; 0: an hour
	lockWait  time.Duration // how long another process may hold a warehouse; 0: 5 s
}

// newWiring returns the wiring of a command: one transport for all tenants, and one quota for those of one database.
func (e *env) newWiring(cfg *config.Config, log *slog.Logger) wiring {
	return wiring{secrets: cfg.Resolver(e.environ), transport: autotask.NewTransport(nil), quotas: autotask.NewQuotas(), log: log}
}

// options says how the tenant's warehouse is opened: always in the same way, since a publication shows what they say. webURL
// returns where the tenant's web pages are, "" while nobody knows.
func (w wiring) options(cfg config.TenantConfig, lockWait time.Duration, webURL func() string) duckdb.Options {
	return duckdb.Options{
		Path: cfg.WorkPath, Tenant: cfg.Name, From: cfg.PublishPath, LockWait: lockWait, Logger: w.log,
		TimeZone: cfg.Location.String(), WebURL: webURL,
	}
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
	s.warehouse, s.publisher = warehouse, duckdb.NewPublisher(warehouse, cfg.PublishPath)
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

// keeper keeps what a source has to know of earlier processes: the warehouse, or a visitor of it.
type keeper interface {
	Hold(ctx context.Context) (*pipeline.Hold, error)
	SetHold(ctx context.Context, hold *pipeline.Hold) error
	Recall(ctx context.Context, key string) (string, error)
	Remember(ctx context.Context, key, value string) error
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

// borrower opens a tenant's warehouse for moments, so that another process can work on it in between. It is safe for
// concurrent use: one after the other has the warehouse.
type borrower struct {
	cfg     config.TenantConfig
	options duckdb.Options
	publish string        // the published file
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
	from := &borrower{cfg: cfg, publish: cfg.PublishPath, turn: make(chan struct{}, 1),
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
	return pipeline.Lease{Sink: sink, Publisher: duckdb.NewPublisher(w, b.publish), Release: release}, nil
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
		Publisher: duckdb.NewPublisher(warehouse, cfg.PublishPath)}
	return r.Run(ctx, cfg.Entities)
}

// maintain looks after what a tenant has on disk: history of runs, dead space, the publication, raw pages.
func (w wiring) maintain(ctx context.Context, cfg config.TenantConfig, opts maintainOptions) (m maintained, err error) {
	m.Tenant = cfg.Name
	now := time.Now()
	before := now.Add(-cfg.KeepRaw)
	if cfg.KeepRaw == 0 {
		before = time.Time{} // what was kept once is a person's to remove
	}
	if _, err := os.Stat(cfg.WorkPath); err == nil {
		if err := w.maintainWarehouse(ctx, cfg, opts, now, &m); err != nil {
			return m, err
		}
	}
	m.RawPruned, m.Raw, err = rawpages.Prune(cfg.RawDir, before, opts.dryRun)
	return m, located(err, cfg.Name)
}

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
	if m.RunsPruned, err = warehouse.PruneRuns(ctx, now.Add(-cfg.KeepRuns), opts.dryRun); err != nil {
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
	return w.maintainPublication(ctx, duckdb.NewPublisher(warehouse, cfg.PublishPath), m)
}

// maintainPublication lets a publisher do what it can do beside publishing, and publishes what maintenance has changed.
func (w wiring) maintainPublication(ctx context.Context, p pipeline.Publisher, m *maintained) error {
	if _, ok := p.Published(); !ok {
		return nil
	}
	if r, ok := p.(interface {
		Recut(ctx context.Context) error
	}); ok {
		if err := r.Recut(ctx); err != nil {
			return err
		}
	}
	if m.Compacted || m.RunsPruned.Runs+m.RunsPruned.Loads > 0 {
		made, err := p.Publish(ctx)
		if err != nil {
			return err
		}
		m.Publication = &made
	}
	if r, ok := p.(interface {
		Prune(ctx context.Context, grace time.Duration) error
	}); ok {
		return r.Prune(ctx, generationGrace)
	}
	return nil
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
	if r, err := openFile(ctx, t.WorkPath, t.Name); err == nil {
		return r, nil
	}
	return openFile(ctx, t.PublishPath, t.Name)
}

// openPrivate opens the private warehouse; its publication only where that is all there is. What is to be changed is
// looked at here: a publication may be older than what it is made of.
func openPrivate(ctx context.Context, t config.TenantConfig) (*reader, error) {
	if _, err := os.Stat(t.WorkPath); errors.Is(err, os.ErrNotExist) {
		return openFile(ctx, t.PublishPath, t.Name)
	}
	return openFile(ctx, t.WorkPath, t.Name)
}

func openFile(ctx context.Context, path, tenant string) (*reader, error) {
	db, err := duckdb.OpenReader(ctx, path)
	return &reader{db, path}, located(err, tenant)
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

// visit opens the tenant's warehouse for a piece of work.
func (w wiring) visit(ctx context.Context, cfg config.TenantConfig, work func(*duckdb.Warehouse) error) error {
	warehouse, err := duckdb.Open(ctx, w.options(cfg, w.lockWait, nil))
	if err != nil {
		return err
	}
	return errors.Join(work(warehouse), warehouse.Close())
}

// steer changes what is stored of a tenant's progress, and publishes the change where there is a publication: a
// warehouse that is lost is made anew from that.
func (w wiring) steer(ctx context.Context, cfg config.TenantConfig, work func(pipeline.Sink) error) error {
	return w.visit(ctx, cfg, func(warehouse *duckdb.Warehouse) error {
		if err := work(warehouse); err != nil {
			return err
		}
		publisher := duckdb.NewPublisher(warehouse, cfg.PublishPath)
		if _, ok := publisher.Published(); !ok {
			return nil
		}
		_, err := publisher.Publish(ctx)
		return err
	})
}

// recall copies what is stored of some entities, and what a visitor has to know. A tenant that never synced has
// nothing.
func (w wiring) recall(ctx context.Context, cfg config.TenantConfig, entities []*schemas.Entity) (stored pipeline.Stored, v *visitor, err error) {
	v = &visitor{w: w, cfg: cfg}
	r, err := openReader(ctx, cfg)
	if errors.Is(err, os.ErrNotExist) {
		if _, missing := os.Stat(cfg.WorkPath); missing != nil {
			return stored, v, nil
		}
		r, err = openFile(ctx, cfg.WorkPath, cfg.Name) // says who holds it during the first sync
	}
	if err != nil {
		return stored, v, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := duckdb.NewSnapshot(ctx, r.db, cfg.Name, r.from)
	if err != nil {
		return stored, v, err
	}
	if v.hold, err = s.Hold(ctx); err != nil {
		return stored, v, err
	}
	if v.zone, err = s.Recall(ctx, "zone"); err != nil {
		return stored, v, err
	}
	stored, err = pipeline.ReadStored(ctx, s, entities)
	return stored, v, err
}

// tenantTable returns an entity's table as the tenant has it; nil if it has none.
func tenantTable(ctx context.Context, cfg config.TenantConfig, entity *schemas.Entity) (t *schemas.Table, err error) {
	r, err := openReader(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := duckdb.NewSnapshot(ctx, r.db, cfg.Name, r.from)
	if err != nil {
		return nil, err
	}
	st, err := s.Stream(ctx, entity.Name)
	if err != nil || st.Columns == nil {
		return nil, err
	}
	return schemas.NewTable(entity, st.Metadata, st.Columns), nil
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

func (r *reader) states(ctx context.Context) ([]state, error) { return duckdb.ReadStates(ctx, r.db) }
func (r *reader) chunks(ctx context.Context) ([]pipeline.Chunk, error) {
	return duckdb.ReadChunks(ctx, r.db)
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

func relations(ctx context.Context, db *sql.DB) ([]relation, error) {
	return duckdb.Relations(ctx, db)
}

// copyParquet writes a query's result to a new file.
func copyParquet(ctx context.Context, files map[string]string, query, path string) (int64, error) {
	return duckdb.CopyParquet(ctx, files, query, path)
}
