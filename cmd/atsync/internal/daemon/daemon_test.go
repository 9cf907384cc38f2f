package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// simulate runs a test by a clock of its own that starts at 00:07:30: not when schedules fire.
func simulate(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(7*time.Minute + 30*time.Second)
		test(t, newRig(t))
	})
}

// runs lists a tenant's recorded runs: command, status and what went wrong.
func (r *rig) runs(tenant string) (out []string) {
	for _, run := range r.sink(tenant).Runs() {
		out = append(out, strings.TrimSpace(run.Command+" "+string(run.Status)+" "+run.Error))
	}
	return out
}

// TestFailingTenantsTouchNobodyElse lets a quarter of many tenants fail for an hour, each in one of some ways: their warehouse can't be
// opened, or opening it is a bug. The others don't miss a run; the failing ones go on with the next fire after it,
// and their warehouses then tell of it. Full size: ATSYNC_TEST_DAEMON_FAILING=200, of which 50 fail.
func TestFailingTenantsTouchNobodyElse(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		var names []string
		for i := range number("ATSYNC_TEST_DAEMON_FAILING", 48) {
			names = append(names, fmt.Sprintf("tenant%03d", i))
		}
		const full, bug, locked = "no space left on device", "a bug", "locked by process 4711"
		way := func(name string) string { // in which a tenant fails; "": it does not
			if i := slices.Index(names, name); i%4 == 0 {
				return []string{full, bug, locked}[i/4%3]
			}
			return ""
		}
		began := time.Now()
		r.fail = func(tenant string) error {
			if time.Since(began) > time.Hour {
				return nil
			}
			switch how := way(tenant); how {
			case "":
				return nil
			case bug:
				panic(how)
			default:
				return &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: "open", Err: errors.New(how)}
			}
		}
		cfg := r.config("sync: {schedule: \"*/10 * * * *\", entities: [Roles], verify: never}", names...)
		d, stop := r.start(r.options(cfg))
		time.Sleep(58 * time.Minute)
		if s, _ := d.Tenant("tenant008"); s.Failures != 7 || s.Class != pipeline.ClassSink || s.Fresh || s.Lag != -1 {
			t.Errorf("it fails: %+v", s)
		}
		if s, _ := d.Tenant("tenant004"); s.Failures != 7 || s.Class != pipeline.ClassInternal {
			t.Errorf("it crashes: %+v", s)
		}
		if s, _ := d.Tenant("tenant001"); s.Failures != 0 || !s.Fresh || len(s.Runs) != 7 {
			t.Errorf("it works: %d failures, %d runs, %v", s.Failures, len(s.Runs), s.Fresh)
		}
		time.Sleep(10 * time.Minute)
		stop()
		for _, name := range names {
			want := slices.Repeat([]string{"sync ok"}, 8)
			switch how := way(name); how {
			case "":
			case bug:
				want = []string{"sync failed " + name + ": sync: it crashed: a bug (please report this with the log) (so 7 times in a row)", "sync ok"}
			default:
				want = []string{"sync failed " + name + ": open: " + how + " (so 7 times in a row)", "sync ok"}
			}
			if diff := cmp.Diff(want, r.runs(name)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
	})
}

// TestSkipsAreRecorded: what was not started, since the same job still ran, stands in the tenant's runs.
func TestSkipsAreRecorded(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		cfg := r.config("sync: {schedule: \"* * * * *\", entities: [Roles], verify: never}", "acme")
		r.handler["acme"].Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Times: 1, Do: autotasktest.Delay(100 * time.Second)})
		d, stop := r.start(r.options(cfg))
		time.Sleep(90 * time.Second)
		if s, _ := d.Tenant("acme"); s.Running == nil || s.Running.RunID != 1 || len(s.Running.Streams) != 1 || s.Running.Streams[0].Status != pipeline.StatusRunning {
			t.Errorf("it runs: %+v", s.Running)
		}
		time.Sleep(60 * time.Second)
		stop()
		got := r.runs("acme")
		want := []string{"sync ok", "sync skipped it still runs, since 2000-01-01T00:07:30Z", "sync ok"}
		if diff := cmp.Diff(want, got[:min(3, len(got))]); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if s, _ := d.Tenant("acme"); len(s.Runs) < 3 {
			t.Errorf("%d runs are shown", len(s.Runs))
		}
	})
}

