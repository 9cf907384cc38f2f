package autotasktest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const jsonType = "application/json; charset=utf-8"

// Handler answers the API's requests. It is an http.Handler; [NewServer] gives it a port.
// All methods may be called at any time, also while requests run.
type Handler struct {
	Username        string // of the API user
	IntegrationCode string // API tracking identifier
	Secret          string

	base          string // scheme and host, or empty: taken from each request
	data          *Data
	routes        *routes
	emptyLastPage bool
	omitUDFs      bool
	gzip          bool
	noZone        bool

	auth    auth
	limits  limits
	faults  faults
	journal journal
	buffers buffers

	mu      sync.RWMutex
	clock   func() time.Time
	denied  map[string]Denial // by lower-case entity
	gone    map[string]bool
	sights  map[string]func(Row) bool // rows that the user may see, by lower-case entity; nil: none
	zone    Zone
	version []string

	done   chan struct{} // closed by Close
	closed bool          // guarded by mu, as is adding to active
	active sync.WaitGroup
}

// NewHandler returns a handler; see the options for its defaults.
func NewHandler(opts ...Option) *Handler {
	h := &Handler{
		Username:        "kq7d3xmw2v9zt4p@northwind-msp.example",
		IntegrationCode: "SIMULATEDTRACKINGIDENTIFIER",
		Secret:          "q$7~vT*2m#Kd@9Lw!x4Rz#8Fb",
		routes:          newRoutes(),
		gzip:            true,
		clock:           time.Now,
		denied:          map[string]Denial{},
		gone:            map[string]bool{},
		sights:          map[string]func(Row) bool{},
		zone:            Zone{Name: "AE02", Number: 14, Database: 632538},
		version:         []string{"V1.0", "V2.0"},
		done:            make(chan struct{}),
	}
	h.auth.maxFailures = 5
	h.limits.init()
	h.journal.init()
	for _, o := range opts {
		o(h)
	}
	if h.data == nil {
		h.data = NewData()
	}
	h.data.SetClock(h.Now)
	if h.noZone {
		h.data.SetDatesWithoutZone(true)
	}
	h.auth.add(h.Username, h.IntegrationCode, h.Secret)
	return h
}

// Data returns the rows that the handler answers from.
func (h *Handler) Data() *Data { return h.data }

// Now returns the simulated time, in UTC.
func (h *Handler) Now() time.Time {
	h.mu.RLock()
	now := h.clock
	h.mu.RUnlock()
	return now().UTC()
}

// SetClock replaces the clock behind the Date header, change stamps and the hourly limit.
func (h *Handler) SetClock(now func() time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = now
}

// Close ends requests that hang and waits for all requests to return.
func (h *Handler) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	h.mu.Unlock()
	h.active.Wait()
}

// enter counts a request as running; after Close there are no more.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.active.Add(1)
	}
	return !h.closed
}

// RemoveEntity makes an entity unknown to this zone: its routes answer 404.
func (h *Handler) RemoveEntity(entity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone[strings.ToLower(entity)] = true
}

// RestoreEntity undoes RemoveEntity.
func (h *Handler) RestoreEntity(entity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.gone, strings.ToLower(entity))
}

func (h *Handler) removed(entity string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.gone[strings.ToLower(entity)]
}

// exchange is one request on its way.
type exchange struct {
	h      *Handler
	r      *http.Request
	route  route
	body   []byte
	search *string // query that stands for a child list
	edit   pageEdit
	send   func(w http.ResponseWriter, r *http.Request, resp response) // nil: plainly
	leave  func()                                                      // frees the request's thread
	ready  time.Time                                                   // when the service has taken its time
	rows   int
	id     int // in the journal
}

// response is an answer before it is written.
type response struct {
	status      int
	contentType string // empty: no body
	body        []byte
	header      map[string]string
	pooled      bool // body goes back to the buffers
}

func (x *exchange) entity() string { return x.route.entity.Name }

func (x *exchange) ctx() context.Context { return x.r.Context() }

func (x *exchange) json(body []byte) response {
	return response{status: 200, contentType: jsonType, body: body}
}

// fail turns a refusal into an answer.
func (x *exchange) fail(e *apiError) response {
	resp := response{status: e.status}
	switch {
	case e.html:
		resp.contentType, resp.body = "text/html", []byte(notFoundPage)
	case e.message != "":
		resp.contentType, resp.body = jsonType, append(appendKey([]byte{'{'}, "Message", e.message), '}')
	case len(e.texts) > 0:
		b := []byte(`{"errors":[`)
		for i, text := range e.texts {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, text)
		}
		resp.contentType, resp.body = jsonType, append(b, "]}"...)
	}
	return resp
}

const notFoundPage = `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>404 - File or directory not found.</title></head>
<body><div id="header"><h1>Server Error</h1></div><h2>404 - File or directory not found.</h2>
<h3>The resource you are looking for might have been removed, had its name changed, or is temporarily unavailable.</h3></body></html>
`

// ServeHTTP answers one request of the API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		panic(http.ErrAbortHandler)
	}
	defer h.active.Done()
	x := &exchange{h: h, r: r, route: h.routes.parse(r.URL.Path)}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		return // the client went away in the middle of its request
	}
	x.body = body
	x.id = h.journal.begin(x, h.Now())
	x.leave = func() {}
	defer func() { x.leave() }()
	resp := h.answer(x)
	h.journal.end(x, resp)
	h.write(w, x, resp)
	if resp.pooled {
		h.buffers.give(resp.body)
	}
}

// write sends resp, as a fault wants it if there is one.
func (h *Handler) write(w http.ResponseWriter, x *exchange, resp response) {
	head := w.Header()
	for k, v := range resp.header {
		head.Set(k, v)
	}
	if h.gzip && len(resp.body) > 1024 && strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip") {
		resp.body = h.buffers.compress(resp.body) // ServeHTTP gives the page itself back
		head.Set("Content-Encoding", "gzip")
		head.Set("Vary", "Accept-Encoding")
	}
	x.sleep(time.Until(x.ready))
	if head.Get("Date") == "" {
		head.Set("Date", h.Now().Format(http.TimeFormat))
	}
	if resp.contentType != "" {
		head.Set("Content-Type", resp.contentType)
	} else {
		head["Content-Type"] = nil
	}
	head.Set("Content-Length", strconv.Itoa(len(resp.body)))
	if x.send != nil {
		x.send(w, x.r, resp)
		return
	}
	x.leave() // first, so that a client that has its answer may ask again at once
	x.leave = func() {}
	w.WriteHeader(resp.status)
	_, _ = w.Write(resp.body) // the client may be gone; there is nobody to tell
}

// sleep waits for d, or until the client or the server goes away.
func (x *exchange) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.ctx().Done():
	case <-x.h.done:
	}
}

// buffers recycles the memory of pages.
type buffers struct {
	pages   sync.Pool
	writers sync.Pool
}

func (p *buffers) take() []byte {
	if b, ok := p.pages.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 64<<10)
}

func (p *buffers) give(b []byte) { p.pages.Put(&b) }

func (p *buffers) compress(body []byte) []byte {
	z, ok := p.writers.Get().(*gzip.Writer)
	var out bytes.Buffer
	out.Grow(len(body) / 6)
	if ok {
		z.Reset(&out)
	} else {
		z, _ = gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is valid
	}
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	p.writers.Put(z)
	return out.Bytes()
}
