package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/atsync/atsync/schemas"
)

// ScheduleConfig is what a tenant's daemon syncs together, and when. The times of When are to be asked with times in the
// tenant's Location.
type ScheduleConfig struct {
	Group       string // empty: the tenant's own schedule, for all that is in no group
	When        cron.Schedule
	Cron        string // as written
	Entities    []*schemas.Entity
	FreshWithin time.Duration // how old these entities' data may be
}

// schedules divides a tenant's entities among its groups and completes the list of all of them. It starts with the
// tenant's own schedule, unless groups have left nothing to it.
func (t *TenantConfig) schedules(s Sync) error {
	own := map[*schemas.Entity]string{}
	for _, e := range t.Entities {
		own[e] = ""
	}
	for _, name := range slices.Sorted(maps.Keys(s.Groups)) {
		members, err := schemas.Select(s.Groups[name].Entities)
		if err != nil {
			return err
		}
		for _, e := range members {
			if other := own[e]; other != "" {
				return fmt.Errorf("%s is in the groups %s and %s", e.Name, other, name)
			}
			own[e] = name
		}
	}
	if len(s.Groups) > 0 {
		var names []string
		for e := range own {
			names = append(names, e.Name)
		}
		var err error
		if t.Entities, err = schemas.Select(names); err != nil { // in their order
			return err
		}
	}
	for _, name := range append([]string{""}, slices.Sorted(maps.Keys(s.Groups))...) {
		c := ScheduleConfig{Group: name, Cron: s.Schedule}
		if name != "" {
			c.Cron = s.Groups[name].Schedule
		}
		var err error
		if c.When, err = parseCron(c.Cron); err != nil {
			return err
		}
		for _, e := range t.Entities {
			if own[e] == name {
				c.Entities = append(c.Entities, e)
			}
		}
		c.FreshWithin = cmp.Or(s.FreshWithin, objective(c.When, t.Location))
		if len(c.Entities) > 0 {
			t.Schedules = append(t.Schedules, c)
		}
	}
	return nil
}

// objective is how old data may be that is synced by a schedule: a run may fail, and the next may take its time.
func objective(when cron.Schedule, loc *time.Location) time.Duration {
	at := when.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, loc))
	longest := time.Duration(0)
	const fires = 5000 // a week of a schedule that fires every minute of working hours
	for n, end := 0, at.AddDate(0, 2, 0); n < fires && at.Before(end); n++ {
		next := when.Next(at)
		if next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(at))
		at = next
	}
	return 2*longest + 15*time.Minute
}

// Group returns the schedule of one group; "" is the tenant's own.
func (t TenantConfig) Group(group string) (ScheduleConfig, bool) {
	for _, s := range t.Schedules {
		if s.Group == group {
			return s, true
		}
	}
	return ScheduleConfig{}, false
}

// groups checks that groups are complete and share no entity.
func (c *checker) groups(path string, s Sync) {
	at := path + ".groups"
	if !c.own(at) || c.anyBad(at) {
		return
	}
	in := map[*schemas.Entity]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Groups)) {
		g, where := s.Groups[name], at+"."+name
		if g.Schedule == "" {
			c.report(where, wrong(`write schedule: "*/5 * * * *"`, "has no schedule"))
		}
		if len(g.Entities) == 0 {
			c.report(where, wrong("write entities: [Tickets, TimeEntries]", "has no entities"))
			continue
		}
		members, err := schemas.Select(g.Entities)
		if err != nil {
			c.report(where+".entities", fromText(err.Error()))
			continue
		}
		for _, e := range members {
			if other := in[e]; other != "" {
				c.report(where+".entities", wrong("leave it out of one of them", "%s is in the group %s, too", e.Name, other))
				break
			}
			in[e] = name
		}
	}
}
