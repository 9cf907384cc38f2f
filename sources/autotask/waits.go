package autotask

import (
	"context"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// waitsAgain is for how long the log is not told again that requests wait: where the hour is nearly used up they
// do so every minute.
const waitsAgain = 10 * time.Minute

// waits knows how many of a client's requests wait for quota, and for how long some have.
type waits struct {
	mu    sync.Mutex
	n     int
	since time.Time // when the first of them began
	total time.Duration
	told  time.Time // when the log was told; zero: not yet
	open  bool      // and has not been told that they go on
}

// begin notes that a request waits, and tells trace and log if it is the first.
func (w *waits) begin(ctx context.Context, c *Client, f figures, o obstacle, t *ticket) {
	now := time.Now()
	until := now.Add(time.Duration(f.windowMins) * time.Minute)
	if o.reason == forPause {
		until = now.Add(o.again)
	}
	w.mu.Lock()
	w.n++
	first := w.n == 1
	tell := first && (w.told.IsZero() || now.Sub(w.told) >= waitsAgain)
	if first {
		w.since = now
	}
	if tell {
		w.told, w.open = now, true
	}
	w.mu.Unlock()
	if first && c.trace.Waiting != nil {
		c.trace.Waiting(pipeline.QuotaWait{Waiting: true, Priority: t.priority, Used: f.inUse(), Threshold: f.threshold, Until: until.UTC()})
	}
	if !tell {
		return
	}
	attrs := []any{"used", f.inUse(), "threshold", f.threshold, "priority", t.priority.String(), "until_at_the_latest", until.UTC().Format(time.RFC3339)}
	if o.reason == forShare {
		c.log.WarnContext(ctx, "waiting: the hourly requests of the tenant's database, all integrations together, reach the share of this work",
			append(attrs, "own", f.own, "share", t.share)...)
		return
	}
	c.log.WarnContext(ctx, "waiting: Autotask refuses requests, because the hourly limit of the tenant's database is reached", attrs...)
}

// end notes that a request waits no longer.
func (w *waits) end(ctx context.Context, c *Client) {
	w.mu.Lock()
	w.n--
	last := w.n == 0
	tell := last && w.open
	if last {
		w.total += time.Since(w.since)
		w.open = false
	}
	w.mu.Unlock()
	if last && c.trace.Waiting != nil {
		c.trace.Waiting(pipeline.QuotaWait{})
	}
	if tell && ctx.Err() == nil {
		c.log.InfoContext(ctx, "going on: the hourly requests have room again")
	}
}

// waited is how long some request has waited since the last renew.
func (w *waits) waited() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n > 0 {
		return w.total + time.Since(w.since)
	}
	return w.total
}

// renew begins to count anew.
func (w *waits) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total = 0
	if w.n > 0 {
		w.since = time.Now()
	}
}

// tally is what a client has asked of its database since its last login began.
type tally struct {
	own            [priorities]int64
	before         int64 // in the window, as the login was told
	counted        bool  // it was told
	hour, threaded int64 // answers that said too many
}

// Quota returns what the client has taken of its database's hourly requests since its last login began. It sends nothing.
func (c *Client) Quota() pipeline.QuotaUse {
	c.mu.Lock()
	t := c.tally
	c.mu.Unlock()
	u := pipeline.QuotaUse{
		Own:           pipeline.ByPriority{Live: t.own[pipeline.Live], Verify: t.own[pipeline.Verify], Backfill: t.own[pipeline.Backfill]},
		WaitedSeconds: c.waits.waited().Seconds(), HourRefusals: t.hour, ThreadRefusals: t.threaded,
	}
	q := c.quota.Load()
	if q == nil {
		return u
	}
	f := q.figures()
	u.Database, u.WindowMins, u.PausedUntil = c.session.zone().Database, f.windowMins, f.pausedUntil.UTC()
	if f.pausedUntil.IsZero() {
		u.PausedUntil = time.Time{}
	}
	if t.counted {
		u.Threshold, u.UsedBefore, u.UsedAfter = f.threshold, t.before, f.inUse()
		background := int64(c.limits.BackgroundShare * float64(f.threshold))
		u.Limits = pipeline.ByPriority{Live: int64(c.limits.QuotaShare * float64(f.threshold)), Verify: background, Backfill: background}
	}
	return u
}
