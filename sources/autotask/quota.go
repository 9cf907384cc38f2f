package autotask

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
)

const (
	// pollEvery is how often ThresholdInformation may be asked: the poll counts, and has a thread limit of its own (api.md §7).
	pollEvery = 90 * time.Second

	usualThreshold = 10000 // requests per window where the server does not tell (api.md §7)
	usualWindow    = 60    // minutes
	serverThreads  = 3     // requests at a time on one endpoint (api.md §7)
)

// Quotas hands out the Quota of each Autotask database. A process needs one, for all its clients: two users of one
// database share its quota, two databases never do. It is safe for concurrent use.
type Quotas struct {
	mu    sync.Mutex
	known map[string]*Quota
}

// NewQuotas returns an empty registry.
func NewQuotas() *Quotas { return &Quotas{known: map[string]*Quota{}} }

// of returns the quota of the database behind a zone. Where zoneInformation told the database's number (ci), that is
// its identity; where the zone is configured, and so was not asked for, the host and the domain of the user name are.
func (qs *Quotas) of(z Zone, username string) *Quota {
	alias := database(z.BaseURL, "", username)
	ci := ""
	if z.Database != alias {
		ci = z.Database
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.known[z.Database]
	if known := qs.known[alias]; q == nil && known != nil && (known.ci == "" || known.ci == ci) {
		q = known
	}
	if q == nil {
		q = newQuota()
	}
	if ci != "" {
		q.ci = ci
	}
	qs.known[z.Database] = q
	if qs.known[alias] == nil {
		qs.known[alias] = q
	}
	return q
}

// usage is the quota as the server counts it: all integrations of the database together.
type usage struct {
	threshold  int64 // requests allowed per window; 0: not told
	used       int64 // in the current window
	windowMins int64
}

// Quota admits the requests of one Autotask database, of all clients in this process together: to the hour's
// requests, which all integrations share, and to the threads of each endpoint. What waits goes on by priority. It is
// safe for concurrent use.
//
// Own requests are counted here, from when they are admitted until a whole window after they ended, so that nothing
// that the server may still count is forgotten between polls. What others use is the server's count less that.
type Quota struct {
	ci string // of the database, if it is known; guarded by Quotas.mu

	mu      sync.Mutex
	sent    ledger
	flying  [priorities]int64 // admitted, not ended
	usage   usage             // as the server told last
	others  int64             // requests of other integrations in the window, by the last count
	readAt  time.Time         // when that was; zero: never
	polling bool

	pausedAt    time.Time
	pausedUntil time.Time
	pauses      int  // without a good answer in between
	suspect     bool // a pause has begun, and no request has passed since
	probing     bool // the one request is under way that finds out

	endpoints map[string]*endpoint
	waiting   [priorities]int // requests that are not admitted yet
	changed   chan struct{}   // closed and replaced whenever one of them may go on
}

const priorities = int(pipeline.Backfill) + 1

func newQuota() *Quota {
	return &Quota{endpoints: map[string]*endpoint{}, changed: make(chan struct{}), sent: newLedger(),
		usage: usage{threshold: usualThreshold, windowMins: usualWindow}}
}

// record takes over what the server counts. The request that asked must not have ended yet.
func (q *Quota) record(u usage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.readAt = now
	defer q.wake()
	if u.threshold <= 0 { // the user may not read it
		return
	}
	if u.windowMins < 1 || u.windowMins > 24*60 {
		u.windowMins = usualWindow
	}
	q.usage = u
	// Requests under way may not be counted there yet, but for the one that asked; and what is about to leave the
	// window may have left it there.
	q.others = max(0, u.used-q.sent.within(now, u.windowMins-1)-1)
}

// polled ends a poll, whether it brought something or not.
func (q *Quota) polled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.polling, q.readAt = false, time.Now()
	q.wake()
}

// own counts the requests of this process that the server may have in its window.
func (q *Quota) own(now time.Time) int64 {
	n := q.sent.within(now, q.usage.windowMins)
	for _, flying := range q.flying {
		n += flying
	}
	return n
}

// limit is the number of requests in the window at which a share is used up.
func (q *Quota) limit(share float64) int64 {
	return int64(math.Floor(share * float64(q.usage.threshold)))
}

// wake lets everything that waits look again.
func (q *Quota) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// figures is a Quota at one moment.
type figures struct {
	usage
	own, others int64
	pausedUntil time.Time
}

// inUse is how many requests the server may have in its window.
func (f figures) inUse() int64 { return f.own + f.others }

func (q *Quota) figures() figures {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	f := figures{usage: q.usage, own: q.own(now), others: q.others}
	if q.pausedUntil.After(now) {
		f.pausedUntil = q.pausedUntil
	}
	return f
}

// endpoint is the object that threads are counted for, by integration code (api.md §7).
type endpoint struct {
	limit int // lowered when the server says that there were too many
	used  int
	lower int // of these, how many have a priority below Live
}

// room reports whether one more request of a priority may run, where its client wants at most so many threads. What
// is not live leaves one thread to live requests.
func (e *endpoint) room(p pipeline.Priority, threads int) bool {
	limit := min(e.limit, threads)
	return e.used < limit && (p == pipeline.Live || e.lower < max(1, limit-1))
}

// restore gives the lowered threads of an integration code back.
func (q *Quota) restore(code string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, e := range q.endpoints {
		if strings.HasPrefix(key, code) {
			e.limit = serverThreads
		}
	}
	q.wake()
}
