package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// storm is what TestManyTenantsForHours does to the source while daemons run.
type storm struct {
	*rig
	r     *rand.Rand
	mu    sync.Mutex // guards faults' random numbers
	names []string
	edits int
}

// number takes a number from a variable, to make a test larger.
func number(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// TestManyTenantsForHours runs tenants every minute by a simulated clock, while the source changes, requests fail in random ways, the daemon is
// restarted and its configuration reloaded. No due time is lost, no tenant has two jobs at a time, and once the source is
// silent, every tenant is equal to it. The bubble itself fails if a goroutine is left behind. Full size: ATSYNC_TEST_DAEMON_TENANTS=50 ATSYNC_TEST_DAEMON_MINUTES=1800.
func TestManyTenantsForHours(t *testing.T) {
	tenants, minutes := number("ATSYNC_TEST_DAEMON_TENANTS", 3), number("ATSYNC_TEST_DAEMON_MINUTES", 50)
	synctest.Test(t, func(t *testing.T) {
		s := &storm{rig: newRig(t), r: rand.New(rand.NewPCG(uint64(tenants), uint64(minutes)))}
		for i := range tenants {
			s.names = append(s.names, fmt.Sprintf("tenant%02d", i))
		}
		head := "run: {max_tenants: 3}\nsync: {schedule: \"* * * * *\", entities: [Tickets, Companies, Roles], verify: \"@hourly\"}"
		cfg := s.config(head, s.names...)
		s.faults()
		d, stop := s.start(s.options(cfg))
		began := time.Now()
		restarts := []time.Time{began}
		for minute := range minutes {
			time.Sleep(time.Minute)
			s.edit()
			switch minute % max(minutes/3, 3) {
			case 1: // in the middle of whatever it does
				time.Sleep(time.Duration(s.pick(20)) * time.Second)
				stop()
				restarts = append(restarts, time.Now())
				d, stop = s.start(s.options(s.config(head, s.names...)))
			case 2:
				s.names = append(s.names, fmt.Sprintf("newcomer%02d", minute))
				s.config(head, s.names...)
				s.faults()
				if err := d.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		stop()
		s.silence()
		for _, name := range s.names {
			s.same(name, "Tickets", "title")
			s.same(name, "Companies", "companyName")
			s.same(name, "Roles", "name")
		}
		s.gaps(restarts)
		if s.overlaps > 0 {
			t.Errorf("%d times a tenant had two jobs", s.overlaps)
		}
		t.Logf("%d jobs, %d edits, %d restarts, %d warnings", s.logs.started, s.edits, len(restarts)-1, len(s.logs.texts))
		if s.logs.started < tenants*minutes*9/10 {
			t.Errorf("only %d jobs", s.logs.started)
		}
	})
}

// silence ends the faults and verifies every tenant.
func (s *storm) silence() {
	for _, h := range s.handler {
		h.ClearFaults()
	}
	cfg, err := s.load()
	if err != nil {
		s.Fatal(err)
	}
	d, stop := s.start(s.options(cfg))
	defer stop()
	for _, name := range s.names {
		s.idle(d, name)
		if err := d.Trigger(app.Job{Tenant: name, Kind: app.Verify}); err != nil {
			s.Error(err)
		}
		s.idle(d, name)
	}
}

// faults lets a twentieth of all requests fail.
func (s *storm) faults() {
	for _, name := range s.names {
		s.handler[name].ClearFaults()
		for _, action := range []autotasktest.Action{autotasktest.Status(503), autotasktest.HTML(200), autotasktest.EmptyBody(), autotasktest.InvalidJSON(), autotasktest.Reset()} {
			s.handler[name].Fault(autotasktest.Fault{Do: action, When: func(autotasktest.Request) bool {
				return s.pick(100) == 0
			}})
		}
	}
}

// pick returns a number below n.
func (s *storm) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

func (s *storm) edit() {
	s.edits++
	ids := s.data.IDs("Tickets")
	switch s.pick(4) {
	case 0:
		s.data.Insert("Tickets", map[string]any{"title": fmt.Sprintf("edit %d", s.edits)})
	case 1:
		s.data.DeleteQuietly("Tickets", ids[s.pick(len(ids))])
	default:
		s.data.Update("Tickets", ids[s.pick(len(ids))], map[string]any{"title": fmt.Sprintf("edit %d é", s.edits)})
	}
}

// gaps fails the test if a tenant's due times are not a minute apart, but for what a restart has made up for.
func (s *storm) gaps(restarts []time.Time) {
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	for _, name := range s.names {
		due := s.logs.due[name]
		slices.SortFunc(due, time.Time.Compare)
		for i := 1; i < len(due); i++ {
			if gap := due[i].Sub(due[i-1]); gap > time.Minute && !slices.ContainsFunc(restarts, func(r time.Time) bool {
				return !r.Before(due[i-1]) && !r.After(due[i])
			}) {
				s.Errorf("%s: nothing between %s and %s", name, due[i-1], due[i])
			}
		}
	}
}
