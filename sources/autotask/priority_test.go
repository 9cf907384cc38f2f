package autotask_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

// TestOthersAt74Percent: backfill and verify wait until the window frees, however long that takes; live goes on up
// to its own share, and then waits, too.
func TestOthersAt74Percent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(t, 1000)
		d.use(740)
		c, _ := memoryClient(t, d.fake, func(cfg *autotask.Config) { cfg.Limits.QuotaWait = 3 * time.Minute })
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var mu sync.Mutex
		var freed time.Time
		var background sync.WaitGroup
		for _, p := range []pipeline.Priority{pipeline.Verify, pipeline.Backfill} {
			background.Go(func() {
				if err := count(t, c, p); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				freed = time.Now()
			})
		}
		time.Sleep(time.Minute)
		for i := range 9 - 1 { // with the login and a poll on the way
			if err := count(t, c, pipeline.Live); err != nil {
				t.Fatalf("live request %d of 8: %v", i, err)
			}
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("live requests took %v", d-time.Minute)
		}
		var err error
		for err == nil {
			err = count(t, c, pipeline.Live)
		}
		wantError(t, err, pipeline.ClassQuota, "of the tenant's 1000 hourly requests", "live requests wait from 75 % on", "all integrations")
		if n := d.count("Live"); n < 8 || n > 9 {
			t.Errorf("%d live requests, want up to 75 %%", n)
		}
		if n := d.count("Verify") + d.count("Backfill"); n != 0 {
			t.Errorf("%d requests of lower priority", n)
		}
		background.Wait()
		if took := freed.Sub(began); took < 59*time.Minute || took > 64*time.Minute {
			t.Errorf("backfill went on after %v", took)
		}
		if n := d.count("ThresholdInformation"); n > 1+64*60/90 {
			t.Errorf("%d polls", n)
		}
		if use := c.Quota(); use.WaitedSeconds < 3500 || use.Own.Backfill < 1 || use.Own.Verify < 1 || use.UsedBefore != 741 ||
			use.Limits != (pipeline.ByPriority{Live: 750, Verify: 400, Backfill: 400}) {
			t.Errorf("quota %+v", use)
		}
		if d.refused > 0 || d.broken != "" {
			t.Errorf("%d refused; %s", d.refused, d.broken)
		}
	})
}

// TestOthersAt100Percent: while others use everything up, one request for each pause finds out whether that is over.
func TestOthersAt100Percent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(t, 1000)
		c, _ := memoryClient(t, d.fake, func(cfg *autotask.Config) { cfg.Limits.QuotaWait = 2 * time.Hour })
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.use(999)
		began := time.Now()
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				if err := count(t, c, pipeline.Priority(i%3)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(59 * time.Minute)
		d.fake.mu.Lock()
		var last time.Time
		burst := 0 // requests that were under way when the first was refused
		for i, at := range d.times {
			switch {
			case at.Equal(began):
				burst++
			case at.After(began) && at.Sub(last) < 50*time.Second:
				t.Errorf("%s after %v, %v after the one before", d.log[i], at.Sub(began), at.Sub(last))
			}
			last = at
		}
		d.fake.mu.Unlock()
		if burst > 13 {
			t.Errorf("%d requests before the pause", burst)
		}
		all.Wait()
		if took := time.Since(began); took > 64*time.Minute {
			t.Errorf("took %v", took)
		}
		if use := c.Quota(); use.HourRefusals < 40 || use.HourRefusals > 80 {
			t.Errorf("refused %d times", use.HourRefusals)
		}
	})
}

// TestNoSharePassed lets random callers of all priorities ask at random moments, with a server of some latency,
// for hours; whatever the moments of the polls, what atsync sends stays within the share of what it sends it for.
func TestNoSharePassed(t *testing.T) {
	seed := testSeed(t)
	for i := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { noSharePassed(t, rand.New(rand.NewPCG(seed+i, 1))) })
		})
	}
}

// testSeed returns the seed of a random test, a new one each time unless ATSYNC_TEST_SEED gives one, and logs it.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given, ok := os.LookupEnv("ATSYNC_TEST_SEED"); ok {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ATSYNC_TEST_SEED=%d", seed)
	return seed
}

