package daemon_test

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestMaintenanceHasTheTenantForItself: it comes by its schedule, when nothing else works on the tenant, keeps syncs waiting and is
// recorded; stopped in the middle it is made up for, and one that was done is not.
func TestMaintenanceHasTheTenantForItself(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		const head = "sync: {schedule: \"* * * * *\", entities: [Roles], verify: never, maintain: \"30 */6 * * *\"}"
		var begun, done []time.Time
		start := func() (stop func()) {
			opts := r.options(r.config(head, "acme"))
			opts.Maintain = func(ctx context.Context, tenant config.TenantConfig, _ *slog.Logger) error {
				r.mu.Lock()
				begun = append(begun, time.Now())
				if r.open[tenant.Name] > 0 {
					t.Error("the warehouse is open")
				}
				r.open[tenant.Name]++ // so that a sync beside it shows
				r.mu.Unlock()
				defer func() {
					r.mu.Lock()
					r.open[tenant.Name]--
					r.mu.Unlock()
				}()
				select {
				case <-time.After(150 * time.Second):
					r.mu.Lock()
					done = append(done, time.Now())
					r.mu.Unlock()
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			_, stop = r.start(opts)
			return stop
		}
		counts := func() (b, d int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(begun), len(done)
		}
		stop := start()
		time.Sleep(time.Hour) // nothing was missed by a tenant that never was
		if b, d := counts(); b != 1 || d != 1 {
			t.Errorf("%d begun, %d done", b, d)
		}
		time.Sleep(6 * time.Hour)
		for b, _ := counts(); b < 3; b, _ = counts() {
			time.Sleep(time.Second)
		}
		stop() // in its middle
		stop = start()
		time.Sleep(4 * time.Minute)
		stop()
		stop = start() // nothing is missed
		time.Sleep(4 * time.Minute)
		stop()
		if b, d := counts(); b != 4 || d != 3 || r.overlaps > 0 {
			t.Errorf("begun %v, done %v, %d overlaps", begun, done, r.overlaps)
		}
		runs := r.runs("acme")
		if n := len(slices.DeleteFunc(slices.Clone(runs), func(s string) bool { return s != "maintain ok" })); n != 3 {
			t.Errorf("%d are recorded", n)
		}
		if !slices.ContainsFunc(runs, func(s string) bool { return len(s) > 12 && s[:12] == "sync skipped" }) {
			t.Error("no sync was kept waiting")
		}
	})
}

// TestMaintenanceFails: that is recorded and told, and what was there goes on.
func TestMaintenanceFails(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		opts := r.options(r.config("sync: {schedule: \"@hourly\", entities: [Roles], verify: never}", "acme"))
		opts.Maintain = func(context.Context, config.TenantConfig, *slog.Logger) error { panic("no room") }
		d, stop := r.start(opts)
		defer stop()
		r.idle(d, "acme")
		if err := d.Trigger(app.Job{Tenant: "acme", Kind: app.Maintain}); err != nil {
			t.Fatal(err)
		}
		if s := r.idle(d, "acme"); s.Failures != 1 {
			t.Errorf("%d failures", s.Failures)
		}
		time.Sleep(time.Hour)
		want := []string{"sync ok", "maintain failed acme: maintain: it crashed: no room (please report this with the log)", "sync ok"}
		if diff := cmp.Diff(want, r.runs("acme")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestVerificationFails: syncs that go well don't hide it, and the next good verification ends it.
func TestVerificationFails(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		d, stop := r.start(r.options(r.config("sync: {schedule: \"@hourly\", entities: [Roles], verify: never}", "acme")))
		defer stop()
		r.idle(d, "acme")
		var fails atomic.Bool
		fails.Store(true)
		r.handler["acme"].Fault(autotasktest.Fault{Op: autotasktest.OpCount, Do: autotasktest.Status(500, "no"), When: func(autotasktest.Request) bool { return fails.Load() }})
		for i, kind := range []app.Kind{app.Verify, app.Sync, app.Verify, app.Sync} {
			if err := d.Trigger(app.Job{Tenant: "acme", Kind: kind}); err != nil {
				t.Fatal(err)
			}
			if s := r.idle(d, "acme"); s.Failures != 1+i/2 || s.Failing != app.Verify || s.Error == "" {
				t.Errorf("after %s: %d failures of %q: %q", kind, s.Failures, s.Failing, s.Error)
			}
		}
		fails.Store(false)
		if err := d.Trigger(app.Job{Tenant: "acme", Kind: app.Verify}); err != nil {
			t.Fatal(err)
		}
		if s := r.idle(d, "acme"); s.Failures != 0 || s.Failing != "" || s.Error != "" {
			t.Errorf("%d failures of %q: %q", s.Failures, s.Failing, s.Error)
		}
	})
}

// TestMaintenanceHidesNoFailure: that it went well says nothing of syncs that did not.
func TestMaintenanceHidesNoFailure(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		opts := r.options(r.config("sync: {schedule: \"@hourly\", entities: [Roles], verify: never}", "acme"))
		opts.Maintain = func(context.Context, config.TenantConfig, *slog.Logger) error { return nil }
		d, stop := r.start(opts)
		defer stop()
		r.idle(d, "acme")
		r.handler["acme"].Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Do: autotasktest.Status(500, "no")})
		for _, kind := range []app.Kind{app.Sync, app.Maintain} {
			if err := d.Trigger(app.Job{Tenant: "acme", Kind: kind}); err != nil {
				t.Fatal(err)
			}
			if s := r.idle(d, "acme"); s.Failures != 1 || s.Error == "" {
				t.Errorf("after %s: %d failures, %q", kind, s.Failures, s.Error)
			}
		}
	})
}
