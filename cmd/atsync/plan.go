package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newPlanCommand(e *env) *cobra.Command {
	var opts planOptions
	cmd := &cobra.Command{
		Use:     "plan",
		GroupID: groupSync,
		Short:   "Say what the next run would do, and what it costs",
		Long: "Shows for each entity how its changes are found (class), how the next run\n" +
			"reads it (mode), how many rows there are, and what that costs: requests of the\n" +
			"next run (now), of each run after it (later), and once a day beside these\n" +
			"(daily). Below stands what this comes to on the tenant's schedule, and whether\n" +
			"it fits into the 75 % of Autotask's hourly requests that live work may use.\n\n" +
			"It writes nothing (but a hold, if the login is refused), needs no warehouse, and\n" +
			"costs a request for each entity, two where the next read is incremental. With\n" +
			"--offline it costs nothing: rows are those stored, or a guess (marked ~). What\n" +
			"later runs read goes by the rate of the rows that wait now; where nothing is\n" +
			"known of it, by 1 % of the rows a day." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitCanceled),
		Example: "  atsync plan\n" +
			"  atsync plan --tenant acme --entity Tickets --full\n" +
			"  atsync plan --offline --entity all\n" +
			"  atsync --json plan | jq '.tenants[].forecast.fits'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.plan(cmd.Context(), opts, time.Now()) },
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().StringArrayVar(&opts.entities, "entity", nil, "plan only this `entity`, preset or pattern; may be repeated")
	cmd.Flags().BoolVar(&opts.full, "full", false, "plan sync --full: every row instead of what changed")
	cmd.Flags().BoolVar(&opts.offline, "offline", false, "send nothing: go by what is stored, and by guesses")
	return cmd
}

type planOptions struct {
	tenants  []string
	entities []string
	full     bool
	offline  bool
}

// planReport is the --json output of plan.
type planReport struct {
	Tenants []tenantPlan `json:"tenants"`
}

type tenantPlan struct {
	pipeline.Preview
	Forecast forecast `json:"forecast"`
}

func (e *env) plan(ctx context.Context, opts planOptions, now time.Time) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	if err := narrow(tenants, opts.entities); err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	w.patience = 10 * time.Second // a person waits
	report := planReport{Tenants: []tenantPlan{}}
	var errs []error
	for _, t := range tenants {
		p, err := w.planTenant(ctx, t, opts, now)
		if err == nil {
			report.Tenants = append(report.Tenants, p)
			err = uncounted(p.Preview)
		}
		errs = append(errs, err)
	}
	if e.json {
		if err := e.printJSON(report); err != nil {
			return err
		}
		return verdict(errs)
	}
	for i, p := range report.Tenants {
		if err := e.printPlan(p, i > 0); err != nil {
			return err
		}
	}
	return verdict(errs)
}

func (w wiring) planTenant(ctx context.Context, t config.TenantConfig, opts planOptions, now time.Time) (tenantPlan, error) {
	often := tempoOf(t, now)
	p, err := w.plan(ctx, t, pipeline.PlanRequest{
		SyncRequest: pipeline.SyncRequest{Entities: t.Entities, Full: opts.full}, Interval: often.own.interval(),
	}, opts.offline)
	if err != nil {
		return tenantPlan{}, err
	}
	f := predict(p, often)
	f.Schedule, f.Timezone = t.Cron, t.Location.String()
	for _, s := range t.Schedules {
		if s.Group != "" {
			f.Groups = append(f.Groups, s.Group+" "+s.Cron)
		}
	}
	return tenantPlan{p, f}, nil
}

// uncounted is the error of a plan in which entities could not be counted. One that the zone does not have is
// nothing wrong.
func uncounted(p pipeline.Preview) error {
	var names []string
	first := ""
	class := pipeline.ClassPartial
	for _, s := range p.Streams {
		if s.Error == "" || s.ErrorClass == pipeline.ClassAbsent {
			continue
		}
		names = append(names, s.Entity)
		if first == "" {
			first, class = s.Error, s.ErrorClass
		}
	}
	if len(names) == 0 {
		return nil
	}
	if len(names) < len(p.Streams) {
		class = pipeline.ClassPartial
	}
	return &pipeline.Error{Class: class, Tenant: p.Tenant, Op: "plan",
		Err:    errors.New("the plan is incomplete: not counted: " + strings.Join(names, ", ")),
		Remedy: "atsync check tells what to do; first cause: " + first}
}

