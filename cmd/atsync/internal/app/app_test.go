package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary notes what jobs do.
type diary struct {
	mu      sync.Mutex
	lines   []string
	running map[string]int
	now     int
	most    int
	skipped []app.Skip
	overlap []string
}

func (d *diary) begin(s app.Start) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s", time.Now().UTC().Format("15:04:05"), s.Job, s.Trigger))
	if d.running == nil {
		d.running = map[string]int{}
	}
	d.running[s.Job.Tenant]++
	if d.running[s.Job.Tenant] > 1 {
		d.overlap = append(d.overlap, s.Job.String())
	}
	d.now++
	d.most = max(d.most, d.now)
	d.skipped = append(d.skipped, s.Skipped...)
}

func (d *diary) end(s app.Start) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running[s.Job.Tenant]--
	d.now--
}

func every(t *testing.T, spec string) cron.Schedule {
	t.Helper()
	s, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func syncs(t *testing.T, spec string, tenants ...string) (out []app.Entry) {
	t.Helper()
	for _, name := range tenants {
		out = append(out, app.Entry{Job: app.Job{Tenant: name, Kind: app.Sync}, When: every(t, spec), In: time.UTC})
	}
	return out
}

// run lets the daemon work for a while of virtual time.
func run(t *testing.T, opts app.Options, d time.Duration, during func(a *app.App)) error {
	t.Helper()
	a := app.New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	if during != nil {
		during(a)
	}
	time.Sleep(d)
	cancel()
	return <-ended
}

func TestEveryWindowRunsOnceAndWithoutOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		tenants := make([]string, 50)
		for i := range tenants {
			tenants[i] = fmt.Sprintf("tenant%02d", i)
		}
		err := run(t, app.Options{Entries: syncs(t, "* * * * *", tenants...), MaxTenants: 8, Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			time.Sleep(2 * time.Second)
			if strings.HasSuffix(s.Job.Tenant, "3") {
				return errors.New("failed")
			}
			return nil
		}}, 30*time.Hour, nil)
		if err != nil {
			t.Error(err)
		}
		if want := 50 * 30 * 60; len(d.lines) < want-50 || len(d.lines) > want {
			t.Errorf("%d runs, not %d", len(d.lines), want)
		}
		if d.most > 8 || d.overlap != nil || len(d.skipped) > 0 {
			t.Errorf("%d at a time, overlaps %v, %d skipped", d.most, d.overlap, len(d.skipped))
		}
	})
}

func TestSlowTenantIsSkippedAndToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		err := run(t, app.Options{Entries: syncs(t, "* * * * *", "slow", "quick"), Work: func(ctx context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			if s.Job.Tenant == "slow" {
				select {
				case <-time.After(150 * time.Second):
				case <-ctx.Done():
				}
			}
			return nil
		}}, 10*time.Minute, nil)
		if err != nil {
			t.Error(err)
		}
		slow := slices.DeleteFunc(slices.Clone(d.lines), func(l string) bool { return !strings.Contains(l, "slow") })
		if len(slow) != 4 || len(d.lines)-len(slow) < 9 {
			t.Errorf("runs: %v", d.lines)
		}
		if len(d.skipped) < 4 || !strings.Contains(d.skipped[0].Reason, "still runs") {
			t.Errorf("skipped: %v", d.skipped)
		}
		if d.overlap != nil {
			t.Errorf("overlaps: %v", d.overlap)
		}
	})
}

func TestPanicTouchesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		var last []app.Status
		err := run(t, app.Options{Entries: syncs(t, "* * * * *", "bad", "good"), Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			if s.Job.Tenant == "bad" {
				panic("a bug")
			}
			return nil
		}}, 5*time.Minute, func(a *app.App) {
			time.Sleep(4*time.Minute + 50*time.Second)
			last = a.Last()
		})
		if err != nil || len(d.lines) < 18 {
			t.Errorf("%v: %v", err, d.lines)
		}
		if len(last) != 2 || !strings.Contains(last[0].Error, "a bug") || last[1].Error != "" {
			t.Errorf("last: %+v", last)
		}
	})
}

