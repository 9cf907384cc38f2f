package autotask_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
)

const (
	goodUser   = "api-user-key@acme.example"
	goodCode   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ1"
	goodSecret = "p4ss$w0rd~with#signs!12345"
)

// fake answers the few routes that the client uses. hook may take an exchange over; n counts the calls of
// the same kind, from 1.
type fake struct {
	t    *testing.T
	user string
	zone func(r *http.Request) string // zoneInformation's url; nil: this host
	ids  []int64
	used int64

	hook func(w http.ResponseWriter, r *http.Request, op string, n int) bool

	mu      sync.Mutex
	log     []string // "POST Tickets/query"
	times   []time.Time
	bodies  []string
	n       map[string]int
	refused int // logins
	now     map[string]int
	most    map[string]int // at a time
}

func newFake(t *testing.T, ids ...int64) *fake {
	return &fake{t: t, user: goodUser, ids: ids, used: 100, n: map[string]int{}, now: map[string]int{}, most: map[string]int{}}
}

func sequence(from, to int64) []int64 {
	var ids []int64
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

func (f *fake) calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n[op]
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func fail(w http.ResponseWriter, status int, texts ...string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": texts})
	return true
}

func text(w http.ResponseWriter, status int, body string) bool {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

func unauthorized(w http.ResponseWriter) bool {
	w.Header().Set("WWW-Authenticate", `Basic Realm="webservices3"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := strings.CutPrefix(r.URL.Path, "/ATServicesRest/V1.0/")
	body, _ := io.ReadAll(r.Body)
	key, _, _ := strings.Cut(op, "/")
	f.mu.Lock()
	f.n[op]++
	n := f.n[op]
	f.log = append(f.log, r.Method+" "+op)
	f.times = append(f.times, time.Now())
	f.bodies = append(f.bodies, string(body))
	f.now[key]++
	f.most[key] = max(f.most[key], f.now[key])
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now[key]--
		f.mu.Unlock()
	}()
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if !ok {
		http.NotFound(w, r)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if op == "zoneInformation" {
		f.zoneInformation(w, r, n)
		return
	}
	if r.Header.Get("UserName") != goodUser || r.Header.Get("ApiIntegrationCode") != goodCode || r.Header.Get("Secret") != goodSecret {
		f.mu.Lock()
		f.refused++
		f.mu.Unlock()
		if f.hook == nil || !f.hook(w, r, "refused", n) {
			unauthorized(w)
		}
		return
	}
	if f.hook != nil && f.hook(w, r, op, n) {
		return
	}
	f.route(w, r, op, body)
}

func (f *fake) zoneInformation(w http.ResponseWriter, r *http.Request, n int) {
	for _, h := range []string{"ApiIntegrationCode", "UserName", "Secret"} {
		if r.Header.Get(h) != "" {
			f.t.Errorf("zoneInformation got the header %s", h)
		}
	}
	if f.hook != nil && f.hook(w, r, "zoneInformation", n) {
		return
	}
	if r.URL.Query().Get("user") != f.user {
		fail(w, 500, "Zone information could not be determined")
		return
	}
	u := "http://" + r.Host + "/ATServicesRest/"
	if f.zone != nil {
		u = f.zone(r)
	}
	fmt.Fprintf(w, `{"zoneName":"AE02","url":%q,"webUrl":"https://ww14.autotask.net/","ci":123456}`, u)
}

func (f *fake) route(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	switch {
	case op == "ThresholdInformation":
		fmt.Fprintf(w, `{"externalRequestThreshold":10000,"requestThresholdTimeframe":60,"currentTimeframeRequestCount":%d}`, f.used)
	case op == "Version":
		text(w, 200, `{"majorVersion":"2026","minorVersion":3,"build":"0.0","customerType":"x"}`)
	case strings.HasSuffix(op, "/query"):
		items, size := f.query(body)
		text(w, 200, page(items[:min(size, len(items))]))
	case strings.HasSuffix(op, "/query/count"):
		items, _ := f.query(body)
		fmt.Fprintf(w, `{"queryCount":%d}`, len(items))
	case strings.HasSuffix(op, "/entityInformation/fields"):
		text(w, 200, `{"fields":[{"name":"id","dataType":"long","length":0,"isRequired":true,"isReadOnly":true,"isQueryable":true,"isReference":false,"referenceEntityType":"","isPickList":false,"picklistValues":null,"picklistParentValueField":""}]}`)
	case strings.HasSuffix(op, "/entityInformation/userDefinedFields"):
		text(w, 200, `{"fields":[{"name":"Rank","label":"Rank","type":"string","length":8000,"isQueryable":true}]}`)
	default:
		http.NotFound(w, r)
	}
}

// query applies the conditions on id.
func (f *fake) query(body []byte) (ids []int64, size int) {
	var q struct {
		Filter []struct {
			Op, Field string
			Value     json.RawMessage
		} `json:"filter"`
		MaxRecords int
	}
	if err := json.Unmarshal(body, &q); err != nil || len(q.Filter) == 0 {
		f.t.Errorf("query body %s: %v", body, err)
	}
	f.mu.Lock()
	ids = slices.Clone(f.ids)
	f.mu.Unlock()
	for _, c := range q.Filter {
		var v int64
		_ = json.Unmarshal(c.Value, &v)
		ids = slices.DeleteFunc(ids, func(id int64) bool {
			return c.Op == "gt" && id <= v || c.Op == "lte" && id > v
		})
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids, q.MaxRecords
}

// page is a query's answer.
func page(ids []int64) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"title":"row %d"}`, id, id)
	}
	fmt.Fprintf(&b, `],"pageDetails":{"count":%d,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}}`, len(ids))
	return b.String()
}

// inMemory carries requests to a handler without a network, so that synctest's clock can run.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// sink for everything that the client says.
type outputs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *outputs) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *outputs) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// holds keeps what OnHold was told.
type holds struct {
	mu   sync.Mutex
	told []*pipeline.Hold
}

