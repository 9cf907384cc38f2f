package daemon_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a data folder, simulators that are reached without a network, so that the clock of a bubble works for them, and what
// wires tenants to real warehouses.
type rig struct {
	*testing.T
	dir     string
	handler map[string]*autotasktest.Handler // by tenant
	data    *autotasktest.Data               // of all tenants
	quotas  *autotask.Quotas
	logs    *logbook

	mu       sync.Mutex
	sinks    map[string]*pipelinetest.MemorySink
	open     map[string]int
	overlaps int
	secret   string                    // in place of the right one
	fail     func(tenant string) error // of opening a tenant; may be nil
}

func newRig(t *testing.T) *rig {
	return &rig{T: t, dir: t.TempDir(), handler: map[string]*autotasktest.Handler{}, data: autotasktest.Generate(autotasktest.Tiny(), 7, time.Now()),
		quotas: autotask.NewQuotas(), logs: &logbook{}, open: map[string]int{}, sinks: map[string]*pipelinetest.MemorySink{}}
}

// RoundTrip lets a tenant's simulator answer.
func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	name, _, _ := strings.Cut(req.URL.Hostname(), ".")
	r.mu.Lock()
	h := r.handler[name]
	r.mu.Unlock()
	answer := httptest.NewRecorder()
	req.RequestURI = ""
	req.Host = req.URL.Host
	if err := serve(h, answer, req); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}

// serve turns the panic by which a handler breaks a connection into an error.
func serve(h http.Handler, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("connection broken: %v", p)
		}
	}()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	h.ServeHTTP(w, req)
	return nil
}

// config writes a configuration with tenants and loads it.
func (r *rig) config(head string, tenants ...string) *config.Config {
	r.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "data_dir: ./data\n%s\ntenants:\n", head)
	for _, name := range tenants {
		r.mu.Lock()
		if r.handler[name] == nil {
			r.handler[name] = autotasktest.NewHandler(autotasktest.WithData(r.data))
		}
		r.mu.Unlock()
		fmt.Fprintf(&b, "  %s: {username: u@x, integration_code: \"env:C\", secret: \"env:S\", url: \"https://%s.autotask.net/ATServicesRest/V1.0\"}\n", name, name)
	}
	file := filepath.Join(r.dir, "config.yaml")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		r.Fatal(err)
	}
	cfg, err := r.load()
	if err != nil {
		r.Fatal(err)
	}
	return cfg
}

func (r *rig) load() (*config.Config, error) {
	return config.Load(filepath.Join(r.dir, "config.yaml"), nil)
}

func (r *rig) options(cfg *config.Config) daemon.Options {
	return daemon.Options{Config: cfg, Load: r.load, Open: r.openSite, Recall: r.recall, Logger: slog.New(r.logs), Version: "test"}
}

// site is a tenant as the daemon sees it, wired as cmd/atsync does, with a warehouse in memory: DuckDB's threads know nothing
// of a bubble.
type site struct {
	*rig
	tenant string
	t      config.TenantConfig
	source *autotask.Client
	trace  *pipeline.Trace
}

func (r *rig) sink(tenant string) *pipelinetest.MemorySink {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sinks[tenant] == nil {
		r.sinks[tenant] = pipelinetest.NewMemorySink(tenant, time.Now)
	}
	return r.sinks[tenant]
}

func (r *rig) openSite(ctx context.Context, t config.TenantConfig, trace *pipeline.Trace, log *slog.Logger) (daemon.Site, error) {
	sink := r.sink(t.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(t.Name); err != nil {
			return nil, err
		}
	}
	if r.open[t.Name]++; r.open[t.Name] > 1 {
		r.overlaps++
	}
	hold, err := sink.Hold(ctx)
	if err != nil {
		return nil, err
	}
	h := r.handler[t.Name]
	source, err := autotask.New(autotask.Config{Tenant: t.Name, Credentials: autotask.NewCredentials(h.Username, h.IntegrationCode, cmp.Or(r.secret, h.Secret)),
		Zone: t.URL, Transport: r, Trace: trace, Quotas: r.quotas, Logger: log, Hold: hold, OnHold: sink.SetHold})
	if err != nil {
		return nil, err
	}
	return &site{r, t.Name, t, source, trace}, nil
}

func (s *site) Runner() *pipeline.Runner {
	return &pipeline.Runner{Tenant: s.tenant, Source: s.source, Sink: s.sink(s.tenant), Trace: s.trace, Overlap: s.t.Overlap}
}

func (s *site) Look(ctx context.Context, runs int) (daemon.Facts, error) {
	return s.recall(ctx, s.t, runs)
}

func (s *site) Release(ctx context.Context) error { return s.sink(s.tenant).SetHold(ctx, nil) }

