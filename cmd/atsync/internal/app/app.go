// Package app is the daemon: it runs every tenant's jobs when their schedules say so.
//
// It promises that a tenant has at most one job at a time, and all tenants together at most as many as configured;
// that a job that falls due while the same one still waits or runs is skipped, and that the skip is told; that a failure, a
// panic or a slow answer of one tenant never touches another; that what was missed while the daemon was down is made up for
// once, if that is wanted; and that Run returns within a bound after its context ends. Times are compared by the
// wall clock, so a clock that jumps moves the schedule with it.
//
// It knows nothing of Autotask or of warehouses: what a job does is given to it. It keeps nothing on disk and never logs
// a secret, since it has none.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/sourcegraph/conc/panics"
)

// Kind says what a job does. Kinds have priorities: of jobs that wait, syncs start first.
type Kind string

// The kinds of job, the most urgent first.
const (
	Sync     Kind = "sync"
	Verify   Kind = "verify"
	Maintain Kind = "maintain"

	// Release ends a hold; started by hand only.
	Release Kind = "release"
)

// rank orders kinds by urgency.
func (k Kind) rank() int {
	for i, other := range []Kind{Release, Sync, Verify, Maintain} {
		if k == other {
			return i
		}
	}
	return len(k)
}

// Job is one thing to do for one tenant.
type Job struct {
	Tenant string `json:"tenant"`
	Kind   Kind   `json:"kind"`
	Group  string `json:"group,omitempty"` // of entities; empty: the tenant's own list
}

// String returns "acme sync" or "acme sync/fast".
func (j Job) String() string {
	s := j.Tenant + " " + string(j.Kind)
	if j.Group != "" {
		s += "/" + j.Group
	}
	return s
}

// Entry is a job with its schedule.
type Entry struct {
	Job  Job
	When cron.Schedule
	In   *time.Location
}

// Trigger says why a job was started.
type Trigger string

// The triggers.
const (
	BySchedule Trigger = "schedule"
	ByCatchUp  Trigger = "catch-up" // it was missed while the daemon was down, or never ran
	ByHand     Trigger = "manual"
)

// Start is what a job is told of its beginning.
type Start struct {
	Job     Job
	Trigger Trigger
	Due     time.Time // when it fell due
	Skipped []Skip    // of this tenant's jobs since the last start
}

// Skip is a job that was not started.
type Skip struct {
	Job    Job       `json:"job"`
	Due    time.Time `json:"due"`
	Reason string    `json:"reason"`
}

// Options are fixed for the life of an App.
type Options struct {
	Entries    []Entry
	MaxTenants int // that run at a time; 0: 4

	// Work does a job. It must return soon after ctx ends.
	Work func(ctx context.Context, s Start) error

	// LastRun returns when a job was last started by an earlier process; zero: never. Nil: nothing is made up for.
	LastRun func(ctx context.Context, job Job) (time.Time, error)

	// OnSkip is told of each job that is not started, at once. It must return quickly. May be nil.
	OnSkip func(Skip)

	StopWithin time.Duration // how long Run waits for running jobs after its context ended; 0: a minute
	Logger     *slog.Logger
}

// App is the daemon's heart. All methods may be called concurrently.
type App struct {
	opts Options
	log  *slog.Logger

	mu      sync.Mutex
	entries []*entry
	max     int
	waiting []*Start
	running map[string]*Status // by tenant
	paused  map[string]bool
	skips   map[string][]Skip // by tenant, not yet told to a job
	done    map[Job]*Status   // the last run of each job
	beat    time.Time         // when the schedule was last looked at
	wake    chan struct{}
	ctx     context.Context //nolint:containedctx // that of Run, which jobs started by hand run under, too
	jobs    sync.WaitGroup
}

