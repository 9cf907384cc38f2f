package app

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// lookAtClock is how often the wall clock is looked at, however far the next job is: a clock that was set, or a
// machine that slept, is noticed that soon.
const lookAtClock = 30 * time.Second

// jumpBack is how far the clock has to go back for the schedule to be made anew.
const jumpBack = time.Minute

// entry is a scheduled job with its next time.
type entry struct {
	Entry
	delay time.Duration // of this job, so that not all tenants start at the same second
	next  time.Time     // delay included; zero: never
}

// after returns the first time after t at which the job falls due, delay included.
func (e *entry) after(t time.Time) time.Time {
	next := e.When.Next(t.Add(-e.delay).In(e.In))
	if next.IsZero() {
		return next
	}
	return next.Add(e.delay)
}

// stagger spreads jobs over a part of their interval, always in the same way: at most a quarter of it, at most two minutes.
func stagger(job Job, interval time.Duration) time.Duration {
	span := min(interval/4, 2*time.Minute).Truncate(time.Second)
	if span <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(job.String())) // never fails
	return time.Duration(h.Sum64()%uint64(span/time.Second)) * time.Second
}

// newEntry gives an entry its delay and its next time.
func newEntry(e Entry, now time.Time) *entry {
	if e.In == nil {
		e.In = time.UTC
	}
	out := &entry{Entry: e}
	if first := e.When.Next(now.In(e.In)); !first.IsZero() {
		if second := e.When.Next(first); !second.IsZero() {
			out.delay = stagger(e.Job, second.Sub(first))
		}
	}
	out.next = out.after(now)
	return out
}

// schedule replaces the entries. One whose job was there before with the same times keeps its next time, so that a
// reload neither doubles nor loses a run.
func (a *App) schedule(entries []Entry) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*entry
	known, tenants := map[Job]bool{}, map[string]bool{}
	for _, e := range entries {
		fresh := newEntry(e, now)
		for _, old := range a.entries {
			if old.Job == e.Job && old.after(now).Equal(fresh.next) {
				fresh.next = old.next // it may be due already
			}
		}
		list = append(list, fresh)
		known[e.Job], tenants[e.Job.Tenant] = true, true
	}
	a.entries = list
	a.waiting = slices.DeleteFunc(a.waiting, func(s *Start) bool {
		return !tenants[s.Job.Tenant] || !known[s.Job] && s.Trigger != ByHand
	})
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// missed returns what fell due while no daemon ran, and syncs that never ran at all.
func (a *App) missed(ctx context.Context, entries []Entry) (out []*Start) {
	if a.opts.LastRun == nil {
		return nil
	}
	now := time.Now()
	for _, scheduled := range entries {
		e := newEntry(scheduled, now)
		if e.next.IsZero() || ctx.Err() != nil {
			continue
		}
		last, err := a.opts.LastRun(ctx, e.Job)
		if err != nil {
			a.log.Warn("when it last ran can't be told; it waits for its next time", "tenant", e.Job.Tenant, "job", e.Job.String(), "error", err)
			continue
		}
		if last.IsZero() && e.Job.Kind == Sync || !last.IsZero() && !e.after(last).After(now) {
			out = append(out, &Start{Job: e.Job, Trigger: ByCatchUp, Due: now})
		}
	}
	return out
}

// tick starts jobs as they fall due, until ctx ends.
func (a *App) tick(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	before := time.Now().Round(0) // Round takes the monotonic clock away: this is about the wall's
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
		now := time.Now().Round(0)
		if now.Before(before.Add(-jumpBack)) {
			a.log.Warn("the clock went back; the schedule is made anew", "from", before, "to", now)
			a.remake(now)
		}
		before = now
		a.mu.Lock()
		a.beat = time.Now() // with the monotonic clock
		a.mu.Unlock()
		for _, s := range a.due(now) {
			a.enqueue(s)
		}
		a.dispatch()
		timer.Reset(a.pause(now))
	}
}

// Alive reports whether the schedule is looked at, as it is every half minute: false before Run has begun, and
// when something holds it up.
func (a *App) Alive() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.beat.IsZero() && time.Since(a.beat) < 4*lookAtClock
}

// due takes the jobs that fall due, and moves their next time. A job that was due several times, since the machine
// slept, is started once.
func (a *App) due(now time.Time) (out []*Start) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		if !e.next.IsZero() && !e.next.After(now) {
			out = append(out, &Start{Job: e.Job, Trigger: BySchedule, Due: e.next})
			e.next = e.after(now)
		}
	}
	return out
}

func (a *App) remake(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		e.next = e.after(now)
	}
}

// pause returns how long nothing falls due.
func (a *App) pause(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := lookAtClock
	for _, e := range a.entries {
		if !e.next.IsZero() {
			d = min(d, e.next.Sub(now))
		}
	}
	return max(d, 0)
}

// Next says when a job falls due.
type Next struct {
	Job    Job       `json:"job"`
	At     time.Time `json:"at,omitzero"` // zero: never
	Paused bool      `json:"paused,omitempty"`
}

// Schedule lists all jobs with their next times, by tenant.
func (a *App) Schedule() []Next {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Next
	for _, e := range a.entries {
		out = append(out, Next{Job: e.Job, At: e.next, Paused: a.paused[e.Job.Tenant]})
	}
	slices.SortFunc(out, func(x, y Next) int { return strings.Compare(x.Job.String(), y.Job.String()) })
	return out
}

// Running lists the jobs that run now, by tenant.
func (a *App) Running() []Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sorted(a.running)
}

// Last lists each job's last end in this process, by tenant.
func (a *App) Last() []Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sorted(a.done)
}

func sorted[K comparable](m map[K]*Status) []Status {
	out := []Status{}
	for _, s := range m {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y Status) int { return strings.Compare(x.Job.String(), y.Job.String()) })
	return out
}

// Waiting lists the jobs that wait for their turn.
func (a *App) Waiting() []Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []Job{}
	for _, s := range a.waiting {
		out = append(out, s.Job)
	}
	return out
}
