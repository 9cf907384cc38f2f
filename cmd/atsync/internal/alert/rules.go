package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

// verdict is what a rule has come to.
type verdict int

const (
	unknown verdict = iota // nothing can be said: it stays as it was
	right
	wrong
)

// finding is what a rule says of one thing.
type finding struct {
	key     string // what it is known by from one look to the next
	kind    Kind
	tenant  string
	verdict verdict
	event   bool // wrong just now, and never right again
	summary string
	remedy  string
}

// longest is how much is quoted of an error. A refused login ends with what looks mixed up.
const longest = 800

func quote(s string) string { return cut(console.Clean(strings.TrimSpace(s)), longest) }

// startGrace is how long after its start the daemon may take to make up for what was missed.
const startGrace = 10 * time.Minute

// look applies all rules to the tenants. It changes s: what was seen, and which runs were looked at.
func look(s *state, cfg config.Alerts, tenants []daemon.TenantState, started, now time.Time) (out []finding) {
	for _, t := range tenants {
		out = append(out, failing(s, cfg, t), held(t), s.stale(t, started, now))
		out = append(out, s.news(t, now)...)
	}
	return append(out, quotas(cfg, tenants, now)...)
}

// known reports whether anything is remembered of what the tenant has done before.
func known(t daemon.TenantState) bool {
	return len(t.Runs) > 0 || slices.ContainsFunc(t.Tables, func(t daemon.TableState) bool { return !t.CompleteThrough.IsZero() })
}

// streak is how many syncs, or how many verifications, have failed in a row, up to the newest that ended: whichever is more.
func streak(runs []pipeline.Run) int {
	failed, over := map[string]int{}, map[string]bool{}
	for _, run := range runs { // the newest first
		switch {
		case !scheduled(run), over[run.Command]:
		case run.Status == pipeline.StatusOK:
			over[run.Command] = true
		case run.Status == pipeline.StatusFailed, run.Status == pipeline.StatusPartial:
			failed[run.Command]++
		}
	}
	return max(failed["sync"], failed["verify"])
}

// scheduled reports whether a run is of a kind that schedules start.
func scheduled(run pipeline.Run) bool { return run.Command == "sync" || run.Command == "verify" }

// failing says whether a tenant's jobs fail in a row. A refused login is told as a hold, and who pauses a tenant knows.
func failing(s *state, cfg config.Alerts, t daemon.TenantState) finding {
	f := finding{key: "failure " + t.Tenant, kind: Failure, tenant: t.Tenant, remedy: "atsync runs --tenant " + t.Tenant}
	n := max(t.Failures, streak(t.Runs))
	old, active := s.Active[f.key]
	switch {
	case t.Hold != nil, t.Paused:
		return f
	case n >= cfg.Failures:
		f.verdict = wrong
		why := t.Error
		for _, run := range t.Runs {
			if why == "" && scheduled(run) && run.Error != "" {
				why = run.Error
			}
		}
		f.summary = fmt.Sprintf("%s: %d jobs in a row failed: %s", t.Tenant, n, quote(why))
	case n == 0 && (!active || slices.ContainsFunc(t.Runs, func(r pipeline.Run) bool {
		return scheduled(r) && r.Status == pipeline.StatusOK && r.EndedAt.After(old.Since)
	})):
		f.verdict = right
	}
	return f
}

// held says whether a tenant is on hold.
func held(t daemon.TenantState) finding {
	f := finding{key: "hold " + t.Tenant, kind: Hold, tenant: t.Tenant}
	switch {
	case t.Hold != nil:
		f.verdict = wrong
		f.summary = fmt.Sprintf("%s: Autotask refuses the login; nothing is asked any more: %s", t.Tenant, quote(t.Hold.Reason))
		f.remedy = "correct the credentials; if they are right: atsync check --release --tenant " + t.Tenant
	case known(t):
		f.verdict = right
	}
	return f
}

// stale says whether a tenant's tables are as current as wanted. What was never read counts from when it was first missed.
func (s *state) stale(t daemon.TenantState, started, now time.Time) finding {
	f := finding{key: "stale " + t.Tenant, kind: Stale, tenant: t.Tenant, verdict: right, remedy: "atsync status --tenant " + t.Tenant}
	var late []string
	oldest := now
	for _, table := range t.Tables {
		id, within := t.Tenant+" "+table.Entity, time.Duration(table.Within*float64(time.Second))
		if table.Absent || !table.CompleteThrough.IsZero() {
			delete(s.Missed, id)
		}
		through := table.CompleteThrough
		switch {
		case table.Absent:
			continue
		case through.IsZero():
			if s.Missed[id].IsZero() {
				s.Missed[id] = now
			}
			if through = s.Missed[id]; t.Running != nil || now.Sub(through) <= within {
				f.verdict = min(f.verdict, unknown)
				continue
			}
		case now.Sub(through) <= within:
			continue
		}
		late = append(late, table.Entity)
		if through.Before(oldest) {
			oldest = through
		}
	}
	_, active := s.Active[f.key]
	switch {
	case t.Paused, !active && now.Sub(started) < startGrace:
		f.verdict = unknown
	case len(late) > 0:
		f.verdict = wrong
		f.summary = fmt.Sprintf("%s: %s older than wanted, up to %s: %s", t.Tenant, tables(len(late)), console.Duration(now.Sub(oldest)), some(late))
	}
	return f
}

