package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGroupsTakeTheirEntitiesFromTheTenant(t *testing.T) {
	cfg := load(t, `
sync:
  schedule: "@daily"
  timezone: Europe/Berlin
  entities: [Tickets, Companies, Roles]
  verify: never
  groups:
    fast: {schedule: "*/5 * * * *", entities: [TicketNotes, Tickets]}
`+minimal+`
    sync: {fresh_within: 2h}
  globex: {username: env:U, integration_code: "file:c", secret: "cmd:echo x", sync: {verify: "@weekly", entities: [Tickets]}}
`)
	describe := func(name string) (out []string) {
		c, err := cfg.Tenant(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Schedules {
			line := s.Group + " " + s.Cron + " " + s.FreshWithin.String() + ":"
			for _, e := range s.Entities {
				line += " " + e.Name
			}
			out = append(out, line)
		}
		all := "all:"
		for _, e := range c.Entities {
			all += " " + e.Name
		}
		return append(out, all, map[bool]string{true: "verified", false: "never verified"}[c.Verify != nil])
	}
	for name, want := range map[string][]string{
		"acme":   {" @daily 2h0m0s: Companies Roles", "fast */5 * * * * 2h0m0s: TicketNotes Tickets", "all: Companies Roles TicketNotes Tickets", "never verified"},
		"globex": {"fast */5 * * * * 25m0s: TicketNotes Tickets", "all: TicketNotes Tickets", "verified"},
	} {
		got := describe(name)
		for i := range got { // the order among entities is schemas.Select's
			words := strings.SplitAfter(got[i], ": ")
			if len(words) == 2 {
				list := strings.Fields(words[1])
				for a := range list {
					for b := a + 1; b < len(list); b++ {
						if list[b] < list[a] {
							list[a], list[b] = list[b], list[a]
						}
					}
				}
				got[i] = words[0] + strings.Join(list, " ")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestObjective: what is not set follows from the longest pause of the schedule.
func TestObjective(t *testing.T) {
	for spec, want := range map[string]time.Duration{
		"*/15 * * * *": 45 * time.Minute, "@hourly": 135 * time.Minute, "@every 30m": 75 * time.Minute,
		"0 8-18 * * 1-5": 2*(2*24+14)*time.Hour + 15*time.Minute, "0 0 1 * *": 2*31*24*time.Hour + 15*time.Minute,
	} {
		cfg := load(t, "sync: {schedule: \""+spec+"\"}\n"+minimal)
		c, err := cfg.Tenant("acme")
		if err != nil {
			t.Fatal(err)
		}
		s, ok := c.Group("")
		if !ok || s.FreshWithin != want {
			t.Errorf("%s: %s, not %s", spec, s.FreshWithin, want)
		}
	}
}