func noSharePassed(t *testing.T, r *rand.Rand) {
	threshold := 60 + r.IntN(300)
	d := newDatabase(t, threshold)
	var random sync.Mutex
	between := func(most int64) time.Duration {
		random.Lock()
		defer random.Unlock()
		return time.Duration(r.Int64N(most * int64(time.Millisecond)))
	}
	d.latency = func() time.Duration { return between(3000) }
	quotas := autotask.NewQuotas()
	var clients []*autotask.Client
	for range 1 + r.IntN(2) {
		c, _ := memoryClient(t, d.fake, func(cfg *autotask.Config) {
			cfg.Quotas = quotas
			cfg.Limits.QuotaWait = 48 * time.Hour
		})
		clients = append(clients, c)
	}
	pauses := make([]int64, 3+r.IntN(6)) // between the requests of each caller, at most, in ms
	for i := range pauses {
		pauses[i] = 1 + r.Int64N(60_000)
	}
	var all sync.WaitGroup
	for i, pause := range pauses {
		c := clients[i%len(clients)]
		all.Go(func() {
			for n := range threshold / 3 {
				if err := count(t, c, pipeline.Priority((i+n/20)%3)); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(between(pause))
			}
		})
	}
	all.Wait()
	if d.broken != "" || d.refused > 0 {
		t.Errorf("%d refused; %s", d.refused, d.broken)
	}
	if d.count("Live") == 0 || d.count("Backfill") == 0 {
		t.Errorf("nothing was sent: %v", d.sent)
	}
}

// TestBackfillAlone: with nobody else there, a backfill fills its share with everything that it sends, polls included,
// and polls for nothing while only its own requests stand in its way.
func TestBackfillAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(t, 100)
		c, _ := memoryClient(t, d.fake, nil)
		for range 60 {
			if err := count(t, c, pipeline.Backfill); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, a := range d.own {
			n := 0
			for _, b := range d.own[:i+1] {
				if a.at.Sub(b.at) < time.Hour {
					n++
				}
			}
			if n > 40 {
				t.Fatalf("request %d (%s) is number %d of an hour", i, a.entity, n)
			}
		}
		if n := d.sent["ThresholdInformation"]; n > 30 {
			t.Errorf("%d polls", n)
		}
	})
}

// TestPriorities: what is more urgent goes first when there is room for few.
func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(http.ResponseWriter, *http.Request, string, int) bool { time.Sleep(time.Second); return false }
		c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.ThreadsPerEntity = 1 })
		if _, err := c.Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var done []pipeline.Priority
		var all sync.WaitGroup
		for _, p := range []pipeline.Priority{pipeline.Backfill, pipeline.Backfill, pipeline.Verify, pipeline.Live, pipeline.Verify, pipeline.Live} {
			time.Sleep(time.Millisecond)
			all.Go(func() {
				if _, err := c.Count(t.Context(), pipeline.Slice{Table: tickets(), Priority: p}); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				done = append(done, p)
			})
		}
		all.Wait()
		want := []pipeline.Priority{pipeline.Backfill, pipeline.Live, pipeline.Live, pipeline.Verify, pipeline.Verify, pipeline.Backfill}
		if fmt.Sprint(done) != fmt.Sprint(want) {
			t.Errorf("order %v, want %v", done, want)
		}
	})
}

// TestBackgroundLeavesAThread: of the threads of an endpoint one is kept for live requests, if there are two.
func TestBackgroundLeavesAThread(t *testing.T) {
	for threads := 1; threads <= 3; threads++ {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, 1)
			f.hook = func(http.ResponseWriter, *http.Request, string, int) bool { time.Sleep(time.Second); return false }
			c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.ThreadsPerEntity = threads })
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					if _, err := c.Count(t.Context(), pipeline.Slice{Table: tickets(), Priority: pipeline.Priority(1 + i%2)}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if got, want := f.most["Tickets"], max(1, threads-1); got != want {
				t.Errorf("%d of %d threads, want %d", got, threads, want)
			}
		})
	}
}
