package alert_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

func TestFailuresAreToldOnceRemindedAndResolved(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		for range 2 {
			r.feed.ended("acme", failed("no space left on device"))
			r.expect(5*time.Minute, "slack")
		}
		r.feed.ended("acme", failed("no space left on device"))
		r.expect(time.Minute, "slack", "firing failure acme: acme: 3 jobs in a row failed: no space left on device")
		r.feed.ended("acme", failed("no space left on device"))
		r.expect(time.Minute, "slack")
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack", "resolved failure acme: acme: ")
		r.expect(time.Minute, "email") // it wants to hear of holds alone
		stop()
	})
}

// TestVerificationsThatFail are told of, however well the syncs between them go.
func TestVerificationsThatFail(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		verify := func(run pipeline.Run) {
			r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
			run.Command = "verify"
			r.feed.ended("acme", run)
			r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
		}
		for range 2 {
			verify(failed("no right to count"))
			r.expect(5*time.Minute, "slack")
		}
		verify(failed("no right to count"))
		r.expect(time.Minute, "slack", "firing failure acme: acme: 3 jobs in a row failed: no right to count")
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack")
		verify(pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack", "resolved failure acme: acme: ")
		stop()
	})
}

func TestWhatLastsIsToldAgainEachDay(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		r.feed.change("acme", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Since: time.Now(), Reason: "401"} })
		r.expect(time.Minute, "email", "firing hold acme: acme: Autotask refuses the login")
		r.stay(23*time.Hour, "acme", "globex")
		r.expect(0, "email")
		r.stay(2*time.Hour, "acme", "globex")
		r.expect(0, "email", "reminder hold acme")
		r.expect(0, "slack", "firing hold acme", "reminder hold acme")
		stop()
	})
}

// TestStaleTablesAlsoOfRunsThatNeverStarted holds that what does not happen is noticed.
func TestStaleTablesAlsoOfRunsThatNeverStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, twoTargets)
		stop := r.start()
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK}) // globex never starts
		r.expect(44*time.Minute, "slack")
		r.expect(2*time.Minute, "slack", "firing stale acme: acme: 2 tables are older than wanted", "firing stale globex: globex: a table is older than wanted")
		r.feed.change("globex", func(s *daemon.TenantState) { s.Paused = true })
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack", "resolved stale acme")
		r.stay(time.Hour, "acme")
		r.feed.change("globex", func(s *daemon.TenantState) { s.Paused = false })
		r.feed.ended("globex", pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack", "resolved stale globex")
		stop()
	})
}

// TestALongFirstLoadIsNotStale holds that a table that is being read for the first time is waited for.
func TestALongFirstLoadIsNotStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, twoTargets)
		for _, name := range []string{"acme", "globex"} {
			r.feed.change(name, func(s *daemon.TenantState) { s.Running = &daemon.Activity{StartedAt: time.Now()} })
		}
		stop := r.start()
		r.expect(6*time.Hour, "slack")
		stop()
	})
}

// TestRestartsForgetNothing holds that a new process tells nothing twice, and takes nothing for right before it knows.
func TestRestartsForgetNothing(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		for range 3 {
			r.feed.ended("acme", failed("locked"))
			time.Sleep(time.Minute)
		}
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Reason: "401"} })
		r.expect(time.Minute, "slack", "firing failure acme", "firing hold globex")
		stop()
		var before [2]daemon.TenantState
		for i, name := range []string{"acme", "globex"} { // nothing is known right after a start
			r.feed.change(name, func(s *daemon.TenantState) {
				before[i] = *s
				*s = daemon.TenantState{Tenant: name, Tables: slices.Clone(s.Tables)}
				for k := range s.Tables {
					s.Tables[k].CompleteThrough = time.Time{}
				}
			})
		}
		r.feed.started = time.Now()
		stop = r.start()
		r.expect(time.Minute, "slack")
		for i, name := range []string{"acme", "globex"} {
			r.feed.change(name, func(s *daemon.TenantState) { *s = before[i]; s.Failures = 0 })
		}
		r.expect(time.Minute, "slack")
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = nil })
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusOK})
		r.expect(time.Minute, "slack", "resolved failure acme", "resolved hold globex")
		stop()
		stop = r.start()
		r.expect(time.Minute, "slack")
		stop()
	})
}

// TestATargetThatFailsIsTriedAgain holds that the other target is told at once and once, and that what came and went meanwhile
// is not told.
func TestATargetThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		r.fail[config.TargetSlack] = errors.New("503")
		stop := r.start()
		r.feed.change("acme", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Reason: "401"} })
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Reason: "401"} })
		r.expect(time.Minute, "email", "firing hold acme", "firing hold globex")
		r.expect(5*time.Minute, "slack")
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = nil })
		r.expect(time.Minute, "email", "resolved hold globex")
		r.mu.Lock()
		r.fail = map[string]error{}
		r.mu.Unlock()
		r.expect(16*time.Minute, "slack", "firing hold acme")
		r.expect(0, "email")
		stop()
	})
}

