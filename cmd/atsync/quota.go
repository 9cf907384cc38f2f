package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

// quotaRuns is how many of the newest runs are looked at for what they took of the last window.
const quotaRuns = 100

// quotaStatus says how much of the requests that a tenant's Autotask database allows in a window is used, and by whom.
type quotaStatus struct {
	AsOf       time.Time           `json:"as_of"`       // when a run ended, or now with --live
	Live       bool                `json:"live"`        // asked from Autotask by this command
	Threshold  int64               `json:"threshold"`   // requests allowed per window, all integrations together
	WindowMins int64               `json:"window_mins"` // the window goes back so many minutes
	Used       int64               `json:"used"`        // of the threshold
	Own        pipeline.ByPriority `json:"own"`         // of these, by runs of this tenant
	Others     int64               `json:"others"`      // and by all others
	Limits     pipeline.ByPriority `json:"limits"`      // how full the window may be before each priority waits
	Reserved   int64               `json:"reserved"`    // what atsync leaves to others altogether

	WaitedSeconds  float64   `json:"waited_seconds"`  // in which requests of the last run waited for quota
	HourRefusals   int64     `json:"hour_refusals"`   // answers to the last run: the hour's requests are used up
	ThreadRefusals int64     `json:"thread_refusals"` // answers to the last run: too many requests at a time
	PausedUntil    time.Time `json:"paused_until,omitzero"`
}

// quotaOf takes the quota from the newest run that knows it, what atsync used from all runs that ended within the
// window before that, and what requests met with from the very last run.
func quotaOf(runs []pipeline.Run) *quotaStatus {
	for _, run := range runs {
		if u := run.Quota; u != nil && u.Threshold > 0 {
			q := newQuotaStatus(run.EndedAt, *u, u.UsedAfter, runs)
			q.met(runs[0].Quota)
			return q
		}
	}
	return nil
}

// met takes over what the requests of the last run met with.
func (q *quotaStatus) met(last *pipeline.QuotaUse) {
	if last == nil {
		last = &pipeline.QuotaUse{}
	}
	q.WaitedSeconds, q.HourRefusals, q.ThreadRefusals, q.PausedUntil = last.WaitedSeconds, last.HourRefusals, last.ThreadRefusals, last.PausedUntil
}

func newQuotaStatus(at time.Time, u pipeline.QuotaUse, used int64, runs []pipeline.Run) *quotaStatus {
	q := &quotaStatus{AsOf: at, Threshold: u.Threshold, WindowMins: u.WindowMins, Used: used, Limits: u.Limits,
		Reserved: u.Threshold - u.Limits.Live}
	since := at.Add(-time.Duration(u.WindowMins) * time.Minute)
	for _, run := range runs {
		if run.Quota != nil && run.EndedAt.After(since) && !run.EndedAt.After(at) {
			q.Own.Live += run.Quota.Own.Live
			q.Own.Verify += run.Quota.Own.Verify
			q.Own.Backfill += run.Quota.Own.Backfill
		}
	}
	q.Others = max(0, used-q.Own.Sum())
	return q
}

// askQuota replaces the stored quota by that of this moment. What the last run waited stays.
func (s *tenantStatus) askQuota(ctx context.Context, w wiring, t config.TenantConfig) error {
	login, use, err := w.login(ctx, t, s.Hold)
	if err != nil {
		return err
	}
	if use.Threshold == 0 {
		return &pipeline.Error{Class: pipeline.ClassRights, Tenant: t.Name, Op: "threshold",
			Err: fmt.Errorf("the login works, but may not read ThresholdInformation"), Remedy: "atsync counts its own requests; to see those of others, look in Autotask's API usage report"}
	}
	s.Quota = newQuotaStatus(time.Now().UTC(), use, login.Used, s.runs)
	s.Quota.Live = true
	if own := s.Quota.Own.Live + use.Own.Live; own <= s.Quota.Used { // this login
		s.Quota.Own.Live, s.Quota.Others = own, max(0, s.Quota.Used-own-s.Quota.Own.Verify-s.Quota.Own.Backfill)
	}
	if len(s.runs) > 0 {
		s.Quota.met(s.runs[0].Quota)
	}
	return nil
}

// printQuota prints what is used of the quota and by whom, and what is left for which work.
func (e *env) printQuota(q *quotaStatus, now time.Time) error {
	if q == nil {
		return nil
	}
	when := "now"
	if !q.Live {
		when = console.Ago(q.AsOf, now)
	}
	own := ""
	if q.Own.Sum() > 0 {
		own = fmt.Sprintf(" (live %s, verify %s, backfill %s)", console.Count(q.Own.Live), console.Count(q.Own.Verify), console.Count(q.Own.Backfill))
	}
	left := func(limit int64) string {
		return fmt.Sprintf("%s left of %s", console.Count(max(0, limit-q.Used)), console.Count(limit))
	}
	text := fmt.Sprintf("  requests %s: %s of %s used in %d minutes: atsync %s%s, others %s\n", when, console.Count(q.Used), console.Count(q.Threshold),
		q.WindowMins, console.Count(q.Own.Sum()), own, console.Count(q.Others))
	text += fmt.Sprintf("    live work has %s, verify and backfill %s; %s are reserved for others\n", left(q.Limits.Live), left(q.Limits.Backfill),
		console.Count(q.Reserved))
	var notes []string
	if q.WaitedSeconds >= 1 {
		notes = append(notes, "waited "+console.Duration(time.Duration(q.WaitedSeconds*float64(time.Second)))+" for them")
	}
	if q.HourRefusals > 0 {
		notes = append(notes, fmt.Sprintf("was refused %s because the hour was used up", times(q.HourRefusals)))
	}
	if q.ThreadRefusals > 0 {
		notes = append(notes, fmt.Sprintf("was refused %s because too many ran at a time", times(q.ThreadRefusals)))
	}
	if len(notes) > 0 {
		text += "    the last run " + strings.Join(notes, ", ") + "\n"
	}
	if q.PausedUntil.After(now) {
		text += "    paused until " + q.PausedUntil.Format("15:04Z") + "\n"
	}
	return e.printf("%s", text)
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return console.Count(n) + " times"
}
