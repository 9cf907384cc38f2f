package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/lockfile"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newBackfillCommand(e *env) *cobra.Command {
	var opts backfillOptions
	cmd := &cobra.Command{
		Use:     "backfill",
		GroupID: groupSync,
		Short:   "Read a span of an entity's history, beside the live sync",
		Long: "Reads the rows of one entity whose create date, or another date, lies in a span of time, and merges them.\n" +
			"The span is cut into chunks. Each is counted first; then you are told what all of it costs in requests\n" +
			"and minutes, and on a terminal asked whether to go on. A backfill takes requests only while all\n" +
			"integrations together use less than 40 % of the hourly threshold.\n\n" +
			"It can be stopped at any moment: the same command goes on where it was. It leaves the live sync's\n" +
			"checkpoints alone, never puts an older version of a row over a newer one, and holds the warehouse only\n" +
			"while it commits." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitCanceled),
		Example: "  atsync backfill --entity Tickets --from 2019-01-01 --to 2022-01-01 --dry-run\n" +
			"  atsync backfill --entity Tickets --from 2019-01-01 --to 2022-01-01\n" +
			"  atsync backfill --entity Tasks --from 2025-06-01 --to 2025-07-01 --chunk day\n" +
			"  atsync backfill --list",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.list {
				return e.listBackfills(cmd.Context(), opts.tenants)
			}
			for _, name := range []string{"entity", "from", "to"} {
				if !cmd.Flags().Changed(name) {
					return usage(cmd, "--%s is missing", name)
				}
			}
			return e.backfill(cmd.Context(), opts)
		},
	}
	opts.addFlags(cmd)
	return cmd
}

type backfillOptions struct {
	tenants                     []string
	entity, from, to, by, chunk string
	dryRun, restart, yes, list  bool
	selected                    *schemas.Entity
}

func (o *backfillOptions) addFlags(cmd *cobra.Command) {
	addTenantFlag(cmd, &o.tenants)
	f := cmd.Flags()
	f.StringVar(&o.entity, "entity", "", "the `entity` to read")
	f.StringVar(&o.from, "from", "", "beginning of the span: a `date` in the tenant's time zone, or an instant like 2019-01-01T00:00:00Z")
	f.StringVar(&o.to, "to", "", "end of the span, a `date` like --from; what lies on it is not read")
	f.StringVar(&o.by, "by", "", "the date that counts: create, modified, activity or a `field`'s name (default create, where there is one)")
	f.StringVar(&o.chunk, "chunk", string(pipeline.ChunkMonth), "`size` of a chunk: day, week, month, year, or auto for at most 20 pages each")
	f.BoolVar(&o.dryRun, "dry-run", false, "count and quote, then stop; nothing is stored")
	f.BoolVar(&o.restart, "restart", false, "begin anew, even if the same backfill was begun or finished before")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask whether to go on")
	f.BoolVar(&o.list, "list", false, "list the backfills so far, and send nothing")
}

// backfillReport is the --json output of backfill.
type backfillReport struct {
	Backfills []backfillItem `json:"backfills"`
}

// backfillItem is one backfill of one tenant.
type backfillItem struct {
	Tenant   string                  `json:"tenant"`
	ID       int64                   `json:"backfill_id,omitempty"` // of _atsync.chunks; a dry run has none
	Entity   string                  `json:"entity"`
	By       string                  `json:"by_field"`
	From     time.Time               `json:"from_at"`
	To       time.Time               `json:"to_at"`
	Size     pipeline.ChunkSize      `json:"chunk_size"`
	State    string                  `json:"state"` // quoted, declined, finished (before), unfinished (listed), or the run's status
	Resumed  bool                    `json:"resumed"`
	Rows     int64                   `json:"rows_read"`
	Requests int64                   `json:"requests"` // spent on what is stored
	Quote    *pipeline.BackfillQuote `json:"quote,omitempty"`
	Chunks   []pipeline.Chunk        `json:"chunks"`
	Run      *pipeline.Run           `json:"run,omitempty"`
}

// sum adds up the chunks.
func (i *backfillItem) sum() {
	for _, c := range i.Chunks {
		i.Rows += c.Read
		i.Requests += c.Requests
	}
}

func (e *env) backfill(ctx context.Context, opts backfillOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	if opts.selected, err = backfillEntity(opts.entity); err != nil {
		return err
	}
	report := backfillReport{Backfills: []backfillItem{}}
	var errs []error
	for _, t := range tenants {
		if ctx.Err() != nil {
			errs = append(errs, &pipeline.Error{Class: pipeline.ClassCanceled, Tenant: t.Name, Op: "backfill",
				Err: errors.New("interrupted before it began"), Remedy: "run it again"})
			break
		}
		item, err := e.backfillTenant(ctx, cfg, t, opts)
		if item.Tenant != "" {
			item.sum()
			report.Backfills = append(report.Backfills, item)
		}
		errs = append(errs, err)
	}
	if e.json {
		if err := e.printJSON(report); err != nil {
			return err
		}
	}
	return verdict(errs)
}

