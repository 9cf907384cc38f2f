package main

import (
	"context"
	"errors"
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
			"  atsync --json sync | jq '.runs[].status'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.sync(cmd.Context(), opts) },
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
}

func (o *syncOptions) addFlags(cmd *cobra.Command) {
	addTenantFlag(cmd, &o.tenants)
	cmd.Flags().StringArrayVar(&o.entities, "entity", nil, "sync only this `entity`, preset or pattern in place of what the configuration says; may be repeated")
	cmd.Flags().BoolVar(&o.full, "full", false, "read every row instead of what changed, and mark rows that are gone as deleted")
	cmd.Flags().BoolVar(&o.allowDeletes, "allow-deletes", false, "let a whole read mark more rows as deleted than the guard allows (50 rows or 2 %)")
}

// addTenantFlag is the flag --tenant, which several commands have.
func addTenantFlag(cmd *cobra.Command, tenants *[]string) {
	cmd.Flags().StringArrayVar(tenants, "tenant", nil, "only this `tenant`; may be repeated (default: all)")
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

// syncReport is the --json output of sync.
type syncReport struct {
	Runs []pipeline.Run `json:"runs"`
}

func (e *env) sync(ctx context.Context, opts syncOptions) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	tenants, err := selected(cfg, opts.tenants)
	if err != nil {
		return err
	}
	total := 0
	for i := range tenants {
		if len(opts.entities) > 0 {
			if tenants[i].Entities, err = schemas.Select(opts.entities); err != nil {
				return &pipeline.Error{Class: pipeline.ClassConfig, Op: "--entity", Err: err, Remedy: "atsync entities lists what there is"}
			}
		}
		total += len(tenants[i].Entities)
	}
	feed := e.newFeed(cfg, total, len(tenants))
	w := e.newWiring(cfg, feed.log)
	w.lockWait = syncPatience
	var runs []pipeline.Run
	var errs []error
	for _, t := range tenants {
		if ctx.Err() != nil {
			errs = append(errs, &pipeline.Error{Class: pipeline.ClassCanceled, Tenant: t.Name, Op: "sync",
				Err: errors.New("interrupted before it began"), Remedy: "run it again"})
			break
		}
		run, err := w.syncTenant(ctx, t, opts, feed)
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
	if err := e.reportRuns(runs); err != nil {
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

// syncTenant runs one tenant's sync. The run is zero if it could not begin.
func (w wiring) syncTenant(ctx context.Context, t config.TenantConfig, opts syncOptions, feed *feed) (run pipeline.Run, err error) {
	w.trace = feed.trace(t.Name)
	s, err := w.open(ctx, t)
	if err != nil {
		return run, err
	}
	defer func() {
		if closed := s.Close(); closed != nil {
			w.log.ErrorContext(ctx, "closing", "tenant", t.Name, "error", closed)
		}
	}()
	return s.runner(w.trace).Sync(ctx, pipeline.SyncRequest{Entities: t.Entities, Full: opts.full, AllowDeletes: opts.allowDeletes})
}

// reportRuns prints what the runs did.
func (e *env) reportRuns(runs []pipeline.Run) error {
	if e.json {
		return e.printJSON(syncReport{Runs: slices.Concat([]pipeline.Run{}, runs)})
	}
	for i, run := range runs {
		if i > 0 {
			if err := e.printf("\n"); err != nil {
				return err
			}
		}
		if err := console.RunSummary(e.stdout, run, e.verbose); err != nil {
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
