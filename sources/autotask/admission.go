package autotask

import (
	"context"
	"fmt"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// yardstick says which count a request must leave room in.
type yardstick uint8

const (
	byAll  yardstick = iota // the server's window, with all integrations in it
	byOwn                   // what atsync has sent: for requests that ask for the server's count
	byNone                  // for the proof of a login, which can't wait
)

// ticket is a request that wants to be sent.
type ticket struct {
	endpoint string // with the fingerprint of the integration code
	threads  int    // that its client wants to use there
	priority pipeline.Priority
	by       yardstick
	share    float64 // of the threshold at which it waits
	queued   bool    // counted in Quota.waiting
}

// obstacle is what a request waits for.
type obstacle struct {
	reason reason
	again  time.Duration // when to look again at the latest; 0: when something changes
}

type reason uint8

const (
	forTurn   reason = iota + 1 // something more urgent waits
	forThread                   // its endpoint is busy
	forProbe                    // another request finds out whether the pause is over
	forPause                    // Autotask refuses requests
	forShare                    // its share of the hour is used up
)

// quota reports whether the hour's requests are what is waited for.
func (r reason) quota() bool { return r >= forProbe }

// permit is a request that may be sent. It must end in done or cancel.
type permit struct {
	q        *Quota
	ticket   *ticket
	endpoint *endpoint
	at       time.Time
	probe    bool
}

// admit gives a permit if the request may be sent now; or it says that the caller must poll first, and call
// polled; or what the request waits for, and a channel that is closed when it should look again.
func (q *Quota) admit(t *ticket) (p *permit, poll bool, o obstacle, changed <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	e := q.endpoints[t.endpoint]
	if e == nil {
		e = &endpoint{limit: serverThreads}
		q.endpoints[t.endpoint] = e
	}
	o, poll = q.obstacle(t, e, now)
	switch {
	case poll:
		q.polling = true
		return nil, true, o, nil
	case o.reason != 0:
		if !t.queued {
			t.queued = true
			q.waiting[t.priority]++
		}
		return nil, false, o, q.changed
	}
	q.unqueue(t)
	q.flying[t.priority]++
	e.used++
	if t.priority != pipeline.Live {
		e.lower++
	}
	p = &permit{q: q, ticket: t, endpoint: e, at: now, probe: q.suspect}
	q.probing = q.probing || p.probe
	return p, false, o, nil
}

// obstacle finds what stands in a request's way, if anything does.
func (q *Quota) obstacle(t *ticket, e *endpoint, now time.Time) (o obstacle, poll bool) {
	if d := q.pausedUntil.Sub(now); d > 0 {
		return obstacle{forPause, d}, false
	}
	if q.suspect && (q.probing || q.polling && t.by == byAll) {
		return obstacle{reason: forProbe}, false
	}
	for p := range t.priority {
		if q.waiting[p] > 0 && t.by == byAll {
			return obstacle{reason: forTurn}, false
		}
	}
	if !e.room(t.priority, t.threads) {
		return obstacle{reason: forThread}, false
	}
	if t.by == byNone {
		return o, false
	}
	used, limit := q.own(now), q.limit(t.share)
	due := q.readAt.Add(pollEvery).Sub(now)
	askable := t.by == byAll && !q.readAt.IsZero() && used < limit // else the server's count would not help
	if askable && due <= 0 && !q.polling {
		return o, true
	}
	if t.by == byAll {
		used += q.others
	}
	if used < limit {
		return o, false
	}
	o = obstacle{forShare, q.sent.expires(now, q.usage.windowMins)}
	if askable && due > 0 && (o.again == 0 || due < o.again) {
		o.again = due
	}
	return o, false
}

// unqueue ends the wait of a ticket.
func (q *Quota) unqueue(t *ticket) {
	if t.queued {
		t.queued = false
		q.waiting[t.priority]--
		q.wake()
	}
}

// leave is unqueue for a request that gives up.
func (q *Quota) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unqueue(t)
}

// ending is what became of an admitted request.
type ending struct {
	answered bool          // the server let it pass, whatever it said
	hour     bool          // the server refused it because of the hour's limit
	threads  bool          // … or of the endpoint's threads
	wait     time.Duration // before the next attempt, if the hour's limit is reached
}

