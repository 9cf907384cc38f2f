package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// newAnswersRig has three entities of many small pages.
func newAnswersRig(t *testing.T, opts ...autotasktest.Option) *rig {
	r := newRig(t, autotasktest.Tiny(), opts...)
	r.cfg.Entities = entities(t, "Tickets", "TicketNotes", "Resources")
	r.limits.PageSize = 10
	r.limits.ThreadPause = time.Millisecond
	r.limits.HourPause = 20 * time.Millisecond
	return r
}

// TestEveryTenthAnswerIsBad: whatever is wrong with every tenth answer, a sync ends complete and equal. Asked again, the
// service answers well: how often a request is repeated is another test's.
func TestEveryTenthAnswerIsBad(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]autotasktest.Action{
		"500":                        autotasktest.Status(500),
		"500 with a text":            autotasktest.Status(500, "Transaction was deadlocked"),
		"503 with HTML":              autotasktest.HTML(503),
		"200 with HTML":              autotasktest.HTML(200),
		"200 with errors":            autotasktest.Errors200("something odd"),
		"200 without a body":         autotasktest.EmptyBody(),
		"a reset":                    autotasktest.Reset(),
		"a truncated body":           autotasktest.Truncate(),
		"invalid JSON":               autotasktest.InvalidJSON(),
		"a hang":                     autotasktest.Hang(),
		"a drip that never ends":     autotasktest.Drip(1, time.Second),
		"a slow drip":                autotasktest.Drip(4000, time.Millisecond),
		"a duplicated page":          autotasktest.DuplicatePage(),
		"ids out of order":           autotasktest.UnorderedIDs(),
		"a row without id":           autotasktest.RowWithoutID(),
		"429 of threads":             autotasktest.RateLimited(""),
		"429 of threads, and when":   autotasktest.RateLimited("1"),
		"429 of threads, and a date": autotasktest.RateLimited("Mon, 02 Mar 2026 12:00:01 GMT"),
		"429 of the hour":            autotasktest.Status(429),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newAnswersRig(t)
			r.limits.RequestTimeout = 2 * time.Second
			asked := map[string]bool{}
			fault := autotasktest.Fault{Op: autotasktest.OpQuery, After: 4, Every: 10, Do: do, When: func(r autotasktest.Request) bool {
				again := asked[r.Entity+r.Body]
				asked[r.Entity+r.Body] = true
				return !again
			}}
			if strings.HasPrefix(name, "429 of threads, ") || name == "a hang" || name == "a drip that never ends" { // each costs a second or two
				fault.Times = 2
			}
			hit := r.server.Fault(fault)
			run := r.mustSync()
			if hit.Hits() == 0 {
				t.Error("no answer was bad")
			}
			r.server.ClearFaults()
			r.equal()
			if run.Quota == nil || name == "429 of the hour" && run.Quota.HourRefusals == 0 ||
				strings.HasPrefix(name, "429 of threads") && run.Quota.ThreadRefusals == 0 {
				t.Errorf("the run's quota does not tell: %+v", run.Quota)
			}
		})
	}
}

// TestOthersUseUpTheHour: in the middle of a sync other integrations take all that is left. Requests pause as long
// as the answer says, or a while if it says nothing, and then the sync goes on.
func TestOthersUseUpTheHour(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]autotasktest.Option{
		"no Retry-After": nil,
		"seconds":        {autotasktest.WithRetryAfter(time.Second, false)},
		"a date":         {autotasktest.WithRetryAfter(time.Second, true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newAnswersRig(t, opts...)
			r.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpQuery, After: 3, Times: 1,
				Do: autotasktest.Call(func(autotasktest.Request) { r.server.UseOthers(10_000) })})
			var waits atomic.Int32
			r.trace = &pipeline.Trace{Waiting: func(w pipeline.QuotaWait) {
				if w.Waiting && waits.Add(1) == 1 {
					r.clock.Advance(61 * time.Minute) // the window frees
				}
			}}
			run := r.mustSync()
			r.equal()
			if waits.Load() == 0 || run.Quota == nil || run.Quota.HourRefusals == 0 || run.Quota.WaitedSeconds == 0 {
				t.Errorf("nothing waited: %+v", run.Quota)
			}
		})
	}
}

// TestForeignNextPage: an answer names a next page on another host. Nobody goes there.
func TestForeignNextPage(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(foreign.Close)
	r := newAnswersRig(t)
	fault := r.server.Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Do: autotasktest.ForeignNextURL(foreign.URL + "/ATServicesRest/V1.0/Tickets/query/next")})
	_, err := r.sync(pipeline.SyncRequest{})
	if fault.Hits() == 0 || asked.Load() > 0 {
		t.Errorf("%d answers named another host, which was asked %d times; %v", fault.Hits(), asked.Load(), err)
	}
	r.server.ClearFaults()
	r.mustSync()
	r.equal()
}

