package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

// view is a page to be rendered.
type view struct {
	Template string
	Title    string
	Data     any

	// Set by render:
	Root     string // relative way to the first page: "./", "../" …
	Now      time.Time
	Version  string
	ReadOnly bool
	LoggedIn bool              // by the form: there is something to leave
	Notice   string            // what an action did
	Reload   string            // what is wrong with the configuration file
	Restart  []string          // keys of it that wait for a restart
	Hash     map[string]string // of assets
}

// parseTemplates parses each page together with the layout.
func (p *Pages) parseTemplates() (map[string]*template.Template, error) {
	out := map[string]*template.Template{}
	for _, name := range []string{"overview", "tenant", "entity", "run", "alerts", "quota", "login", "message"} {
		t, err := template.New("layout.html").Funcs(p.functions()).ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		out[name] = t
	}
	return out, nil
}

// rootOf returns the relative way from a request's page to the first one.
func rootOf(r *http.Request) string {
	if n := strings.Count(strings.TrimPrefix(r.URL.Path, "/"), "/"); n > 0 {
		return strings.Repeat("../", n)
	}
	return "./"
}

// render writes a page. It is complete or not begun.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Root, v.Now, v.Version, v.ReadOnly = rootOf(r), p.now().UTC(), p.version, p.guard.access.ReadOnly
	v.LoggedIn = !p.guard.open && p.guard.sessions.valid(r)
	v.Notice = notices()[r.URL.Query().Get("done")]
	if v.Template != "login" {
		state := p.control.Reloaded()
		v.Reload, v.Restart = state.Error, state.Restart
	}
	v.Hash = map[string]string{}
	for name, a := range p.assets {
		v.Hash[name] = a.hash
	}
	var b bytes.Buffer
	if err := p.templates[v.Template].Execute(&b, v); err != nil {
		p.log.Error("a page can't be made", "page", v.Template, "error", err)
		http.Error(w, "this page can't be made: the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, forward(b.String())) // an error: the browser is gone
}

// forward takes the marks out of a page that turn the direction of writing around: with them a text can look like another.
func forward(page string) string {
	return strings.Map(func(c rune) rune {
		if c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' {
			return -1
		}
		return c
	}, page)
}

// page makes a handler of a function that collects what a page shows.
func (p *Pages) page(collect func(*http.Request) (view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := collect(r)
		if err != nil {
			p.message(w, r, statusOf(err), err)
			return
		}
		p.render(w, r, http.StatusOK, v)
	})
}

// message shows an error as a page.
func (p *Pages) message(w http.ResponseWriter, r *http.Request, status int, err error) {
	if errors.Is(err, context.Canceled) {
		return // nobody waits for it
	}
	p.render(w, r, status, view{Template: "message", Title: http.StatusText(status), Data: failureOf(err)})
}

func (p *Pages) notFound(w http.ResponseWriter, r *http.Request) {
	err := notFoundError("there is no such page")
	if isAPI(r) {
		writeFailure(w, http.StatusNotFound, failureOf(err))
		return
	}
	p.message(w, r, http.StatusNotFound, err)
}

