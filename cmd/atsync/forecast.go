package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// liveShare is how much of a database's requests an hour a sync may use, all integrations together counted.
const liveShare = 0.75

// usualThreshold is what Autotask allows in an hour unless it says otherwise (api.md §7).
const usualThreshold = 10_000

// horizon is how far ahead a schedule is looked at.
const horizon = 28 * 24 * time.Hour

// pace is how often a schedule runs.
type pace struct {
	perDay  float64
	perHour int64 // in the busiest 60 minutes
}

// paceOf counts a schedule's runs within the horizon.
func paceOf(schedule cron.Schedule, from time.Time) pace {
	var p pace
	var recent []time.Time // runs of the last hour
	n := 0
	for at := schedule.Next(from); !at.IsZero() && at.Sub(from) <= horizon; at = schedule.Next(at) {
		n++
		recent = append(recent, at)
		for at.Sub(recent[0]) >= time.Hour {
			recent = recent[1:]
		}
		p.perHour = max(p.perHour, int64(len(recent)))
	}
	p.perDay = float64(n) * 24 / horizon.Hours()
	return p
}

// tempo is how often each of a tenant's entities is read.
type tempo struct {
	runs pace            // of all schedules together
	own  pace            // of the tenant's own schedule, which entities follow that are in no group
	of   map[string]pace // of the group that an entity is in

	verify pace // of the tenant's verifications
}

// tempoOf counts the runs of a tenant's schedules.
func tempoOf(t config.TenantConfig, now time.Time) tempo {
	out := tempo{own: paceOf(t.Schedule, now.In(t.Location)), of: map[string]pace{}}
	if t.Verify != nil {
		out.verify = paceOf(t.Verify, now.In(t.Location))
	}
	for _, s := range t.Schedules {
		if s.Group == "" {
			out.runs.perDay += out.own.perDay
			out.runs.perHour += out.own.perHour
			continue
		}
		p := paceOf(s.When, now.In(t.Location))
		out.runs.perDay += p.perDay
		out.runs.perHour += p.perHour
		for _, e := range s.Entities {
			out.of[e.Name] = p
		}
	}
	return out
}

// interval is the time between two runs; 0 if there are none.
func (p pace) interval() time.Duration {
	if p.perDay == 0 {
		return 0
	}
	return time.Duration(24 * float64(time.Hour) / p.perDay)
}

// forecast is what a plan comes to on a tenant's schedule. Requests include a login a run.
type forecast struct {
	Schedule    string   `json:"schedule"`
	Timezone    string   `json:"timezone"`
	Groups      []string `json:"groups,omitempty"` // with their schedules: "fast */5 * * * *"
	RunsPerDay  float64  `json:"runs_per_day"`
	RunsPerHour int64    `json:"runs_in_busiest_hour"`
	Requests    int64    `json:"requests"`                 // of the next run
	Later       int64    `json:"requests_later"`           // of each run after it
	Verify      int64    `json:"requests_verify"`          // of each verification that finds no difference; 0: there are none
	Daily       int64    `json:"requests_per_day"`         // on the schedule, verifications included, the next run left out
	BusiestHour int64    `json:"requests_in_busiest_hour"` // a verification and what comes once a day included
	Threshold   int64    `json:"threshold"`                // requests an hour, all integrations together
	Assumed     bool     `json:"threshold_assumed"`        // nobody has asked
	Used        int64    `json:"used"`                     // now, by all integrations
	Share       float64  `json:"share_of_threshold"`       // of the busiest hour, 0.03 is 3 %
	Fits        bool     `json:"fits"`                     // the next run and the busiest hour, beside what is used now
	Verdict     string   `json:"verdict"`
	Remedy      string   `json:"remedy,omitempty"` // what to change if it does not fit
}

