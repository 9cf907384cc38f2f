package autotasktest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// hangs starts n requests to an entity that hang, and waits until all of them do.
func hangs(t *testing.T, s *autotasktest.Server, n int, paths ...string) (stop func()) {
	t.Helper()
	arrived := make(chan struct{}, n)
	gate := make(chan struct{})
	fault := s.Fault(autotasktest.Fault{Times: n, Do: autotasktest.Call(func(autotasktest.Request) { arrived <- struct{}{}; <-gate })})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			path := paths[i%len(paths)]
			if strings.Contains(path, "query") {
				_, _ = try(t, s, "POST", path, existID)
			} else {
				_, _ = try(t, s, "GET", path, "")
			}
		})
	}
	for range n {
		<-arrived
	}
	return func() { close(gate); wg.Wait(); fault.Remove() }
}

// threadLimited makes a fourth simultaneous request.
func threadLimited(t *testing.T) reply {
	t.Helper()
	s := newServer(t)
	stop := hangs(t, s, 3, "/Tickets/query")
	defer stop()
	return request(t, s, "POST", "/Tickets/query", existID)
}

func TestThreads(t *testing.T) {
	s := newServer(t)
	// Queries, counts and metadata of an entity share its threads; a child path belongs to the child.
	stop := hangs(t, s, 3, "/TicketNotes/query", "/TicketNotes/query/count", "/Tickets/1/Notes/entityInformation/fields")
	if r := request(t, s, "GET", "/TicketNotes/1", ""); r.status != 429 || r.header.Get("Retry-After") != "" {
		t.Errorf("fourth request: %d, Retry-After %q; want 429 without the header", r.status, r.header.Get("Retry-After"))
	}
	if r := request(t, s, "GET", "/Tickets/1", ""); r.status != 200 {
		t.Errorf("another entity: %d", r.status)
	}
	if r := request(t, s, "GET", "/zoneInformation?user="+s.Username, ""); r.status != 200 {
		t.Errorf("zone lookup: %d", r.status)
	}
	stop()
	if r := request(t, s, "GET", "/TicketNotes/1", ""); r.status != 200 {
		t.Errorf("after the others ended: %d", r.status)
	}
	if got := s.PeakConcurrency("ticketnotes"); got != 4 {
		t.Errorf("peak %d, want 4: the refused one included", got)
	}
	if got := s.PeakConcurrency("Tickets"); got != 1 {
		t.Errorf("peak of Tickets %d, want 1", got)
	}
}

func TestHourlyThreshold(t *testing.T) {
	clock := autotasktest.NewClock(time.Date(2026, 3, 4, 10, 0, 30, 0, time.UTC))
	s := newServer(t, autotasktest.WithClock(clock.Now), autotasktest.WithThreshold(100))
	s.UseOthers(98)
	want := `{"externalRequestThreshold":100,"requestThresholdTimeframe":60,"currentTimeframeRequestCount":99}`
	if r := request(t, s, "GET", "/ThresholdInformation", ""); r.body != want {
		t.Errorf("got %s, want %s: the request itself counts", r.body, want)
	}
	clock.Advance(30 * time.Minute)
	if r := request(t, s, "GET", "/Tickets/1", ""); r.status != 200 {
		t.Errorf("the 100th request: %d", r.status)
	}
	if r := request(t, s, "GET", "/Tickets/1", ""); r.status != 429 || !strings.Contains(r.body, `{"errors":["`) {
		t.Errorf("the 101st request: %d %s", r.status, r.body)
	}
	clock.Advance(31 * time.Minute) // the first 99 have left the window
	if r := request(t, s, "GET", "/Tickets/1", ""); r.status != 200 || s.Used() != 2 {
		t.Errorf("after the window: %d, %d used, want 200 and 2", r.status, s.Used())
	}
	if got := request(t, s, "GET", "/Tickets/1", "").header.Get("Date"); got != "Wed, 04 Mar 2026 11:01:30 GMT" {
		t.Errorf("Date %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		date bool
		want string
	}{{false, "90"}, {true, "Wed, 04 Mar 2026 10:01:30 GMT"}} {
		s := newServer(t, autotasktest.WithClock(func() time.Time { return now }), autotasktest.WithThreshold(1), autotasktest.WithRetryAfter(90*time.Second, tt.date))
		request(t, s, "GET", "/Version", "")
		if r := request(t, s, "GET", "/Version", ""); r.status != 429 || r.header.Get("Retry-After") != tt.want {
			t.Errorf("got %d %q, want 429 %q", r.status, r.header.Get("Retry-After"), tt.want)
		}
	}
}

func TestLimitsCanBeLifted(t *testing.T) {
	s := newServer(t, autotasktest.WithThreads(0), autotasktest.WithThreshold(0))
	s.UseOthers(1_000_000)
	stop := hangs(t, s, 8, "/Tickets/query")
	if r := request(t, s, "POST", "/Tickets/query", existID); r.status != 200 {
		t.Errorf("got %d", r.status)
	}
	stop()
	s.SetThreads(1)
	s.SetThreshold(10)
	if r := request(t, s, "GET", "/Version", ""); r.status != 429 {
		t.Errorf("got %d, want 429", r.status)
	}
}

// The delays of heavy use are measured in virtual time.
func TestLatency(t *testing.T) {
	for _, tt := range []struct {
		others int
		want   time.Duration
	}{{0, time.Second}, {50, 1500 * time.Millisecond}, {80, 2 * time.Second}} {
		t.Run(fmt.Sprint(tt.others), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := autotasktest.NewHandler(autotasktest.WithThreshold(100), autotasktest.WithLatency(time.Second), autotasktest.WithUsageLatency(1))
				h.UseOthers(tt.others)
				start := time.Now()
				if code := direct(h, "GET", "/ATServicesRest/V1.0/Tickets/1", "").Code; code != 200 {
					t.Errorf("got %d", code)
				}
				if got := time.Since(start); got != tt.want {
					t.Errorf("took %v, want %v", got, tt.want)
				}
				start = time.Now()
				direct(h, "GET", "/ATServicesRest/V1.0/zoneInformation?user="+h.Username, "")
				if got := time.Since(start); got != 0 {
					t.Errorf("a zone lookup took %v", got)
				}
			})
		})
	}
}

