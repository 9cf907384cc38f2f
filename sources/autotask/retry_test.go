package autotask_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

const threadText = "The Autotask API thread threshold of 3 threads has been exceeded."

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		class  pipeline.Class
		again  bool
		part   string
	}{
		{200, `{"items":[]}`, "", false, ""},
		{401, "", pipeline.ClassAuth, false, "empty body"},
		{403, "", pipeline.ClassRights, false, "forbidden"},
		{404, "<html>", pipeline.ClassSource, false, "HTML instead of JSON"},
		{405, `{"Message":"The requested resource does not support http method 'GET'."}`, pipeline.ClassSource, false, "http method 'GET'"},
		{400, "", pipeline.ClassSource, false, "bad request"},
		{409, "", pipeline.ClassSource, false, "409"},
		{422, `{"errors":["no"]}`, pipeline.ClassSource, false, "422: no"},
		{408, "", pipeline.ClassTransient, true, "408"},
		{429, "", pipeline.ClassQuota, true, "429"},
		{429, `{"errors":["` + threadText + `"]}`, pipeline.ClassQuota, true, "thread threshold"},
		{500, `{"errors":["` + threadText + `"]}`, pipeline.ClassQuota, true, "thread threshold"},
		{500, `{"errors":["IntegrationCode is invalid"]}`, pipeline.ClassAuth, false, "IntegrationCode"},
		{500, `{"errors":["Zone information could not be determined"]}`, pipeline.ClassAuth, false, "Zone"},
		{500, `{"errors":["The logged in Resource does not have the adequate permissions to do this.\r\n "]}`, pipeline.ClassRights, false, "to do this."},
		{500, `{"errors":["Unable to find projectID in the TimeEntry Entity."]}`, pipeline.ClassSource, false, "projectID"},
		{500, `{"Errors":["Unable to find projectID in the TimeEntry Entity."]}`, pipeline.ClassSource, false, "projectID"},
		{500, `{"errors":[{"message":"Unable to find x"}]}`, pipeline.ClassSource, false, "Unable to find x"},
		{500, `{"errors":["Conversion failed when converting the varchar value 'material' to data type int."]}`, pipeline.ClassSource, false, "material"},
		{500, `{"errors":["maxCountOfRecordsToReturn must be between 1 and 500"]}`, pipeline.ClassSource, false, "maxCount"},
		{500, `{"errors":["Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions."]}`, pipeline.ClassSource, false, "OR"},
		{500, `{"errors":["Transaction was deadlocked"]}`, pipeline.ClassSource, true, "deadlocked"},
		{500, "", pipeline.ClassTransient, true, "500"},
		{500, `{"errors":[]}`, pipeline.ClassTransient, true, "500"},
		{502, "<html>", pipeline.ClassTransient, true, "HTML"},
		{503, "", pipeline.ClassTransient, true, "503"},
		{504, "upstream", pipeline.ClassTransient, true, "504"},
		{204, "", pipeline.ClassSource, true, "204"},
		{301, "", pipeline.ClassSource, false, "redirect"},
	} {
		class, text, again := autotask.Classify(tc.status, tc.body)
		if class != tc.class || again != tc.again || !strings.Contains(text, tc.part) || strings.ContainsAny(text, "\r\n") {
			t.Errorf("%d %s: %s, %q, again %v", tc.status, tc.body, class, text, again)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		after, date string
		want        time.Duration
		ok          bool
	}{
		{"", "", 0, false},
		{"7", "", 7 * time.Second, true},
		{"0", "", time.Second, true},
		{"-5", "", time.Second, true},
		{"soon", "", 0, false},
		{now.Add(2 * time.Minute).Format(http.TimeFormat), "", 2 * time.Minute, true},
		{now.Add(2 * time.Minute).Format(http.TimeFormat), now.Add(time.Minute).Format(http.TimeFormat), time.Minute, true},
		{now.Add(-time.Hour).Format(http.TimeFormat), "", time.Second, true},
	} {
		h := http.Header{}
		h.Set("Retry-After", tc.after)
		h.Set("Date", tc.date)
		if got, ok := autotask.RetryAfter(h, now); got != tc.want || ok != tc.ok {
			t.Errorf("%q at %q: %v, %v", tc.after, tc.date, got, ok)
		}
	}
}

func TestBackoffGrowsWithinBounds(t *testing.T) {
	for attempts := range 100 {
		d := autotask.Backoff(500*time.Millisecond, attempts+1)
		middle := min(500*time.Millisecond<<min(attempts, 16), 30*time.Second)
		if d < middle/2 || d > middle*3/2 {
			t.Errorf("attempt %d: %v", attempts+1, d)
		}
	}
}

