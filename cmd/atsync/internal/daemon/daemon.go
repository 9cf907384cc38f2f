// Package daemon is the process of atsync run around the schedules of package app: it holds the data folder's lock, keeps the
// configuration and replaces it on demand, opens a tenant's warehouse for each of its jobs and remembers what came of it, and
// serves health, metrics and the pages on one address.
//
// It promises that a broken configuration never replaces a good one; that what was skipped or could not even begin is recorded
// in the tenant's warehouse at the next occasion; that readiness says whether every table is as current as its objective
// demands; and that it ends within a bound after its context. It names no concrete source or sink, and shows no secret, since
// it never sees one.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/lockfile"
	"github.com/atsync/atsync/pipeline"
)

// Bounds of an orderly end: systemd, Docker and Kubernetes wait 90, 10 and 30 seconds before they kill.
const (
	StopWithin   = 25 * time.Second // from the end of Run's context until jobs that still run are given up
	finishWithin = 15 * time.Second // of that, for recording and publishing what a job had read
	lookWithin   = 8 * time.Second  // for a last look at the warehouse
	closeWithin  = 2 * time.Second  // for answers that are being written
)

// Site is a tenant with its warehouse open, for one job.
type Site interface {
	// Runner returns what syncs and verifies the tenant, with a sink and a publisher.
	Runner() *pipeline.Runner
	// Look reads what the warehouse knows; of runs, the newest few.
	Look(ctx context.Context, runs int) (Facts, error)
	// Release ends the tenant's hold.
	Release(ctx context.Context) error
	Close() error
}

// Facts is what a warehouse knows. The zero Facts are those of a tenant that was never synced.
type Facts struct {
	Runs   []pipeline.Run // the newest first
	Hold   *pipeline.Hold
	Last   map[string]time.Time // when the newest run of each command began that was not interrupted
	Tables []TableState         // of all entities that were ever synced; Fresh and Within are not set
}

// Options say what a daemon works with.
type Options struct {
	Config *config.Config
	Load   func() (*config.Config, error) // reads the configuration anew, for Reload

	// Open opens a tenant's parts for a job. The trace and the logger are the job's.
	Open func(ctx context.Context, t config.TenantConfig, trace *pipeline.Trace, log *slog.Logger) (Site, error)
	// Recall reads what an earlier process has left, without a Site. It is called once for each tenant, before its first job.
	Recall func(ctx context.Context, t config.TenantConfig, runs int) (Facts, error)

	// Maintain looks after what a tenant has on disk, before the warehouse is opened for the record of that. Nil: there are no such jobs.
	Maintain func(ctx context.Context, t config.TenantConfig, log *slog.Logger) error

	// Published tells where readers find a tenant's publication, since when, and how many bytes it has; "" if there is none. Nil: there are none.
	Published func(t config.TenantConfig) (where string, at time.Time, bytes int64)

	// Alerts returns what is wrong now, the newest first. Nil: nobody looks.
	Alerts func() []Alert

	Listener net.Listener // that HTTP is served on; nil: none. Run closes it
	Pages    NewPages     // nil: none
	Environ  []string     // NOTIFY_SOCKET and WATCHDOG_USEC of systemd's
	Version  string
	Logger   *slog.Logger
}

// Daemon is a running atsync. It implements Control.
type Daemon struct {
	opts    Options
	log     *slog.Logger
	app     *app.App
	metrics *metrics
	systemd *notifier
	started time.Time

	reloading sync.Mutex // one reload at a time

	mu       sync.Mutex
	cfg      *config.Config
	tenants  map[string]config.TenantConfig // of cfg
	memories map[string]*memory             // by tenant
	reload   ReloadState
	paused   map[string]bool
}

var _ Control = (*Daemon)(nil)

// New makes a daemon that does nothing until Run.
func New(opts Options) (*Daemon, error) {
	tenants, entries, err := resolve(opts.Config, opts.Maintain != nil)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	now := time.Now().UTC()
	d := &Daemon{opts: opts, log: opts.Logger, cfg: opts.Config, tenants: tenants, memories: map[string]*memory{}, started: now,
		reload: ReloadState{LoadedAt: now}, systemd: newNotifier(opts.Environ)}
	d.metrics = newMetrics(d, opts.Version)
	if d.paused, err = readPaused(d.pausedFile()); err != nil {
		return nil, err
	}
	appOptions := app.Options{Entries: entries, MaxTenants: opts.Config.Run.MaxTenants, Work: d.work, OnSkip: d.metrics.skipped,
		StopWithin: StopWithin, Logger: opts.Logger}
	if opts.Config.Run.CatchUp == "once" {
		appOptions.LastRun = d.lastRun
	}
	d.app = app.New(appOptions)
	for tenant := range d.paused {
		d.app.Pause(tenant)
	}
	return d, nil
}

// resolve works out what the daemon needs of a configuration.
func resolve(cfg *config.Config, maintain bool) (map[string]config.TenantConfig, []app.Entry, error) {
	tenants := map[string]config.TenantConfig{}
	var entries []app.Entry
	for _, name := range cfg.TenantNames() {
		t, err := cfg.Tenant(name)
		if err != nil {
			return nil, nil, err
		}
		tenants[name] = t
		for _, s := range t.Schedules {
			entries = append(entries, app.Entry{Job: app.Job{Tenant: name, Kind: app.Sync, Group: s.Group}, When: s.When, In: t.Location})
		}
		if t.Verify != nil {
			entries = append(entries, app.Entry{Job: app.Job{Tenant: name, Kind: app.Verify}, When: t.Verify, In: t.Location})
		}
		if t.Maintain != nil && maintain {
			entries = append(entries, app.Entry{Job: app.Job{Tenant: name, Kind: app.Maintain}, When: t.Maintain, In: t.Location})
		}
	}
	return tenants, entries, nil
}

// Lock takes the data folder for this process, as long as it runs. Another daemon there is an error of ClassSink.
func Lock(dataDir string) (release func() error, err error) {
	path := filepath.Join(dataDir, "atsync.lock")
	release, err = lockfile.Acquire(path, "atsync run", time.Now())
	if held, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Op: "run", Err: fmt.Errorf("the data folder %s is in use: %w", dataDir, held),
			Remedy: "stop that one, or give this one a data_dir of its own"}
	}
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Op: "run", Err: err, Remedy: "data_dir must be a folder that can be written"}
	}
	return release, nil
}

// Run works until ctx ends, then stops within a bound: StopWithin, and a little for what is being answered. What had to be given up
// is as if the process had been killed: it is rolled back, and the next start goes on.
func (d *Daemon) Run(ctx context.Context) error {
	stopServing, err := d.serve()
	if err != nil {
		return err
	}
	d.log.Info("started", "version", d.opts.Version, "tenants", len(d.Config().Tenants), "listen", d.address())
	d.systemd.ready()
	watching := d.systemd.watch(d.app.Alive)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		d.log.Info("stopping", "running", len(d.app.Running()))
		d.systemd.stopping()
	}()
	err = d.app.Run(ctx)
	<-ended
	watching()
	stopServing()
	if err != nil {
		d.log.Warn("gave up on what would not end; it is rolled back, and the next start goes on", "error", err)
		return nil
	}
	d.log.Info("stopped")
	return nil
}

// address is where HTTP is served, "" if nowhere.
func (d *Daemon) address() string {
	if d.opts.Listener == nil {
		return ""
	}
	return d.opts.Listener.Addr().String()
}