// predict does the arithmetic.
func predict(p pipeline.Preview, t tempo) forecast {
	f := forecast{RunsPerDay: t.runs.perDay, RunsPerHour: t.runs.perHour, Requests: 1, Later: 1,
		Threshold: p.Threshold, Used: p.Used}
	if f.Threshold <= 0 {
		f.Threshold, f.Assumed = usualThreshold, true
	}
	once, daily := int64(0), t.runs.perDay // a login for every run
	f.BusiestHour = t.runs.perHour
	for _, s := range p.Streams {
		runs, ok := t.of[s.Entity]
		if !ok {
			runs = t.own
		}
		f.Requests += s.Requests
		f.Later += s.Later
		daily += float64(s.Later)*runs.perDay + float64(s.Daily)*min(1, runs.perDay)
		f.BusiestHour += s.Later * runs.perHour
		if runs.perHour > 0 {
			f.BusiestHour += s.Daily
			once += s.Daily
		}
	}
	if t.verify.perDay > 0 {
		f.Verify = verifying(p.Streams)
		daily += float64(f.Verify) * t.verify.perDay
		f.BusiestHour += f.Verify * t.verify.perHour
		once += f.Verify * t.verify.perHour
	}
	f.Daily = int64(math.Ceil(daily))
	f.Share = float64(f.BusiestHour) / float64(f.Threshold)
	f.judge(p.Streams, once)
	return f
}

// verifying is what a verification asks for that finds no difference: a login, and a count for each entity that has one.
func verifying(streams []pipeline.StreamPlan) int64 {
	n := int64(1)
	for _, s := range streams {
		if e, ok := schemas.Lookup(s.Entity); ok && e.Countable() && s.ErrorClass != pipeline.ClassAbsent {
			n++
		}
	}
	return n
}

// judge says in words whether the requests fit into what live work may use.
func (f *forecast) judge(streams []pipeline.StreamPlan, once int64) {
	allowed := int64(liveShare*float64(f.Threshold)) - f.Used
	steady, next := f.BusiestHour <= allowed, f.Requests <= allowed
	f.Fits = steady && next
	room := fmt.Sprintf("%s of the %s requests an hour for live work are free", console.Count(max(allowed, 0)), console.Count(int64(liveShare*float64(f.Threshold))))
	switch {
	case f.Fits:
		f.Verdict = "fits: " + room
	case allowed <= 0:
		f.Verdict = "does not fit now: other integrations leave no room in the 75 % of the threshold that live work may use"
		f.Remedy = "wait until they are done, or find out which of them is so busy (Autotask: Admin > API usage); a sync waits by itself"
	case steady:
		hours := math.Ceil(float64(f.Requests) / float64(allowed))
		f.Verdict = fmt.Sprintf("the next run does not fit into an hour: %s, so it takes about %.0f hours with pauses; later runs fit", room, hours)
		f.Remedy = "let it run at night; or begin with fewer entities: " + dearest(streams, func(s pipeline.StreamPlan) int64 { return s.Requests })
	default:
		f.Verdict = "does not fit: the busiest hour needs " + console.Count(f.BusiestHour) + " requests, and " + room
		heavy := dearest(streams, func(s pipeline.StreamPlan) int64 { return s.Later })
		if n := (allowed - once) / f.Later; n > 0 {
			f.Remedy = fmt.Sprintf("run at most %d times an hour (sync.schedule), or leave out the dearest entities: %s", n, heavy)
		} else {
			f.Remedy = "leave out the dearest entities: " + heavy + "; or run less than once an hour (sync.schedule)"
		}
	}
}

// dearest names the three entities that cost most.
func dearest(streams []pipeline.StreamPlan, cost func(pipeline.StreamPlan) int64) string {
	sorted := slices.SortedStableFunc(slices.Values(streams), func(a, b pipeline.StreamPlan) int { return cmp.Compare(cost(b), cost(a)) })
	var names []string
	for _, s := range sorted[:min(3, len(sorted))] {
		names = append(names, fmt.Sprintf("%s (%s)", s.Entity, console.Count(cost(s))))
	}
	return strings.Join(names, ", ")
}
