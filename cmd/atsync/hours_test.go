package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// hours is a daemon with many tenants under a simulated clock: everything is as the command wires it, with warehouses, publications and
// HTTP, but for the connections, which are pipes, since a bubble's clock stands still while something waits for a network.
type hours struct {
	*testing.T
	dir       string
	data      *autotasktest.Data // of all tenants
	wires     *pipes
	names     []string
	mu        sync.Mutex
	handlers  map[string]*autotasktest.Handler // by host
	r         *rand.Rand                       // of the faults
	due       map[string][]time.Time           // by tenant: when syncs fell due that were started or skipped
	open      map[string]bool
	published map[string]time.Time // by file
	most      hourUse              // of memory, since the hour began
	overlaps  int
	jobs      map[string]int // by kind
	texts     []string       // of errors
	skips     int
	edits     int
}

// hoursEntities have a change stamp, have none, and are a parent's.
func hoursEntities() []string { return []string{"Companies", "Tickets", "Roles"} }

// TestTenantsForHours runs tenants every minute, with real warehouses and publications, while the source changes, requests fail in random
// ways, the daemon is restarted and its configuration reloaded. No due time is lost, no tenant has two jobs at a time, and in the
// end every publication is equal to the source. The bubble fails if a goroutine is left behind.
// Full size, where memory must be flat, too: ATSYNC_TEST_TENANTS=50 ATSYNC_TEST_HOURS=30.
func TestTenantsForHours(t *testing.T) {
	tenants, minutes := 2, 6
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_TENANTS")); err == nil {
		tenants = n
	}
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_HOURS")); err == nil {
		minutes = 60 * n
	} else {
		t.Parallel()
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &hours{T: t, dir: dir, data: autotasktest.Generate(autotasktest.Tiny(), 7, time.Now()), wires: newPipes(), r: rand.New(rand.NewPCG(7, 7)),
			handlers: map[string]*autotasktest.Handler{}, due: map[string][]time.Time{}, open: map[string]bool{}, published: map[string]time.Time{}, jobs: map[string]int{}}
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		go func() { _ = server.Serve(h.wires) }() // ends with ErrServerClosed
		defer func() { _ = server.Close() }()
		for i := range tenants {
			h.names = append(h.names, fmt.Sprintf("tenant%02d", i))
		}
		h.work(minutes)
	})
}

func (h *hours) work(minutes int) {
	const every = 15 * time.Minute
	d, stop := h.start(every)
	restarts := []time.Time{time.Now()}
	var memory []hourUse
	for minute := range minutes {
		time.Sleep(time.Minute)
		if minute%3 == 0 { // otherwise there is nothing new
			h.edit()
		}
		switch minute % max(minutes/4, 4) {
		case 1: // in the middle of whatever it does
			stop()
			restarts = append(restarts, time.Now())
			d, stop = h.start(every)
		case 2:
			if err := os.WriteFile(h.file(), []byte("tenants: ["), 0o600); err != nil {
				h.Fatal(err)
			}
			if err := d.Reload(h.Context()); err == nil {
				h.Error("a broken file was taken")
			}
			h.configure(every)
			if err := d.Reload(h.Context()); err != nil {
				h.Error(err)
			}
		}
		memory = h.measure(memory, minute)
	}
	stop()
	h.silence()
	for _, name := range h.names {
		for _, difference := range differences(filepath.Join(h.dir, "data", name+".duckdb"), h.data, hoursEntities()) {
			h.Errorf("%s: %s", name, difference)
		}
	}
	h.gaps(restarts)
	if h.overlaps > 0 {
		h.Errorf("%d times a tenant had two jobs", h.overlaps)
	}
	h.Logf("jobs %v, %d skipped, %d edits, %d restarts, %d errors told", h.jobs, h.skips, h.edits, len(restarts)-1, len(h.texts))
	if n := h.jobs[string(app.Sync)]; n < len(h.names)*minutes*9/10 {
		h.Errorf("only %d syncs", n)
	}
	if len(memory) > 3 {
		h.flat(memory)
	}
}

// hourUse is what an hour took. Memory is in KB.
type hourUse struct {
	resident   int64 // at most, as is own
	own        int64 // the program's code and files left out
	heap       int64 // in use at its end
	goroutines int   // at least, as is files
	files      int
}

// look notes how much memory is taken at the moment.
func (h *hours) look() {
	all, own := resident(h.T), memoryOf(h.T, "RssAnon:")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most.resident, h.most.own = max(h.most.resident, all), max(h.most.own, own)
}

