package autotasktest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Zone is what a zone lookup tells besides the URL.
type Zone struct {
	Name     string // "AE02"
	Number   int    // of the webservicesN host that the 401 challenge and webUrl name
	Database int64  // ci: identity of the Autotask database (api.md §2)
}

// account is one API user.
type account struct {
	code, secret string
	failures     int
	locked       bool
	moved        *Handler // the zone that the user lives in now
}

// auth holds the users and what happened to their logins.
type auth struct {
	mu          sync.Mutex
	users       map[string]*account // by lower-case name
	failed      int
	maxFailures int
	codeText    bool // a bad integration code answers 500
}

func (a *auth) add(user, code, secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users = map[string]*account{}
	}
	a.users[strings.ToLower(user)] = &account{code: code, secret: secret}
}

// loginResult is the outcome of a login.
type loginResult int

const (
	loginOK loginResult = iota
	loginRefused
	loginBadCode // refused with a text of its own
)

// check judges a login. After maxFailures failures in a row the user is locked, and then even the right
// secret is refused (api.md §1; the real number is not published).
func (a *auth) check(user, code, secret string) loginResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[strings.ToLower(user)]
	right := u != nil && u.code == code && u.secret == secret && u.moved == nil
	if right && !u.locked {
		u.failures = 0
		return loginOK
	}
	a.failed++
	if u != nil && !right && u.moved == nil {
		u.failures++
		u.locked = u.locked || u.failures >= a.maxFailures
	}
	if a.codeText && u != nil && u.code != code {
		return loginBadCode
	}
	return loginRefused
}

// login checks the three headers of a request. HTTP Basic is not looked at (api.md §1).
func (h *Handler) login(x *exchange) (response, bool) {
	head := x.r.Header
	switch h.auth.check(head.Get("UserName"), head.Get("ApiIntegrationCode"), head.Get("Secret")) {
	case loginOK:
		return response{}, true
	case loginBadCode:
		return x.fail(failf("IntegrationCode is invalid")), false
	}
	return h.unauthorized(x), false
}

// unauthorized is the 401 of the service: no body, and a challenge for Basic, which does not work.
func (h *Handler) unauthorized(*exchange) response {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return response{status: http.StatusUnauthorized, header: map[string]string{
		"Www-Authenticate": `Basic Realm="webservices` + strconv.Itoa(h.zone.Number) + `.autotask.net"`,
	}}
}

// FailedLogins returns how many requests were refused for their login, those to a locked user included.
func (h *Handler) FailedLogins() int {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	return h.auth.failed
}

// Locked reports whether the API user is locked.
func (h *Handler) Locked() bool {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	u := h.auth.users[strings.ToLower(h.Username)]
	return u != nil && u.locked
}

// Unlock unlocks the API user, as an administrator does, and forgets earlier failures of that user.
func (h *Handler) Unlock() {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	if u := h.auth.users[strings.ToLower(h.Username)]; u != nil {
		u.locked, u.failures = false, 0
	}
}

// SetSecret changes the API user's secret on the service's side; Secret keeps the old one.
func (h *Handler) SetSecret(secret string) {
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	h.auth.users[strings.ToLower(h.Username)].secret = secret
}

// MoveTo moves the API user to another zone: logins here are refused, zone lookups here name the other
// server, and the other server takes the same credentials. Rows do not move: give both servers the same
// Data if they are to be found there.
func (h *Handler) MoveTo(other *Server) {
	h.auth.mu.Lock()
	u := h.auth.users[strings.ToLower(h.Username)]
	u.moved = other.Handler
	code, secret := u.code, u.secret
	h.auth.mu.Unlock()
	other.auth.add(h.Username, code, secret)
}

// serveZone answers zoneInformation?user=, without a login (api.md §2).
func (h *Handler) serveZone(x *exchange) response {
	h.auth.mu.Lock()
	u := h.auth.users[strings.ToLower(x.r.URL.Query().Get("user"))]
	home := h
	if u != nil && u.moved != nil {
		home = u.moved
	}
	h.auth.mu.Unlock()
	if u == nil {
		return x.fail(failf("Zone information could not be determined"))
	}
	home.mu.RLock()
	zone := home.zone
	home.mu.RUnlock()
	b := appendKey([]byte{'{'}, "zoneName", zone.Name)
	b = appendKey(append(b, ','), "url", home.origin(x.r)+"/ATServicesRest/")
	b = appendKey(append(b, ','), "webUrl", "https://ww"+strconv.Itoa(zone.Number)+".autotask.net/")
	return x.json(append(strconv.AppendInt(append(b, `,"ci":`...), zone.Database, 10), '}'))
}

// origin is the scheme and host that links name.
func (h *Handler) origin(r *http.Request) string {
	if h.base != "" {
		return h.base
	}
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}
