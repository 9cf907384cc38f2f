package autotask

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/atsync/atsync/pipeline"
)

const (
	longestBackoff = 30 * time.Second
	fewAttempts    = 3 // where a repetition rarely helps
	mostPauses     = 10
	longestThread  = 5 * time.Minute // whatever Retry-After says
	leastPause     = time.Minute     // after several in a row
	longestPause   = time.Hour       // the quota's window
)

// tries is what one logical request has been through.
type tries struct {
	attempts int           // that failed and may pass
	pauses   int           // for a thread
	proven   bool          // sent again after the login was proven or the zone moved
	waited   time.Duration // for quota
}

// call sends a request until it has an answer, or a failure that asking again won't cure. Errors are final:
// *pipeline.Error, except in modeProof.
func (c *Client) call(ctx context.Context, rq *request, t *tries) (answer, error) {
	for {
		ans, f := c.attempt(ctx, rq, t)
		if f == nil {
			return ans, nil
		}
		if err := c.settle(ctx, rq, t, f); err != nil {
			return answer{}, err
		}
	}
}

// settle decides on a failure: nil, after a wait, means to ask again; an error is final.
func (c *Client) settle(ctx context.Context, rq *request, t *tries, f *failure) error {
	switch f.kind {
	case kindTransient, kindUnusable:
		return c.again(ctx, rq, t, f, c.limits.Attempts)
	case kindOdd, kindDisorder:
		return c.again(ctx, rq, t, f, min(fewAttempts, c.limits.Attempts))
	case kindThreads:
		return c.yield(ctx, rq, t, f)
	case kindHour:
		if rq.mode == modePoll || rq.anonymous {
			return c.fail(rq, f)
		}
		return nil // the quota has begun a pause, and the next attempt waits for its end
	case kindSpent:
		return c.fail(rq, f)
	}
	if rq.mode == modeProof {
		return f
	}
	switch f.kind {
	case kindUnauthorized, kindRefused:
		if rq.anonymous {
			f.class, f.remedy = pipeline.ClassSource, "zoneInformation needs no login: check autotask.discovery_url and proxies on the way, or set the tenant's zone"
			return c.fail(rq, f)
		}
		return c.reauthorize(ctx, rq, t, f)
	case kindUnknownUser:
		f.err = fmt.Errorf("this user name is not known to Autotask: %w", f.err)
		f.remedy = "set username to the Username (Key) of the API user; no login was tried. " +
			"If it is right, set the tenant's zone (the number in your ww3.autotask.net address: webservices3)"
	case kindNotFound:
		return c.notFound(ctx, rq, f)
	}
	return c.fail(rq, f)
}

// again waits before the next attempt, if the request and the run have any left.
func (c *Client) again(ctx context.Context, rq *request, t *tries, f *failure, most int) error {
	t.attempts++
	if t.attempts >= most {
		f.err = fmt.Errorf("%w (after %d attempts)", f.err, t.attempts)
		return c.fail(rq, f)
	}
	if !c.spend() {
		f.err = fmt.Errorf("%w (and this run has used up its %d retries)", f.err, c.limits.RetryBudget)
		return c.fail(rq, f)
	}
	wait := backoff(c.limits.Backoff, t.attempts)
	if asked, ok := retryAfter(f.answer.header, time.Now()); ok {
		wait = min(max(wait, asked), longestPause)
	}
	return c.sleep(ctx, rq, t.attempts, wait, f)
}

// yield waits for a thread; attempt has taken one away from the entity for the rest of the run.
func (c *Client) yield(ctx context.Context, rq *request, t *tries, f *failure) error {
	t.pauses++
	if t.pauses > mostPauses {
		f.err = fmt.Errorf("%w (and again after %d pauses, with fewer requests at a time)", f.err, mostPauses)
		f.remedy = "another integration with the same integration code uses up the threads of this entity: run at another time, " +
			"or give atsync a tracking identifier of its own"
		return c.fail(rq, f)
	}
	wait := jitter(c.limits.ThreadPause * time.Duration(t.pauses))
	if asked, ok := retryAfter(f.answer.header, time.Now()); ok {
		wait = min(asked, longestThread)
	}
	c.log.WarnContext(ctx, "Autotask's thread limit is reached; going on with fewer", "entity", rq.entity, "wait", wait.Round(time.Second))
	return c.sleep(ctx, rq, t.pauses, wait, f)
}

// sleep tells the trace and waits.
func (c *Client) sleep(ctx context.Context, rq *request, attempt int, wait time.Duration, f *failure) error {
	cause := c.clean(f.err)
	if c.trace.Retry != nil {
		c.trace.Retry(rq.entity, rq.op, attempt, wait, cause)
	}
	c.log.DebugContext(ctx, "asking again", "entity", rq.entity, "op", rq.op, "attempt", attempt, "wait", wait, "cause", cause)
	if err := sleep(ctx, wait); err != nil {
		return c.canceled(rq.entity, rq.op, err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff is base doubled per failed attempt, within bounds, ± half.
func backoff(base time.Duration, attempts int) time.Duration {
	wait := min(base<<min(attempts-1, 16), longestBackoff)
	return wait/2 + rand.N(wait+1)
}

// jitter is d ± a tenth.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// retryAfter reads Retry-After, in seconds or as a date on the server's clock; it is at least a second.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(time.Second, time.Duration(n)*time.Second), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if server, err := http.ParseTime(h.Get("Date")); err == nil {
		now = server
	}
	return max(time.Second, at.Sub(now)), true
}

// notFound tells an entity that the tenant's zone does not have from a call that it does not have: the
// entity's metadata route is there for every entity.
func (c *Client) notFound(ctx context.Context, rq *request, f *failure) error {
	if rq.entity == "" {
		f.remedy = "check the tenant's zone and autotask.discovery_url"
		return c.fail(rq, f)
	}
	if rq.op == opUDFs || rq.op == opChildren {
		return c.fail(rq, f) // its fields were there a moment ago; parents may have no children
	}
	if rq.op != opFields {
		probe := &request{entity: rq.entity, op: opFields, priority: rq.priority, method: http.MethodGet, limit: c.limits.MetadataBytes,
			path: rq.root() + "/entityInformation/fields"}
		ans, err := c.call(ctx, probe, &tries{})
		c.drop(ans)
		if pipeline.ClassOf(err) != pipeline.ClassAbsent {
			if err == nil {
				return c.fail(rq, f)
			}
			return errors.Join(c.fail(rq, f), err)
		}
	}
	f.class, f.err = pipeline.ClassAbsent, errors.New("this tenant's zone does not have the entity (HTTP 404)")
	f.remedy = "leave it out of sync.entities, or ignore this: it is read as soon as it is there"
	return c.fail(rq, f)
}