func (s *site) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[s.tenant]--
	return s.source.Close()
}

func (r *rig) recall(ctx context.Context, t config.TenantConfig, limit int) (f daemon.Facts, err error) {
	sink := r.sink(t.Name)
	if f.Hold, err = sink.Hold(ctx); err != nil {
		return f, err
	}
	runs := sink.Runs()
	slices.Reverse(runs)
	f.Runs, f.Last = runs[:min(limit, len(runs))], map[string]time.Time{}
	for _, run := range runs {
		if _, known := f.Last[run.Command]; !known && (run.Status == pipeline.StatusOK || run.Status == pipeline.StatusPartial || run.Status == pipeline.StatusFailed) {
			f.Last[run.Command] = run.StartedAt
		}
	}
	for _, e := range t.Entities {
		state, err := sink.Stream(ctx, e.Name)
		if err != nil {
			return f, err
		}
		if at := state.Checkpoint.CompleteThrough; !at.IsZero() {
			f.Tables = append(f.Tables, daemon.TableState{Entity: e.Name, Table: schemas.TableName(e.Name), Class: string(e.Class), CompleteThrough: at, LastSuccessAt: at})
		}
	}
	return f, nil
}

// start runs a daemon until the function that it returns is called, which fails the test if it doesn't end well.
func (r *rig) start(opts daemon.Options) (d *daemon.Daemon, stop func()) {
	r.Helper()
	d, err := daemon.New(opts)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
}

// wait lets time pass until a tenant has nothing to do.
func (r *rig) idle(d *daemon.Daemon, tenant string) daemon.TenantState {
	r.Helper()
	for range 2000 {
		time.Sleep(time.Second)
		s, ok := d.Tenant(tenant)
		if !ok {
			r.Fatalf("there is no tenant %s", tenant)
		}
		if s.Running == nil && len(s.Waiting) == 0 {
			return s
		}
	}
	r.Fatalf("%s is never idle", tenant)
	return daemon.TenantState{}
}

// same compares a table's live rows with the source's: ids, and a text.
func (r *rig) same(tenant, entity, field string) {
	r.Helper()
	have := map[string]string{}
	for _, row := range r.sink(tenant).Rows(schemas.TableName(entity), "id") {
		if row["_deleted_at"] == "" {
			have[row["id"]] = row[schemas.ColumnName(field)]
		}
	}
	source := r.data.Rows(entity)
	for _, row := range source {
		text := ""
		if err := json.Unmarshal([]byte(row.Raw(field)), &text); err != nil {
			r.Fatal(err)
		}
		if got, ok := have[fmt.Sprint(row.ID)]; !ok || got != text {
			r.Errorf("%s: %s %d is %q here and %q at the source", tenant, entity, row.ID, got, text)
			return
		}
	}
	if len(have) != len(source) {
		r.Errorf("%s: %s has %d rows here, %d at the source", tenant, entity, len(have), len(source))
	}
}

// logbook is a slog.Handler that keeps what a test looks for.
type logbook struct {
	mu      sync.Mutex
	due     map[string][]time.Time // by job: started or skipped
	texts   []string               // of warnings and errors
	started int
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logbook) WithGroup(string) slog.Handler                    { return l }
func (l *logbook) WithAttrs(attrs []slog.Attr) slog.Handler         { return &logbookWith{l, attrs} }
func (l *logbook) Handle(_ context.Context, rec slog.Record) error  { return l.handle(rec, nil) }

type logbookWith struct {
	*logbook
	attrs []slog.Attr
}

func (l *logbookWith) Handle(_ context.Context, rec slog.Record) error { return l.handle(rec, l.attrs) }
func (l *logbookWith) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logbookWith{l.logbook, append(append([]slog.Attr(nil), l.attrs...), attrs...)}
}

func (l *logbook) handle(rec slog.Record, attrs []slog.Attr) error {
	values := map[string]string{}
	note := func(a slog.Attr) bool {
		values[a.Key] = a.Value.String()
		if a.Key == "due" {
			values["due"] = a.Value.Time().UTC().Format(time.RFC3339Nano)
		}
		return true
	}
	for _, a := range attrs {
		note(a)
	}
	rec.Attrs(note)
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.Level >= slog.LevelWarn {
		l.texts = append(l.texts, rec.Message+" "+values["tenant"]+" "+values["error"]+values["reason"])
	}
	if rec.Message == "job started" {
		l.started++
	}
	if due, err := time.Parse(time.RFC3339Nano, values["due"]); err == nil && values["command"] != "verify" && !strings.Contains(values["job"], "verify") {
		if l.due == nil {
			l.due = map[string][]time.Time{}
		}
		l.due[values["tenant"]] = append(l.due[values["tenant"]], due)
	}
	return nil
}