func (e *env) printPlan(p tenantPlan, another bool) error {
	var b strings.Builder
	if another {
		b.WriteString("\n")
	}
	modes := map[pipeline.Mode]int{}
	for _, s := range p.Streams {
		modes[s.Mode]++
	}
	var parts []string
	for _, m := range []pipeline.Mode{pipeline.ModeFirst, pipeline.ModeIncremental, pipeline.ModeParent, pipeline.ModeFull} {
		if modes[m] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", modes[m], m))
		}
	}
	noun := "entities"
	if len(p.Streams) == 1 {
		noun = "entity"
	}
	fmt.Fprintf(&b, "%s: the next run reads %d %s (%s)\n", p.Tenant, len(p.Streams), noun, strings.Join(parts, ", "))
	if err := planTable(p, console.Width(e.stdout)).Write(&b); err != nil {
		return err
	}
	b.WriteString(p.Forecast.words(p.Preview))
	mark := "✓"
	if !p.Forecast.Fits {
		mark = "✗"
	}
	end := console.NewTable(console.Left(""), console.Left("")).Fit(console.Width(e.stdout))
	end.Row(mark, p.Forecast.Verdict)
	if p.Forecast.Remedy != "" {
		end.Row("→", p.Forecast.Remedy)
	}
	if err := end.Write(&b); err != nil {
		return err
	}
	return e.printf("%s", b.String())
}

// planTable lays a plan out for a terminal of a width, 0 for none. A narrow one leaves no room for classes and
// stamps.
func planTable(p tenantPlan, width int) *console.Table {
	narrow := width > 0 && width < wide
	columns := []console.Column{{Title: "entity", Min: 20}, {Title: "mode", Min: 11}, console.Right("rows"), console.Right("to read"),
		console.Right("now"), console.Right("later"), console.Right("daily")}
	if !narrow {
		columns = append(columns, console.Left("class"), console.Left("changes by"))
	}
	t := console.NewTable(columns...).Fit(width)
	rows, read, once := int64(0), int64(0), int64(0)
	for _, s := range p.Streams {
		rows, read, once = rows+s.Rows, read+s.ToRead, once+s.Daily
		cells := []any{s.Entity, s.Mode, estimate(s.Rows, s.Guessed), estimate(s.ToRead, s.Guessed), s.Requests, s.Later, s.Daily}
		switch {
		case s.ErrorClass == pipeline.ClassAbsent:
			cells = []any{s.Entity, "absent"}
		case s.Error != "":
			cells = []any{s.Entity, "✗ " + string(s.ErrorClass)}
		case !narrow:
			cells = append(cells, s.Class, strings.Join(s.Stamps, ", "))
		}
		t.Row(cells...)
	}
	t.Rule()
	t.Row("with a login a run", "", rows, read, p.Forecast.Requests, p.Forecast.Later, once)
	return t
}

// estimate marks a number that nobody has counted.
func estimate(n int64, guessed bool) any {
	if guessed {
		return "~" + console.Count(n)
	}
	return n
}

// words says what the plan comes to.
func (f forecast) words(p pipeline.Preview) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if f.RunsPerDay == 0 {
		line("schedule %s (%s): no run in the next four weeks", f.Schedule, f.Timezone)
	} else {
		line("schedule %s (%s): %s a day, %d in the busiest hour", strings.Join(append([]string{f.Schedule}, f.Groups...), ", "), f.Timezone, runsWord(f.RunsPerDay), f.RunsPerHour)
		if f.Verify > 0 {
			line("  a verification that finds no difference: %s requests", console.Count(f.Verify))
		}
		line("  %s requests a day; busiest hour %s, %.1f %% of %s%s", console.Count(f.Daily), console.Count(f.BusiestHour),
			100*f.Share, console.Count(f.Threshold), map[bool]string{true: " (assumed)"}[f.Assumed])
	}
	if !p.Offline {
		line("  in use now by all integrations together: %s, %.1f %%", console.Count(f.Used), 100*float64(f.Used)/float64(f.Threshold))
	}
	line("this plan: %s requests, nothing was written", console.Count(p.Spent))
	return b.String()
}

func runsWord(perDay float64) string {
	if perDay >= 1 {
		return fmt.Sprintf("%.0f runs", perDay)
	}
	return fmt.Sprintf("%.2f runs", perDay)
}