func (h *holds) on(_ context.Context, hold *pipeline.Hold) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, hold)
	return nil
}

func baseConfig(t *testing.T) (autotask.Config, *outputs, *holds) {
	out, held := &outputs{}, &holds{}
	cfg := autotask.Config{
		Tenant:      "acme",
		Credentials: autotask.NewCredentials(goodUser, goodCode, goodSecret),
		Logger:      slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnHold:      held.on,
		Limits:      autotask.Limits{Backoff: time.Millisecond},
		Trace: &pipeline.Trace{
			Request: func(i pipeline.RequestInfo) { fmt.Fprintf(out, "request %+v\n", i) },
			Retry: func(entity, op string, attempt int, wait time.Duration, cause error) {
				fmt.Fprintf(out, "retry %s %s %d %v\n", entity, op, attempt, cause)
			},
		},
	}
	t.Cleanup(func() {
		if s := out.String(); strings.Contains(s, goodSecret) || strings.Contains(s, goodCode) {
			t.Errorf("an output holds a secret:\n%s", s)
		}
	})
	return cfg, out, held
}

func newClient(t *testing.T, cfg autotask.Config) *autotask.Client {
	t.Helper()
	c, err := autotask.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// memoryClient reads from the fake without a network, in its default zone.
func memoryClient(t *testing.T, f *fake, change func(*autotask.Config)) (*autotask.Client, *holds) {
	t.Helper()
	cfg, _, held := baseConfig(t)
	cfg.Transport = inMemory{f}
	cfg.Zone = "http://127.0.0.1:8080"
	if change != nil {
		change(&cfg)
	}
	return newClient(t, cfg), held
}

func tickets() *schemas.Table {
	return table("Tickets")
}

func table(name string) *schemas.Table {
	return &schemas.Table{
		Entity: &schemas.Entity{Name: name, Path: name, Queryable: true},
		Name:   strings.ToLower(name),
		Columns: []schemas.Column{
			{Name: "id", Source: "id", Type: schemas.Type{Kind: schemas.Int}, Queryable: true, InMetadata: true},
			{Name: "title", Source: "title", Type: schemas.Type{Kind: schemas.String}, Queryable: true, InMetadata: true},
		},
	}
}

// wantError checks class and parts of an error's text, and that it holds no secret.
func wantError(t *testing.T, err error, class pipeline.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want class %s", class)
	}
	if got := pipeline.ClassOf(err); got != class {
		t.Errorf("class %s, want %s: %v", got, class, err)
	}
	all := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
	if strings.Contains(all, goodSecret) || strings.Contains(all, goodCode) {
		t.Errorf("error holds a secret: %s", all)
	}
}

// echo answers queries with an error that repeats the headers.
func echo(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
	return op == "Tickets/query" && fail(w, 500, "Unable to find "+r.Header.Get("Secret")+" and "+r.Header.Get("ApiIntegrationCode"))
}