func TestReload(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		const head = "sync: {schedule: \"@daily\", entities: [Roles], verify: never}"
		cfg := r.config(head, "stays", "goes")
		d, stop := r.start(r.options(cfg))
		defer stop()
		r.idle(d, "stays")
		r.handler["goes"].Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Times: 1, Do: autotasktest.Delay(time.Minute)})
		if err := d.Trigger(app.Job{Tenant: "goes", Kind: app.Sync}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)

		// a broken file changes nothing, and says what is wrong
		file := filepath.Join(r.dir, "config.yaml")
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"unknown key": string(whole) + "x: 1\n", "never fires": strings.Replace(string(whole), "@daily", "0 0 30 2 *", 1),
			"unknown time zone": strings.Replace(string(whole), "verify", "timezone: Mars/Olympus, verify", 1), "data_dir": strings.Replace(string(whole), "./data", "./other", 1)} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := d.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v", what, err)
			}
			if s := d.Reloaded(); !strings.Contains(s.Error, what) || s.FailedAt.IsZero() || d.Config() != cfg {
				t.Errorf("%s: %+v", what, s)
			}
		}

		// a tenant goes while it runs, another comes and is synced at once
		r.config(head+"\nhttp: {listen: \"127.0.0.1:1\"}", "stays", "comes")
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := d.Reloaded(); s.Error != "" || !slices.Equal(s.Restart, []string{"http"}) {
			t.Errorf("%+v", s)
		}
		if _, known := d.Tenant("goes"); known || len(d.Running()) == 0 {
			t.Errorf("%d run, known: %v", len(d.Running()), known)
		}
		if err := d.Trigger(app.Job{Tenant: "goes", Kind: app.Sync}); pipeline.ClassOf(err) != pipeline.ClassConfig {
			t.Errorf("a tenant that is gone: %v", err)
		}
		time.Sleep(2 * time.Minute)
		for tenant, want := range map[string][]string{"stays": {"sync ok"}, "goes": {"sync ok", "sync ok"}, "comes": {"sync ok"}} {
			if diff := cmp.Diff(want, r.runs(tenant)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tenant, diff)
			}
		}
	})
}

func TestGroupsHaveTheirOwnSchedule(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		cfg := r.config("sync: {schedule: \"@hourly\", entities: [Roles, Departments], verify: \"30 * * * *\", groups: {fast: {schedule: \"*/5 * * * *\", entities: [Tickets]}}}", "acme")
		d, stop := r.start(r.options(cfg))
		time.Sleep(2*time.Hour + 3*time.Minute)
		for job, want := range map[app.Job]pipeline.Class{
			{Tenant: "acme", Kind: app.Sync, Group: "slow"}: pipeline.ClassConfig, {Tenant: "acme", Kind: app.Maintain}: pipeline.ClassConfig,
			{Tenant: "other", Kind: app.Sync}: pipeline.ClassConfig,
		} {
			if err := d.Trigger(job); pipeline.ClassOf(err) != want || err == nil {
				t.Errorf("%s: %v", job, err)
			}
		}
		stop()
		count := map[string]int{}
		for _, run := range r.sink("acme").Runs() {
			var names []string
			for _, s := range run.Streams {
				names = append(names, s.Entity)
			}
			slices.Sort(names)
			count[run.Command+" "+strings.Join(names, " ")]++
		}
		want := map[string]int{"sync Tickets": 25, "sync Departments Roles": 3, "verify Departments Roles Tickets": 2}
		if diff := cmp.Diff(want, count); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// TestCatchUp: after a restart, only what was missed meanwhile is made up for, whatever group it is of.
func TestCatchUp(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		const head = "run: {catch_up: %s}\nsync: {schedule: \"@daily\", entities: [Roles], verify: \"0 12 * * *\", groups: {fast: {schedule: \"@hourly\", entities: [Tickets]}}}"
		during := func(catchUp string, d time.Duration) int {
			before := len(r.sink("acme").Runs())
			_, stop := r.start(r.options(r.config(fmt.Sprintf(head, catchUp), "acme")))
			time.Sleep(d)
			stop()
			return len(r.sink("acme").Runs()) - before
		}
		for _, step := range []struct {
			catchUp string
			down    time.Duration
			want    int
		}{
			{"none", 0, 0}, // nothing ever ran, and nothing is due
			{"once", 0, 2},
			{"once", time.Minute, 0},
			{"once", 2 * time.Hour, 1},  // the group
			{"once", 48 * time.Hour, 2}, // both; verify has never run
			{"none", 48 * time.Hour, 0},
		} {
			time.Sleep(step.down)
			if got := during(step.catchUp, time.Minute); got != step.want {
				t.Errorf("%+v: %d runs", step, got)
			}
		}
	})
}

