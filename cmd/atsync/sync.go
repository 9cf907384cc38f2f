package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newSyncCommand(e *env) *cobra.Command {
	var opts syncOptions
	cmd := &cobra.Command{
		Use:     "sync",
		GroupID: groupSync,
		Short:   "Bring the warehouse up to date, once",
		Long: "Reads what has changed since the last run, commits it entity by entity together with the checkpoint, and\n" +
			"publishes the result for readers. The first run reads everything. It is safe to stop and to repeat: what\n" +
			"is committed is kept, nothing is written twice.\n\n" +
			"Several tenants are synced one after the other; one that fails does not stop the others." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitGuard, console.ExitCanceled),
		Example: "  atsync sync\n" +
			"  atsync sync --tenant acme --entity Tickets --entity 'Ticket*'\n" +
			"  atsync sync --entity Resources --full\n" +
			"  atsync sync --from-raw\n" +
			"  atsync --json sync | jq '.runs[].status'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.patience <= 0 {
				return usage(cmd, "--patience %s: must be more than nothing, such as 10m", opts.patience)
			}
			if opts.fromRaw && (opts.full || opts.allowDeletes) {
				return usage(cmd, "--from-raw reads nothing from Autotask: leave out --full and --allow-deletes")
			}
			return e.sync(cmd.Context(), opts)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

// syncPatience is how long a sync waits for a process that holds the warehouse. A backfill in another process lets go of
// it after every commit, and takes seconds for a publication.
const syncPatience = 15 * time.Second

type syncOptions struct {
	tenants      []string
	entities     []string
	full         bool
	allowDeletes bool
	patience     time.Duration
	fromRaw      bool
}

func (o *syncOptions) addFlags(cmd *cobra.Command) {
	addTenantFlag(cmd, &o.tenants)
	cmd.Flags().StringArrayVar(&o.entities, "entity", nil, "sync only this `entity`, preset or pattern in place of what the configuration says; may be repeated")
	cmd.Flags().BoolVar(&o.full, "full", false, "read every row instead of what changed, and mark rows that are gone as deleted")
	cmd.Flags().BoolVar(&o.allowDeletes, "allow-deletes", false, "let a whole read mark more rows as deleted than the guard allows (50 rows or 2 %)")
	cmd.Flags().BoolVar(&o.fromRaw, "from-raw", false, "rebuild missing tables from the pages that sync.keep_raw has kept, without a request")
	cmd.Flags().DurationVar(&o.patience, "patience", time.Hour, "how long a request may wait while the hour's requests are used up: a `duration` like 10m")
}

// addTenantFlag is the flag --tenant, which several commands have.
func addTenantFlag(cmd *cobra.Command, tenants *[]string) {
	cmd.Flags().StringArrayVar(tenants, "tenant", nil, "only this `tenant`; may be repeated (default: all)")
}

// selected loads the configuration and chooses tenants from it.
func (e *env) selected(names []string) (*config.Config, []config.TenantConfig, error) {
	cfg, err := e.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	tenants, err := selected(cfg, names)
	return cfg, tenants, err
}

