package autotasktest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limits counts requests against the two limits of the service (api.md §7): simultaneous requests for
// each integration code and entity, and requests in the last 60 minutes for the whole database.
type limits struct {
	mu        sync.Mutex
	threads   int            // allowed at a time; 0: any number
	running   map[string]int // by code and entity
	peak      map[string]int // by lower-case entity, refused ones included
	threshold int            // allowed in an hour; 0: any number
	minutes   map[int64]int  // requests by minute since 1970
	latency   time.Duration
	heavy     float64 // scale of the added latency of heavy use; 0: none
	retry     time.Duration
	retryDate bool
}

const window = 60 // minutes

func (l *limits) init() {
	l.threads, l.threshold = 3, 10000
	l.running, l.peak, l.minutes = map[string]int{}, map[string]int{}, map[int64]int{}
}

// enter admits a request, or says why not. leave must be called once when it has been answered.
func (l *limits) enter(x *exchange, now time.Time) (leave func(), refusal *apiError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entity := endpoint(x.route)
	key := x.r.Header.Get("ApiIntegrationCode") + " " + entity
	l.peak[entity] = max(l.peak[entity], l.running[key]+1)
	if l.threads > 0 && l.running[key] >= l.threads {
		return nil, &apiError{status: http.StatusTooManyRequests, texts: []string{
			fmt.Sprintf("The Autotask API thread threshold of %d threads has been exceeded.", l.threads)}}
	}
	if l.threshold > 0 && l.used(now) >= l.threshold { // the service's text is not known
		return nil, &apiError{status: http.StatusTooManyRequests, texts: []string{
			fmt.Sprintf("The Autotask API request threshold of %d requests per %d minutes has been exceeded.", l.threshold, window)}}
	}
	l.minutes[now.Unix()/60]++
	l.running[key]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running[key]--
	}, nil
}

// endpoint names the object that a request's thread belongs to: metadata and counts share their entity's,
// a child path belongs to the child (api.md §7).
func endpoint(r route) string {
	if r.entity != nil {
		return strings.ToLower(r.entity.Name)
	}
	return string(r.op)
}

// used counts the requests of the last 60 minutes and forgets older ones.
func (l *limits) used(now time.Time) int {
	n := 0
	for minute, k := range l.minutes {
		if minute <= now.Unix()/60-window {
			delete(l.minutes, minute)
			continue
		}
		n += k
	}
	return n
}

func (l *limits) usage(now time.Time) (threshold, used int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.threshold, l.used(now)
}

// delay is how long the service takes before it answers.
func (l *limits) delay(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.latency
	if l.heavy > 0 && l.threshold > 0 {
		switch share := float64(l.used(now)) / float64(l.threshold); {
		case share > 0.75:
			d += time.Duration(l.heavy * float64(time.Second))
		case share >= 0.5:
			d += time.Duration(l.heavy * float64(time.Second/2))
		}
	}
	return d
}

// retryAfter is the header of a 429: none, as observed, unless an option wants one (api.md §7).
func (l *limits) retryAfter(now time.Time) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.retry <= 0:
		return nil
	case l.retryDate:
		return map[string]string{"Retry-After": now.Add(l.retry).Format(http.TimeFormat)}
	}
	return map[string]string{"Retry-After": strconv.Itoa(int(l.retry.Round(time.Second) / time.Second))}
}

// UseOthers counts n requests of other integrations, made now; they leave the count after an hour.
func (h *Handler) UseOthers(n int) {
	now := h.Now()
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	h.limits.minutes[now.Unix()/60] += n
}

// Used returns how many requests of the last 60 minutes count against the threshold.
func (h *Handler) Used() int {
	_, used := h.limits.usage(h.Now())
	return used
}

// SetThreshold changes how many requests an hour the database may have; 0 lifts the limit.
func (h *Handler) SetThreshold(n int) {
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	h.limits.threshold = n
}

// SetThreads changes how many requests may run at a time for each entity; 0 lifts the limit.
func (h *Handler) SetThreads(n int) {
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	h.limits.threads = n
}

// SetLatency changes how long every answer that needs a login takes, as WithLatency says.
func (h *Handler) SetLatency(d time.Duration) {
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	h.limits.latency = d
}

// PeakConcurrency returns the most requests to an entity that ran at one time, refused ones included.
func (h *Handler) PeakConcurrency(entity string) int {
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	return h.limits.peak[strings.ToLower(entity)]
}
