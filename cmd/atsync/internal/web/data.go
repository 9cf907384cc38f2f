package web

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

const (
	trendDays   = 14
	mostRejects = 50
	patience    = 3 * time.Second // how long an overview waits for publications that it has not seen yet
)

// notFound says that there is no such thing.
type notFoundError string

func (e notFoundError) Error() string { return string(e) }

// readOverview collects how all tenants stand.
func (p *Pages) readOverview(ctx context.Context) Overview {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := Overview{At: p.now().UTC(), Version: p.version, StartedAt: p.control.StartedAt(), ReadOnly: p.guard.access.ReadOnly,
		Config: p.control.Reloaded(), Tenants: []Tenant{}}
	alerts := p.control.Alerts()
	for _, a := range alerts {
		if !a.Event {
			o.Alerts++
		}
	}
	for _, s := range p.control.Tenants() {
		o.Tenants = append(o.Tenants, p.tenantOf(ctx, s, alerts))
	}
	return o
}

// readTenant returns one tenant, with its runs.
func (p *Pages) readTenant(ctx context.Context, name string) (Tenant, daemon.TenantState, error) {
	s, ok := p.control.Tenant(name)
	if !ok {
		return Tenant{}, s, notFoundError("there is no tenant " + name)
	}
	t := p.tenantOf(ctx, s, p.control.Alerts())
	t.Runs = []RunLine{}
	for _, run := range s.Runs {
		t.Runs = append(t.Runs, lineOf(run))
	}
	return t, s, nil
}

// tenantOf joins what the daemon knows of a tenant with what is published.
func (p *Pages) tenantOf(ctx context.Context, s daemon.TenantState, alerts []daemon.Alert) Tenant {
	mine := slices.DeleteFunc(slices.Concat([]daemon.Alert{}, alerts), func(a daemon.Alert) bool { return a.Tenant != s.Tenant })
	t := Tenant{Tenant: s.Tenant, Paused: s.Paused, Hold: s.Hold, Alerts: mine, Running: s.Running, Waiting: orEmpty(s.Waiting), Next: orEmpty(s.Next),
		Failures: s.Failures, Failing: s.Failing, Error: s.Error, ErrorClass: s.Class, CompleteThrough: s.Since, LagSeconds: s.Lag,
		Fresh: s.Fresh, Trend: make([]int64, trendDays), Tables: []Table{}}
	if len(s.Runs) > 0 {
		line := lineOf(s.Runs[0])
		t.LastRun = &line
	}
	pub := p.published(ctx, &t)
	holes := holesOf(s.Runs)
	read := false
	for i, ts := range s.Tables {
		row := p.tableOf(ts)
		if i == 0 {
			t.ObjectiveSeconds = row.Objective
		} else if row.Objective != t.ObjectiveSeconds {
			t.ObjectiveSeconds = 0
		}
		row.Holes = holes[ts.Entity]
		if sum, ok := pub[ts.Entity]; ok {
			row.Published, row.Rows, row.OpenRejects, row.Trend = true, sum.Rows, sum.OpenRejects, p.trend(sum.Days)
		}
		t.Rows += row.Rows
		t.OpenRejects += row.OpenRejects
		t.Holes += row.Holes
		for i, n := range row.Trend {
			t.Trend[i] += n
		}
		read = read || !row.CompleteThrough.IsZero() || row.Absent
		t.Tables = append(t.Tables, row)
	}
	switch {
	case t.Hold != nil:
		t.Health = HealthHold
	case t.Failures > 0:
		t.Health = HealthFailed
	case !read:
		t.Health = HealthNew
	case !t.Fresh:
		t.Health = HealthLate
	default:
		t.Health = HealthOK
	}
	return t
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// published fills in what the publication says and returns its tables by entity.
func (p *Pages) published(ctx context.Context, t *Tenant) map[string]pipeline.TableSummary {
	pub, err := p.store.Published(ctx, t.Tenant)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case ctx.Err() != nil:
		t.PublishedError = "not read yet"
		return nil
	case err != nil:
		t.PublishedError = err.Error()
		return nil
	}
	t.Published, t.PublishedAt, t.PublishedBytes = pub.Path, pub.At, pub.Bytes
	tables := map[string]pipeline.TableSummary{}
	for _, table := range pub.Tables {
		tables[table.Entity] = table
	}
	return tables
}