// statusOf returns the HTTP status that says what kind of error it is.
func statusOf(err error) int {
	if _, ok := errors.AsType[notFoundError](err); ok {
		return http.StatusNotFound
	}
	switch pipeline.ClassOf(err) {
	case pipeline.ClassConfig:
		return http.StatusBadRequest
	case pipeline.ClassPartial:
		return http.StatusConflict // it waits or runs already
	case pipeline.ClassSink, pipeline.ClassTransient:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func failureOf(err error) Failure {
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		return Failure{Error: e.Err.Error(), Class: e.Class, Remedy: e.Remedy}
	}
	return Failure{Error: err.Error()}
}

// notices are what a page says after an action, by the word in its address.
func notices() map[string]string {
	return map[string]string{
		"sync":    "A sync will start as soon as this tenant is free.",
		"verify":  "A verify will start as soon as this tenant is free.",
		"pause":   "Paused. A job that runs goes on; scheduled ones don't start.",
		"resume":  "Resumed.",
		"release": "The hold will be released and the login tried once.",
	}
}

// act carries out what a button says and leads back to the page that it stands on.
func (p *Pages) act(w http.ResponseWriter, r *http.Request) {
	tenant, action := r.PathValue("tenant"), r.PathValue("action")
	if _, ok := p.control.Tenant(tenant); !ok {
		p.message(w, r, http.StatusNotFound, notFoundError("there is no tenant "+tenant))
		return
	}
	if err := p.do(tenant, action); err != nil {
		p.message(w, r, statusOf(err), err)
		return
	}
	p.log.Info("asked for on the pages", "tenant", tenant, "action", action, "from", clientOf(r))
	to := "../" + tenant
	if r.URL.Query().Get("from") == "overview" {
		to = "../../"
	}
	seeOther(w, to+"?done="+action)
}

type overviewView struct {
	Overview
	Show                           string // all or problems
	Shown                          []Tenant
	Problems, Late, Held, Failed   int
	Paused, Running, Waiting, Good int
	Next                           time.Time
	Rows                           int64
}

func (p *Pages) overview(r *http.Request) (view, error) {
	v := overviewView{Overview: p.readOverview(r.Context()), Show: "all"}
	if r.URL.Query().Get("show") == "problems" {
		v.Show = "problems"
	}
	for _, t := range v.Tenants {
		switch t.Health {
		case HealthHold:
			v.Held++
		case HealthFailed:
			v.Failed++
		case HealthLate:
			v.Late++
		case HealthOK:
			v.Good++
		case HealthNew:
		}
		if t.Paused {
			v.Paused++
		}
		if t.Running != nil {
			v.Running++
		}
		v.Waiting += len(t.Waiting)
		v.Rows += t.Rows
		problem := t.Health == HealthHold || t.Health == HealthFailed || t.Health == HealthLate || t.OpenRejects > 0 || t.Holes > 0
		if problem {
			v.Problems++
		}
		if problem || v.Show == "all" {
			v.Shown = append(v.Shown, t)
		}
		if n := nextOf(t.Next); !n.IsZero() && (v.Next.IsZero() || n.Before(v.Next)) {
			v.Next = n
		}
	}
	return view{Template: "overview", Title: "Overview", Data: v}, nil
}

// nextOf returns when the soonest job starts.
func nextOf(jobs []app.Next) time.Time {
	for _, n := range jobs {
		if !n.At.IsZero() {
			return n.At
		}
	}
	return time.Time{}
}

func (p *Pages) alerts(*http.Request) (view, error) {
	return view{Template: "alerts", Title: "Alerts", Data: alertsView{p.control.Alerts(), len(p.control.Config().Alerts.Targets) > 0}}, nil
}

// alertsView is the page of alerts.
type alertsView struct {
	Alerts  []daemon.Alert
	Targets bool // somebody is to be told
}

func (p *Pages) tenant(r *http.Request) (view, error) {
	t, _, err := p.readTenant(r.Context(), r.PathValue("tenant"))
	return view{Template: "tenant", Title: t.Tenant, Data: t}, err
}

type entityView struct {
	Entity
	RowSeries, ChangeSeries string // JSON of charts
}

func (p *Pages) entity(r *http.Request) (view, error) {
	e, err := p.readEntity(r.Context(), r.PathValue("tenant"), path.Base(r.PathValue("entity")))
	if err != nil {
		return view{}, err
	}
	v := entityView{Entity: e}
	if e.History != nil {
		v.RowSeries, v.ChangeSeries = p.series(e.History)
	}
	return view{Template: "entity", Title: e.Entity + " of " + e.Tenant, Data: v}, nil
}

type runView struct {
	Run
	Live *daemon.Activity
	Line RunLine
	Bars []bar
	Span time.Duration
}

func (p *Pages) run(r *http.Request) (view, error) {
	id, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil {
		return view{}, notFoundError("there is no such run")
	}
	run, err := p.readRun(r.Context(), r.PathValue("tenant"), id)
	if err != nil {
		return view{}, err
	}
	run.Tenant = r.PathValue("tenant")
	v := runView{Run: run, Live: run.Live, Line: lineOf(run.Run)}
	v.Bars, v.Span = timeline(run, p.now())
	return view{Template: "run", Title: fmt.Sprintf("Run %d of %s", id, run.Tenant), Data: v}, nil
}

func (p *Pages) quota(*http.Request) (view, error) {
	return view{Template: "quota", Title: "Quota", Data: p.readQuota()}, nil
}
