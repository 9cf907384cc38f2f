package web

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How long a login lasts, and how many there may be.
const (
	sessionAge  = 12 * time.Hour
	mostSession = 1000
	cookieName  = "atsync_session"
)

// sessions are the logins of browsers. They end with the process.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	end map[[32]byte]time.Time // by hash of the cookie
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, end: map[[32]byte]time.Time{}}
}

// begin returns the value of a new login's cookie.
func (s *sessions) begin() string {
	id := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest [32]byte
	for key, end := range s.end {
		if !end.After(now) {
			delete(s.end, key)
		} else if t, ok := s.end[oldest]; !ok || end.Before(t) {
			oldest = key
		}
	}
	if len(s.end) >= mostSession {
		delete(s.end, oldest)
	}
	s.end[sha256.Sum256([]byte(id))] = now.Add(sessionAge)
	return id
}

func (s *sessions) valid(r *http.Request) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end[sha256.Sum256([]byte(cookie.Value))].After(s.now())
}

func (s *sessions) forget(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.end, sha256.Sum256([]byte(cookie.Value)))
	}
}

// limiter bounds how often an address may be wrong: five times at once, then once in ten seconds.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*rate.Limiter
}

const (
	wrongAtOnce = 5
	wrongEvery  = 10 * time.Second
	mostClients = 10_000
)

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, by: map[string]*rate.Limiter{}}
}

// clientOf names the network that a request comes from: an IPv4 address, or the 64 bits of an IPv6 one that a site is given.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && !ip.Is4In6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return host
}

// attempt reports whether the client may try once more, and counts the try.
func (l *limiter) attempt(r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := clientOf(r)
	if l.by[client] == nil {
		if len(l.by) >= mostClients {
			clear(l.by)
		}
		l.by[client] = rate.NewLimiter(rate.Every(wrongEvery), wrongAtOnce)
	}
	return l.by[client].AllowN(l.now(), 1)
}

// forgive forgets a client's tries.
func (l *limiter) forgive(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.by, clientOf(r))
}

// refuse asks for a login: browsers by a form, others by a status.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && !isAPI(r) && strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("HX-Request") == "" {
		seeOther(w, rootOf(r)+"login?next="+url.QueryEscape(strings.TrimPrefix(r.URL.RequestURI(), "/")))
		return
	}
	challenge := "Bearer"
	if p.guard.access.PasswordHash != "" {
		challenge = `Basic realm="atsync", charset="UTF-8"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	fail(w, r, http.StatusUnauthorized, "login needed", "send the user name and password, or the token as Authorization: Bearer")
}

// loginView is the login page.
type loginView struct {
	Password, Token bool // what can be given
	Username        string
	Next            string
	Wrong           bool
}

func (p *Pages) loginForm(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, p.loginView(r.URL.Query().Get("next"), false))
}

func (p *Pages) loginView(next string, wrong bool) view {
	a := p.guard.access
	return view{Template: "login", Title: "Log in", Data: loginView{
		Password: a.PasswordHash != "", Token: a.Token != "", Username: a.Username, Next: next, Wrong: wrong}}
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	next := r.PostFormValue("next")
	if p.guard.open {
		seeOther(w, "./")
		return
	}
	secret := r.PostFormValue("password")
	switch p.guard.check(r, r.PostFormValue("username"), secret, secret) {
	case tooMany:
		p.guard.tooMany(w, r)
		return
	case wrong:
		p.render(w, r, http.StatusUnauthorized, p.loginView(next, true))
		return
	case right:
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: p.guard.sessions.begin(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"), MaxAge: int(sessionAge.Seconds())})
	seeOther(w, "./"+localPath(next))
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	p.guard.sessions.forget(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	seeOther(w, "login")
}

// localPath returns a path and query below the root, "" for anything that leads elsewhere.
func localPath(text string) string {
	u, err := url.Parse("/" + strings.TrimLeft(text, `/\`))
	if err != nil || u.Host != "" || u.Scheme != "" || strings.Contains(u.Path, "..") || strings.ContainsAny(text, "\r\n\\") {
		return ""
	}
	return strings.TrimLeft(u.RequestURI(), "/")
}

// seeOther redirects to a relative address, as it is: http.Redirect would make it one of this server's root, which is not the
// browser's behind a proxy that serves the pages under a path.
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
