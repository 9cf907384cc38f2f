package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Config implements Control.
func (d *Daemon) Config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// StartedAt implements Control.
func (d *Daemon) StartedAt() time.Time { return d.started }

// Schedule implements Control.
func (d *Daemon) Schedule() []app.Next { return d.app.Schedule() }

// Running implements Control.
func (d *Daemon) Running() []app.Status { return d.app.Running() }

// Waiting implements Control.
func (d *Daemon) Waiting() []app.Job { return d.app.Waiting() }

// Last implements Control.
func (d *Daemon) Last() []app.Status { return d.app.Last() }

// Alerts implements Control.
func (d *Daemon) Alerts() []Alert {
	if d.opts.Alerts == nil {
		return []Alert{}
	}
	return d.opts.Alerts()
}

// Tenants implements Control.
func (d *Daemon) Tenants() []TenantState {
	names := d.Config().TenantNames()
	all := d.jobs()
	out := make([]TenantState, 0, len(names))
	for _, name := range names {
		if s, ok := d.state(name, all); ok {
			out = append(out, s)
		}
	}
	return out
}

// Tenant implements Control.
func (d *Daemon) Tenant(name string) (TenantState, bool) { return d.state(name, d.jobs()) }

// jobs is what the scheduler knows, asked once for all tenants.
type jobs struct {
	next    []app.Next
	running []app.Status
	waiting []app.Job
}

// jobs asks for what waits first: what has begun since then shows twice rather than not at all.
func (d *Daemon) jobs() jobs {
	waiting := d.app.Waiting()
	return jobs{d.app.Schedule(), d.app.Running(), waiting}
}

func (d *Daemon) state(name string, all jobs) (TenantState, bool) {
	t, m, ok := d.tenant(name)
	if !ok {
		return TenantState{}, false
	}
	d.mu.Lock()
	s := TenantState{Tenant: name, Paused: d.paused[name], Waiting: []app.Job{}, Next: []app.Next{}}
	d.mu.Unlock()
	for _, j := range all.waiting {
		if j.Tenant == name {
			s.Waiting = append(s.Waiting, j)
		}
	}
	for _, n := range all.next {
		if n.Job.Tenant == name {
			s.Next = append(s.Next, n)
		}
	}
	slices.SortStableFunc(s.Next, func(a, b app.Next) int { return a.At.Compare(b.At) })
	m.state(&s)
	for _, r := range all.running {
		if r.Job.Tenant == name && s.Running == nil { // it is about to begin, or has just ended
			s.Running = &Activity{Job: r.Job, Trigger: r.Trigger, StartedAt: r.StartedAt, Streams: []Stream{}}
		}
	}
	s.quota()
	s.freshness(t, time.Now())
	return s, true
}

// quota takes the quota from the newest run that knows it.
func (s *TenantState) quota() {
	for _, run := range s.Runs {
		if run.Quota != nil && run.Quota.Threshold > 0 {
			s.Quota, s.QuotaAt = run.Quota, run.EndedAt
			break
		}
	}
	if s.Quota == nil {
		return
	}
	since := s.QuotaAt.Add(-time.Duration(s.Quota.WindowMins) * time.Minute)
	for _, run := range s.Runs {
		if run.Quota != nil && run.EndedAt.After(since) && !run.EndedAt.After(s.QuotaAt) {
			s.Own.Live += run.Quota.Own.Live
			s.Own.Verify += run.Quota.Own.Verify
			s.Own.Backfill += run.Quota.Own.Backfill
		}
	}
}

// freshness compares the tables with the tenant's objectives. Entities that are not configured don't count; those that were
// never read are not fresh.
func (s *TenantState) freshness(t config.TenantConfig, now time.Time) {
	stored := map[string]TableState{}
	for _, table := range s.Tables {
		stored[table.Entity] = table
	}
	absent := map[string]bool{}
	for _, run := range slices.Backward(s.Runs) { // the newest has the last word
		for _, r := range run.Streams {
			absent[r.Entity] = r.Status == pipeline.StatusAbsent
		}
	}
	s.Tables, s.Fresh, s.Lag = []TableState{}, true, 0
	never := false
	for _, group := range t.Schedules {
		for _, e := range group.Entities {
			table, known := stored[e.Name]
			if !known {
				table = TableState{Entity: e.Name, Table: schemas.TableName(e.Name), Class: string(e.Class)}
			}
			table.Absent, table.Within = absent[e.Name], group.FreshWithin.Seconds()
			switch lag := now.Sub(table.CompleteThrough); {
			case table.Absent:
				table.Fresh = true
			case table.CompleteThrough.IsZero():
				never = true
			default:
				table.Fresh = lag <= group.FreshWithin
				if s.Since.IsZero() || table.CompleteThrough.Before(s.Since) {
					s.Since, s.Lag = table.CompleteThrough, max(lag.Seconds(), 0)
				}
			}
			s.Fresh = s.Fresh && table.Fresh
			s.Tables = append(s.Tables, table)
		}
	}
	if never {
		s.Since, s.Lag = time.Time{}, -1
	}
	slices.SortFunc(s.Tables, func(a, b TableState) int { return strings.Compare(a.Entity, b.Entity) })
}

// Trigger implements Control.
func (d *Daemon) Trigger(job app.Job) error {
	t, _, ok := d.tenant(job.Tenant)
	refuse := func(class pipeline.Class, remedy, format string, args ...any) error {
		return &pipeline.Error{Class: class, Tenant: job.Tenant, Op: string(job.Kind), Err: fmt.Errorf(format, args...), Remedy: remedy}
	}
	if !ok {
		return refuse(pipeline.ClassConfig, "the configuration has "+strings.Join(d.Config().TenantNames(), ", "), "there is no tenant %q", job.Tenant)
	}
	if kinds := []app.Kind{app.Sync, app.Verify, app.Release, app.Maintain}; !slices.Contains(kinds, job.Kind) || job.Kind == app.Maintain && d.opts.Maintain == nil {
		return refuse(pipeline.ClassConfig, "write sync, verify, maintain or release", "there is no job %q", job.Kind)
	}
	if _, ok := t.Group(job.Group); job.Group != "" && (!ok || job.Kind != app.Sync) {
		return refuse(pipeline.ClassConfig, "sync.groups of the configuration names the groups", "there is no group %q to %s", job.Group, job.Kind)
	}
	if !d.app.Trigger(job) {
		return refuse(pipeline.ClassPartial, "wait for it to end", "the same job waits or runs already")
	}
	return nil
}

// Release implements Control.
func (d *Daemon) Release(tenant string) error {
	return d.Trigger(app.Job{Tenant: tenant, Kind: app.Release})
}