func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		start := time.Now()
		lastRuns := map[string]time.Time{"missed": start.Add(-3 * time.Hour), "recent": start.Add(-time.Minute)}
		entries := append(syncs(t, "30 * * * *", "missed", "recent", "never", "broken"),
			app.Entry{Job: app.Job{Tenant: "never", Kind: app.Verify}, When: every(t, "@daily")})
		err := run(t, app.Options{Entries: entries, MaxTenants: 9, Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			d.end(s)
			return nil
		}, LastRun: func(_ context.Context, job app.Job) (time.Time, error) {
			if job.Tenant == "broken" {
				return time.Time{}, errors.New("locked")
			}
			return lastRuns[job.Tenant], nil
		}}, 30*time.Second, nil)
		if err != nil {
			t.Error(err)
		}
		slices.Sort(d.lines)
		if diff := cmp.Diff([]string{"00:00:00 missed sync catch-up", "00:00:00 never sync catch-up"}, d.lines); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stubborn := make(chan struct{})
		err := run(t, app.Options{Entries: syncs(t, "* * * * *", "stubborn"), StopWithin: 10 * time.Second, Work: func(context.Context, app.Start) error {
			<-stubborn
			return nil
		}}, 3*time.Minute, nil)
		if err == nil || !strings.Contains(err.Error(), "stubborn") {
			t.Errorf("%v", err)
		}
		close(stubborn)
	})
}

func TestPrioritiesAndHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		job := func(tenant string, k app.Kind) app.Job { return app.Job{Tenant: tenant, Kind: k} }
		err := run(t, app.Options{MaxTenants: 1, Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			time.Sleep(time.Second)
			return nil
		}}, time.Minute, func(a *app.App) {
			synctest.Wait()
			for _, j := range []app.Job{job("a", app.Maintain), job("b", app.Maintain), job("b", app.Verify), job("c", app.Sync)} {
				if !a.Trigger(j) {
					t.Errorf("%s was refused", j)
				}
			}
			if a.Trigger(job("b", app.Verify)) || a.Trigger(job("a", app.Maintain)) {
				t.Error("a job that waits or runs was taken again")
			}
			a.Pause("c")
			a.Pause("b")
			a.Resume("b")
		})
		want := []string{"00:00:00 a maintain manual", "00:00:01 c sync manual", "00:00:02 b verify manual", "00:00:03 b maintain manual"}
		if diff := cmp.Diff(want, d.lines); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	})
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestWhoWaitsTakesNobodysTurn: a job that waits for something else than the machine does not count.
func TestWhoWaitsTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		var a *app.App
		err := run(t, app.Options{Entries: syncs(t, "0 * * * *", "exhausted", "other", "third"), MaxTenants: 1, Work: func(ctx context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			if s.Job.Tenant == "exhausted" {
				a.Idle("exhausted", true)
				sleep(ctx, 75*time.Minute)
				a.Idle("exhausted", false)
			}
			sleep(ctx, 10*time.Minute)
			return nil
		}}, 2*time.Hour+30*time.Minute, func(running *app.App) { a = running })
		if err != nil || len(d.lines) < 6 || d.most != 2 {
			t.Errorf("%v, %d at a time: %v", err, d.most, d.lines)
		}
		for _, s := range a.Last() {
			if s.Idle {
				t.Errorf("%s is idle when it has ended", s.Job)
			}
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		err := run(t, app.Options{Entries: syncs(t, "* * * * *", "acme"), Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			return nil
		}}, 3*time.Minute, func(a *app.App) {
			a.Pause("acme")
			time.Sleep(3 * time.Minute)
			a.Resume("acme")
		})
		if err != nil || len(d.lines) != 3 || len(d.skipped) != 3 || d.skipped[0].Reason != "the tenant is paused" {
			t.Errorf("%v %v %v", err, d.lines, d.skipped)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		err := run(t, app.Options{Entries: syncs(t, "*/10 * * * *", "stays", "goes"), Work: func(_ context.Context, s app.Start) error {
			d.begin(s)
			defer d.end(s)
			time.Sleep(90 * time.Second) // goes on after its tenant is gone
			return nil
		}}, 13*time.Minute, func(a *app.App) {
			time.Sleep(11 * time.Minute)
			if len(a.Running()) == 0 {
				t.Error("nothing runs")
			}
			a.Reload(t.Context(), syncs(t, "*/10 * * * *", "stays", "comes"), 4)
			if n := len(a.Schedule()); n != 2 {
				t.Errorf("%d entries", n)
			}
		})
		count := map[string]int{}
		for _, l := range d.lines {
			count[strings.Fields(l)[1]]++
		}
		if diff := cmp.Diff(map[string]int{"stays": 3, "goes": 2, "comes": 1}, count); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s\n%v", err, diff, d.lines)
		}
	})
}