// TestCountDisagrees: the server counts more rows than it lists. The read is not taken for complete, and its rows and
// checkpoint stay as they were; the next run reads the window again.
func TestCountDisagrees(t *testing.T) {
	t.Parallel()
	r := newAnswersRig(t)
	r.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpCount,
		When: func(r autotasktest.Request) bool { return !strings.Contains(r.Body, "Date") }, // of the whole table
		Do:   autotasktest.Body(200, "application/json", `{"queryCount":99999}`)})
	run, err := r.sync(pipeline.SyncRequest{})
	if class := pipeline.ClassOf(err); class != pipeline.ClassPartial {
		t.Errorf("class %s: %v", class, err)
	}
	got := stream(t, run, "Tickets")
	if got.Status != pipeline.StatusFailed || got.ErrorClass != pipeline.ClassSource || !strings.Contains(got.Error, "query/count says 99999") || !got.CompleteThrough.IsZero() {
		t.Errorf("%+v", got)
	}
	r.server.ClearFaults()
	r.mustSync()
	r.equal()
}

// TestRightLostMidRun: a right is taken away in the middle of a whole read. The entity fails, and no row is taken for
// deleted.
func TestRightLostMidRun(t *testing.T) {
	t.Parallel()
	for _, denial := range []autotasktest.Denial{autotasktest.Denied401, autotasktest.Denied403, autotasktest.Denied500} {
		t.Run(fmt.Sprint(denial), func(t *testing.T) {
			t.Parallel()
			r := newAnswersRig(t)
			r.mustSync()
			r.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpQuery, After: 2, Times: 1,
				Do: autotasktest.Call(func(autotasktest.Request) { r.server.Deny("Tickets", denial) })})
			run, err := r.sync(pipeline.SyncRequest{Full: true})
			if class := pipeline.ClassOf(err); class != pipeline.ClassPartial {
				t.Errorf("class %s: %v", class, err)
			}
			if got := stream(t, run, "Tickets"); got.ErrorClass != pipeline.ClassRights || !strings.Contains(got.Error, "View rights") {
				t.Errorf("%+v", got)
			}
			if n := totals(run).Deleted; n != 0 {
				t.Errorf("%d rows were taken for deleted", n)
			}
			r.equal()
			r.server.Deny("Tickets", autotasktest.DeniedNot)
			r.mustSync()
			r.equal()
		})
	}
}

// TestRetriesAreBounded: where nothing helps, the run ends after its budget of retries and says so.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	r := newAnswersRig(t)
	r.limits.Attempts, r.limits.RetryBudget = 50, 20
	fault := r.server.Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Do: autotasktest.Status(503)})
	run, err := r.sync(pipeline.SyncRequest{})
	if class := pipeline.ClassOf(err); class != pipeline.ClassTransient || !strings.Contains(err.Error(), "has used up its 20 retries") || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("class %s: %v", class, err)
	}
	if n := fault.Hits(); run.Status != pipeline.StatusFailed || n > 20+len(r.cfg.Entities)+1 { // and the definitions of UDFs
		t.Errorf("status %s after %d requests", run.Status, n)
	}
}

// TestPatienceEnds: the hour stays used up. The run ends with class quota, names the numbers, and sends nothing on the
// way but what asks whether it is over.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	r := newAnswersRig(t)
	r.mustSync()
	r.limits.QuotaWait = 50 * time.Millisecond
	r.server.UseOthers(7_600)
	run, err := r.sync(pipeline.SyncRequest{})
	if class := pipeline.ClassOf(err); class != pipeline.ClassQuota || !strings.Contains(err.Error(), "of the tenant's 10000 hourly requests") || !strings.Contains(err.Error(), "run later") {
		t.Errorf("class %s: %v", class, err)
	}
	if n := r.server.RequestCount(); n != 1 || run.Quota == nil || run.Quota.UsedBefore < 7_600 {
		t.Errorf("%d requests, %+v", n, run.Quota)
	}
	r.server.UseOthers(10_000)
	_, err = r.sync(pipeline.SyncRequest{})
	if class := pipeline.ClassOf(err); class != pipeline.ClassQuota || !strings.Contains(err.Error(), "hourly request limit is reached") {
		t.Errorf("class %s: %v", class, err)
	}
	if n := r.server.RequestCount(); n < 1 || n > 4 {
		t.Errorf("%d requests while everything is refused", n)
	}
}

// TestBackfillGivesWay holds end to end that a slice of backfill waits at its own share while others use more, and
// live reads go on.
func TestBackfillGivesWay(t *testing.T) {
	t.Parallel()
	r := newAnswersRig(t)
	r.mustSync()
	r.server.UseOthers(7_400)
	r.limits.BackgroundWait = 50 * time.Millisecond
	s := r.open()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.server.ResetLog()
	if _, err := s.source.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	count := func(p pipeline.Priority) error {
		_, err := s.source.Count(t.Context(), pipeline.Slice{Table: schemas.NewTable(r.cfg.Entities[0], nil, nil), Priority: p})
		return err
	}
	if err := count(pipeline.Backfill); pipeline.ClassOf(err) != pipeline.ClassQuota || !strings.Contains(err.Error(), "backfill requests wait from 40 % on") {
		t.Errorf("backfill: %v", err)
	}
	if n := r.server.RequestCounts()["Tickets"]; n != 0 {
		t.Errorf("%d requests of backfill", n)
	}
	if err := count(pipeline.Live); err != nil {
		t.Errorf("live: %v", err)
	}
}
