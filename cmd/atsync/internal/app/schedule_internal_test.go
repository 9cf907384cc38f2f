package app

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func TestNextTimes(t *testing.T) {
	at := func(s string) time.Time {
		out, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		name, spec, zone, now string
		want                  []string
	}{
		{"every quarter", "*/15 * * * *", "UTC", "2026-03-02T12:01:00Z", []string{"2026-03-02T12:15:00Z", "2026-03-02T12:30:00Z"}},
		{"a night that skips the hour", "30 2 * * *", "America/New_York", "2026-03-07T08:00:00Z", []string{"2026-03-09T06:30:00Z"}},
		{"a night that has the hour twice", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"}},
		{"hourly through the change", "0 * * * *", "Europe/Berlin", "2026-03-29T00:10:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"never", "0 0 30 2 *", "UTC", "2026-03-02T12:00:00Z", []string{"0001-01-01T00:00:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, err := cron.ParseStandard(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			e := newEntry(Entry{Job: Job{Tenant: "acme", Kind: Sync}, When: spec, In: zone}, at(c.now))
			next := e.next
			for _, want := range c.want {
				if got := next.Add(-e.delay); !next.IsZero() && !got.Equal(at(want)) || next.IsZero() != at(want).IsZero() {
					t.Errorf("next is %v, not %s", got.UTC(), want)
				}
				next = e.after(next)
			}
		})
	}
}

// TestStagger: the delay is the same in every process, differs between tenants and stays within its bound.
func TestStagger(t *testing.T) {
	seen := map[time.Duration]int{}
	for i := range 200 {
		job := Job{Tenant: string(rune('a'+i%26)) + string(rune('a'+i/26)), Kind: Sync}
		d := stagger(job, 15*time.Minute)
		if d != stagger(job, 15*time.Minute) || d < 0 || d >= 2*time.Minute {
			t.Errorf("%s: %s", job, d)
		}
		seen[d]++
	}
	if len(seen) < 80 {
		t.Errorf("only %d different delays among 200 tenants", len(seen))
	}
	if d := stagger(Job{Tenant: "acme"}, time.Second); d != 0 {
		t.Errorf("an interval of a second has no room for %s", d)
	}
}

// TestClockJumps: after a jump ahead a job that was due several times runs once; after one back it does not wait until the
// clock is where it was.
func TestClockJumps(t *testing.T) {
	spec, err := cron.ParseStandard("*/15 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 2, 12, 1, 0, 0, time.UTC)
	a := New(Options{})
	e := newEntry(Entry{Job: Job{Tenant: "acme", Kind: Sync}, When: spec}, noon)
	a.entries = []*entry{e}
	if got := a.due(noon); len(got) != 0 {
		t.Errorf("due too early: %v", got)
	}
	later := noon.Add(5 * time.Hour)
	if got := a.due(later); len(got) != 1 || got[0].Trigger != BySchedule || e.next.Before(later) || e.next.Sub(later) > 17*time.Minute {
		t.Errorf("after a jump ahead: %v, next %s", got, e.next)
	}
	a.remake(noon)
	if e.next.Before(noon) || e.next.Sub(noon) > 17*time.Minute {
		t.Errorf("after a jump back the next is %s", e.next)
	}
}
