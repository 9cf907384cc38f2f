package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/atsync/atsync/pipeline"
)

// Access says who may see the pages. Without a password or a token everybody may who connects to a loopback address.
type Access struct {
	Listen       string // host:port of the server
	Username     string // of basic authentication and the login form
	PasswordHash string // bcrypt; empty: there is no password
	Token        string // for "Authorization: Bearer" and the login form; empty: there is none
	ReadOnly     bool   // nothing can be started, paused, released or reloaded
}

// tokenLength is how long a token is at least: it is not guarded by bcrypt's slowness.
const tokenLength = 20

// guard decides about requests.
type guard struct {
	access   Access
	open     bool // nobody has to log in
	token    [32]byte
	csrf     *http.CrossOriginProtection
	sessions *sessions
	limits   *limiter
	hashing  chan struct{} // bounds how many passwords are compared at a time: each takes a core for a while
	log      *slog.Logger

	key [32]byte

	mu       sync.Mutex
	proved   [32]byte // keyed hash of the last password that was right, so that scripts need not pay for bcrypt each time
	hasProof bool
}

func newGuard(a Access, now func() time.Time, log *slog.Logger) (*guard, error) {
	g := &guard{access: a, csrf: http.NewCrossOriginProtection(), sessions: newSessions(now), limits: newLimiter(now), hashing: make(chan struct{}, 2), log: log}
	g.open = a.PasswordHash == "" && a.Token == ""
	bad := func(text, remedy string) (*guard, error) {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Op: "http", Err: errors.New(text), Remedy: remedy}
	}
	if g.open && !loopbackHost(a.Listen) {
		return bad("everybody who reaches "+a.Listen+" could see and steer the pages",
			"set http.password_hash (atsync config password makes one) or http.token, or listen on 127.0.0.1")
	}
	if a.Token != "" && len(a.Token) < tokenLength {
		return bad("http.token is too short to be safe", "make one of 20 characters or more, like: openssl rand -hex 24")
	}
	if a.PasswordHash != "" {
		if _, err := bcrypt.Cost([]byte(a.PasswordHash)); err != nil {
			return bad("http.password_hash is no bcrypt hash", "make one: atsync config password")
		}
	}
	g.token = sha256.Sum256([]byte(a.Token))
	_, err := rand.Read(g.key[:])
	return g, err
}

// loopbackHost reports whether an address, with or without a port, can be reached from this machine alone.
func loopbackHost(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameSite refuses what another site's page lets a browser send. Where nobody logs in it also refuses names that are not this
// machine's: a name that its owner points to 127.0.0.1 would make the pages part of his site.
func (g *guard) sameSite(next http.Handler) http.Handler {
	checked := g.csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open && !loopbackHost(r.Host) {
			http.Error(w, "atsync answers to localhost only while nobody has to log in: set http.password_hash or http.token to use another name", http.StatusMisdirectedRequest)
			return
		}
		checked.ServeHTTP(w, r)
	})
}

// writable refuses what changes something in read-only mode.
func (g *guard) writable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.access.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead {
			fail(w, r, http.StatusForbidden, "read-only", "this atsync is set to show, not to be steered (http.read_only)")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticated lets through who has logged in, or need not; refuse answers the others.
func (g *guard) authenticated(next http.Handler, refuse func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.open || g.sessions.valid(r) {
			next.ServeHTTP(w, r)
			return
		}
		name, password, basic := r.BasicAuth()
		token, bearer := bearerToken(r)
		if !basic && !bearer {
			refuse(w, r)
			return
		}
		switch g.check(r, name, password, token) {
		case right:
			next.ServeHTTP(w, r)
		case wrong:
			refuse(w, r)
		case tooMany:
			g.tooMany(w, r)
		}
	})
}

// verdict is what becomes of a login.
type verdict int

const (
	wrong verdict = iota
	right
	tooMany // wrong ones came from there: this one was not looked at
)

// check looks at a name with a password, and at a token. What is cheap to look at and known to be right is never limited.
func (g *guard) check(r *http.Request, name, password, token string) verdict {
	switch {
	case g.tokenIs(token) || g.proven(name, password):
		return right
	case !g.limits.attempt(r):
		return tooMany
	case g.password(name, password):
		g.limits.forgive(r)
		return right
	}
	g.log.Warn("a login was refused", "from", clientOf(r))
	return wrong
}

func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

func (g *guard) tooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "30")
	fail(w, r, http.StatusTooManyRequests, "too many logins", "too many wrong passwords came from this address: wait half a minute")
}

// tokenIs compares in constant time.
func (g *guard) tokenIs(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return g.access.Token != "" && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// proof is what is kept of a password that was right.
func (g *guard) proof(name, password string) [32]byte {
	mac := hmac.New(sha256.New, g.key[:])
	mac.Write([]byte(name + "\x00" + password))
	return [32]byte(mac.Sum(nil))
}

// proven reports whether the password was right before.
func (g *guard) proven(name, password string) bool {
	proof := g.proof(name, password)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hasProof && subtle.ConstantTimeCompare(proof[:], g.proved[:]) == 1
}

// password compares with the hash. A wrong name takes as long as a wrong password.
func (g *guard) password(name, password string) bool {
	if g.access.PasswordHash == "" {
		return false
	}
	g.hashing <- struct{}{}
	err := bcrypt.CompareHashAndPassword([]byte(g.access.PasswordHash), []byte(password))
	<-g.hashing
	if subtle.ConstantTimeCompare([]byte(name), []byte(g.access.Username)) != 1 || err != nil {
		return false
	}
	proof := g.proof(name, password)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proved, g.hasProof = proof, true
	return true
}
