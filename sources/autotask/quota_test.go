package autotask_test

import (
	"errors"
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
			for i := range 12 { // more than the pauses that a client puts up with
				all.Go(func() {
					if _, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table("Entity" + strconv.Itoa(i))}); err != nil {
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
			if len(f.log)-f.n["ThresholdInformation"] != 2*12+1 {
				t.Errorf("%d requests: %q", len(f.log), f.log)
			}
		})
	}
}

func TestHourlyLimitThatStays(t *testing.T) {
	for after, pauses := range map[string]int{"": 66, "7200": 0} { // one a minute within the patience of an hour
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
		if strings.Count(log, "level=WARN") != 1 || strings.Count(log, "level=INFO") != 1 || !strings.Contains(log, "used=750") { // 7500, or 7501 with the poll that told it
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