func TestLogAndCounters(t *testing.T) {
	s := newServer(t)
	s.Data().Insert("Tickets", autotasktest.Fields{"title": "x"})
	request(t, s, "POST", "/Tickets/query", existID)
	request(t, s, "GET", searchPath("Tickets", existID), "")
	request(t, s, "GET", "/Tickets/1/Notes", "")
	request(t, s, "GET", "/Nonsense/query", "")
	type line struct {
		method, entity string
		op             autotasktest.Op
		status, rows   int
		body           string
	}
	want := []line{
		{"POST", "Tickets", autotasktest.OpQuery, 200, 1, existID},
		{"GET", "Tickets", autotasktest.OpQuery, 200, 1, existID},
		{"GET", "TicketNotes", autotasktest.OpChildren, 200, 0, ""},
		{"GET", "", autotasktest.OpNone, 404, 0, ""},
	}
	for i, r := range s.Requests() {
		if got := (line{r.Method, r.Entity, r.Op, r.Status, r.Rows, r.Body}); got != want[i] {
			t.Errorf("request %d: %+v, want %+v", i, got, want[i])
		}
	}
	if got := s.RequestCounts(); s.RequestCount() != 4 || got["Tickets"] != 2 || got["TicketNotes"] != 1 || got[""] != 1 {
		t.Errorf("counts %v of %d", got, s.RequestCount())
	}
	s.ResetLog()
	if len(s.Requests()) != 0 || s.RequestCount() != 0 || s.PeakConcurrency("Tickets") != 0 {
		t.Error("ResetLog left something")
	}
	quiet := newServer(t, autotasktest.WithoutLog())
	request(t, quiet, "GET", "/Version", "")
	if len(quiet.Requests()) != 0 || quiet.RequestCount() != 1 {
		t.Errorf("WithoutLog: %d in the log, %d counted", len(quiet.Requests()), quiet.RequestCount())
	}
}

func TestGzip(t *testing.T) {
	plain := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }
	for _, tt := range []struct {
		opts []autotasktest.Option
		want string
	}{{nil, "gzip"}, {[]autotasktest.Option{autotasktest.WithoutGzip()}, ""}} {
		s := newServer(t, tt.opts...)
		if r := request(t, s, "GET", "/Tickets/entityInformation/fields", "", plain); r.header.Get("Content-Encoding") != tt.want {
			t.Errorf("Content-Encoding %q, want %q", r.header.Get("Content-Encoding"), tt.want)
		}
		if r := request(t, s, "GET", "/Tickets/entityInformation/fields", ""); !strings.HasPrefix(r.body, `{"fields":[`) {
			t.Errorf("the client cannot read %.40q", r.body)
		}
	}
}
