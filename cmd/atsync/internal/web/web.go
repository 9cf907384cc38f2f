// Package web serves the status pages of a running daemon, the same data as JSON, and decides who may see them.
//
// It promises that nothing it serves asks another host for anything, runs inline scripts or styles, or can be framed; that no
// request of another site changes anything; that what comes from data (names of fields, error texts, raw values) is shown as
// text; and that whoever does not come from this machine has to log in. Pages work without JavaScript: it only refreshes them
// and draws charts. Links are relative, so that a reverse proxy can serve the pages under any path.
//
// It reads rows from publications alone, through [Store], and everything else from the daemon, through [daemon.Control]. It
// sees no credential of Autotask's.
package web

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

//go:embed static templates
var files embed.FS

// Store reads what is published of tenants. Errors that wrap os.ErrNotExist say that there is no publication yet. Its methods
// may be called concurrently.
type Store interface {
	Published(ctx context.Context, tenant string) (Published, error)
	// History is nil if the publication has no such table.
	History(ctx context.Context, tenant string, entity string) (*pipeline.History, []Reject, error)
	// Run is nil if the publication does not have the run; loads are those of it that are published.
	Run(ctx context.Context, tenant string, id int64) (run *pipeline.Run, loads []pipeline.LoadRecord, err error)
}

// Published is what a publication tells at a glance.
type Published struct {
	Path   string                  `json:"path"`
	At     time.Time               `json:"at"` // when it was made
	Bytes  int64                   `json:"bytes"`
	Tables []pipeline.TableSummary `json:"tables"`
}

// Reject is a value that did not fit its column.
type Reject struct {
	Tenant         string    `json:"tenant"`
	Entity         string    `json:"entity"`
	Table          string    `json:"table"`
	ID             int64     `json:"id"`
	Column         string    `json:"column"`
	Field          string    `json:"field"`
	Raw            string    `json:"raw"`
	Reason         string    `json:"reason"`
	LoadID         int64     `json:"load_id"`
	FoundAt        time.Time `json:"found_at"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"` // zero: open
	Note           string    `json:"note,omitempty"`
}

// Options says what pages show and to whom.
type Options struct {
	Control daemon.Control
	Store   Store
	Access  Access
	Version string           // of the program
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: silent
}

// Pages serves the pages and the API. It implements daemon.Pages and is safe for concurrent use.
type Pages struct {
	control   daemon.Control
	store     Store
	guard     *guard
	version   string
	now       func() time.Time
	log       *slog.Logger
	templates map[string]*template.Template
	assets    map[string]asset
	handler   http.Handler
}

var _ daemon.Pages = (*Pages)(nil)

// New makes the pages. An Access that lets nobody in is an error of ClassConfig.
func New(opts Options) (*Pages, error) {
	p := &Pages{control: opts.Control, store: opts.Store, version: opts.Version, now: opts.Now, log: opts.Logger}
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.assets, err = loadAssets(files); err != nil {
		return nil, fmt.Errorf("embedded files: %w", err)
	}
	if p.templates, err = p.parseTemplates(); err != nil {
		return nil, fmt.Errorf("embedded templates: %w", err)
	}
	if p.guard, err = newGuard(opts.Access, p.now, p.log); err != nil {
		return nil, err
	}
	p.handler = p.routes()
	return p, nil
}

// ServeHTTP answers everything but the daemon's own paths.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Protect lets only those through to next who may see the pages; who changes something must also be allowed to.
func (p *Pages) Protect(next http.Handler) http.Handler {
	return secured(p.guard.sameSite(p.guard.authenticated(p.guard.writable(next), p.refuse)))
}

// routes maps paths to handlers. Whatever is not listed as open needs a login.
func (p *Pages) routes() http.Handler {
	inner := http.NewServeMux()
	page := func(pattern string, h func(*http.Request) (view, error)) {
		inner.Handle("GET "+pattern, p.page(h))
	}
	page("/{$}", p.overview)
	page("/alerts", p.alerts)
	page("/quota", p.quota)
	page("/tenant/{tenant}", p.tenant)
	page("/tenant/{tenant}/entity/{entity}", p.entity)
	page("/tenant/{tenant}/run/{run}", p.run)
	inner.Handle("POST /tenant/{tenant}/{action}", p.guard.writable(http.HandlerFunc(p.act)))
	p.apiRoutes(inner)
	inner.HandleFunc("/", p.notFound)

	outer := http.NewServeMux()
	outer.HandleFunc("GET /static/{file...}", p.static)
	outer.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { p.serveAsset(w, r, "icon.svg") })
	outer.HandleFunc("GET /login", p.loginForm)
	outer.HandleFunc("POST /login", p.login)
	outer.HandleFunc("POST /logout", p.logout)
	outer.Handle("/", p.guard.authenticated(inner, p.refuse))
	return secured(p.guard.sameSite(outer))
}

// secured sets the headers that keep browsers from doing anything unwanted with an answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
