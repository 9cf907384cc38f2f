package web_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/cmd/atsync/internal/web/webtest"
)

func TestOtherAddressesNeedALogin(t *testing.T) {
	f := webtest.New()
	for _, c := range []struct {
		access web.Access
		says   string
	}{
		{web.Access{Listen: "127.0.0.1:1"}, ""}, {web.Access{Listen: "[::1]:1"}, ""}, {web.Access{Listen: "localhost:1"}, ""},
		{web.Access{Listen: "0.0.0.0:1"}, "everybody"}, {web.Access{Listen: ":1"}, "everybody"}, {web.Access{Listen: "[::]:1"}, "everybody"},
		{web.Access{Listen: "192.0.2.7:1"}, "everybody"}, {web.Access{Listen: "localhost.example.com:1"}, "everybody"},
		{web.Access{Listen: "0.0.0.0:1", Token: token}, ""}, {hashed(t, web.Access{Listen: "0.0.0.0:1"}), ""},
		{web.Access{Listen: "127.0.0.1:1", Token: "short"}, "too short"}, {web.Access{Listen: "127.0.0.1:1", PasswordHash: "plain"}, "bcrypt"},
	} {
		_, err := web.New(web.Options{Control: f, Store: f, Access: c.access})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.access, err)
		}
	}
}

func TestNamesOfOthersAreRefused(t *testing.T) {
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	open, closed := newSite(t, web.Access{}), newSite(t, web.Access{Token: token})
	for name, want := range map[string]int{"localhost:8420": 200, "LOCALHOST.": 200, "127.0.0.1:8420": 200, "[::1]:8420": 200, "rebound.example": 421, "127.0.0.1.example:8420": 421} {
		if r := open.ask("GET", "/", host(name)); r.StatusCode != want {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	if r := closed.ask("GET", "/", host("atsync.example"), header("Authorization", "Bearer "+token)); r.StatusCode != 200 {
		t.Errorf("with a login: %d", r.StatusCode)
	}
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	s := newSite(t, web.Access{})
	reload := s.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = s.Reload(t.Context()) }))
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"another site", header("Sec-Fetch-Site", "cross-site"), 403},
		{"a neighbour", header("Sec-Fetch-Site", "same-site"), 403},
		{"an older browser", header("Origin", "https://evil.example"), 403},
		{"no origin to tell", header("Origin", "null"), 403},
		{"the page itself", header("Sec-Fetch-Site", "same-origin"), 303},
		{"a script", header("User-Agent", "curl"), 303},
	} {
		for path, want := range map[string]int{"/tenant/lumen/sync": c.want, "/api/v1/tenants/lumen/sync": map[int]int{403: 403, 303: 202}[c.want]} {
			if r := s.ask("POST", path, c.change); r.StatusCode != want {
				t.Errorf("%s, %s: %d", c.name, path, r.StatusCode)
			}
		}
		r := askHandler(reload, "POST", "/-/reload", c.change)
		if want := map[int]int{403: 403, 303: 200}[c.want]; r.StatusCode != want {
			t.Errorf("%s, reload: %d", c.name, r.StatusCode)
		}
	}
	if n := len(s.Did()); n != 2*3 {
		t.Errorf("%d were done: %v", n, s.Did())
	}
}

func TestLogins(t *testing.T) {
	s := newSite(t, hashed(t, web.Access{Listen: "0.0.0.0:8420", Token: token}))
	bearer := header("Authorization", "Bearer "+token)
	for _, c := range []struct {
		name, path string
		change     []func(*http.Request)
		want       int
	}{
		{"a browser", "/tenant/acme?x=1", nil, 303}, {"a script", "/", []func(*http.Request){header("Accept", "*/*")}, 401}, {"a refresh", "/", []func(*http.Request){header("HX-Request", "true")}, 401},
		{"the API", "/api/v1/overview", nil, 401}, {"an unknown page", "/nothing", []func(*http.Request){header("Accept", "*/*")}, 401},
		{"the form", "/login", nil, 200}, {"the style sheet", "/static/app.css", nil, 200},
		{"the token", "/", []func(*http.Request){bearer}, 200}, {"the password", "/", []func(*http.Request){basic("atsync", password)}, 200},
		{"the password again", "/api/v1/overview", []func(*http.Request){basic("atsync", password)}, 200},
		{"another name", "/", []func(*http.Request){basic("root", password), header("Accept", "*/*")}, 401},
		{"a wrong password", "/", []func(*http.Request){basic("atsync", "guess"), header("Accept", "*/*")}, 401},
		{"a wrong token", "/api/v1/overview", []func(*http.Request){header("Authorization", "Bearer x")}, 401},
		{"the token as password", "/", []func(*http.Request){basic("atsync", token), header("Accept", "*/*")}, 401},
		{"an empty token", "/", []func(*http.Request){header("Authorization", "Bearer "), header("Accept", "*/*")}, 401},
		{"another scheme", "/", []func(*http.Request){header("Authorization", "Digest "+token), header("Accept", "*/*")}, 401},
	} {
		s.later(time.Hour) // so that none is too many
		r := s.ask("GET", c.path, c.change...)
		if r.StatusCode != c.want {
			t.Errorf("%s: %d", c.name, r.StatusCode)
		}
		if c.want == 401 && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%s: %v", c.name, r.Header)
		}
	}
	if to := s.ask("GET", "/tenant/acme?x=1").Header.Get("Location"); to != "../login?next=tenant%2Facme%3Fx%3D1" {
		t.Errorf("a browser is led to %s", to)
	}
	if strings.Contains(s.log.String(), password) || strings.Contains(s.log.String(), token) {
		t.Error("the log has a secret")
	}
}