// Status is how a job stands.
type Status struct {
	Job       Job       `json:"job"`
	Trigger   Trigger   `json:"trigger"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Idle      bool      `json:"idle,omitempty"` // it waits for others (App.Idle)
	Err       error     `json:"-"`
	Error     string    `json:"error,omitempty"`
}

// New returns an App that does nothing until Run.
func New(opts Options) *App {
	if opts.StopWithin == 0 {
		opts.StopWithin = time.Minute
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a := &App{opts: opts, log: opts.Logger, running: map[string]*Status{}, paused: map[string]bool{},
		skips: map[string][]Skip{}, done: map[Job]*Status{}, wake: make(chan struct{}, 1)}
	a.max = maxTenants(opts.MaxTenants)
	return a
}

func maxTenants(n int) int {
	if n <= 0 {
		return 4
	}
	return n
}

// Run works until ctx ends, then waits for the running jobs, which end with it. It returns an error if some of
// them did not end in time.
func (a *App) Run(ctx context.Context) error {
	jobs, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.mu.Lock()
	a.ctx, a.beat = jobs, time.Now()
	a.mu.Unlock()
	a.schedule(a.opts.Entries)
	for _, s := range a.missed(ctx, a.opts.Entries) {
		a.enqueue(s)
	}
	a.dispatch()
	a.tick(ctx)

	a.mu.Lock()
	a.ctx, a.waiting = nil, nil
	a.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		a.jobs.Wait()
		close(ended)
	}()
	timer := time.NewTimer(a.opts.StopWithin)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("still running after %s: %v", a.opts.StopWithin, a.Running())
	}
}

// Reload replaces the schedules and the limit. Running jobs go on; jobs that wait and are no longer scheduled are dropped, and
// all of a tenant that is no longer there. A job that was not scheduled before starts at once if its time was missed, as
// with the start of the daemon.
func (a *App) Reload(ctx context.Context, entries []Entry, limit int) {
	fresh := a.missed(ctx, slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return a.scheduled(e.Job) }))
	a.mu.Lock()
	a.max = maxTenants(limit)
	a.mu.Unlock()
	a.schedule(entries)
	for _, s := range fresh {
		a.enqueue(s)
	}
	a.dispatch()
}

func (a *App) scheduled(job Job) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.entries, func(e *entry) bool { return e.Job == job })
}

// Trigger starts a job as soon as its tenant is free. It reports false if the same job waits or runs already.
func (a *App) Trigger(job Job) bool {
	started := a.enqueue(&Start{Job: job, Trigger: ByHand, Due: time.Now()})
	a.dispatch()
	return started
}

// Pause keeps a tenant's jobs from starting, and Resume lets them start again. What falls due meanwhile is skipped.
func (a *App) Pause(tenant string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paused[tenant] = true
}

// Resume ends a pause.
func (a *App) Resume(tenant string) {
	a.mu.Lock()
	delete(a.paused, tenant)
	a.mu.Unlock()
	a.dispatch()
}

// enqueue lets a job wait for its turn, unless the same one waits or runs.
func (a *App) enqueue(s *Start) bool {
	reason := a.admit(s)
	if reason != "" && s.Trigger == BySchedule && a.opts.OnSkip != nil {
		a.opts.OnSkip(Skip{Job: s.Job, Due: s.Due, Reason: reason})
	}
	return reason == ""
}

// pausedReason is why a paused tenant's jobs are skipped.
const pausedReason = "the tenant is paused"

// admit puts a job among those that wait, or says why not.
func (a *App) admit(s *Start) (reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.waiting {
		if w.Job == s.Job {
			reason = "it still waits for its turn"
		}
	}
	if r := a.running[s.Job.Tenant]; r != nil && r.Job == s.Job {
		reason = "it still runs, since " + r.StartedAt.UTC().Format(time.RFC3339)
	}
	if a.paused[s.Job.Tenant] && s.Trigger != ByHand {
		reason = pausedReason
	}
	if reason == "" {
		a.waiting = append(a.waiting, s)
		return ""
	}
	if s.Trigger == BySchedule {
		level := slog.LevelWarn
		if reason == pausedReason { // as wanted
			level = slog.LevelDebug
		}
		a.log.Log(context.Background(), level, "skipped", "tenant", s.Job.Tenant, "job", s.Job.String(), "due", s.Due, "reason", reason)
		const most = 1000 // a tenant that never runs again must not fill the memory
		if list := a.skips[s.Job.Tenant]; len(list) < most {
			a.skips[s.Job.Tenant] = append(list, Skip{Job: s.Job, Due: s.Due, Reason: reason})
		}
	}
	return reason
}

// dispatch starts what may start: the most urgent job first, of equals the one that waits longest.
func (a *App) dispatch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.ctx != nil && a.ctx.Err() == nil && a.busy() < a.max {
		next := -1
		for i, s := range a.waiting {
			if a.running[s.Job.Tenant] != nil || a.paused[s.Job.Tenant] && s.Trigger != ByHand {
				continue
			}
			if next < 0 || s.Job.Kind.rank() < a.waiting[next].Job.Kind.rank() {
				next = i
			}
		}
		if next < 0 {
			return
		}
		s := a.waiting[next]
		a.waiting = append(a.waiting[:next], a.waiting[next+1:]...)
		s.Skipped = a.skips[s.Job.Tenant]
		delete(a.skips, s.Job.Tenant)
		status := &Status{Job: s.Job, Trigger: s.Trigger, StartedAt: time.Now()}
		a.running[s.Job.Tenant] = status
		ctx := a.ctx
		a.jobs.Go(func() { a.work(ctx, s, status) })
	}
}

// busy counts the running jobs that have something to do. The caller holds mu.
func (a *App) busy() (n int) {
	for _, s := range a.running {
		if !s.Idle {
			n++
		}
	}
	return n
}

// Idle notes that a tenant's running job has nothing to do but wait, for quota or a server that fails, or that it goes on. While
// it waits it takes no other tenant's turn. When it goes on there may be more at work than the limit for a while.
func (a *App) Idle(tenant string, idle bool) {
	a.mu.Lock()
	s := a.running[tenant]
	changed := s != nil && s.Idle != idle
	if changed {
		s.Idle = idle
	}
	a.mu.Unlock()
	if changed && idle {
		a.dispatch()
	}
}

// work does one job and lets the next one start.
func (a *App) work(ctx context.Context, s *Start, status *Status) {
	var err error
	if crash := panics.Try(func() { err = a.opts.Work(ctx, *s) }); crash != nil {
		err = crash.AsError()
		a.log.Error("a job crashed; the others go on", "tenant", s.Job.Tenant, "job", s.Job.String(), "error", crash.Value, "stack", string(crash.Stack))
	}
	a.mu.Lock()
	ended := *status
	ended.EndedAt, ended.Err, ended.Idle = time.Now(), err, false
	if err != nil {
		ended.Error = err.Error()
	}
	a.done[s.Job] = &ended
	delete(a.running, s.Job.Tenant)
	a.mu.Unlock()
	a.dispatch()
}