func TestHoldAndRelease(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		r.secret = "wrong"
		d, stop := r.start(r.options(r.config("sync: {schedule: \"*/5 * * * *\", entities: [Roles]}", "acme")))
		defer stop()
		time.Sleep(30 * time.Minute)
		s, _ := d.Tenant("acme")
		if s.Hold == nil || s.Class != pipeline.ClassAuth || s.Failures < 6 {
			t.Errorf("%+v", s)
		}
		if n := r.handler["acme"].FailedLogins(); n > 2 {
			t.Errorf("%d refused logins", n)
		}
		r.mu.Lock()
		r.secret = ""
		r.mu.Unlock()
		if err := d.Release("acme"); err != nil {
			t.Fatal(err)
		}
		if s := r.idle(d, "acme"); s.Hold != nil || s.Failures != 0 || !s.Fresh {
			t.Errorf("after the release: %+v", s)
		}
	})
}

func TestPauseOutlivesTheProcess(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		cfg := r.config("sync: {schedule: \"* * * * *\", entities: [Roles], verify: never}", "acme", "globex")
		d, stop := r.start(r.options(cfg))
		time.Sleep(30 * time.Second)
		if err := errors.Join(os.MkdirAll(cfg.DataDir, 0o755), d.Pause("acme")); err != nil {
			t.Fatal(err)
		}
		if err := d.Pause("nobody"); err == nil {
			t.Error("an unknown tenant is paused")
		}
		stop()
		before := len(r.runs("acme"))
		d, stop = r.start(r.options(cfg))
		time.Sleep(5*time.Minute + 30*time.Second)
		if s, _ := d.Tenant("acme"); !s.Paused || len(r.runs("acme")) != before {
			t.Errorf("paused: %v, runs: %v", s.Paused, r.runs("acme"))
		}
		if n := len(r.runs("globex")); n < 5 {
			t.Errorf("the other had %d runs", n)
		}
		if err := d.Resume("acme"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		stop()
		got := r.runs("acme")[before:]
		if len(got) < 2 || !strings.Contains(got[0], "sync skipped the tenant is paused (so ") || got[1] != "sync ok" {
			t.Errorf("after the pause: %q", got)
		}
	})
}

// TestStopIsBounded stops a daemon while requests hang.
func TestStopIsBounded(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		opts := r.options(r.config("sync: {entities: [Roles]}", "acme"))
		r.handler["acme"].Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Do: autotasktest.Hang()})
		_, stop := r.start(opts)
		time.Sleep(10 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > daemon.StopWithin {
			t.Errorf("it took %s", took)
		}
		if got := r.runs("acme"); len(got) != 1 || !strings.HasPrefix(got[0], "sync interrupted") {
			t.Errorf("%q", got)
		}
	})
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	release, err := daemon.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Lock(dir); pipeline.ClassOf(err) != pipeline.ClassSink || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second daemon: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = daemon.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