func TestForm(t *testing.T) {
	s := newSite(t, hashed(t, web.Access{Token: token}))
	send := func(user, pass, next string) answer {
		form := url.Values{"username": {user}, "password": {pass}, "next": {next}}.Encode()
		return s.ask("POST", "/login", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = io.NopCloser(strings.NewReader(form))
		})
	}
	if r := send("atsync", "guess", ""); r.StatusCode != 401 || len(r.cookies) != 0 || !strings.Contains(r.text, "That is not right") {
		t.Errorf("a wrong password: %d", r.StatusCode)
	}
	for next, to := range map[string]string{"": "./", "tenant/acme?x=1": "./tenant/acme?x=1", "//evil.example/x": "./evil.example/x", "https://evil.example": "./https://evil.example",
		`\\evil.example`: "./", "../../x": "./", "javascript:alert(1)": "./javascript:alert%281%29"} {
		r := send("atsync", password, next)
		got := r.Header.Get("Location")
		u, err := url.Parse("http://a.example/login")
		if err != nil {
			t.Fatal(err)
		}
		led, err := u.Parse(got)
		if r.StatusCode != 303 || err != nil || led.Host != "a.example" || led.Scheme != "http" || !strings.HasPrefix(got, "./") {
			t.Errorf("%q leads to %q, not %q", next, got, to)
		}
	}
	r := send("", token, "")
	cookies := r.cookies
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Secure {
		t.Fatalf("cookies: %v", cookies)
	}
	cookie := func(r *http.Request) { r.AddCookie(cookies[0]) }
	if r := s.ask("GET", "/", cookie); r.StatusCode != 200 || !strings.Contains(r.text, `id="logout"`) {
		t.Errorf("logged in: %d", r.StatusCode)
	}
	forged := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookies[0].Name, Value: cookies[0].Value + "x"}) }
	if r := s.ask("GET", "/", forged); r.StatusCode != 303 {
		t.Errorf("forged: %d", r.StatusCode)
	}
	s.later(13 * time.Hour)
	if r := s.ask("GET", "/", cookie); r.StatusCode != 303 {
		t.Errorf("a day later: %d", r.StatusCode)
	}
	s.later(-13 * time.Hour)
	if r := s.ask("POST", "/logout", cookie); r.StatusCode != 303 {
		t.Errorf("logout: %d", r.StatusCode)
	}
	if r := s.ask("GET", "/", cookie); r.StatusCode != 303 {
		t.Errorf("logged out: %d", r.StatusCode)
	}
}

func TestGuessingIsLimited(t *testing.T) {
	s := newSite(t, hashed(t, web.Access{Token: token}))
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	guess := func(addr string) int {
		return s.ask("GET", "/api/v1/overview", basic("atsync", "guess"), from(addr)).StatusCode
	}
	var got []int
	for range 7 {
		got = append(got, guess("[2001:db8::1]:5"))
	}
	if want := []int{401, 401, 401, 401, 401, 429, 429}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if n := guess("[2001:db8::ffff]:9"); n != 429 {
		t.Errorf("a neighbour in the same network: %d", n)
	}
	if n := guess("192.0.2.1:9"); n != 401 {
		t.Errorf("somebody else: %d", n)
	}
	if r := s.ask("GET", "/", basic("atsync", password), from("[2001:db8::1]:5")); r.StatusCode != 429 || r.Header.Get("Retry-After") == "" {
		t.Errorf("the right password in between: %d", r.StatusCode)
	}
	if r := s.ask("GET", "/", header("Authorization", "Bearer "+token), from("[2001:db8::1]:5")); r.StatusCode != 200 {
		t.Errorf("the token in between: %d", r.StatusCode)
	}
	s.later(11 * time.Second)
	if r := s.ask("GET", "/", basic("atsync", password), from("[2001:db8::1]:5")); r.StatusCode != 200 {
		t.Errorf("later: %d", r.StatusCode)
	}
}

func TestReadOnly(t *testing.T) {
	s := newSite(t, web.Access{ReadOnly: true})
	for _, path := range []string{"/tenant/lumen/sync", "/tenant/evergreen/release", "/api/v1/tenants/lumen/pause"} {
		if r := s.ask("POST", path); r.StatusCode != 403 {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	reload := s.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = s.Reload(t.Context()) }))
	if r := askHandler(reload, "POST", "/-/reload"); r.StatusCode != 403 {
		t.Errorf("reload: %d", r.StatusCode)
	}
	if r := askHandler(reload, "GET", "/metrics"); r.StatusCode != 200 {
		t.Errorf("metrics: %d", r.StatusCode)
	}
	if did := s.Did(); len(did) != 1 || did[0] != "reload " { // by the GET of the test's own handler
		t.Error(did)
	}
	for _, path := range []string{"/", "/tenant/evergreen", "/tenant/initech"} {
		if text := s.ask("GET", path).text; strings.Contains(text, "<button") || !strings.Contains(text, "read-only") {
			t.Errorf("%s has buttons", path)
		}
	}
}

func TestProtectNeedsTheLogin(t *testing.T) {
	s := newSite(t, web.Access{Token: token})
	metrics := s.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) }))
	if r := askHandler(metrics, "GET", "/metrics", header("Accept", "*/*")); r.StatusCode != 401 {
		t.Errorf("without: %d", r.StatusCode)
	}
	if r := askHandler(metrics, "GET", "/metrics", header("Authorization", "bearer "+token)); r.StatusCode != 200 || r.text != "metrics" {
		t.Errorf("with: %d", r.StatusCode)
	}
}