func (p *Pages) tableOf(s daemon.TableState) Table {
	t := Table{Entity: s.Entity, Table: s.Table, Class: s.Class, CompleteThrough: s.CompleteThrough, LastSuccessAt: s.LastSuccessAt,
		LagSeconds: -1, Objective: s.Within, Fresh: s.Fresh, Absent: s.Absent, Trend: make([]int64, trendDays)}
	if !s.CompleteThrough.IsZero() {
		t.LagSeconds = max(0, p.now().Sub(s.CompleteThrough).Seconds()) // a server's clock may be ahead of ours
	}
	return t
}

// trend counts the changed rows of each of the last days, today last.
func (p *Pages) trend(days []pipeline.Day) []int64 {
	out := make([]int64, trendDays)
	today := p.now().UTC().Truncate(24 * time.Hour)
	for _, d := range days {
		if i := trendDays - 1 - int(today.Sub(d.Day)/(24*time.Hour)); i >= 0 && i < trendDays {
			out[i] += d.Changed()
		}
	}
	return out
}

// holesOf returns what the newest verification of each entity left open.
func holesOf(runs []pipeline.Run) map[string]int64 {
	out := map[string]int64{}
	for _, run := range slices.Backward(runs) {
		for _, s := range run.Streams {
			if s.Verify != nil && s.Verify.Verdict != pipeline.VerdictUnknown {
				out[s.Entity] = s.Verify.Holes - s.Verify.Repaired
			}
		}
	}
	return out
}

func lineOf(run pipeline.Run) RunLine {
	line := RunLine{ID: run.ID, Command: run.Command, StartedAt: run.StartedAt, EndedAt: run.EndedAt, Status: run.Status, Requests: run.Requests, Error: run.Error, ErrorClass: run.ErrorClass}
	for _, s := range run.Streams {
		line.Changed += s.Inserted + s.Updated + s.Deleted
		if s.Status == pipeline.StatusFailed || s.Status == pipeline.StatusPartial {
			line.Failed++
		}
	}
	return line
}

// readEntity returns all there is to say of one table.
func (p *Pages) readEntity(ctx context.Context, tenant, entity string) (Entity, error) {
	s, ok := p.control.Tenant(tenant)
	if !ok {
		return Entity{}, notFoundError("there is no tenant " + tenant)
	}
	known, ok := schemas.Lookup(entity)
	if !ok {
		return Entity{}, notFoundError("there is no entity " + entity)
	}
	i := slices.IndexFunc(s.Tables, func(t daemon.TableState) bool { return t.Entity == known.Name })
	if i < 0 {
		return Entity{}, notFoundError(tenant + " does not sync " + known.Name)
	}
	e := Entity{Tenant: tenant, Table: p.tableOf(s.Tables[i]), Rejects: []Reject{}, Verifications: verifications(s.Runs, known.Name)}
	e.Holes = holesOf(s.Runs)[known.Name]
	history, rejects, err := p.store.History(ctx, tenant, known.Name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Entity{}, err
	}
	if history != nil {
		e.History, e.Published, e.Rows, e.OpenRejects, e.Trend = history, true, history.Rows, history.OpenRejects, p.trend(history.Days)
		e.Rejects = rejects[:min(len(rejects), mostRejects)]
	}
	return e, nil
}

func verifications(runs []pipeline.Run, entity string) []Verification {
	out := []Verification{}
	for _, run := range runs {
		for _, s := range run.Streams {
			if s.Entity == entity && s.Verify != nil && len(out) < daemon.MostVerified {
				out = append(out, Verification{RunID: run.ID, At: run.StartedAt, Verification: *s.Verify})
			}
		}
	}
	return out
}