func tables(n int) string {
	if n == 1 {
		return "a table is"
	}
	return fmt.Sprintf("%d tables are", n)
}

// some names the first few.
func some(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// quotas says of each database how much of its hour is used, by what is known of the last window.
func quotas(cfg config.Alerts, tenants []daemon.TenantState, now time.Time) (out []finding) {
	newest := map[string]daemon.TenantState{}
	for _, t := range tenants {
		if q := t.Quota; q != nil && q.Threshold > 0 && t.QuotaAt.After(newest[q.Database].QuotaAt) {
			newest[q.Database] = t
		}
	}
	for _, database := range slices.Sorted(maps.Keys(newest)) {
		t := newest[database]
		q, window := t.Quota, time.Duration(max(t.Quota.WindowMins, 1))*time.Minute
		f := finding{key: "quota " + database, kind: Quota, verdict: right, remedy: "atsync status --live shows by whom"}
		used := 100 * q.UsedAfter / q.Threshold
		if now.Sub(t.QuotaAt) < window && (used >= int64(cfg.Quota) || q.PausedUntil.After(now)) {
			f.verdict = wrong
			f.summary = fmt.Sprintf("%d %% of the hour's %s requests of %s (%s) are used, by all integrations", used, console.Count(q.Threshold), database, t.Tenant)
		}
		out = append(out, f)
	}
	return out
}

// news looks at the runs that have ended since the last look, the oldest first: what guards have stopped or let pass, and drift.
// What had ended before the first look of all is old.
func (s *state) news(t daemon.TenantState, now time.Time) (out []finding) {
	last, ok := s.Looked[t.Tenant]
	if !ok {
		s.Looked[t.Tenant] = now
		return nil
	}
	for _, run := range slices.Backward(t.Runs) {
		if run.Status == pipeline.StatusRunning || !run.EndedAt.After(last) {
			continue
		}
		if run.EndedAt.After(s.Looked[t.Tenant]) {
			s.Looked[t.Tenant] = run.EndedAt
		}
		out = append(out, guards(run, t.Tenant)...)
		out = append(out, drift(run, t.Tenant)...)
	}
	return out
}

// guards says what a run was stopped from deleting, and what it got through with.
func guards(run pipeline.Run, tenant string) (out []finding) {
	for _, r := range run.Streams {
		f := finding{key: strings.Join([]string{"guard", tenant, run.Command, r.Entity}, " "), kind: Guard, tenant: tenant}
		switch {
		case r.ErrorClass == pipeline.ClassGuard:
			f.verdict = wrong
			f.summary = fmt.Sprintf("%s: %s stopped before it would have deleted too much of %s: %s", tenant, run.Command, r.Entity, quote(r.Error))
			f.remedy = fmt.Sprintf("if the rows are really gone: atsync %s --allow-deletes --tenant %s --entity %s", allowing(run.Command), tenant, r.Entity)
		case r.Status == pipeline.StatusOK:
			f.verdict = right
		}
		out = append(out, f)
	}
	return out
}

func allowing(command string) string {
	if command == "verify" {
		return "verify --repair"
	}
	return command
}

// drift says what a run has found changed that should not change unnoticed.
func drift(run pipeline.Run, tenant string) (out []finding) {
	event := func(entity, what, summary, remedy string) {
		out = append(out, finding{key: strings.Join([]string{"drift", tenant, entity, what}, " "), kind: Drift, tenant: tenant, verdict: wrong, event: true,
			summary: summary, remedy: remedy})
	}
	for _, r := range run.Streams {
		for _, w := range slices.Concat(r.Warnings, r.Changes) {
			event(r.Entity, quote(w), fmt.Sprintf("%s: %s: %s", tenant, r.Entity, quote(w)), "atsync schema diff --tenant "+tenant)
		}
		if v := r.Verify; v != nil && v.Holes > 0 {
			event(r.Entity, fmt.Sprint("run ", run.ID), fmt.Sprintf("%s: verify found %d rows of %s missing here and %d gone at the source; %d of them are mended",
				tenant, v.Missing, r.Entity, v.Gone, v.Repaired), "if it happens again, a shorter sync.full_every finds them sooner")
		}
	}
	return out
}