// done takes the permit of a request back that was sent.
func (p *permit) done(end ending) {
	q := p.q
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.sent.add(now, p.ticket.priority, q.usage.windowMins)
	if end.threads {
		p.endpoint.limit = max(1, min(p.endpoint.limit, p.ticket.threads)-1)
	}
	switch {
	case end.hour:
		q.pause(p.at, now, end.wait)
	case end.answered && p.probe && p.ticket.by == byAll: // that the count can be read does not say that there is room
		q.suspect = false
	}
	if end.answered && !q.suspect && p.ticket.by == byAll {
		q.pauses = 0
	}
	p.free()
}

// cancel takes the permit of a request back that was not sent.
func (p *permit) cancel() {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.free()
}

func (p *permit) free() {
	p.q.flying[p.ticket.priority]--
	p.endpoint.used--
	if p.ticket.priority != pipeline.Live {
		p.endpoint.lower--
	}
	if p.probe {
		p.q.probing = false
	}
	p.q.wake()
}

// pause stops everybody for a while. A request that was already under way when the last pause began adds none.
// After the pause one request finds out whether the server serves again; only then do the others go on.
func (q *Quota) pause(admitted, now time.Time, d time.Duration) {
	if !q.pausedAt.IsZero() && !admitted.After(q.pausedAt) {
		return
	}
	q.pauses++
	if q.pauses > mostPauses {
		d = max(d, leastPause) // whatever the server asks for, refused requests stay few
	}
	q.pausedAt, q.pausedUntil, q.suspect = now, now.Add(min(d, longestPause)), true
}

// acquire waits until a request may be sent. Its patience is that of its priority, for all its attempts together.
func (c *Client) acquire(ctx context.Context, rq *request, t *tries) (*permit, *failure) {
	q, tk := c.quota.Load(), c.ticket(rq)
	told := false
	defer func() {
		q.leave(tk)
		if told {
			c.waits.end(ctx, c)
		}
	}()
	for {
		p, poll, o, changed := q.admit(tk)
		if p != nil {
			return p, nil
		}
		if poll {
			f := c.poll(ctx, rq.priority)
			q.polled()
			if f != nil {
				return nil, f
			}
			continue
		}
		if patience := c.patience(rq); o.reason.quota() && t.waited+o.again >= patience {
			return nil, &failure{kind: kindSpent, class: pipeline.ClassQuota, remedy: remedyQuota,
				err: q.figures().exhausted(o, tk, t.waited, patience)}
		}
		if o.reason.quota() && !told && rq.mode != modePoll {
			told = true
			c.waits.begin(ctx, c, q.figures(), o, tk)
		}
		began := time.Now()
		if err := await(ctx, changed, o.again); err != nil {
			return nil, &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: err}
		}
		if o.reason.quota() {
			t.waited += time.Since(began)
		}
	}
}

// await waits for a change, for d at most unless that is 0.
func await(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	var due <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-due:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// ticket says what a request needs.
func (c *Client) ticket(rq *request) *ticket {
	t := &ticket{endpoint: c.code + "/" + rq.endpoint(), threads: c.limits.ThreadsPerEntity, priority: rq.priority, share: c.share(rq.priority)}
	if rq.entity == "" {
		t.threads = 1 // thresholds have a thread limit of their own, and nothing here is in a hurry (api.md §7)
	}
	switch rq.mode {
	case modeLogin, modePoll:
		t.by = byOwn
	case modeProof:
		t.by = byNone
	}
	return t
}

// share is how far a priority may fill the database's window.
func (c *Client) share(p pipeline.Priority) float64 {
	if p == pipeline.Live {
		return c.limits.QuotaShare
	}
	return c.limits.BackgroundShare
}

// patience is how long a request may wait for quota.
func (c *Client) patience(rq *request) time.Duration {
	switch {
	case rq.mode == modePoll:
		return 0
	case rq.priority == pipeline.Live:
		return c.limits.QuotaWait
	}
	return c.limits.BackgroundWait
}

// exhausted words that waiting does not help.
func (f figures) exhausted(o obstacle, t *ticket, waited, patience time.Duration) error {
	vain := fmt.Sprintf("waiting for %s did not help", waited.Round(time.Second))
	if waited+o.again > patience && o.again > 0 {
		vain = fmt.Sprintf("the next chance is in %s, and this waits %s at most", o.again.Round(time.Second), patience.Round(time.Second))
	}
	if o.reason != forShare {
		return fmt.Errorf("the hourly request limit is reached (HTTP 429); %s", vain)
	}
	return fmt.Errorf("%d of the tenant's %d hourly requests are in use by all integrations together (%d of them by this process), "+
		"%s requests wait from %.0f %% on; %s", f.inUse(), f.threshold, f.own, t.priority, t.share*100, vain)
}
