package autotask_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
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
