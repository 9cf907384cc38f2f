package autotask

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// pollEvery is how often ThresholdInformation may be asked: the poll counts, and has a thread limit of its own (api.md §7).
const pollEvery = 90 * time.Second

// usage is the quota as the server counts it: all integrations of the tenant's database together.
type usage struct {
	threshold  int64 // requests allowed per window; 0: unknown
	used       int64 // in the current window
	windowMins int64
}

// quota keeps the client within its share of the tenant's hourly requests. Whoever sends a request waits here first.
type quota struct {
	share   float64
	maxWait time.Duration
	log     *slog.Logger
	ask     func(ctx context.Context) *failure // polls; calls record

	mu          sync.Mutex
	usage       usage
	sent        int64 // by this client since usage was recorded
	polledAt    time.Time
	polling     bool
	waiting     bool // the log has been told
	pausedAt    time.Time
	pausedUntil time.Time
	pauses      int // without progress in between
}

func newQuota(l Limits, log *slog.Logger, ask func(context.Context) *failure) *quota {
	return &quota{share: l.QuotaShare, maxWait: l.QuotaWait, log: log, ask: ask}
}

// wait returns when a request may be sent. One of the callers polls the server's count where it is due.
func (q *quota) wait(ctx context.Context) *failure {
	began := time.Now()
	for {
		d, poll := q.next(ctx, time.Now())
		switch {
		case poll:
			f := q.ask(ctx)
			q.polled()
			if f != nil {
				return f
			}
			continue
		case d <= 0:
			return nil
		case time.Since(began)+d > q.maxWait:
			return &failure{kind: kindFinal, class: pipeline.ClassQuota, err: q.exhausted(time.Since(began)), remedy: remedyQuota}
		}
		if err := sleep(ctx, d); err != nil {
			return &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: err}
		}
	}
}

// exhausted words that waiting did not help.
func (q *quota) exhausted(waited time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.usage.threshold == 0 {
		return fmt.Errorf("the tenant's hourly requests are used up, and waiting for %s did not help", waited.Round(time.Second))
	}
	return fmt.Errorf("%d of the tenant's %d hourly requests are in use by all integrations together, and waiting for %s did not help",
		q.usage.used+q.sent, q.usage.threshold, waited.Round(time.Second))
}

// next says how long to wait, or that the caller should poll.
func (q *quota) next(ctx context.Context, now time.Time) (d time.Duration, poll bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := q.pausedUntil.Sub(now); d > 0 {
		return d, false
	}
	due := q.polledAt.Add(pollEvery).Sub(now)
	if !q.polledAt.IsZero() && due <= 0 && !q.polling {
		q.polling = true
		return 0, true
	}
	over := q.usage.threshold > 0 && float64(q.usage.used+q.sent) >= q.share*float64(q.usage.threshold)
	if over != q.waiting {
		q.waiting = over
		attrs := []any{"used", q.usage.used + q.sent, "threshold", q.usage.threshold, "share", q.share}
		if over {
			q.log.WarnContext(ctx, "waiting: the tenant's requests of this hour, all integrations together, reach atsync's share of them", attrs...)
		} else {
			q.log.InfoContext(ctx, "going on: the tenant's hourly requests have room again", attrs...)
		}
	}
	if !over {
		return 0, false
	}
	return max(due, time.Second), false
}

// record takes over what the server counts.
func (q *quota) record(u usage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.usage, q.sent, q.polledAt = u, 0, time.Now()
}

// polled ends a poll, whether it brought something or not.
func (q *quota) polled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.polling, q.polledAt = false, time.Now()
}

// count notes a request that counts.
func (q *quota) count() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent++
}

// progress notes that the server serves again.
func (q *quota) progress() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if time.Now().After(q.pausedUntil) {
		q.pauses = 0
	}
}

// pause stops everybody for a while. A request that was already under way when the last pause began adds none.
func (q *quota) pause(sent time.Time, d time.Duration) (n int, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pausedAt.IsZero() || sent.After(q.pausedAt) {
		now := time.Now()
		q.pauses++
		q.pausedAt, q.pausedUntil = now, now.Add(d)
		q.log.Warn("pausing: the tenant's hourly request limit is reached", "wait", d.Round(time.Second), "pauses", q.pauses)
	}
	return q.pauses, q.pausedUntil
}