// TestRetries answers the first queries with a failure that may pass.
func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		name     string
		answer   func(w http.ResponseWriter) bool
		attempts int
		class    pipeline.Class
	}{
		{"503", func(w http.ResponseWriter) bool { return text(w, 503, "") }, 5, pipeline.ClassTransient},
		{"HTML 500", func(w http.ResponseWriter) bool { return text(w, 500, "<html>") }, 5, pipeline.ClassTransient},
		{"odd 500", func(w http.ResponseWriter) bool { return fail(w, 500, "Deadlock") }, 3, pipeline.ClassSource},
		{"known 500", func(w http.ResponseWriter) bool { return fail(w, 500, "Conversion failed when") }, 1, pipeline.ClassSource},
		{"405", func(w http.ResponseWriter) bool { return text(w, 405, "") }, 1, pipeline.ClassSource},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := 100
				f := newFake(t, 1)
				f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
					return op == "Tickets/query" && n <= bad && tc.answer(w)
				}
				c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.Backoff = 0 })
				began := time.Now()
				_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
				wantError(t, err, tc.class)
				if n := f.calls("Tickets/query"); n != tc.attempts {
					t.Errorf("%d attempts, want %d", n, tc.attempts)
				}
				if d := time.Since(began); tc.attempts == 5 && (d < 3*time.Second || d > 15*time.Second) {
					t.Errorf("took %v", d)
				}
				if tc.attempts == 1 {
					return
				}
				bad = f.calls("Tickets/query") + tc.attempts - 1
				if ids, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil || len(ids) != 1 {
					t.Errorf("a failure that passes: %v, %v", ids, err)
				}
			})
		})
	}
}

func TestRetryBudgetOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			return op == "Tickets/query" && text(w, 503, "")
		}
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.RetryBudget = 6 })
		for range 10 {
			_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
			wantError(t, err, pipeline.ClassTransient)
		}
		if n := f.calls("Tickets/query"); n != 10+6 {
			t.Errorf("%d requests, want 16", n)
		}
		if _, err := c.Login(t.Context()); err != nil { // a new run
			t.Fatal(err)
		}
		before := f.calls("Tickets/query")
		_, _, _ = readIDs(t.Context(), c, pipeline.Slice{})
		if n := f.calls("Tickets/query") - before; n != 5 {
			t.Errorf("%d requests in a new run", n)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(_ http.ResponseWriter, r *http.Request, op string, _ int) bool {
			if op == "Tickets/query" {
				<-r.Context().Done()
			}
			return op == "Tickets/query"
		}
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.Attempts = 2 })
		began := time.Now()
		_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
		wantError(t, err, pipeline.ClassTransient, "no answer from 127.0.0.1:8080 in time")
		if d := time.Since(began).Round(time.Second); d != 240*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			return op == "Tickets/query" && text(w, 429, "")
		}
		c, _ := memoryClient(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, _, err := readIDs(ctx, c, pipeline.Slice{})
		wantError(t, err, pipeline.ClassCanceled)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestHourlyLimit pauses every request of the client, once, however many were under way.
func TestHourlyLimit(t *testing.T) {
	for _, after := range []int{0, 300} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, sequence(1, 10)...)
			began := time.Now()
			wait := 60 * time.Second
			if after > 0 {
				wait = time.Duration(after) * time.Second
			}
			f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
				if !strings.HasSuffix(op, "/query") {
					return false
				}
				time.Sleep(time.Second)
				if time.Since(began) > wait*8/10 {
					return false
				}
				if after > 0 {
					w.Header().Set("Retry-After", strconv.Itoa(after))
				}
				return text(w, 429, "")
			}
			c, _ := memoryClient(t, f, nil)
			var all sync.WaitGroup
			for _, name := range []string{"Tickets", "Roles", "Companies"} {
				all.Go(func() {
					if _, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table(name)}); err != nil {
						t.Error(err)
					}
				})
			}
			time.Sleep(2 * time.Second)
			all.Go(func() { // comes while everything is paused
				if _, err := c.Count(t.Context(), pipeline.Slice{Table: table("Late")}); err != nil {
					t.Error(err)
				}
			})
			all.Wait()
			if d := time.Since(began); d < wait*9/10 || d > wait*12/10+3*time.Second {
				t.Errorf("took %v with a wait of %v", d, wait)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for i, at := range f.times {
				if d := at.Sub(began); d > 2*time.Second && d < wait*9/10 {
					t.Errorf("%s after %v, while paused", f.log[i], d)
				}
			}
			if n := f.n["Tickets/query"] + f.n["Roles/query"] + f.n["Companies/query"]; n != 6 {
				t.Errorf("%d queries", n)
			}
		})
	}
}

func TestHourlyLimitThatStays(t *testing.T) {
	for after, pauses := range map[string]int{"": 10, "7200": 0} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, 1)
			f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
				if op == "ThresholdInformation" {
					return false
				}
				w.Header().Set("Retry-After", after)
				return text(w, 429, "")
			}
			c, _ := memoryClient(t, f, nil)
			_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
			wantError(t, err, pipeline.ClassQuota, "hourly request limit", "all integrations")
			if n := f.calls("Tickets/query"); n > pauses+1 {
				t.Errorf("%d queries", n)
			}
		})
	}
}

