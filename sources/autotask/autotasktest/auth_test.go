package autotasktest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func withHeader(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

func TestLogin(t *testing.T) {
	s := newServer(t, autotasktest.WithMaxFailedLogins(100))
	ok := request(t, s, "GET", "/Version", "")
	if ok.status != 200 {
		t.Fatalf("right login: %d %s", ok.status, ok.body)
	}
	tests := []struct {
		name string
		edit func(*http.Request)
	}{
		{"no headers", func(r *http.Request) { r.Header = http.Header{} }},
		{"wrong secret", withHeader("Secret", s.Secret+"x")},
		{"wrong user", withHeader("UserName", "x@y.example")},
		{"wrong code", withHeader("ApiIntegrationCode", "X")},
		{"basic", func(r *http.Request) { r.Header = http.Header{}; r.SetBasicAuth(s.Username, s.Secret) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, s, "GET", "/Version", "", tt.edit)
			if r.status != 401 || r.body != "" || r.header.Get("Content-Length") != "0" {
				t.Errorf("got %d %q, length %s; want an empty 401", r.status, r.body, r.header.Get("Content-Length"))
			}
			if got := r.header.Get("Www-Authenticate"); got != `Basic Realm="webservices14.autotask.net"` {
				t.Errorf("challenge %q", got)
			}
		})
	}
	if got := s.FailedLogins(); got != len(tests) {
		t.Errorf("FailedLogins %d, want %d", got, len(tests))
	}
	if s.Used() != 1 {
		t.Errorf("%d requests count, want 1: refused logins do not", s.Used())
	}
}

func TestLockOut(t *testing.T) {
	s := newServer(t)
	bad := withHeader("Secret", "wrong")
	for range 4 {
		request(t, s, "GET", "/Version", "", bad)
	}
	if r := request(t, s, "GET", "/Version", ""); r.status != 200 || s.Locked() {
		t.Fatalf("after 4 failures: %d, locked %v", r.status, s.Locked())
	}
	for range 5 {
		request(t, s, "GET", "/Version", "", bad)
	}
	if r := request(t, s, "GET", "/Version", ""); r.status != 401 || r.body != "" || !s.Locked() {
		t.Errorf("after 5 failures in a row the right login got %d %q", r.status, r.body)
	}
	if s.FailedLogins() != 10 {
		t.Errorf("FailedLogins %d, want 10", s.FailedLogins())
	}
	s.Unlock()
	if r := request(t, s, "GET", "/Version", ""); r.status != 200 {
		t.Errorf("after Unlock: %d", r.status)
	}
	s.SetSecret("new")
	if r := request(t, s, "GET", "/Version", ""); r.status != 401 {
		t.Errorf("old secret: %d", r.status)
	}
}

func TestZoneLookup(t *testing.T) {
	s := newServer(t, autotasktest.WithCredentials("a+b@x.example", "C", "S"), autotasktest.WithZone(autotasktest.Zone{Name: "DE1", Number: 18, Database: 42}))
	r := request(t, s, "GET", "/zoneInformation?user="+url.QueryEscape("A+B@x.example"), "", func(r *http.Request) { r.Header = http.Header{} })
	want := `{"zoneName":"DE1","url":"` + s.URL + `/ATServicesRest/","webUrl":"https://ww18.autotask.net/","ci":42}`
	if r.status != 200 || r.body != want {
		t.Errorf("got %d %s, want %s", r.status, r.body, want)
	}
	if r := request(t, s, "GET", "/zoneInformation?user=a+b@x.example", ""); r.status != 500 {
		t.Errorf("a plus that is not encoded is a space: got %d", r.status)
	}
	if r := request(t, s, "GET", s.URL+"/ATServicesRest/V2.0/zoneInformation?user="+url.QueryEscape(s.Username), ""); r.status != 404 {
		t.Errorf("V2.0: %d, want 404", r.status)
	}
	if s.Used() != 0 {
		t.Errorf("zone lookups count %d requests", s.Used())
	}
}

func TestMoveTo(t *testing.T) {
	from, to := newServer(t), newServer(t, autotasktest.WithCredentials("other@x.example", "O", "O"))
	from.MoveTo(to)
	if r := request(t, from, "GET", "/Version", ""); r.status != 401 {
		t.Errorf("old zone: %d, want 401", r.status)
	}
	var z struct{ URL string }
	if err := json.Unmarshal([]byte(request(t, from, "GET", "/zoneInformation?user="+from.Username, "").body), &z); err != nil {
		t.Fatal(err)
	}
	if z.URL != to.URL+"/ATServicesRest/" {
		t.Errorf("zone lookup names %s, want %s", z.URL, to.URL)
	}
	if r := request(t, from, "GET", z.URL+"V1.0/Version", ""); r.status != 200 {
		t.Errorf("new zone: %d, want 200", r.status)
	}
	if r := request(t, to, "GET", "/Version", ""); r.status != 200 {
		t.Errorf("the new zone's own user: %d", r.status)
	}
}

func TestDenyAndRemove(t *testing.T) {
	s := newServer(t)
	tests := []struct {
		how    autotasktest.Denial
		status int
		body   string
	}{
		{autotasktest.Denied401, 401, ""},
		{autotasktest.Denied403, 403, ""},
		{autotasktest.Denied500, 500, "The logged in Resource does not have the adequate permissions"},
		{autotasktest.DeniedNot, 200, `"items":[]`},
	}
	for _, tt := range tests {
		s.Deny("billingitems", tt.how)
		r := request(t, s, "POST", "/BillingItems/query", existID)
		if r.status != tt.status || !strings.Contains(r.body, tt.body) || tt.body == "" && r.body != "" {
			t.Errorf("denial %d: %d %s", tt.how, r.status, r.body)
		}
		if r := request(t, s, "GET", "/ThresholdInformation", ""); r.status != 200 {
			t.Errorf("denial %d reaches beyond its entity: %d", tt.how, r.status)
		}
	}
	if s.FailedLogins() != 0 {
		t.Errorf("a denied entity counted as %d failed logins", s.FailedLogins())
	}
	s.RemoveEntity("Tags")
	for _, path := range []string{"/Tags/1", "/Tags/entityInformation/fields", "/Tags/query?search=x"} {
		if r := request(t, s, "GET", path, ""); r.status != 404 {
			t.Errorf("removed %s: %d, want 404", path, r.status)
		}
	}
	if r := request(t, s, "GET", "/EntityInformation", ""); strings.Contains(r.body, `"name":"Tag",`) {
		t.Error("EntityInformation still lists the removed entity")
	}
	s.RestoreEntity("Tags")
	if r := request(t, s, "GET", "/Tags/1", ""); r.status != 200 {
		t.Errorf("restored: %d", r.status)
	}
}

func TestTLS(t *testing.T) {
	s := autotasktest.NewTLSServer()
	t.Cleanup(s.Close)
	if !strings.HasPrefix(s.URL, "https://") || s.CertPool() == nil {
		t.Fatalf("URL %s, pool %v", s.URL, s.CertPool())
	}
	if r := request(t, s, "GET", "/Version", ""); r.status != 200 {
		t.Errorf("got %d", r.status)
	}
	plain := &http.Client{Transport: &http.Transport{}}
	defer plain.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.BaseURL()+"/Version", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := plain.Do(req); err == nil {
		resp.Body.Close()
		t.Error("a client without the pool trusts the certificate")
	}
}
