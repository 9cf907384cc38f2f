// Package webtest is a daemon and a store of publications that exist in memory alone: made-up tenants in every state that
// pages have to show, with years' worth of plausible numbers that are always the same. It is for tests of package web and is
// not part of the program.
package webtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Now is when everything happens.
func Now() time.Time { return time.Date(2026, 3, 12, 14, 7, 20, 0, time.UTC) }

// Hostile is a text as nobody should be able to put it on a page: it comes as the name of a field, as a raw value and in errors.
const Hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)> {{.}} ` + "\u202egnp.exe"

// Fake implements daemon.Control and web.Store. Its methods may be called concurrently.
type Fake struct {
	cfg *config.Config

	mu      sync.Mutex
	states  []daemon.TenantState
	history map[string]map[string]*pipeline.History // by tenant and entity
	rejects map[string][]Reject
	did     []string
	field   string // that an alert tells of
	reload  daemon.ReloadState
}

// Reject is a value that did not fit.
type Reject = web.Reject

var (
	_ daemon.Control = (*Fake)(nil)
	_ web.Store      = (*Fake)(nil)
)

// kind is what state a tenant is in.
type kind struct {
	name string
	what web.Health
	size float64 // 1 is a middling service provider
}

func tenants() []kind {
	return []kind{
		{"acme", web.HealthOK, 1}, {"blue_harbor_it", web.HealthOK, 0.4}, {"cobalt", web.HealthLate, 2.2}, {"delta_networks", web.HealthOK, 0.8},
		{"evergreen", web.HealthHold, 0.5}, {"fjord_managed_services_scandinavia", web.HealthOK, 3.1}, {"globex", web.HealthFailed, 1.4},
		{"harbinger", web.HealthOK, 0.2}, {"initech", web.HealthOK, 1.1}, {"juniper", web.HealthNew, 1}, {"kestrel", web.HealthOK, 0.7}, {"lumen", web.HealthOK, 0.9},
	}
}

// New returns the made-up world, in which every tenant has the 52 entities of core.
func New() *Fake { return NewOf("core") }

// NewOf is New with other entities, Tickets among them.
func NewOf(patterns ...string) *Fake {
	f := &Fake{cfg: &config.Config{DataDir: "/srv/atsync", Tenants: map[string]config.Tenant{}}, history: map[string]map[string]*pipeline.History{},
		rejects: map[string][]Reject{}, reload: daemon.ReloadState{LoadedAt: Now().Add(-26 * time.Hour)}}
	f.cfg.Sink.Path = "/srv/atsync/{tenant}.duckdb"
	f.cfg.Alerts.Targets = map[string]config.AlertTarget{"ops": {Type: "slack"}, "boss": {Type: "email"}}
	f.field = "Go-live date"
	entities, err := schemas.Select(patterns)
	if err != nil {
		panic(err) // the test names what is not in the catalogue
	}
	for i, k := range tenants() {
		f.cfg.Tenants[k.name] = config.Tenant{Sync: config.Sync{Schedule: "*/15 * * * *", Timezone: "UTC", Entities: patterns, Verify: "@daily", Maintain: "@weekly"}}
		m := maker{rand.New(rand.NewPCG(uint64(i), 7)), k, entities} //nolint:gosec // it is to be the same always
		f.history[k.name] = m.histories()
		f.states = append(f.states, m.state(f.history[k.name]))
	}
	reject := func(tenant string, id int64, column, field, raw, reason string, ago time.Duration) {
		f.history[tenant]["Tickets"].OpenRejects++
		f.rejects[tenant+"/Tickets"] = append(f.rejects[tenant+"/Tickets"], Reject{Tenant: tenant, Entity: "Tickets", Table: "tickets", ID: id,
			Column: column, Field: field, Raw: raw, Reason: reason, FoundAt: Now().Add(-ago)})
	}
	reject("acme", 48211, "estimated_hours", "estimatedHours", "1e400", "does not fit DECIMAL(18,4)", 49*time.Hour)
	reject("acme", 50917, "udf_go_live", "Go-live date", "31.02.2026", "is no date", 3*time.Hour)
	reject("cobalt", 7, "udf_script", Hostile, Hostile, Hostile, time.Hour)
	added := pipeline.SchemaEvent{At: Now().Add(-50 * time.Hour), LoadID: 912, Change: "added", Column: "udf_script", NewType: "VARCHAR", NewName: Hostile}
	cobalt := f.history["cobalt"]["Tickets"]
	cobalt.Changes = append([]pipeline.SchemaEvent{added}, cobalt.Changes...)
	return f
}

type maker struct {
	*rand.Rand
	kind
	entities []*schemas.Entity
}

// histories makes 90 days of every table.
func (m maker) histories() map[string]*pipeline.History {
	out := map[string]*pipeline.History{}
	if m.what == web.HealthNew {
		return out
	}
	today := Now().Truncate(24 * time.Hour)
	for n, e := range m.entities {
		busy := m.size * []float64{420, 160, 60, 12, 3, 0.5}[n%6]
		h := &pipeline.History{TableSummary: pipeline.TableSummary{Entity: e.Name, Table: schemas.TableName(e.Name), Days: []pipeline.Day{}},
			Loads: []pipeline.LoadRecord{}, Changes: []pipeline.SchemaEvent{}, Misses: []pipeline.StampMiss{}}
		for d := range 90 {
			day := today.AddDate(0, 0, d-89)
			amount := busy * (0.6 + 0.8*m.Float64())
			if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
				amount *= 0.15
			}
			x := pipeline.Day{Day: day, Loads: 96, Inserted: int64(amount * 0.35), Updated: int64(amount * 0.65), Requests: 96 + int64(amount/40)}
			if m.IntN(6) == 0 {
				x.Deleted = int64(amount * 0.04)
			}
			x.Fetched = x.Changed() * 3 / 2
			h.Days = append(h.Days, x)
			h.Rows += x.Inserted - x.Deleted
		}
		h.Rows += int64(busy * 400 * (1 + m.Float64()))
		for l := range 12 {
			start := Now().Add(-time.Duration(7+15*l) * time.Minute)
			changed := int64(m.IntN(int(busy/20) + 2))
			h.Loads = append(h.Loads, pipeline.LoadRecord{LoadID: int64(9000 - 40*l + n), RunID: int64(1400 - l), Entity: e.Name, Mode: "incremental", Status: pipeline.StatusOK,
				StartedAt: start.Add(time.Duration(n) * 240 * time.Millisecond), EndedAt: start.Add(time.Duration(n)*240*time.Millisecond + time.Duration(120+m.IntN(900))*time.Millisecond),
				Fetched: changed + 2, Updated: changed, Unchanged: 2, Requests: 1})
		}
		h.Changes = append(h.Changes,
			pipeline.SchemaEvent{At: Now().AddDate(0, 0, -31), LoadID: 7001, Change: "widened", Column: "description", OldType: "BIGINT", NewType: "VARCHAR"},
			pipeline.SchemaEvent{At: Now().AddDate(0, 0, -64), LoadID: 4410, Change: "renamed", Column: "udf_site_code", OldName: "Site code", NewName: "Site code (EU)"})
		h.Misses = append(h.Misses, pipeline.StampMiss{At: Now().AddDate(0, 0, -4), Compared: h.Rows, Missed: int64(m.IntN(3))}, pipeline.StampMiss{At: Now().AddDate(0, 0, -11), Compared: h.Rows - 900})
		out[e.Name] = h
	}
	return out
}

// state makes what the daemon knows of the tenant.
func (m maker) state(history map[string]*pipeline.History) daemon.TenantState {
	now := Now()
	s := daemon.TenantState{Tenant: m.name, Fresh: true, Waiting: []app.Job{}, Runs: []pipeline.Run{}, Tables: []daemon.TableState{}}
	age := time.Duration(60+m.IntN(800)) * time.Second
	if m.what == web.HealthLate || m.what == web.HealthFailed || m.what == web.HealthHold {
		age = time.Duration(70+m.IntN(400)) * time.Minute
	}
	for n, e := range m.entities {
		t := daemon.TableState{Entity: e.Name, Table: schemas.TableName(e.Name), Class: []string{"modified", "modified", "append", "parent", "full", "full"}[n%6], Fresh: true, Within: 2700}
		switch {
		case m.what == web.HealthNew:
			t.Fresh = false
		case n == len(m.entities)-3:
			t.Absent = true
		case m.what == web.HealthLate && n > 4, m.what == web.HealthOK:
			t.CompleteThrough = now.Add(-age / 2)
		default:
			t.CompleteThrough, t.Fresh = now.Add(-age), false
		}
		if !t.CompleteThrough.IsZero() {
			t.LastSuccessAt = t.CompleteThrough.Add(40 * time.Second)
		}
		s.Tables = append(s.Tables, t)
	}
	s.Next = []app.Next{{Job: app.Job{Tenant: m.name, Kind: app.Sync}, At: now.Add(time.Duration(m.IntN(800)+30) * time.Second)}, {Job: app.Job{Tenant: m.name, Kind: app.Verify}, At: now.Truncate(24*time.Hour).AddDate(0, 0, 1)}}
	if m.what == web.HealthNew {
		s.Lag, s.Fresh = -1, false
		s.Waiting = append(s.Waiting, app.Job{Tenant: m.name, Kind: app.Sync})
		return s
	}
	s.Since, s.Lag, s.Fresh = now.Add(-age), age.Seconds(), m.what == web.HealthOK
	s.Runs = m.runs(history)
	s.Quota, s.QuotaAt = s.Runs[1].Quota, s.Runs[1].EndedAt
	s.Own = pipeline.ByPriority{Live: int64(300 * m.size), Verify: int64(180 * m.size), Backfill: int64(m.IntN(600))}
	switch m.what {
	case web.HealthHold:
		s.Hold = &pipeline.Hold{Since: now.Add(-age), Reason: "Autotask refuses the login (401): the password was changed, or the API user was locked or made inactive"}
	case web.HealthFailed:
		s.Failures, s.Failing, s.Class = 3, app.Sync, pipeline.ClassSink
		s.Error = "globex: open warehouse: another process has the file open: pid 4112 (duckdb) since 12:40 (close it; the next run goes on)"
	case web.HealthOK, web.HealthLate, web.HealthNew:
	}
	switch m.name {
	case "acme":
		s.Running = &daemon.Activity{Job: app.Job{Tenant: m.name, Kind: app.Sync}, Trigger: app.BySchedule, StartedAt: now.Add(-42 * time.Second), RunID: 1401, Requests: 87,
			Streams: []daemon.Stream{
				{Entity: "Companies", Mode: "incremental", StartedAt: now.Add(-41 * time.Second), EndedAt: now.Add(-38 * time.Second), Rows: 12, Status: pipeline.StatusOK},
				{Entity: "Tickets", Mode: "full", StartedAt: now.Add(-38 * time.Second), Rows: 21500, Total: 48120, Status: pipeline.StatusRunning},
				{Entity: "TimeEntries", Mode: "incremental", StartedAt: now.Add(-36 * time.Second), Rows: 140, Retries: 1, Status: pipeline.StatusRunning}}}
	case "initech":
		s.Paused = true
	}
	return s
}

// runs makes the newest runs.
func (m maker) runs(history map[string]*pipeline.History) []pipeline.Run {
	out := []pipeline.Run{}
	for i := range 40 {
		start := Now().Add(-time.Duration(7+15*i) * time.Minute)
		run := pipeline.Run{ID: int64(1400 - i), Tenant: m.name, Command: "sync", StartedAt: start, Status: pipeline.StatusOK, EndedAt: start.Add(time.Duration(8000+m.IntN(30000)) * time.Millisecond)}
		verify := i == 3
		if verify {
			run.Command = "verify"
		}
		for n, e := range m.entities {
			r := pipeline.StreamReport{Entity: e.Name, Table: schemas.TableName(e.Name), Mode: "incremental", Class: "modified", Status: pipeline.StatusOK, Requests: 1,
				Fetched: int64(m.IntN(30)), Seconds: 0.2 + m.Float64(), CompleteThrough: run.StartedAt}
			r.Updated = r.Fetched / 2
			r.Unchanged = r.Fetched - r.Updated
			if verify {
				rows := history[e.Name].Rows
				r.Mode, r.Verify = "verify", &pipeline.Verification{SourceRows: rows, WarehouseRows: rows, Verdict: pipeline.VerdictEqual, MissingIDs: []int64{}, GoneIDs: []int64{}}
				if n == 2 && m.what != web.HealthOK {
					*r.Verify = pipeline.Verification{SourceRows: rows + 3, WarehouseRows: rows, Holes: 3, Missing: 3, MissingIDs: []int64{40112, 40118, 40120}, GoneIDs: []int64{}, Verdict: pipeline.VerdictHoles}
				}
			}
			if m.what == web.HealthFailed && i < 3 && n == 0 {
				r.Status, r.Error = pipeline.StatusFailed, "commit: no space left on device (free some, the next run goes on)"
				run.Status, run.Error, run.ErrorClass = pipeline.StatusFailed, "1 of 38 entities failed: Companies: "+r.Error, pipeline.ClassSink
			}
			run.Requests += r.Requests
			run.Streams = append(run.Streams, r)
		}
		used := int64(1400*m.size) + int64(m.IntN(900))
		run.Quota = &pipeline.QuotaUse{Database: fmt.Sprintf("ci %d", 40000+len(m.name)*311), Threshold: 10000, WindowMins: 60, UsedBefore: used - run.Requests, UsedAfter: used,
			Own: pipeline.ByPriority{Live: run.Requests}, Limits: pipeline.ByPriority{Live: 7500, Verify: 4000, Backfill: 4000}}
		out = append(out, run)
	}
	return out
}

// Did returns what was asked for since the beginning, like "sync acme" or "sync/fast acme".
func (f *Fake) Did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.did)
}

// Break makes it look as if the last reload had failed.
func (f *Fake) Break(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload.Error, f.reload.FailedAt, f.reload.Restart = text, Now(), []string{"http.listen"}
}

// Change lets a test change a tenant's state.
func (f *Fake) Change(tenant string, change func(*daemon.TenantState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.states {
		if f.states[i].Tenant == tenant {
			change(&f.states[i])
		}
	}
}

// Repeat makes n tenants of those that there are.
func (f *Fake) Repeat(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.states); i < n; i++ {
		s := f.states[i%len(tenants())]
		f.history[fmt.Sprint(s.Tenant, i)] = f.history[s.Tenant]
		s.Tenant += fmt.Sprint(i)
		f.states = append(f.states, s)
	}
}

// Config implements daemon.Control.
func (f *Fake) Config() *config.Config { return f.cfg }

// StartedAt implements daemon.Control.
func (f *Fake) StartedAt() time.Time { return Now().Add(-26 * time.Hour) }

// Alerts implements daemon.Control.
func (f *Fake) Alerts() []daemon.Alert {
	ago := func(d time.Duration) time.Time { return Now().Add(-d) }
	f.mu.Lock()
	defer f.mu.Unlock()
	return []daemon.Alert{
		{Kind: "drift", Tenant: "cobalt", Summary: "cobalt: Tickets: the field " + f.field + " is new", Remedy: "atsync schema diff --tenant cobalt", Since: ago(50 * time.Minute), Event: true,
			Told: []daemon.Told{{Target: "ops", At: ago(50 * time.Minute)}}},
		{Kind: "failure", Tenant: "globex", Summary: "globex: 3 jobs in a row failed: another process has the file open", Remedy: "atsync runs --tenant globex", Since: ago(55 * time.Minute), Told: []daemon.Told{}},
		{Kind: "quota", Summary: "91 % of the hour's 10,000 requests of webservices14.autotask.net/632538 (initech) are used, by all integrations", Remedy: "atsync status --live shows by whom",
			Since: ago(70 * time.Minute), Told: []daemon.Told{{Target: "ops", At: ago(70 * time.Minute)}}},
		{Kind: "hold", Tenant: "evergreen", Summary: "evergreen: on hold: Autotask refuses the login (401)", Remedy: "correct the credentials, then atsync check --release --tenant evergreen",
			Since: ago(100 * time.Minute), Told: []daemon.Told{{Target: "boss", At: ago(100 * time.Minute)}, {Target: "ops", At: ago(100 * time.Minute)}}},
	}
}

// Drift changes the name of the field that an alert tells of.
func (f *Fake) Drift(field string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.field = field
}

// Tenants implements daemon.Control.
func (f *Fake) Tenants() []daemon.TenantState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.states)
}

// Tenant implements daemon.Control.
func (f *Fake) Tenant(name string) (daemon.TenantState, bool) {
	for _, s := range f.Tenants() {
		if s.Tenant == name {
			return s, true
		}
	}
	return daemon.TenantState{}, false
}

// Schedule implements daemon.Control.
func (f *Fake) Schedule() (out []app.Next) {
	for _, s := range f.Tenants() {
		out = append(out, s.Next...)
	}
	return out
}

// Running implements daemon.Control.
func (f *Fake) Running() []app.Status { return nil }

// Waiting implements daemon.Control.
func (f *Fake) Waiting() []app.Job { return nil }

// Last implements daemon.Control.
func (f *Fake) Last() []app.Status { return nil }

func (f *Fake) note(what, tenant string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, what+" "+tenant)
	return nil
}

// Trigger implements daemon.Control.
func (f *Fake) Trigger(job app.Job) error {
	if s, _ := f.Tenant(job.Tenant); s.Running != nil && s.Running.Job == job {
		return &pipeline.Error{Class: pipeline.ClassPartial, Tenant: job.Tenant, Err: fmt.Errorf("%s still runs", job), Remedy: "wait until it ends"}
	}
	what := string(job.Kind)
	if job.Group != "" {
		what += "/" + job.Group
	}
	return f.note(what, job.Tenant)
}

// Pause implements daemon.Control.
func (f *Fake) Pause(tenant string) error {
	f.Change(tenant, func(s *daemon.TenantState) { s.Paused = true })
	return f.note("pause", tenant)
}

// Resume implements daemon.Control.
func (f *Fake) Resume(tenant string) error {
	f.Change(tenant, func(s *daemon.TenantState) { s.Paused = false })
	return f.note("resume", tenant)
}

// Release implements daemon.Control.
func (f *Fake) Release(tenant string) error { return f.note("release", tenant) }

// Reload implements daemon.Control.
func (f *Fake) Reload(context.Context) error { return f.note("reload", "") }

// Reloaded implements daemon.Control.
func (f *Fake) Reloaded() daemon.ReloadState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload
}

// Published implements web.Store.
func (f *Fake) Published(_ context.Context, tenant string) (web.Published, error) {
	out := web.Published{Path: "/srv/atsync/" + tenant + ".duckdb", At: Now().Add(-6 * time.Minute), Bytes: 214_000_000}
	for _, h := range f.history[tenant] {
		out.Tables = append(out.Tables, h.TableSummary)
	}
	if out.Tables == nil {
		return out, os.ErrNotExist
	}
	return out, nil
}

// History implements web.Store.
func (f *Fake) History(_ context.Context, tenant string, entity string) (*pipeline.History, []Reject, error) {
	if f.history[tenant][entity] == nil {
		return nil, nil, os.ErrNotExist
	}
	return f.history[tenant][entity], f.rejects[tenant+"/"+entity], nil
}

// Run implements web.Store.
func (f *Fake) Run(_ context.Context, tenant string, id int64) (run *pipeline.Run, loads []pipeline.LoadRecord, err error) {
	for _, h := range f.history[tenant] {
		for _, l := range h.Loads {
			if l.RunID == id {
				loads = append(loads, l)
			}
		}
	}
	slices.SortFunc(loads, func(a, b pipeline.LoadRecord) int { return a.StartedAt.Compare(b.StartedAt) })
	return nil, loads, nil
}
