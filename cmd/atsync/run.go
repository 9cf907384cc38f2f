package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

func newRunCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "run",
		GroupID: groupSync,
		Short:   "Sync all tenants by their schedules until stopped",
		Long: "Syncs every tenant, and every group of entities that has a schedule of its own,\n" +
			"when the configuration says so, verifies them daily and maintains them weekly. A\n" +
			"tenant does one thing at a time, so many tenants as run.max_tenants work side by\n" +
			"side, and what goes wrong with one does not touch the others. What was missed\n" +
			"while nothing ran is made up for at the start.\n\n" +
			"SIGTERM and Ctrl-C end it within 30 seconds and lose nothing. SIGHUP reads the\n" +
			"configuration anew; if it is broken, the old one stays in force. On http.listen\n" +
			"it serves the status pages, /-/healthy, /-/ready, /metrics and POST /-/reload.\n\n" +
			"One runs per data folder. Other commands can be used beside it." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync run\n" +
			"  atsync --config /etc/atsync/config.yaml run\n" +
			"  atsync --json run 2>>/var/log/atsync.log",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.runAnywhere(cmd.Context()) },
	}
}

// keepSecrets is for how long what a vault or a command has answered is used. A refused login asks anew at once.
const keepSecrets = 5 * time.Minute

// daemonLockWait is how long a job waits for a process that holds the warehouse. It takes another tenant's turn meanwhile, and comes
// again by itself.
const daemonLockWait = 5 * time.Second

// run is the daemon. That it was asked to stop is no error.
func (e *env) run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from the start: it would end the process
	defer signal.Stop(hangups)
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	unlock, err := daemon.Lock(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the process ends
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTP.Listen)
	if err != nil {
		remedy := "write another address there, or port 0 for any that is free"
		if errors.Is(err, syscall.EADDRINUSE) {
			remedy = "if that is another atsync, stop it or give this one an address of its own; " + remedy
		}
		return &pipeline.Error{Class: pipeline.ClassConfig, Op: "run", Err: fmt.Errorf("http.listen: %w", err), Remedy: remedy}
	}
	log := e.logger(e.stderr, cfg)
	w := e.newWiring(cfg, log)
	w.lockWait = daemonLockWait
	w.secrets = &secret.Cache{Resolver: e.resolver(cfg), Keep: keepSecrets}
	watcher, sender := e.newAlerts(cfg)
	d, err := daemon.New(daemon.Options{
		Config: cfg, Load: e.loadConfig, Open: w.openSite, Recall: recallFacts, Maintain: w.upkeep, Published: published, Alerts: watcher.Firing,
		Listener: listener, Pages: e.newPages(ctx, cfg, buildVersion().Version), Environ: e.environ, Version: buildVersion().Version, Logger: log,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-hangups:
				_ = d.Reload(ctx) // it tells what is wrong by itself
			case <-done:
				return
			}
		}
	}()
	told := watchAlerts(ctx, watcher, sender, d, log)
	defer told()
	return d.Run(ctx)
}

// daemonSite is a site as the daemon sees it.
type daemonSite struct {
	*site
	w    wiring
	tidy func() // after a job
}

// openSite opens a tenant for one of the daemon's jobs.
func (w wiring) openSite(ctx context.Context, t config.TenantConfig, trace *pipeline.Trace, log *slog.Logger) (daemon.Site, error) {
	w.trace, w.log = trace, log
	s, err := w.open(ctx, t)
	if err != nil {
		return nil, err
	}
	return &daemonSite{s, w, func() { w.tidy(ctx, s) }}, nil
}

// Close implements daemon.Site.
func (s *daemonSite) Close() error {
	s.tidy()
	return s.site.Close()
}

// upkeep is what maintain does, for one of the daemon's jobs.
func (w wiring) upkeep(ctx context.Context, t config.TenantConfig, log *slog.Logger) error {
	w.log = log
	m, err := maintainOne(ctx, w, t, maintainOptions{})
	if err == nil {
		log.Info("maintained", "bytes_before", m.Bytes, "bytes_after", m.After, "compacted", m.Compacted, "runs_removed", m.RunsPruned.Runs,
			"raw_bytes_removed", m.RawPruned.Bytes, "generations_removed", m.Generations)
	}
	return err
}

// Runner implements daemon.Site.
func (s *daemonSite) Runner() *pipeline.Runner { return s.runner(s.w.trace) }

// Release implements daemon.Site.
func (s *daemonSite) Release(ctx context.Context) error { return s.release(ctx, s.w) }

// Look implements daemon.Site.
func (s *daemonSite) Look(ctx context.Context, runs int) (f daemon.Facts, err error) {
	if f.Runs, err = s.warehouse.Runs(ctx, runs); err != nil {
		return f, err
	}
	if f.Hold, err = s.warehouse.Hold(ctx); err != nil {
		return f, err
	}
	if cache, ok := s.w.secrets.(*secret.Cache); ok && f.Hold != nil {
		cache.Forget(s.cfg.Username, s.cfg.IntegrationCode, s.cfg.Secret) // they may have been rotated
	}
	if f.Last, err = s.warehouse.LastRuns(ctx); err != nil {
		return f, err
	}
	fresh, err := s.warehouse.Freshness(ctx)
	f.Tables = tableStates(fresh)
	return f, err
}

// recallFacts is what an earlier process has left of a tenant.
func recallFacts(ctx context.Context, t config.TenantConfig, runs int) (f daemon.Facts, err error) {
	r, err := openReader(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil // never synced
	} else if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if f.Runs, err = r.runs(ctx, runs); err != nil {
		return f, err
	}
	verified, err := r.verifications(ctx, daemon.MostVerified)
	if err != nil {
		return f, err
	}
	for _, run := range verified {
		if !slices.ContainsFunc(f.Runs, func(r pipeline.Run) bool { return r.ID == run.ID }) {
			f.Runs = append(f.Runs, run)
		}
	}
	if f.Hold, err = r.hold(ctx); err != nil {
		return f, err
	}
	if f.Last, err = r.lastRuns(ctx); err != nil {
		return f, err
	}
	fresh, err := r.freshness(ctx)
	f.Tables = tableStates(fresh)
	return f, err
}

func tableStates(fresh []freshness) (out []daemon.TableState) {
	for _, f := range fresh {
		out = append(out, daemon.TableState{Entity: f.Entity, Table: f.Table, Class: f.Class, CompleteThrough: f.CompleteThrough, LastSuccessAt: f.LastSuccessAt})
	}
	return out
}