func TestGuardsAndDrift(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		r.feed.ended("acme", pipeline.Run{Status: pipeline.StatusPartial, Streams: []pipeline.StreamReport{{Entity: "Roles", Warnings: []string{"old news"}}}})
		time.Sleep(time.Second)
		stop := r.start()
		r.expect(time.Minute, "slack")
		guard := pipeline.StreamReport{Entity: "Tickets", Status: pipeline.StatusFailed, ErrorClass: pipeline.ClassGuard, Error: "600 of 1000 rows"}
		r.feed.ended("acme", pipeline.Run{Command: "verify", Status: pipeline.StatusPartial, Streams: []pipeline.StreamReport{guard,
			{Entity: "Companies", Status: pipeline.StatusOK, Verify: &pipeline.Verification{Holes: 3, Missing: 1, Gone: 2, Repaired: 3}}}})
		r.expect(time.Minute, "slack",
			"event drift acme: acme: verify found 1 rows of Companies missing here and 2 gone at the source; 3 of them are mended",
			"firing guard acme: acme: verify stopped before it would have deleted too much of Tickets: 600 of 1000 rows")
		warned := pipeline.Run{Status: pipeline.StatusOK, Streams: []pipeline.StreamReport{{Entity: "Tickets", Status: pipeline.StatusOK,
			Changes: []string{"new user-defined field \"region\""}}}}
		r.feed.ended("acme", warned) // a sync that is fine says nothing of what verify would delete
		r.expect(time.Minute, "slack", "event drift acme: acme: Tickets: new user-defined field \"region\"")
		r.feed.ended("acme", warned)
		r.expect(time.Minute, "slack")
		r.feed.ended("acme", pipeline.Run{Command: "verify", Status: pipeline.StatusOK, Streams: []pipeline.StreamReport{{Entity: "Tickets", Status: pipeline.StatusOK}}})
		r.expect(time.Minute, "slack", "resolved guard acme")
		stop()
	})
}

func TestQuotaOfADatabaseIsToldOnce(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		use := func(used int64) {
			for _, name := range []string{"acme", "globex"} { // of one database
				r.feed.ended(name, pipeline.Run{Status: pipeline.StatusOK})
				r.feed.change(name, func(s *daemon.TenantState) {
					s.QuotaAt = time.Now()
					s.Quota = &pipeline.QuotaUse{Database: "ww/1", Threshold: 10_000, WindowMins: 60, UsedAfter: used}
				})
			}
		}
		use(8_999)
		r.expect(time.Minute, "slack")
		use(9_100)
		r.expect(time.Minute, "slack", "firing quota : 91 % of the hour's 10,000 requests of ww/1")
		use(500)
		r.expect(time.Minute, "slack", "resolved quota")
		use(9_999)
		r.expect(time.Minute, "slack", "firing quota")
		r.stay(61*time.Minute, "acme", "globex") // the hour has passed, and nobody knows better
		r.expect(0, "slack", "resolved quota")
		stop()
	})
}

// TestATenantThatIsGoneIsForgotten holds that nothing is told of it any more, and nothing kept.
func TestATenantThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Reason: "401"} })
		r.expect(time.Minute, "slack", "firing hold globex")
		text, _, _ := strings.Cut(twoTargets, "  globex:")
		cfg, err := config.Parse("config.yaml", []byte(text), nil)
		if err != nil {
			r.Fatal(err)
		}
		r.feed.mu.Lock()
		r.feed.cfg = cfg
		r.feed.mu.Unlock()
		r.expect(time.Minute, "slack")
		stop()
		kept, err := os.ReadFile(r.file)
		if err != nil || strings.Contains(string(kept), "globex") {
			r.Errorf("%s, %v", kept, err)
		}
	})
}

// TestABrokenFileStopsNobody holds that a file that was cut off by a power failure costs no more than a message told twice.
func TestABrokenFileStopsNobody(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		if err := os.WriteFile(r.file, []byte(`{"active":{"hold acme":null`), 0o600); err != nil {
			r.Fatal(err)
		}
		stop := r.start()
		r.feed.change("acme", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Reason: "401"} })
		r.expect(time.Minute, "slack", "firing hold acme")
		stop()
		stop = r.start()
		r.expect(time.Minute, "slack")
		stop()
	})
}

// TestWhoAsksSeesWhatIsWrong: what fires and who was told of it; not what is right again; also where nobody is to be told.
func TestWhoAsksSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	simulate(t, func(r *rig) {
		stop := r.start()
		seen := func(after time.Duration) (out []string) {
			time.Sleep(after)
			for _, a := range r.watcher.Firing() {
				text := a.Kind + " " + a.Tenant
				for _, told := range a.Told {
					text += " " + told.Target
				}
				if a.Since.IsZero() || a.Summary == "" {
					t.Errorf("%+v", a)
				}
				out = append(out, text)
			}
			return out
		}
		if got := seen(time.Minute); len(got) != 0 {
			t.Errorf("nothing is wrong: %q", got)
		}
		r.mu.Lock()
		r.fail["email"] = errors.New("no mail today")
		r.mu.Unlock()
		r.feed.change("acme", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Since: time.Now(), Reason: "401"} })
		if got := seen(time.Minute); !slices.Equal(got, []string{"hold acme ops"}) {
			t.Errorf("on hold: %q", got)
		}
		r.feed.change("acme", func(s *daemon.TenantState) { s.Hold = nil })
		if got := seen(time.Minute); len(got) != 0 {
			t.Errorf("right again: %q", got)
		}
		r.feed.mu.Lock()
		cfg := *r.feed.cfg
		cfg.Alerts.Targets = nil
		r.feed.cfg = &cfg
		r.feed.mu.Unlock()
		r.feed.change("globex", func(s *daemon.TenantState) { s.Hold = &pipeline.Hold{Since: time.Now(), Reason: "401"} })
		if got := seen(time.Minute); !slices.Equal(got, []string{"hold globex"}) {
			t.Errorf("without targets: %q", got)
		}
		stop()
	})
}