// TestThreadLimit answers 429 whenever more than one request is at work on the entity.
func TestThreadLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, sequence(1, 10)...)
		rejected, active := 0, 0
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			if !strings.HasPrefix(op, "Tickets/") {
				return false
			}
			f.mu.Lock()
			crowded := active > 0
			if crowded {
				rejected++
			} else {
				active++
			}
			f.mu.Unlock()
			if crowded {
				return fail(w, 429, threadText)
			}
			time.Sleep(time.Second)
			f.mu.Lock()
			active--
			f.mu.Unlock()
			return false
		}
		c, _ := memoryClient(t, f, nil)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := c.Count(t.Context(), pipeline.Slice{Table: tickets()}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if rejected != 1 {
			t.Errorf("%d rejected requests, want one that teaches", rejected)
		}
		if n := f.calls("ThresholdInformation"); n != 1 {
			t.Errorf("%d thresholds", n)
		}
	})
}

func TestThreadsPerEntity(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, sequence(1, 10)...)
			f.hook = func(http.ResponseWriter, *http.Request, string, int) bool { time.Sleep(time.Second); return false }
			c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.ThreadsPerEntity = threads })
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
					_, err2 := c.Count(t.Context(), pipeline.Slice{Table: tickets()})
					_, err3 := c.Describe(t.Context(), tickets().Entity)
					if err := errors.Join(err, err2, err3); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if f.most["Tickets"] != threads {
				t.Errorf("%d at a time, want %d", f.most["Tickets"], threads)
			}
		})
	}
}

func TestThreadLimitThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			return op == "Tickets/query" && fail(w, 500, threadText)
		}
		c, _ := memoryClient(t, f, nil)
		_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
		wantError(t, err, pipeline.ClassQuota, "thread", "tracking identifier")
	})
}

// TestQuota: others use up the hour; reads wait for as long as the server says so, with a poll each 90 s.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, sequence(1, 10)...)
		f.used = 7400
		var out *outputs
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) {
			var fresh autotask.Config
			fresh, out, _ = baseConfig(t)
			cfg.Logger = fresh.Logger
		})
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil || time.Since(began) > 0 {
			t.Errorf("below the share: %v after %v", err, time.Since(began))
		}
		time.Sleep(2 * time.Minute)
		f.used = 7500
		time.AfterFunc(10*time.Minute, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.used = 7000
		})
		began = time.Now()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if d := time.Since(began); d < 10*time.Minute || d > 12*time.Minute {
			t.Errorf("waited %v", d)
		}
		if n := f.calls("ThresholdInformation"); n < 7 || n > 10 {
			t.Errorf("%d polls", n)
		}
		log := out.String()
		if strings.Count(log, "level=WARN") != 1 || strings.Count(log, "level=INFO") != 1 || !strings.Contains(log, "used=7500") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestQuotaCountsItsOwnRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.used = 7490
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.QuotaWait = 10 * time.Minute })
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			if n == 10 {
				f.used = 7500
			}
			_, err = c.Count(t.Context(), pipeline.Slice{Table: tickets()})
		}
		wantError(t, err, pipeline.ClassQuota, "7500 of the tenant's 10000", "all integrations")
		if n != 11 {
			t.Errorf("%d requests were sent with 10 left", n-1)
		}
	})
}

func TestPollsOnlyWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		c, _ := memoryClient(t, f, nil)
		for range 30 {
			if _, err := c.Count(t.Context(), pipeline.Slice{Table: tickets()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
		}
		if n := f.calls("ThresholdInformation"); n < 8 || n > 12 {
			t.Errorf("%d polls in 15 minutes", n)
		}
		before := f.calls("ThresholdInformation")
		time.Sleep(24 * time.Hour)
		if n := f.calls("ThresholdInformation"); n != before {
			t.Errorf("%d polls while idle", n-before)
		}
	})
}

// TestPollFindsRefusedLogin: the poll's 401 is dealt with like any login's.
func TestPollFindsRefusedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		refused := 0
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
			if op == "zoneInformation" || f.calls("ThresholdInformation") < 2 {
				return false
			}
			refused++
			return unauthorized(w)
		}
		c, held := memoryClient(t, f, nil)
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
		wantError(t, err, pipeline.ClassAuth, "acme/Tickets: query:")
		if refused != 1 || len(held.told) != 1 {
			t.Errorf("%d refused, holds %v", refused, held.told)
		}
	})
}

func TestPollFailureIsNoReasonToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
			return op == "ThresholdInformation" && n > 1 && text(w, 503, "")
		}
		c, _ := memoryClient(t, f, nil)
		for range 3 {
			if _, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
		if n := f.calls("ThresholdInformation"); n != 3 {
			t.Errorf("%d polls", n)
		}
	})
}

func TestTransportErrorsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, sequence(1, 3)...)
		var flaky roundTrip
		n := 0
		flaky = func(r *http.Request) (*http.Response, error) {
			if n++; n%2 == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return inMemory{f}.RoundTrip(r)
		}
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Transport = flaky })
		if ids, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil || len(ids) != 3 {
			t.Errorf("%v, %v", ids, err)
		}
		if got := c.Requests(); got[""] != 2 || got["Tickets"] != 2 {
			t.Errorf("requests %v", got)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
