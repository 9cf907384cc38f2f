package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

// pages are pages that let nobody in who does not name the secret word.
type pages struct{ http.Handler }

func (pages) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "open sesame" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func newPages(daemon.Control) (daemon.Pages, error) {
	return pages{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a page") })}, nil
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// caller sends requests to a daemon.
type caller struct {
	*testing.T
	base string
}

// call returns the status and the body.
func (c caller) call(method, path string, headers ...string) (int, string) {
	c.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.Context()), method, c.base+path, nil)
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// until asks as long as it takes; the test's own time limit ends it.
func (c caller) until(path string, status int) string {
	c.Helper()
	for {
		if got, body := c.call(http.MethodGet, path); got == status {
			return body
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestHTTP(t *testing.T) {
	r := newRig(t)
	const head = "sync: {schedule: \"@daily\", entities: [Roles, Departments], verify: never}"
	opts := r.options(r.config(head, "acme", "globex"))
	fail := true
	r.fail = func(tenant string) error {
		if fail && tenant == "globex" {
			return &pipeline.Error{Class: pipeline.ClassSink, Err: fmt.Errorf("locked")}
		}
		return nil
	}
	opts.Alerts = func() []daemon.Alert {
		return []daemon.Alert{{Kind: "stale", Tenant: "globex"}, {Kind: "drift", Tenant: "globex", Event: true}, {Kind: "quota"}}
	}
	opts.Listener = listen(t, "127.0.0.1:0")
	c := caller{t, "http://" + opts.Listener.Addr().String()}
	_, stop := r.start(opts)
	defer stop()

	c.until("/-/healthy", http.StatusOK)
	c.until("/-/ready?tenant=acme", http.StatusOK)
	if status, body := c.call(http.MethodGet, "/-/ready"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"tenant":"globex","lag_seconds":-1,"tables":["departments","roles"]`) {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, _ := c.call(http.MethodGet, "/-/ready?tenant=nobody"); status != http.StatusNotFound {
		t.Errorf("ready of nobody: %d", status)
	}
	if status, _ := c.call(http.MethodGet, "/-/reload"); status != http.StatusMethodNotAllowed {
		t.Errorf("GET reload: %d", status)
	}
	if status, _ := c.call(http.MethodPost, "/-/reload", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("reload by another site's page: %d", status)
	}
	r.mu.Lock()
	fail = false
	r.mu.Unlock()
	if status, body := c.call(http.MethodPost, "/-/reload"); status != http.StatusOK || !strings.Contains(body, `"ok":true`) {
		t.Errorf("reload: %d %s", status, body)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "config.yaml"), []byte("tenants: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, body := c.call(http.MethodPost, "/-/reload")
	var answer daemon.Reloading
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusUnprocessableEntity || !strings.Contains(answer.Error, "config.yaml:1:10: tenants:") {
		t.Errorf("broken: %v %d %s", err, status, body)
	}
	c.metrics()
}

// metrics looks for what was counted, and compares the names with the manual.
func (c caller) metrics() {
	c.Helper()
	status, text := c.call(http.MethodGet, "/metrics")
	if status != http.StatusOK {
		c.Fatalf("metrics: %d %s", status, text)
	}
	for _, want := range []string{
		`atsync_runs_total{command="sync",status="ok",tenant="acme"} 1`, `atsync_runs_total{command="sync",status="failed",tenant="globex"} 1`,
		`atsync_fresh{tenant="acme"} 1`, `atsync_fresh{tenant="globex"} 0`, `atsync_lag_seconds{tenant="globex"} -1`,
		`atsync_failures_in_a_row{tenant="globex"} 1`, `atsync_config_reload_ok 0`, `atsync_alerts_firing{kind="stale",tenant="globex"} 1`, `atsync_alerts_firing{kind="quota",tenant=""} 1`, `atsync_build_info{version="test"} 1`,
		`atsync_requests_total{op="query",status="200",tenant="acme"} `, `atsync_rows_total{change="inserted",tenant="acme"} `, `atsync_table_lag_seconds{table="roles",tenant="acme"} `,
	} {
		if !strings.Contains(text, "\n"+want) {
			c.Errorf("metrics have no %s", want)
		}
	}
	manual, err := os.ReadFile("../../../../docs/metrics.md")
	if err != nil {
		c.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (atsync_\w+)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(manual), "`"+m[1]+"`") {
			c.Errorf("docs/metrics.md has no word on %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(atsync_\\w+)`").FindAllStringSubmatch(string(manual), -1) {
		if !strings.Contains(text, "# HELP "+m[1]+" ") && !slices.Contains(rare(), m[1]) {
			c.Errorf("docs/metrics.md tells of %s, which there is not", m[1])
		}
	}
}

// TestDashboardAndRulesUseKnownMetrics compares what is in docs with the manual.
func TestDashboardAndRulesUseKnownMetrics(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("../../../../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	manual, dashboard, rules := read("metrics.md"), read("grafana-dashboard.json"), read("alert-rules.yaml")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is no JSON")
	}
	var parsed struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(rules), &parsed); err != nil || len(parsed.Groups) == 0 || len(parsed.Groups[0].Rules) < 5 {
		t.Errorf("the rules: %v, %+v", err, parsed)
	}
	names := regexp.MustCompile(`atsync_\w+`).FindAllString(dashboard+rules, -1)
	for _, name := range names {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !strings.Contains(manual, "`"+name+"`") {
			t.Errorf("%s is no metric", name)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d metrics are used", len(names))
	}
}

// rare are metrics that this test has no cause for.
func rare() []string {
	return []string{"atsync_skipped_total", "atsync_retries_total", "atsync_holes_total", "atsync_warehouse_bytes", "atsync_publication_bytes", "atsync_publication_timestamp_seconds"}
}

func TestPagesGuardWhatIsNotForEverybody(t *testing.T) {
	r := newRig(t)
	opts := r.options(r.config("sync: {entities: [Roles]}", "acme"))
	opts.Listener, opts.Pages = listen(t, "0.0.0.0:0"), newPages
	_, port, _ := net.SplitHostPort(opts.Listener.Addr().String())
	c := caller{t, "http://127.0.0.1:" + port}
	_, stop := r.start(opts)
	defer stop()
	c.until("/-/healthy", http.StatusOK)
	for path, want := range map[string]int{"GET /": 200, "GET /-/healthy": 200, "GET /metrics": 401, "POST /-/reload": 401} {
		method, path, _ := strings.Cut(path, " ")
		if status, _ := c.call(method, path); status != want {
			t.Errorf("%s %s: %d", method, path, status)
		}
	}
	if status, _ := c.call(http.MethodGet, "/metrics", "Authorization", "open sesame"); status != http.StatusOK {
		t.Errorf("with a login: %d", status)
	}
}

func TestOnlyLoopbackWithoutPages(t *testing.T) {
	r := newRig(t)
	opts := r.options(r.config("sync: {entities: [Roles]}", "acme"))
	opts.Listener = listen(t, "0.0.0.0:0")
	d, err := daemon.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); pipeline.ClassOf(err) != pipeline.ClassConfig {
		t.Errorf("it listens for everybody: %v", err)
	}
}

// TestServiceManagerIsTold reads what systemd would.
func TestServiceManagerIsTold(t *testing.T) {
	r := newRig(t)
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	read := func(want string) {
		t.Helper()
		buf := make([]byte, 1000)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(buf[:n]); strings.HasPrefix(got, want) {
				return
			} else if got != "WATCHDOG=1" { // which comes in between
				t.Fatalf("it says %q, not %q", got, want)
			}
		}
	}
	opts := r.options(r.config("sync: {entities: [Roles]}", "acme"))
	opts.Environ = []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=20000"}
	d, stop := r.start(opts)
	read("READY=1")
	read("WATCHDOG=1")
	if err := d.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	read("RELOADING=1\nMONOTONIC_USEC=")
	read("READY=1")
	go stop()
	read("STOPPING=1")
	stop()
}