// measure notes what a minute took, and tells it at the end of an hour.
func (h *hours) measure(memory []hourUse, minute int) []hourUse {
	if minute%60 == 0 {
		memory = append(memory, hourUse{goroutines: math.MaxInt, files: math.MaxInt})
	}
	u := &memory[len(memory)-1]
	u.goroutines = min(u.goroutines, runtime.NumGoroutine())
	files, _ := os.ReadDir("/proc/self/fd") // empty where there is no such folder
	u.files = min(u.files, len(files))
	if minute%60 == 59 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		u.heap = int64(m.HeapAlloc >> 10)
		h.mu.Lock()
		u.resident, u.own, h.most = h.most.resident, h.most.own, hourUse{}
		h.mu.Unlock()
		h.Logf("hour %2d: at most %d KB resident, %d KB of it its own, %d KB of Go heap in use at its end, at least %d goroutines, %d open files", len(memory), u.resident, u.own, u.heap, u.goroutines, u.files)
	}
	return memory
}

// flat fails the test if the last hour took more than the second one.
func (h *hours) flat(memory []hourUse) {
	second, last := memory[1], memory[len(memory)-1]
	if float64(last.own) > 1.1*float64(second.own) {
		h.Errorf("memory grows: %d KB in the second hour, %d KB in the last", second.own, last.own)
	}
	if float64(last.heap) > 1.1*float64(second.heap)+2048 { // a job may be at work
		h.Errorf("the heap grows: %d KB in the second hour, %d KB in the last", second.heap, last.heap)
	}
	if last.goroutines > second.goroutines+10 || last.files > second.files+10 {
		h.Errorf("goroutines: %d in the second hour, %d in the last; open files: %d, %d", second.goroutines, last.goroutines, second.files, last.files)
	}
}

func (h *hours) file() string { return filepath.Join(h.dir, "config.yaml") }

func (h *hours) load() (*config.Config, error) { return config.Load(h.file(), nil) }

// configure writes the configuration and gives each tenant a simulator of its own with the common data.
func (h *hours) configure(publish time.Duration) *config.Config {
	h.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: ./data\npublish: {every: %s}\nautotask: {discovery_url: \"http://127.0.0.1:1\"}\n", publish)
	fmt.Fprintf(&b, "sync: {schedule: \"* * * * *\", entities: [%s], verify: \"@every 6h\", maintain: \"40 */4 * * *\"}\ntenants:\n", strings.Join(hoursEntities(), ", "))
	for i, name := range h.names {
		host := fmt.Sprintf("127.0.0.1:%d", 1000+i)
		h.mu.Lock()
		if h.handlers[host] == nil {
			h.handlers[host] = autotasktest.NewHandler(autotasktest.WithData(h.data), autotasktest.WithoutLog(),
				autotasktest.WithCredentials(name+"@x", "CODE"+strings.Repeat("X", 23), "a-secret-of-"+name))
			h.fail(h.handlers[host])
		}
		h.mu.Unlock()
		fmt.Fprintf(&b, "  %s: {username: %s@x, integration_code: \"env:CODE\", secret: \"env:%s\", url: \"http://%s/ATServicesRest/V1.0\"}\n",
			name, name, strings.ToUpper(name), host)
	}
	if err := os.WriteFile(h.file(), []byte(b.String()), 0o600); err != nil {
		h.Fatal(err)
	}
	cfg, err := h.load()
	if err != nil {
		h.Fatal(err)
	}
	return cfg
}

// ServeHTTP lets the tenant's simulator answer.
func (h *hours) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	handler := h.handlers[r.Host]
	h.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler.ServeHTTP(w, r)
}

// fail lets some of a simulator's requests fail. The caller holds mu.
func (h *hours) fail(handler *autotasktest.Handler) {
	for _, action := range []autotasktest.Action{autotasktest.Status(503), autotasktest.HTML(200), autotasktest.EmptyBody(), autotasktest.InvalidJSON(), autotasktest.Reset()} {
		handler.Fault(autotasktest.Fault{Do: action, When: func(autotasktest.Request) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.r.IntN(200) == 0
		}})
	}
}

// start runs a daemon until the function that it returns is called.
func (h *hours) start(publish time.Duration) (d *daemon.Daemon, stop func()) {
	h.Helper()
	cfg := h.configure(publish)
	log := slog.New(&dueLog{hours: h})
	e := &env{environ: []string{"CODE=CODE" + strings.Repeat("X", 23)}}
	for _, name := range h.names {
		e.environ = append(e.environ, strings.ToUpper(name)+"=a-secret-of-"+name)
	}
	w := e.newWiring(cfg, log)
	transport := &http.Transport{DialContext: h.wires.dial}
	w.transport, w.threads = transport, 1 // DuckDB's own threads are outside the bubble
	open := func(ctx context.Context, t config.TenantConfig, trace *pipeline.Trace, log *slog.Logger) (daemon.Site, error) {
		h.enter(t.Name, true)
		s, err := w.openSite(ctx, t, trace, log)
		if err != nil {
			h.enter(t.Name, false)
			return nil, err
		}
		site := s.(*daemonSite)
		site.publisher = stamped{site.publisher, h, t.PublishPath}
		return &counted{site, h}, nil
	}
	d, err := daemon.New(daemon.Options{Config: cfg, Load: h.load, Open: open, Recall: recallFacts, Maintain: w.upkeep, Logger: log})
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, func() {
		cancel()
		if err := <-ended; err != nil {
			h.Error(err)
		}
		transport.CloseIdleConnections()
	}
}

