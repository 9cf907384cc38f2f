package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newMaintainCommand(e *env) *cobra.Command {
	var opts maintainOptions
	cmd := &cobra.Command{
		Use:     "maintain",
		GroupID: groupSync,
		Short:   "Compact the warehouse and remove what is past keeping",
		Long: "Looks after what atsync has on disk, tenant by tenant. It removes runs and\n" +
			"loads older than sync.keep_runs (never the newest of an entity), after 100 days\n" +
			"such as found nothing new, and raw pages older than sync.keep_raw. It compacts\n" +
			"the warehouse if its dead space is more than 30 % of what is alive: the rows are\n" +
			"copied to a new file that takes the old one's place. That takes as much disk\n" +
			"again while it lasts; what is published can be read all the time. It is safe to\n" +
			"stop, to kill and to repeat. A sync in another process is waited for, and waits\n" +
			"in turn." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink, console.ExitPartial, console.ExitCanceled),
		Example: "  atsync maintain\n" +
			"  atsync maintain --dry-run\n" +
			"  atsync maintain --tenant acme --force\n" +
			"  atsync --json maintain | jq '.tenants[].bytes_after'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.maintain(cmd.Context(), opts) },
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().BoolVar(&opts.force, "force", false, "compact however little there is to gain")
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "only say what would be done")
	return cmd
}

type maintainOptions struct {
	tenants []string
	force   bool
	dryRun  bool
}

// maintainReport is the --json output of maintain.
type maintainReport struct {
	DryRun  bool         `json:"dry_run"`
	Tenants []maintained `json:"tenants"`
}

// maintained says what became of a tenant. Sizes are bytes.
type maintained struct {
	Tenant      string                `json:"tenant"`
	Bytes       int64                 `json:"bytes_before"` // of the warehouse; 0: there is none
	After       int64                 `json:"bytes_after"`
	Dead        int64                 `json:"dead"` // of before, estimated
	Compacted   bool                  `json:"compacted"`
	RunsPruned  prunedRuns            `json:"runs_pruned"`
	RawPruned   rawUsage              `json:"raw_pruned"`
	Raw         rawUsage              `json:"raw"`                   // that stay
	Generations int                   `json:"generations_removed"`   // past versions of the publication
	Publication *pipeline.Publication `json:"publication,omitempty"` // made anew
	Seconds     float64               `json:"seconds"`
}

func (e *env) maintain(ctx context.Context, opts maintainOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	w.lockWait = syncPatience
	report := maintainReport{DryRun: opts.dryRun, Tenants: []maintained{}}
	var errs []error
	for _, t := range tenants {
		m, err := maintainOne(ctx, w, t, opts)
		errs = append(errs, err)
		if err != nil {
			continue
		}
		report.Tenants = append(report.Tenants, m)
	}
	if e.json {
		err = e.printJSON(report)
	} else {
		err = e.printMaintained(report)
	}
	if err != nil {
		return err
	}
	return verdict(errs)
}

func maintainOne(ctx context.Context, w wiring, t config.TenantConfig, opts maintainOptions) (maintained, error) {
	if ctx.Err() != nil {
		return maintained{}, &pipeline.Error{Class: pipeline.ClassCanceled, Tenant: t.Name, Op: "maintain",
			Err: errors.New("interrupted before it began"), Remedy: "run it again"}
	}
	started := time.Now()
	m, err := w.maintain(ctx, t, opts)
	m.Seconds = time.Since(started).Seconds()
	return m, located(err, t.Name)
}

func (e *env) printMaintained(report maintainReport) error {
	t := console.NewTable(console.Left("tenant"), console.Right("warehouse"), console.Right("dead"), console.Left("compaction"),
		console.Right("runs removed"), console.Right("pages removed"), console.Right("pages kept"))
	for _, m := range report.Tenants {
		dead := "-"
		if m.Bytes > 0 {
			dead = fmt.Sprintf("%d %%", m.Dead*100/max(m.Bytes-m.Dead, 1))
		}
		done := "not needed"
		switch {
		case m.Bytes == 0:
			done = "no warehouse yet"
		case m.Compacted && report.DryRun:
			done = "would be done"
		case m.Compacted:
			done = "now " + size(m.After)
		}
		t.Row(m.Tenant, size(m.Bytes), dead, done, m.RunsPruned.Runs, size(m.RawPruned.Bytes), size(m.Raw.Bytes))
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	if report.DryRun {
		return e.printf("nothing was changed: without --dry-run it is done\n")
	}
	return nil
}

// size is a number of bytes for people.
func size(bytes int64) string { return humanize.Bytes(uint64(max(bytes, 0))) }