// selected returns the settings of the chosen tenants, of all if none is chosen.
func selected(cfg *config.Config, names []string) ([]config.TenantConfig, error) {
	if len(names) == 0 {
		names = cfg.TenantNames()
	}
	var out []config.TenantConfig
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		t, err := cfg.Tenant(name)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// narrow puts what --entity names, if anything, in place of the tenants' own entities.
func narrow(tenants []config.TenantConfig, patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	entities, err := schemas.Select(patterns)
	if err != nil {
		return &pipeline.Error{Class: pipeline.ClassConfig, Op: "--entity", Err: err, Remedy: "atsync entities lists what there is"}
	}
	for i := range tenants {
		tenants[i].Entities = entities
	}
	return nil
}

type (
	// work is what a command does with a tenant's entities.
	work func(ctx context.Context, r *pipeline.Runner, entities []*schemas.Entity) (pipeline.Run, error)
	// task says on what a command works, and how it is told.
	task struct {
		command  string
		tenants  []string      // none: all
		entities []string      // patterns; none: what the configuration says
		patience time.Duration // how long a request waits for quota; 0: an hour
		summary  func(w io.Writer, run pipeline.Run, verbose bool) error
	}
)

// syncReport is the --json output of sync.
type syncReport struct {
	Runs []pipeline.Run `json:"runs"`
}

func (e *env) sync(ctx context.Context, opts syncOptions) error {
	about := task{"sync", opts.tenants, opts.entities, opts.patience, console.RunSummary}
	if opts.fromRaw {
		return e.onTenants(ctx, about, func(ctx context.Context, w wiring, t config.TenantConfig, feed *feed) (pipeline.Run, error) {
			return w.replay(ctx, t, feed.trace(t.Name))
		})
	}
	return e.eachTenant(ctx, about,
		func(ctx context.Context, r *pipeline.Runner, entities []*schemas.Entity) (pipeline.Run, error) {
			return r.Sync(ctx, pipeline.SyncRequest{Entities: entities, Full: opts.full, AllowDeletes: opts.allowDeletes})
		})
}

// eachTenant lets a command's work run on the chosen tenants, one after the other, and prints what became of it.
func (e *env) eachTenant(ctx context.Context, about task, do work) error {
	return e.onTenants(ctx, about, func(ctx context.Context, w wiring, t config.TenantConfig, feed *feed) (pipeline.Run, error) {
		return w.onTenant(ctx, t, feed, do)
	})
}

// onTenants is eachTenant for work that needs no site.
func (e *env) onTenants(ctx context.Context, about task, on func(context.Context, wiring, config.TenantConfig, *feed) (pipeline.Run, error)) error {
	cfg, tenants, err := e.selected(about.tenants)
	if err != nil {
		return err
	}
	if err := narrow(tenants, about.entities); err != nil {
		return err
	}
	total := 0
	for _, t := range tenants {
		total += len(t.Entities)
	}
	feed := e.newFeed(cfg, total, len(tenants))
	w := e.newWiring(cfg, feed.log)
	w.patience = about.patience
	w.lockWait = syncPatience
	var runs []pipeline.Run
	var errs []error
	for _, t := range tenants {
		if ctx.Err() != nil {
			errs = append(errs, &pipeline.Error{Class: pipeline.ClassCanceled, Tenant: t.Name, Op: about.command,
				Err: errors.New("interrupted before it began"), Remedy: "run it again"})
			break
		}
		run, err := on(ctx, w, t, feed)
		if run.StartedAt.IsZero() { // it never began: there is nothing to report but the error
			errs = append(errs, err)
			continue
		}
		runs = append(runs, run)
		if err != nil && !e.json {
			err = &printed{err} // by the run's summary
		}
		errs = append(errs, err)
	}
	feed.close()
	if err := e.reportRuns(runs, about.summary); err != nil {
		return err
	}
	return verdict(errs)
}

// verdict joins what became of several tenants. Some that failed beside some that did not are work partly done.
func verdict(errs []error) error {
	if slices.Contains(errs, nil) && errors.Join(errs...) != nil {
		errs = append(errs, &printed{&pipeline.Error{Class: pipeline.ClassPartial, Err: errors.New("some tenants failed")}})
	}
	return errors.Join(errs...)
}

// onTenant does a command's work on one tenant. The run is zero if it could not begin.
func (w wiring) onTenant(ctx context.Context, t config.TenantConfig, feed *feed, do work) (run pipeline.Run, err error) {
	w.trace = feed.trace(t.Name)
	s, err := w.open(ctx, t)
	if err != nil {
		return run, err
	}
	defer func() {
		w.tidy(ctx, s)
		if closed := s.Close(); closed != nil {
			w.log.ErrorContext(ctx, "closing", "tenant", t.Name, "error", closed)
		}
	}()
	return do(ctx, s.runner(w.trace), t.Entities)
}

// reportRuns prints what the runs did.
func (e *env) reportRuns(runs []pipeline.Run, summary func(io.Writer, pipeline.Run, bool) error) error {
	if e.json {
		return e.printJSON(syncReport{Runs: slices.Concat([]pipeline.Run{}, runs)})
	}
	for i, run := range runs {
		if i > 0 {
			if err := e.printf("\n"); err != nil {
				return err
			}
		}
		if err := summary(e.stdout, run, e.verbose); err != nil {
			return err
		}
	}
	return nil
}

// feed is where a command shows what happens while it happens: lines of progress on a terminal, structured
// logs elsewhere.
type feed struct {
	log      *slog.Logger
	progress *console.Progress // nil: logs
}

func (e *env) newFeed(cfg *config.Config, entities, tenants int) *feed {
	if !e.json && !e.verbose && console.IsTerminal(e.stderr, e.environ) {
		p := console.NewProgress(e.stderr, entities, tenants)
		return &feed{log: e.logger(p, cfg), progress: p}
	}
	return &feed{log: e.logger(e.stderr, cfg)}
}

func (f *feed) trace(tenant string) *pipeline.Trace {
	if f.progress != nil {
		return f.progress.Trace(tenant)
	}
	return console.LogTrace(f.log.With("tenant", tenant))
}

// close takes the lines of progress away. Logging goes on only where there are none.
func (f *feed) close() {
	if f.progress != nil {
		f.progress.Wait()
	}
}