// enter notes that a tenant's warehouse is opened or closed.
func (h *hours) enter(tenant string, opens bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if opens && h.open[tenant] {
		h.overlaps++
	}
	h.open[tenant] = opens
}

// counted is a site that tells when it closes.
type counted struct {
	*daemonSite
	h *hours
}

func (c *counted) Close() error {
	c.h.look() // now, with a warehouse open, it takes most
	defer c.h.enter(c.cfg.Name, false)
	return c.daemonSite.Close()
}

// stamped knows by the bubble's clock when it has published: the file's own time is that of the machine.
type stamped struct {
	publisher
	h    *hours
	path string
}

func (s stamped) Publish(ctx context.Context) (pipeline.Publication, error) {
	p, err := s.publisher.Publish(ctx)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.published[s.path] = time.Now()
	return p, err
}

func (s stamped) Published() (time.Time, bool) {
	_, ok := s.publisher.Published()
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	return s.h.published[s.path], ok
}

// edit changes the source.
func (h *hours) edit() {
	h.edits++
	ids := h.data.IDs("Tickets")
	text := map[string]any{"title": fmt.Sprintf("edit %d é", h.edits)}
	switch r := rand.New(rand.NewPCG(3, uint64(h.edits))); h.edits % 4 {
	case 0:
		h.data.Insert("Tickets", text)
	case 1:
		h.data.DeleteQuietly("Tickets", ids[r.IntN(len(ids))])
	default:
		h.data.Update("Tickets", ids[r.IntN(len(ids))], text)
	}
}

// silence ends the faults and verifies every tenant.
func (h *hours) silence() {
	for _, handler := range h.handlers {
		handler.ClearFaults()
	}
	d, stop := h.start(0)
	defer stop()
	for _, name := range h.names {
		h.idle(d, name)
		if err := d.Trigger(app.Job{Tenant: name, Kind: app.Verify}); err != nil {
			h.Error(err)
		}
		h.idle(d, name)
	}
}

func (h *hours) idle(d *daemon.Daemon, name string) {
	h.Helper()
	for range 2000 {
		time.Sleep(time.Second)
		if s, _ := d.Tenant(name); s.Running == nil && len(s.Waiting) == 0 {
			return
		}
	}
	h.Fatalf("%s is never idle", name)
}

// gaps fails the test if a tenant's due times are not a minute apart, but for what a restart has made up for.
func (h *hours) gaps(restarts []time.Time) {
	for _, name := range h.names {
		due := h.due[name]
		slices.SortFunc(due, time.Time.Compare)
		for i := 1; i < len(due); i++ {
			if gap := due[i].Sub(due[i-1]); gap > time.Minute && !slices.ContainsFunc(restarts, func(r time.Time) bool {
				return !r.Before(due[i-1]) && !r.After(due[i])
			}) {
				h.Errorf("%s: nothing between %s and %s", name, due[i-1], due[i])
			}
		}
	}
}

// dueLog is a slog.Handler that notes due times and errors.
type dueLog struct {
	*hours
	attrs []slog.Attr
}

func (l *dueLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *dueLog) WithGroup(string) slog.Handler                    { return l }
func (l *dueLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &dueLog{l.hours, slices.Concat(l.attrs, attrs)}
}

func (l *dueLog) Handle(_ context.Context, rec slog.Record) error {
	values := map[string]slog.Value{}
	note := func(a slog.Attr) bool { values[a.Key] = a.Value; return true }
	for _, a := range l.attrs {
		note(a)
	}
	rec.Attrs(note)
	tenant, job := values["tenant"].String(), values["command"].String()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case rec.Message == "job started":
		l.jobs[job]++
		if job == string(app.Sync) {
			l.due[tenant] = append(l.due[tenant], values["due"].Time())
		}
	case rec.Message == "skipped" && strings.HasSuffix(values["job"].String(), " "+string(app.Sync)):
		l.skips++
		l.due[tenant] = append(l.due[tenant], values["due"].Time())
	case rec.Level >= slog.LevelError:
		l.texts = append(l.texts, fmt.Sprint(rec.Message, values))
	}
	return nil
}

// pipes is a listener whose connections are pipes in memory.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{made: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.made <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, cmp.Or(context.Cause(ctx), net.ErrClosed)
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
