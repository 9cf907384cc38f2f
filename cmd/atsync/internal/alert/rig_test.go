package alert_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/cmd/atsync/internal/alert"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// feed is a daemon as far as a Watcher looks at it.
type feed struct {
	mu      sync.Mutex
	cfg     *config.Config
	started time.Time
	tenants map[string]*daemon.TenantState
}

func (f *feed) Config() *config.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cfg
}

func (f *feed) StartedAt() time.Time { return f.started }

func (f *feed) Tenants() (out []daemon.TenantState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range f.cfg.TenantNames() {
		s := *f.tenants[name]
		s.Runs, s.Tables = slices.Clone(s.Runs), slices.Clone(s.Tables)
		out = append(out, s)
	}
	return out
}

// change changes what is known of a tenant.
func (f *feed) change(tenant string, change func(*daemon.TenantState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.tenants[tenant])
}

// ended adds a run that has just ended.
func (f *feed) ended(tenant string, run pipeline.Run) {
	f.change(tenant, func(s *daemon.TenantState) {
		if run.Command == "" {
			run.Command = "sync"
		}
		run.ID, run.StartedAt, run.EndedAt = int64(len(s.Runs)+1), time.Now().Add(-time.Second), time.Now()
		s.Runs = append([]pipeline.Run{run}, s.Runs...)
		if s.Error = run.Error; run.Status == pipeline.StatusOK {
			s.Failures = 0
			for i := range s.Tables {
				s.Tables[i].CompleteThrough = run.EndedAt
			}
		} else if run.Status != pipeline.StatusSkipped {
			s.Failures++
		}
	})
}

// rig is a Watcher with targets that keep what they are told.
type rig struct {
	*testing.T
	feed *feed
	file string

	mu   sync.Mutex
	told map[string][]string // by target's first kind or URL
	fail map[string]error

	watcher *alert.Watcher // the newest
}

const twoTargets = `
alerts:
  targets:
    ops: { type: slack, url: "env:OPS" }
    boss: { type: email, server: "mail.example.com:587", from: a@example.com, to: [boss@example.com], kinds: [hold] }
tenants:
  acme: { username: u@x, integration_code: "env:C", secret: "env:S", sync: { entities: [Tickets, Companies] } }
  globex: { username: u@y, integration_code: "env:C", secret: "env:S", sync: { entities: [Tickets] } }
`

func newRig(t *testing.T, text string) *rig {
	cfg, err := config.Parse("config.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{cfg: cfg, started: time.Now(), tenants: map[string]*daemon.TenantState{}}
	for _, name := range cfg.TenantNames() {
		s := &daemon.TenantState{Tenant: name}
		tenant, err := cfg.Tenant(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range tenant.Entities {
			s.Tables = append(s.Tables, daemon.TableState{Entity: e.Name, Within: tenant.Schedules[0].FreshWithin.Seconds()})
		}
		f.tenants[name] = s
	}
	return &rig{T: t, feed: f, file: filepath.Join(t.TempDir(), "alerts.json"), told: map[string][]string{}, fail: map[string]error{}}
}

// send is Options.Send: the target's name is found by its type.
func (r *rig) send(_ context.Context, target config.AlertTarget, notices []alert.Notice) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fail[target.Type]; err != nil {
		return err
	}
	for _, n := range notices {
		r.told[target.Type] = append(r.told[target.Type], fmt.Sprintf("%s %s %s: %s", n.State, n.Kind, n.Tenant, n.Summary))
	}
	return nil
}

// start runs a Watcher until the returned function is called.
func (r *rig) start() (stop func()) {
	r.Helper()
	w := alert.New(alert.Options{Send: r.send, File: r.file})
	r.watcher = w
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, r.feed)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// expect lets time pass and compares what a target was told since the last time: each text is the beginning of a notice.
func (r *rig) expect(after time.Duration, target string, want ...string) {
	r.Helper()
	time.Sleep(after)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.told[target]
	delete(r.told, target)
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		r.Errorf("%s was told %s", target, cmp.Diff(want, got))
	}
}

// simulate runs a test by a clock of its own, with all tenants current and looked at once.
func simulate(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, twoTargets)
		for _, name := range []string{"acme", "globex"} {
			r.feed.ended(name, pipeline.Run{Status: pipeline.StatusOK})
		}
		test(r)
	})
}

// stay keeps tenants current while time passes.
func (r *rig) stay(d time.Duration, tenants ...string) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, name := range tenants {
			r.feed.ended(name, pipeline.Run{Status: pipeline.StatusOK})
		}
		time.Sleep(15 * time.Minute)
	}
}

func failed(text string) pipeline.Run {
	return pipeline.Run{Status: pipeline.StatusFailed, Error: text, ErrorClass: pipeline.ClassSink}
}