// backfillEntity finds the entity that a word names.
func backfillEntity(word string) (*schemas.Entity, error) {
	found, err := schemas.Select([]string{word})
	if err == nil && len(found) > 1 {
		err = fmt.Errorf("%q stands for %d entities, and a backfill reads one", word, len(found))
	}
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Op: "--entity", Err: err, Remedy: "atsync entities lists what there is"}
	}
	return found[0], nil
}

// backfillTenant quotes and runs one tenant's backfill. The item is zero if nothing is known of it.
func (e *env) backfillTenant(ctx context.Context, cfg *config.Config, t config.TenantConfig, opts backfillOptions) (item backfillItem, err error) {
	req := pipeline.BackfillRequest{Entity: opts.selected, By: opts.by, Size: pipeline.ChunkSize(opts.chunk), Location: t.Location,
		Restart: opts.restart, DryRun: opts.dryRun}
	if req.From, err = flagInstant("--from", opts.from, t.Location); err != nil {
		return item, err
	}
	if req.To, err = flagInstant("--to", opts.to, t.Location); err != nil {
		return item, err
	}
	if !opts.dryRun {
		release, err := lockBackfill(t, req.Entity.Name)
		if err != nil {
			return item, err
		}
		defer func() { _ = release() }() // the process's end frees it, too
	}
	feed := e.newBackfillFeed(cfg)
	defer feed.close()
	w := e.newWiring(cfg, feed.log)
	w.trace, w.patience = feed.trace, backfillPatience
	b, closeSource, err := w.backfiller(ctx, t, opts.dryRun)
	if err != nil {
		return item, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	plan, err := b.Plan(ctx, req)
	if err != nil {
		return item, err
	}
	item = backfillItem{Tenant: t.Name, ID: plan.ID, Entity: plan.Entity.Name, By: plan.By, From: plan.From, To: plan.To, Size: plan.Size,
		Resumed: plan.Resumed, Quote: &plan.Quote, Chunks: plan.Chunks, State: "quoted"}
	if err := e.printQuote(feed, t, plan); err != nil {
		return item, err
	}
	switch {
	case plan.Finished:
		item.State = "finished"
		return item, nil
	case opts.dryRun:
		return item, nil
	case !opts.yes && !e.goOn(ctx):
		item.State = "declined"
		return item, nil
	}
	feed.start(e, cfg, t.Name)
	run, err := b.Run(ctx, plan)
	feed.close()
	item.Chunks, item.State, item.Run = plan.Chunks, string(run.Status), &run
	if e.json {
		return item, err
	}
	if printing := console.RunSummary(e.stdout, run, e.verbose); printing != nil {
		return item, errors.Join(err, printing)
	}
	if err != nil {
		err = &printed{err} // by the run's summary
	}
	return item, err
}

// backfillPatience is how long a request of a backfill waits for quota: others may need the whole working day's.
const backfillPatience = 24 * time.Hour

// lockBackfill refuses a second backfill of a tenant.
func lockBackfill(t config.TenantConfig, entity string) (release func() error, err error) {
	release, err = lockfile.Acquire(filepath.Join(filepath.Dir(t.WorkPath), t.Name+".backfill.lock"), entity, time.Now())
	if held, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Tenant: t.Name, Op: "backfill",
			Err: fmt.Errorf("another backfill of this tenant is going on: %w", held), Remedy: "wait until it ends, or stop it"}
	}
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Tenant: t.Name, Op: "backfill", Err: err,
			Remedy: "make " + filepath.Dir(t.WorkPath) + " writable for the user that runs atsync"}
	}
	return release, nil
}

// flagInstant reads a flag's date, which begins in the tenant's time zone, or instant.
func flagInstant(flag, text string, loc *time.Location) (time.Time, error) {
	at, err := parseInstant(text, loc)
	if err != nil {
		return at, &pipeline.Error{Class: pipeline.ClassConfig, Op: flag, Err: fmt.Errorf("%q is no date", text),
			Remedy: "write 2019-01-31, which begins at midnight in the tenant's time zone, or 2019-01-31T08:00:00Z"}
	}
	return at, nil
}

// goOn asks a person at a terminal; where there is none the answer is yes.
func (e *env) goOn(ctx context.Context) bool {
	if e.json || !console.IsTerminal(e.stdin, e.environ) || !console.IsTerminal(e.stderr, e.environ) {
		return true
	}
	fmt.Fprint(e.stderr, "Go on? [y/N] ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(e.stdin).ReadString('\n') // no answer is no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "y" || a == "yes"
	case <-ctx.Done():
		return false
	}
}
