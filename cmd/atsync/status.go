package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newStatusCommand(e *env) *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupLook,
		Short:   "Show how current each table is",
		Long: "Shows for each tenant the last run, a hold if there is one, the published file, and for each table up to\n" +
			"which moment it is complete; and how much of the hour's requests of the Autotask database was used when\n" +
			"the last run ended, and by whom. It asks nothing of Autotask, unless --live wants the use of this moment,\n" +
			"which costs one request per tenant. Analysts find the same, as of the last publication, in\n" +
			"_atsync.freshness and _atsync.runs." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource, console.ExitSink,
				console.ExitPartial, console.ExitCanceled),
		Example: "  atsync status\n  atsync status --live\n  atsync --json status --tenant acme",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.status(cmd.Context(), opts, time.Now()) },
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().BoolVar(&opts.live, "live", false, "ask Autotask how many requests are used now: one request per tenant")
	return cmd
}

type statusOptions struct {
	tenants []string
	live    bool
}

// statusReport is the --json output of status.
type statusReport struct {
	Tenants []tenantStatus `json:"tenants"`
}

type tenantStatus struct {
	Tenant      string         `json:"tenant"`
	Synced      bool           `json:"synced"` // there is something to tell
	LastRun     *pipeline.Run  `json:"last_run,omitempty"`
	Hold        *pipeline.Hold `json:"hold,omitempty"`
	Quota       *quotaStatus   `json:"quota,omitempty"`     // none: nothing is known
	Published   string         `json:"published,omitempty"` // the file, or the folder in a bucket
	PublishedAt time.Time      `json:"published_at,omitzero"`
	Bytes       int64          `json:"published_bytes,omitempty"`
	Tables      []tableStatus  `json:"tables"`

	runs []pipeline.Run // the newest
}

type tableStatus struct {
	Table           string    `json:"table"`
	Entity          string    `json:"entity"`
	Class           string    `json:"class"`
	Rows            int64     `json:"rows"` // live ones
	CompleteThrough time.Time `json:"complete_through,omitzero"`
	LastSuccessAt   time.Time `json:"last_success_at,omitzero"`
	LagSeconds      float64   `json:"lag_seconds"`
}

func (e *env) status(ctx context.Context, opts statusOptions, now time.Time) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	report := statusReport{Tenants: []tenantStatus{}}
	var errs []error
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	w.patience = 10 * time.Second // a person waits
	for _, t := range tenants {
		s, err := readStatus(ctx, t)
		if err != nil {
			return err
		}
		if opts.live {
			errs = append(errs, s.askQuota(ctx, w, t))
		}
		report.Tenants = append(report.Tenants, s)
	}
	if e.json {
		return errors.Join(e.printJSON(report), verdict(errs))
	}
	for i, s := range report.Tenants {
		if err := e.printStatus(s, now, i > 0); err != nil {
			return err
		}
	}
	return verdict(errs)
}

func readStatus(ctx context.Context, t config.TenantConfig) (s tenantStatus, err error) {
	s = tenantStatus{Tenant: t.Name, Tables: []tableStatus{}}
	s.Published, s.PublishedAt, s.Bytes = published(t)
	r, err := openReader(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s.Synced = true
	runs, err := r.runs(ctx, quotaRuns)
	if err != nil {
		return s, err
	}
	if len(runs) > 0 {
		s.LastRun = &runs[0]
	}
	s.runs, s.Quota = runs, quotaOf(runs)
	if s.Hold, err = r.hold(ctx); err != nil {
		return s, err
	}
	fresh, err := r.freshness(ctx)
	if err != nil {
		return s, err
	}
	for _, f := range fresh {
		rows := int64(0)
		if !f.CompleteThrough.IsZero() { // else it was never committed: there is no table
			if rows, err = r.liveRows(ctx, f.Table); err != nil {
				return s, err
			}
		}
		s.Tables = append(s.Tables, tableStatus{
			Table: f.Table, Entity: f.Entity, Class: f.Class, Rows: rows,
			CompleteThrough: f.CompleteThrough, LastSuccessAt: f.LastSuccessAt, LagSeconds: f.Lag.Seconds(),
		})
	}
	return s, nil
}

func (e *env) printStatus(s tenantStatus, now time.Time, another bool) error {
	if another {
		if err := e.printf("\n"); err != nil {
			return err
		}
	}
	if !s.Synced {
		if err := e.printf("%s: never synced\n  → run: atsync sync --tenant %s\n", s.Tenant, s.Tenant); err != nil {
			return err
		}
		return e.printQuota(s.Quota, now)
	}
	head := "no run yet"
	if s.LastRun != nil {
		head = fmt.Sprintf("last run %s (%s), %s", s.LastRun.Status, s.LastRun.Command, console.Ago(s.LastRun.StartedAt, now))
	}
	if err := e.printf("%s: %s\n", s.Tenant, head); err != nil {
		return err
	}
	switch {
	case s.Hold != nil: // says what the last run's error says
		err := e.printf("  on hold since %s: %s\n  → correct the credentials; if they are right: atsync check --release --tenant %s\n",
			s.Hold.Since.Format("2006-01-02 15:04Z"), short(console.Clean(s.Hold.Reason)), s.Tenant)
		if err != nil {
			return err
		}
	case s.LastRun != nil && s.LastRun.Error != "":
		if err := e.printf("  %s\n", console.Clean(s.LastRun.Error)); err != nil {
			return err
		}
	}
	if err := e.printQuota(s.Quota, now); err != nil {
		return err
	}
	if s.Published != "" {
		if err := e.printf("  published %s: %s (%s)\n", console.Ago(s.PublishedAt, now), s.Published, console.Bytes(s.Bytes)); err != nil {
			return err
		}
	}
	if len(s.Tables) == 0 {
		return nil
	}
	t := console.NewTable(console.Left("table"), console.Left("class"), console.Right("rows"), console.Left("complete through"),
		console.Right("lag"), console.Left("last success")).Indent("  ")
	for _, f := range s.Tables {
		through, lag := "never", any(nil)
		if !f.CompleteThrough.IsZero() {
			through, lag = f.CompleteThrough.Format("2006-01-02 15:04:05Z"), time.Duration(max(f.LagSeconds, 0)*float64(time.Second)) // a server's clock may be ahead of ours
		}
		t.Row(f.Table, f.Class, f.Rows, through, lag, console.Ago(f.LastSuccessAt, now))
	}
	return t.Write(e.stdout)
}
