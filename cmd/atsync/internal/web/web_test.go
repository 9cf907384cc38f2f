package web_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/cmd/atsync/internal/web/webtest"
	"github.com/atsync/atsync/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token    = "a-token-of-a-test-only-0123456789"
	password = "correct horse battery"
)

// site is the pages over a made-up daemon.
type site struct {
	*webtest.Fake
	*web.Pages
	log *strings.Builder

	mu  sync.Mutex
	now time.Time
}

func newSite(t *testing.T, a web.Access) *site {
	t.Helper()
	return siteOf(t, webtest.NewOf("Ticket*", "Compan*", "TimeEntries"), a)
}

func siteOf(t *testing.T, f *webtest.Fake, a web.Access) *site {
	t.Helper()
	if a.Listen == "" {
		a.Listen = "127.0.0.1:8420"
	}
	s := &site{Fake: f, now: webtest.Now(), log: new(strings.Builder)}
	var err error
	s.Pages, err = web.New(web.Options{Control: s.Fake, Store: s.Fake, Access: a, Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(s.log, nil)), Now: func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// hashed returns an Access with the password, at bcrypt's least cost.
func hashed(t *testing.T, a web.Access) web.Access {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	a.Username, a.PasswordHash = "atsync", string(hash)
	return a
}

// answer is what came back.
type answer struct {
	StatusCode int
	Header     http.Header
	text       string
	cookies    []*http.Cookie
}

// ask sends a request as a browser on this machine would, with changes.
func (s *site) ask(method, path string, change ...func(*http.Request)) answer {
	return askHandler(s, method, path, append([]func(*http.Request){header("Accept", "text/html")}, change...)...)
}

// askHandler sends a request to a handler.
func askHandler(h http.Handler, method, path string, change ...func(*http.Request)) answer {
	r := httptest.NewRequest(method, "http://127.0.0.1:8420"+path, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String(), (&http.Response{Header: w.Header()}).Cookies()}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func basic(user, pass string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, pass) }
}

func paths() []string {
	return []string{"/", "/?show=problems", "/quota", "/tenant/acme", "/tenant/evergreen", "/tenant/globex", "/tenant/juniper", "/tenant/acme?done=pause",
		"/tenant/acme/entity/Tickets", "/tenant/juniper/entity/Tickets", "/tenant/acme/run/1400", "/tenant/acme/run/1397", "/tenant/acme/run/1401", "/tenant/nobody",
		"/tenant/acme/entity/Nothing", "/tenant/acme/run/7", "/tenant/acme/run/x", "/nothing/here", "/login"}
}

func TestPagesAreWhole(t *testing.T) {
	s := newSite(t, web.Access{})
	s.Break("config.yaml:3:1: tenants: is missing")
	inline := regexp.MustCompile(`(?i)<script(?:>| [^>]*>[^<]|[^>]*src="(?:https?:)?/)|<style|\sstyle=|\son[a-z]+=|javascript:`)
	link := regexp.MustCompile(`(?:href|src|action|hx-get)="([^"]*)"`)
	for _, path := range paths() {
		r := s.ask("GET", path)
		text := r.text
		if want := strings.Contains(path, "no") || strings.HasSuffix(path, "/7") || strings.HasSuffix(path, "/x") || strings.Contains(path, "Nothing"); (r.StatusCode == 404) != want || r.StatusCode != 404 && r.StatusCode != 200 {
			t.Errorf("%s: status %d", path, r.StatusCode)
		}
		if !strings.HasSuffix(text, "</html>\n") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "&lt;no value&gt;") {
			t.Errorf("%s is not whole", path)
		}
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if u, err := url.Parse(m[1]); err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(m[1], "/") {
				t.Errorf("%s links to %q", path, m[1])
			}
		}
	}
}

