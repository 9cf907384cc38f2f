package autotasktest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer starts a server that the test's end closes.
func newServer(t testing.TB, opts ...autotasktest.Option) *autotasktest.Server {
	t.Helper()
	s := autotasktest.NewServer(opts...)
	t.Cleanup(s.Close)
	return s
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// request sends a request with the server's login. A path without a scheme is below the base URL.
func request(t testing.TB, s *autotasktest.Server, method, path, body string, edit ...func(*http.Request)) reply {
	t.Helper()
	r, err := try(t, s, method, path, body, edit...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func try(t testing.TB, s *autotasktest.Server, method, path, body string, edit ...func(*http.Request)) (reply, error) {
	t.Helper()
	if !strings.Contains(path, "://") {
		path = s.BaseURL() + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiIntegrationCode", s.IntegrationCode)
	req.Header.Set("UserName", s.Username)
	req.Header.Set("Secret", s.Secret)
	for _, f := range edit {
		f(req)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

// query posts a query and returns the answer's body, which must be a 200.
func query(t testing.TB, s *autotasktest.Server, entity, body string) string {
	t.Helper()
	r := request(t, s, "POST", "/"+entity+"/query", body)
	if r.status != 200 {
		t.Fatalf("query %s %s: %d %s", entity, body, r.status, r.body)
	}
	return r.body
}

// page is a query's answer.
type page struct {
	Items       []map[string]json.RawMessage
	PageDetails struct {
		Count, RequestCount      int
		PrevPageURL, NextPageURL *string
	}
}

func parsePage(t testing.TB, body string) page {
	t.Helper()
	var p page
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return p
}

// ids lists the ids of a query's rows, in their order, between commas.
func ids(t testing.TB, s *autotasktest.Server, entity, filter string) string {
	t.Helper()
	p := parsePage(t, query(t, s, entity, `{"filter":[`+filter+`]}`))
	var out []string
	for _, it := range p.Items {
		out = append(out, string(it["id"]))
	}
	return strings.Join(out, ",")
}

// recording reads one of the recorded payloads.
func recording(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var wrap struct{ Payload json.RawMessage }
	if err := json.Unmarshal(b, &wrap); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(wrap.Payload, into); err != nil {
		t.Fatal(err)
	}
}

func searchPath(entity, filter string) string {
	return "/" + entity + "/query?search=" + url.QueryEscape(filter)
}
