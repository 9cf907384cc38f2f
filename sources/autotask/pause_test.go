package autotask_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

// TestSharedQuota: users of one database share its quota, its pauses and, with one integration code, its threads;
// two databases share nothing.
func TestSharedQuota(t *testing.T) {
	for _, same := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			quotas := autotask.NewQuotas()
			f := newFake(t, 1)
			ci := map[bool]string{true: "7", false: "8"}[same]
			f.hook = func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
				switch {
				case op == "zoneInformation":
					id := "7"
					if n > 1 {
						id = ci
					}
					return text(w, 200, `{"zoneName":"AE02","url":"http://`+r.Host+`/ATServicesRest/","ci":`+id+`}`)
				case op == "Live/query/count" && n == 1:
					return text(w, 429, "")
				}
				time.Sleep(time.Second)
				return false
			}
			var clients []*autotask.Client
			for range 2 {
				c, _ := memoryClient(t, f, func(cfg *autotask.Config) {
					cfg.Quotas, cfg.Zone, cfg.DiscoveryURL = quotas, "", "http://127.0.0.1:8080"
				})
				if _, err := c.Login(t.Context()); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, c)
			}
			began := time.Now()
			var all sync.WaitGroup
			all.Go(func() {
				if err := count(t, clients[0], pipeline.Live); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
			for i := range 6 {
				all.Go(func() {
					if _, err := clients[i%2].Count(t.Context(), pipeline.Slice{Table: tickets()}); err != nil {
						t.Error(err)
					}
					if waited := time.Since(began) > 30*time.Second; i%2 == 1 && waited != same {
						t.Errorf("same database %v: the other user's request waited: %v", same, waited)
					}
				})
			}
			all.Wait()
			if got := f.most["Tickets"]; got != 2 {
				t.Errorf("same database %v: %d requests at a time", same, got)
			}
			if own := clients[1].Quota(); (own.UsedAfter > 100+3+1) != same {
				t.Errorf("same database %v: %+v", same, own)
			}
		})
	}
}

// TestUntoldThreshold: a user who may not read the threshold is held to the usual one.
func TestUntoldThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			return op == "ThresholdInformation" && text(w, 404, "")
		}
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.QuotaWait = time.Second })
		var err error
		for err == nil {
			err = count(t, c, pipeline.Live)
		}
		wantError(t, err, pipeline.ClassQuota, "10000 hourly requests")
		if n := f.calls("Live/query/count"); n < 7490 || n > 7500 {
			t.Errorf("%d requests", n)
		}
		if use := c.Quota(); use.Threshold != 0 || use.Own.Live < 7490 {
			t.Errorf("%+v", use)
		}
	})
}

// TestRetryAfterOfTheHour: in seconds or as a date, and at most an hour; refused requests stay few however short it is.
func TestRetryAfterOfTheHour(t *testing.T) {
	for _, tc := range []struct {
		after    func() string
		min, max time.Duration
		probes   int
	}{
		{func() string { return "" }, 54 * time.Second, 66 * time.Second, 1},
		{func() string { return "90" }, 90 * time.Second, 91 * time.Second, 1},
		{func() string { return time.Now().Add(5 * time.Minute).UTC().Format(http.TimeFormat) }, 299 * time.Second, 301 * time.Second, 1},
		{func() string { return "99999999" }, time.Hour, time.Hour, 1},
		{func() string { return "0" }, 30 * time.Minute, 32 * time.Minute, 45},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, 1)
			began := time.Now()
			f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
				if op != "Live/query/count" || time.Since(began) >= tc.min {
					return false
				}
				w.Header().Set("Retry-After", tc.after())
				return text(w, 429, "")
			}
			c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.QuotaWait = 2 * time.Hour })
			if err := count(t, c, pipeline.Live); err != nil {
				t.Error(err)
			}
			if d := time.Since(began); d < tc.min || d > tc.max {
				t.Errorf("Retry-After %q: went on after %v", tc.after(), d)
			}
			if n := f.calls("Live/query/count") - 1; n < 1 || n > tc.probes {
				t.Errorf("Retry-After %q: %d refused", tc.after(), n)
			}
		})
	}
}

// TestProbeThatFails: a probe that brings no answer is followed by another one, not by everybody.
func TestProbeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		n := 0
		var probing int
		broken := roundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/query/count") {
				return inMemory{f}.RoundTrip(r)
			}
			f.mu.Lock()
			n++
			k := n
			f.mu.Unlock()
			switch {
			case k <= 4:
				time.Sleep(time.Second)
			case k <= 7: // probes
				f.mu.Lock()
				probing++
				if probing > 1 {
					t.Errorf("%d probes at a time", probing)
				}
				f.mu.Unlock()
				time.Sleep(time.Second)
				f.mu.Lock()
				probing--
				f.mu.Unlock()
				return nil, fmt.Errorf("no answer")
			}
			return inMemory{f}.RoundTrip(r)
		})
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, k int) bool {
			return strings.HasSuffix(op, "/query/count") && k == 1 && n <= 4 && text(w, 429, "")
		}
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Transport = broken })
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if _, err := c.Count(t.Context(), pipeline.Slice{Table: table(fmt.Sprint("Entity", i))}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}