// TestLinksLeadSomewhere follows every link of every page.
func TestLinksLeadSomewhere(t *testing.T) {
	s := newSite(t, web.Access{})
	link := regexp.MustCompile(`(?:href|src)="([^"#]+)"`)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/alerts", "/quota", "/tenant/acme", "/tenant/acme/entity/Tickets", "/tenant/acme/run/1400"} {
		base, err := url.Parse("http://127.0.0.1:8420" + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(s.ask("GET", path).text, -1) {
			to, err := base.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
			if err != nil {
				t.Fatal(err)
			}
			if seen[to.Path] || strings.Count(to.Path, "/") > 3 && len(seen) > 120 {
				continue
			}
			seen[to.Path] = true
			if r := s.ask("GET", to.RequestURI()); r.StatusCode != 200 {
				t.Errorf("%s links to %s: %d", path, to.Path, r.StatusCode)
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d links", len(seen))
	}
}

func TestHeaders(t *testing.T) {
	for _, s := range []*site{newSite(t, web.Access{}), newSite(t, web.Access{Token: token})} {
		for _, path := range append(paths(), "/static/app.js", "/static/nothing", "/favicon.ico", "/api/v1/overview", "/api/v1/tenants/nobody") {
			h := s.ask("GET", path).Header
			csp := h.Get("Content-Security-Policy")
			if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
				h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
}

func TestAssetsAreCachedByContent(t *testing.T) {
	s := newSite(t, web.Access{})
	m := regexp.MustCompile(`static/app\.css\?v=[0-9a-f]+`).FindString(s.ask("GET", "/").text)
	r := s.ask("GET", "/"+m)
	if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") || r.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if r := s.ask("GET", "/static/app.css", header("If-None-Match", r.Header.Get("ETag"))); r.StatusCode != 304 || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if r := s.ask("GET", "/static/..%2ftemplates%2flayout.html"); r.StatusCode != 404 {
		t.Errorf("a template: %d", r.StatusCode)
	}
}

func TestHostileTextIsText(t *testing.T) {
	s := newSite(t, web.Access{})
	s.Break("config.yaml:3:1: tenants: " + webtest.Hostile)
	s.Drift(webtest.Hostile)
	s.Change("acme", func(st *daemon.TenantState) {
		st.Hold = &pipeline.Hold{Reason: webtest.Hostile, Since: webtest.Now()}
		st.Tables[0].Entity, st.Tables[0].Class = webtest.Hostile, webtest.Hostile
		st.Runs[0].Error, st.Runs[0].ErrorClass, st.Runs[0].Command = webtest.Hostile, webtest.Hostile, webtest.Hostile
		st.Runs[0].Streams[0].Entity, st.Runs[0].Streams[0].Warnings = webtest.Hostile, []string{webtest.Hostile}
		st.Running.Streams[0].Entity = webtest.Hostile
		st.Quota.Database = webtest.Hostile
	})
	s.Change("blue_harbor_it", func(st *daemon.TenantState) { st.Tenant = webtest.Hostile })
	for _, path := range []string{"/", "/alerts", "/quota", "/tenant/acme", "/tenant/cobalt", "/tenant/cobalt/entity/Tickets", "/tenant/acme/run/1400", "/tenant/acme/run/1401",
		"/tenant/" + url.PathEscape(webtest.Hostile), "/tenant/acme/entity/" + url.PathEscape(webtest.Hostile), "/login?next=" + url.QueryEscape(webtest.Hostile), "/?done=" + url.QueryEscape(webtest.Hostile)} {
		r := s.ask("GET", path)
		text := r.text
		if r.StatusCode >= 500 || strings.Contains(text, "<script>") || strings.Contains(text, "<img") || strings.Contains(text, "\u202e") {
			t.Errorf("%s: %d\n%s", path, r.StatusCode, excerpt(text))
		}
		if (strings.Contains(path, "/tenant/acme") || path == "/alerts" || strings.Contains(path, "cobalt")) && !strings.Contains(path, "%") && !strings.Contains(text, "&lt;script&gt;alert(1)") {
			t.Errorf("%s does not show it at all", path)
		}
	}
}

func excerpt(text string) string {
	i := max(strings.Index(text, "<script>"), strings.Index(text, "<img"), strings.Index(text, "\u202e"))
	return text[max(0, i-200):min(len(text), max(i, 0)+200)]
}

func TestActions(t *testing.T) {
	s := newSite(t, web.Access{})
	s.Change("kestrel", func(st *daemon.TenantState) {
		st.Next = append(st.Next, app.Next{Job: app.Job{Tenant: "kestrel", Kind: app.Sync, Group: "fast"}})
	})
	for _, c := range []struct {
		path, to string
		status   int
	}{
		{"/tenant/lumen/sync", "../lumen?done=sync", 303},
		{"/tenant/lumen/sync?from=overview", "../../?done=sync", 303},
		{"/tenant/lumen/verify", "../lumen?done=verify", 303},
		{"/tenant/lumen/pause", "../lumen?done=pause", 303},
		{"/tenant/lumen/resume", "../lumen?done=resume", 303},
		{"/tenant/evergreen/release", "../evergreen?done=release", 303},
		{"/tenant/acme/sync", "", 409},
		{"/tenant/lumen/explode", "", 404},
		{"/tenant/nobody/sync", "", 404},
		{"/api/v1/tenants/lumen/sync", "", 202},
		{"/api/v1/tenants/kestrel/sync", "", 202},
		{"/api/v1/tenants/acme/sync", "", 409},
		{"/api/v1/tenants/nobody/sync", "", 404},
	} {
		if r := s.ask("POST", c.path); r.StatusCode != c.status || r.Header.Get("Location") != c.to {
			t.Errorf("%s: %d %s", c.path, r.StatusCode, r.Header.Get("Location"))
		}
		if r := s.ask("GET", c.path); r.StatusCode != 404 {
			t.Errorf("GET %s: %d", c.path, r.StatusCode)
		}
	}
	want := []string{"sync lumen", "sync lumen", "verify lumen", "pause lumen", "resume lumen", "release evergreen", "sync lumen", "sync kestrel", "sync/fast kestrel"}
	if diff := cmp.Diff(want, s.Did()); diff != "" {
		t.Error(diff)
	}
}

func TestAPI(t *testing.T) {
	s := newSite(t, web.Access{})
	get := func(path string, into any) {
		t.Helper()
		r := s.ask("GET", path)
		if err := json.Unmarshal([]byte(r.text), into); err != nil || r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %v", path, r.StatusCode, err)
		}
	}
	var o web.Overview
	get("/api/v1/overview", &o)
	health := map[web.Health]int{}
	for _, tenant := range o.Tenants {
		health[tenant.Health]++
	}
	if diff := cmp.Diff(map[web.Health]int{web.HealthOK: 8, web.HealthLate: 1, web.HealthFailed: 1, web.HealthHold: 1, web.HealthNew: 1}, health); diff != "" {
		t.Error(diff)
	}
	var tenant web.Tenant
	get("/api/v1/tenants/acme", &tenant)
	if len(tenant.Runs) != 40 || len(tenant.Tables) < 12 || tenant.Rows == 0 || tenant.OpenRejects != 2 || tenant.Running == nil || tenant.Trend[13] == 0 {
		t.Errorf("%+v", tenant)
	}
	var e web.Entity
	get("/api/v1/tenants/acme/entities/tickets", &e)
	if e.Entity != "Tickets" || len(e.History.Days) != 90 || len(e.Rejects) != 2 || e.Rejects[1].Raw != "31.02.2026" || len(e.Verifications) != 1 {
		t.Errorf("%+v", e)
	}
	var run web.Run
	get("/api/v1/tenants/acme/runs/1397", &run)
	if run.Command != "verify" || run.Streams[0].Verify == nil || len(run.Loads) == 0 {
		t.Errorf("%+v", run)
	}
	var quota []web.Quota
	get("/api/v1/quota", &quota)
	for _, q := range quota {
		if q.Used != q.Own.Sum()+q.Others && q.Others != 0 || q.Threshold != 10000 || len(q.Tenants) == 0 {
			t.Errorf("%+v", q)
		}
	}
	var alerts []daemon.Alert
	get("/api/v1/alerts", &alerts)
	get("/api/v1/tenants/evergreen", &tenant)
	if len(alerts) != 4 || o.Alerts != 3 || len(tenant.Alerts) != 1 || tenant.Alerts[0].Kind != "hold" || len(tenant.Alerts[0].Told) != 2 {
		t.Errorf("alerts: %+v, the tenant's: %+v", alerts, tenant.Alerts)
	}
	var f web.Failure
	r := s.ask("GET", "/api/v1/nothing")
	if err := json.Unmarshal([]byte(r.text), &f); err != nil || r.StatusCode != 404 || f.Error == "" {
		t.Errorf("%d %v %+v", r.StatusCode, err, f)
	}
}

// TestManyTenants bounds what the overview of two hundred tenants weighs.
func TestManyTenants(t *testing.T) {
	f := webtest.New()
	f.Repeat(200)
	s := siteOf(t, f, web.Access{})
	text := s.ask("GET", "/").text
	if n := strings.Count(text, `<th scope="row">`); n != 200 || len(text) > 600_000 {
		t.Errorf("%d tenants in %d bytes", n, len(text))
	}
}
