package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

// schedules are those that init proposes, the most frequent first.
func schedules() []string {
	return []string{"*/15 * * * *", "*/30 * * * *", "@hourly", "0 */2 * * *", "0 */6 * * *", "@daily"}
}

// proposedShare is how much of the hour's requests a proposed schedule may need: there are others.
const proposedShare = 0.25

// tenant makes what is known into a tenant's settings.
func (d *draft) tenant(schedule string) (t config.TenantConfig, err error) {
	if d.opts.schedule != "" {
		schedule = d.opts.schedule
	}
	text, err := d.text(schedule, d.opts.code, d.opts.secret)
	if err != nil {
		return t, err
	}
	cfg, err := config.Parse(d.file, text, d.e.environ)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return t, flagged(problems, d.Tenant)
	} else if err != nil {
		return t, err
	}
	d.w = d.e.newWiring(cfg, d.e.logger(d.e.stderr, cfg))
	d.w.patience = 10 * time.Second // a person waits
	return cfg.Tenant(d.Tenant)
}

// flagged says of mistakes in the configuration which flags they come from.
func flagged(problems config.Problems, tenant string) error {
	from := map[string]string{
		"data_dir": "--data-dir", "sink.type": "--sink", "sync.schedule": "--schedule", "sync.timezone": "--timezone", "autotask.discovery_url": "--discovery-url",
		"tenants." + tenant: "--tenant", "tenants." + tenant + ".zone": "--zone", "tenants." + tenant + ".username": "--username",
		"tenants." + tenant + ".integration_code": "--integration-code", "tenants." + tenant + ".secret": "--secret",
	}
	var errs []error
	for _, p := range problems {
		where := p.Path
		if flag := from[p.Path]; flag != "" {
			where = flag
		} else if p.Path == "sync.entities" || len(p.Path) > len("sync.entities[") && p.Path[:len("sync.entities[")] == "sync.entities[" {
			where = "--entity"
		}
		errs = append(errs, &pipeline.Error{Class: pipeline.ClassConfig, Err: fmt.Errorf("%s: %s", where, p.What), Remedy: p.Fix})
	}
	return errors.Join(errs...)
}

// count tries the login, counts the entities and settles the schedule.
func (d *draft) count(ctx context.Context, t config.TenantConfig, now time.Time) error {
	if d.opts.release {
		if err := d.w.endHold(ctx, t); err != nil {
			return err
		}
	}
	p, err := d.w.planTenant(ctx, t, planOptions{}, now)
	if err != nil {
		return releasable(err)
	}
	if err := uncounted(p.Preview); err != nil && pipeline.ClassOf(err) != pipeline.ClassPartial {
		return err
	}
	for _, s := range p.Streams {
		d.Rows += s.Rows
		d.Entities = append(d.Entities, rightsItem{Entity: s.Entity, OK: s.Error == "", Rows: s.Rows, Class: s.ErrorClass, Error: s.Error})
	}
	choice := schedules()
	if d.opts.schedule != "" {
		choice = []string{d.opts.schedule}
	}
	f, err := propose(choice, func(schedule string) (forecast, error) { return d.forecast(p.Preview, schedule, now) })
	if err != nil {
		return err
	}
	d.Schedule, d.Forecast = f.Schedule, &f
	if d.opts.asks && d.opts.schedule == "" {
		return d.askSchedule(ctx, p.Preview, now)
	}
	return nil
}

// releasable says of a refused login how to try it again: check --release needs the configuration that init does not write.
func releasable(err error) error {
	e, ok := errors.AsType[*pipeline.Error](err)
	if !ok || e.Class != pipeline.ClassAuth {
		return err
	}
	said := *e
	if said.Remedy != "" {
		said.Remedy += "; "
	}
	said.Remedy += "no configuration is written: to try the same values again, add --release to this command"
	return &said
}

// propose returns the forecast of the first schedule that leaves others their share of the hour, else of the last.
func propose(choice []string, of func(schedule string) (forecast, error)) (f forecast, err error) {
	for _, schedule := range choice {
		if f, err = of(schedule); err != nil {
			return f, err
		}
		if f.Share <= proposedShare && f.BusiestHour <= int64(liveShare*float64(f.Threshold))-f.Used {
			return f, nil
		}
	}
	return f, nil
}

// forecast is what a plan comes to on a schedule.
func (d *draft) forecast(p pipeline.Preview, schedule string, now time.Time) (f forecast, err error) {
	t, err := d.tenant(schedule)
	if err != nil {
		return f, err
	}
	f = predict(p, tempoOf(t, now))
	f.Schedule, f.Timezone = schedule, t.Location.String()
	return f, nil
}

// askSchedule lets a person change the schedule that is proposed.
func (d *draft) askSchedule(ctx context.Context, p pipeline.Preview, now time.Time) error {
	f := d.Forecast
	answer := f.Schedule
	help := fmt.Sprintf("%s rows. Proposed: %s a day, %s requests in the busiest hour of %s allowed", console.Count(d.Rows), runsWord(f.RunsPerDay),
		console.Count(f.BusiestHour), console.Count(f.Threshold))
	err := console.Ask(ctx, d.e.stdin, d.e.stderr, console.Question{Title: "Schedule (minute hour day month weekday)", Help: help, Answer: &answer,
		Check: func(schedule string) error {
			d.opts.schedule = schedule
			_, err := d.tenant(schedule)
			return err
		}})
	if err != nil {
		return err
	}
	d.opts.schedule = answer
	chosen, err := d.forecast(p, answer, now)
	if err != nil {
		return err
	}
	d.Schedule, d.Forecast = answer, &chosen
	return nil
}

// print tells what was found and what comes next.
func (d *draft) print() error {
	t := console.NewTable(console.Left(""), console.Left(""), console.Left("")).Fit(console.Width(d.e.stdout))
	if d.Zone != nil {
		t.Row("✓", "zone", strings.TrimSpace(d.Zone.Name+" "+d.Zone.URL))
		t.Row("✓", "login", "accepted")
		readable := 0
		for _, r := range d.Entities {
			switch {
			case r.OK:
				readable++
			case r.Class != pipeline.ClassAbsent:
				t.Row("✗", r.Entity, short(r.Error))
			}
		}
		t.Row("✓", "counts", fmt.Sprintf("%d of %d entities can be read, %s rows", readable, len(d.Entities), console.Count(d.Rows)))
		f := d.Forecast
		t.Row("✓", "schedule", fmt.Sprintf("%s (%s): %s a day, %s requests in the busiest hour, %.1f %% of %s", f.Schedule, f.Timezone, runsWord(f.RunsPerDay),
			console.Count(f.BusiestHour), 100*f.Share, console.Count(f.Threshold)))
		if !f.Fits {
			t.Row("!", "quota", f.Verdict)
			t.Row("", "", "→ "+f.Remedy)
		}
	}
	for _, h := range d.Hints {
		t.Row("!", h.Key, h.Text)
	}
	for _, file := range d.Written {
		t.Row("✓", "written", file)
	}
	if err := t.Write(d.e.stdout); err != nil {
		return err
	}
	with := ""
	if d.file != "config.yaml" {
		with = " --config " + d.file
	}
	return d.e.printf("\nNext:\n  %[1]s%[2]s check\n  %[1]s%[2]s run\n", program(), with)
}