// readRun returns one run: from the daemon's memory, or from the publication.
func (p *Pages) readRun(ctx context.Context, tenant string, id int64) (Run, error) {
	s, ok := p.control.Tenant(tenant)
	if !ok {
		return Run{}, notFoundError("there is no tenant " + tenant)
	}
	var run *pipeline.Run
	if i := slices.IndexFunc(s.Runs, func(r pipeline.Run) bool { return r.ID == id }); i >= 0 {
		run = &s.Runs[i]
	}
	stored, loads, err := p.store.Run(ctx, tenant, id)
	if err != nil && run == nil && !errors.Is(err, os.ErrNotExist) {
		return Run{}, err
	}
	out := Run{Loads: orEmpty(loads)}
	if a := s.Running; a != nil && a.RunID == id {
		out.Live = a
	}
	switch {
	case run != nil && stored != nil && len(stored.Streams) > len(run.Streams) && stored.Status == run.Status:
		out.Run = *stored // the daemon does not remember all of an older run
	case run != nil:
		out.Run = *run
	case out.Live != nil:
		out.Run = pipeline.Run{ID: id, Tenant: tenant, Command: string(out.Live.Job.Kind), StartedAt: out.Live.StartedAt, Status: pipeline.StatusRunning, Requests: out.Live.Requests}
	case stored != nil:
		out.Run = *stored
	default:
		return Run{}, notFoundError("there is no such run")
	}
	return out, nil
}

// readQuota returns the use of each database, the fullest first.
func (p *Pages) readQuota() []Quota {
	out := []Quota{}
	at := map[string]int{}
	for _, s := range p.control.Tenants() {
		u := s.Quota
		if u == nil || u.Threshold <= 0 {
			continue
		}
		i, ok := at[u.Database]
		if !ok || u.Database == "" {
			i = len(out)
			at[u.Database] = i
			out = append(out, Quota{Database: u.Database})
		}
		q := &out[i]
		q.Tenants = append(q.Tenants, s.Tenant)
		q.Own.Live += s.Own.Live
		q.Own.Verify += s.Own.Verify
		q.Own.Backfill += s.Own.Backfill
		if s.QuotaAt.After(q.AsOf) || q.AsOf.IsZero() {
			q.AsOf, q.Threshold, q.WindowMins, q.Used, q.Limits = s.QuotaAt, u.Threshold, u.WindowMins, u.UsedAfter, u.Limits
			q.WaitedSeconds, q.HourRefusals, q.ThreadRefusals, q.PausedUntil = u.WaitedSeconds, u.HourRefusals, u.ThreadRefusals, u.PausedUntil
		}
	}
	for i := range out {
		out[i].Others = max(0, out[i].Used-out[i].Own.Sum())
	}
	slices.SortFunc(out, func(a, b Quota) int {
		return cmp.Or(cmp.Compare(b.Used*max(a.Threshold, 1), a.Used*max(b.Threshold, 1)), strings.Compare(a.Tenants[0], b.Tenants[0]))
	})
	return out
}

// do carries out an action on a tenant.
func (p *Pages) do(tenant, action string) error {
	switch action {
	case "sync":
		return p.syncAll(tenant)
	case "verify":
		return p.control.Trigger(app.Job{Tenant: tenant, Kind: app.Verify})
	case "pause":
		return p.control.Pause(tenant)
	case "resume":
		return p.control.Resume(tenant)
	case "release":
		return p.control.Release(tenant)
	}
	return notFoundError("there is no action " + action)
}

// syncAll starts a sync of the tenant's own list and one of every group. It fails if none could be started.
func (p *Pages) syncAll(tenant string) error {
	s, _ := p.control.Tenant(tenant)
	var jobs []app.Job
	for _, n := range s.Next {
		if n.Job.Kind == app.Sync && !slices.Contains(jobs, n.Job) {
			jobs = append(jobs, n.Job)
		}
	}
	if jobs == nil { // nothing is scheduled
		jobs = []app.Job{{Tenant: tenant, Kind: app.Sync}}
	}
	var first error
	started := false
	for _, job := range jobs {
		err := p.control.Trigger(job)
		if err == nil {
			started = true
		} else if first == nil {
			first = err
		}
	}
	if started {
		return nil
	}
	return first
}
