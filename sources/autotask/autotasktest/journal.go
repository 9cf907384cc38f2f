package autotasktest

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is one entry of the log.
type Request struct {
	Time   time.Time // of arrival, by the simulated clock
	Method string
	Path   string // with the query string
	Entity string // plural name; empty if the request is of no entity
	Op     Op
	ID     int64  // of the row or parent asked for
	Body   string // of a POST, or the search of a GET
	Status int    // 0 while the request runs, or if it ended without an answer
	Rows   int    // sent
	Bytes  int    // of the body before compression
}

// journal keeps the requests and counts them.
type journal struct {
	mu     sync.Mutex
	off    bool
	log    []Request
	first  int            // number of log[0]
	counts map[string]int // by entity name
	total  int
}

func (j *journal) init() { j.counts = map[string]int{} }

func (j *journal) begin(x *exchange, now time.Time) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.total++
	j.counts[x.entityName()]++
	if j.off {
		return -1
	}
	j.log = append(j.log, x.request(now))
	return j.first + len(j.log) - 1
}

func (j *journal) end(x *exchange, resp response) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i := x.id - j.first; x.id >= 0 && i >= 0 && i < len(j.log) {
		j.log[i].Status, j.log[i].Rows, j.log[i].Bytes = resp.status, x.rows, len(resp.body)
	}
}

func (x *exchange) entityName() string {
	if x.route.entity == nil {
		return ""
	}
	return x.route.entity.Name
}

// request describes x.
func (x *exchange) request(now time.Time) Request {
	r := Request{
		Time: now, Method: x.r.Method, Path: x.r.URL.RequestURI(), Entity: x.entityName(),
		Op: x.route.op, ID: x.route.id, Body: string(x.body),
	}
	if r.Method == http.MethodGet && strings.Contains(x.r.URL.RawQuery, "search=") {
		r.Body = x.r.URL.Query().Get("search")
	}
	return r
}

// Requests returns the requests so far by their arrival.
func (h *Handler) Requests() []Request {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	return append([]Request(nil), h.journal.log...)
}

// ResetLog forgets the requests so far, the counters and the peaks.
func (h *Handler) ResetLog() {
	h.journal.mu.Lock()
	h.journal.first += len(h.journal.log)
	h.journal.log, h.journal.total = nil, 0
	clear(h.journal.counts)
	h.journal.mu.Unlock()
	h.limits.mu.Lock()
	clear(h.limits.peak)
	h.limits.mu.Unlock()
}

// RequestCounts returns how many requests each entity has had, refused ones included. The key "" counts
// those of no entity. It works without the log, too.
func (h *Handler) RequestCounts() map[string]int {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	return maps.Clone(h.journal.counts)
}

// RequestCount returns how many requests there were in all.
func (h *Handler) RequestCount() int {
	h.journal.mu.Lock()
	defer h.journal.mu.Unlock()
	return h.journal.total
}
