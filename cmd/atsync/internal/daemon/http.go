package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/atsync/atsync/pipeline"
)

// Health is the answer of /-/healthy.
type Health struct {
	OK      bool    `json:"ok"` // the schedule is looked at
	Version string  `json:"version"`
	Seconds float64 `json:"uptime_seconds"`
}

// Readiness is the answer of /-/ready.
type Readiness struct {
	Ready bool    `json:"ready"`
	Stale []Stale `json:"stale"` // tenants whose objective is not met
}

// Stale names a tenant whose data is older than its objective.
type Stale struct {
	Tenant string   `json:"tenant"`
	Lag    float64  `json:"lag_seconds"` // of the oldest table; -1: some was never read
	Tables []string `json:"tables"`
}

// Reloading is the answer of POST /-/reload.
type Reloading struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"` // then the old configuration stays in force
	ReloadState
}

// serve begins to answer HTTP. The function it returns ends that.
func (d *Daemon) serve() (stop func(), err error) {
	if d.opts.Listener == nil {
		return func() {}, nil
	}
	handler, err := d.handler()
	if err != nil {
		return nil, errors.Join(err, d.opts.Listener.Close())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(d.opts.Listener); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("HTTP is not served any more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // what is still being answered is cut off
		}
		<-ended
	}, nil
}

// handler is everything that is served.
func (d *Daemon) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	protect := http.NewCrossOriginProtection().Handler // a page of another site must not make a browser post here
	if d.opts.Pages != nil {
		pages, err := d.opts.Pages(d)
		if err != nil {
			return nil, err
		}
		mux.Handle("/", pages)
		protect = pages.Protect
	} else if err := onlyLoopback(d.opts.Listener.Addr()); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /-/healthy", d.healthy)
	mux.HandleFunc("GET /-/ready", d.ready)
	mux.Handle("GET /metrics", protect(promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})))
	mux.Handle("POST /-/reload", protect(http.HandlerFunc(d.reloadNow)))
	return mux, nil
}

// onlyLoopback refuses an address that other machines reach.
func onlyLoopback(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return &pipeline.Error{Class: pipeline.ClassConfig, Op: "run", Err: fmt.Errorf("http.listen: others than this machine could reach %s, and nobody would have to log in", addr),
			Remedy: "listen on 127.0.0.1, and let a proxy that asks for a login stand before it"}
	}
	return nil
}

func (d *Daemon) healthy(w http.ResponseWriter, _ *http.Request) {
	h := Health{OK: d.app.Alive(), Version: d.opts.Version, Seconds: time.Since(d.started).Seconds()}
	answer(w, h.OK, http.StatusServiceUnavailable, h)
}

// ready answers whether all tenants' data, or that of ?tenant=NAME, is as current as wanted.
func (d *Daemon) ready(w http.ResponseWriter, r *http.Request) {
	states := d.Tenants()
	if name := r.URL.Query().Get("tenant"); name != "" {
		s, ok := d.Tenant(name)
		if !ok {
			answer(w, false, http.StatusNotFound, Readiness{Stale: []Stale{}})
			return
		}
		states = []TenantState{s}
	}
	out := readiness(states)
	answer(w, out.Ready, http.StatusServiceUnavailable, out)
}

func readiness(states []TenantState) Readiness {
	out := Readiness{Ready: true, Stale: []Stale{}}
	for _, s := range states {
		if s.Fresh {
			continue
		}
		stale := Stale{Tenant: s.Tenant, Lag: s.Lag}
		for _, t := range s.Tables {
			if !t.Fresh {
				stale.Tables = append(stale.Tables, t.Table)
			}
		}
		out.Ready, out.Stale = false, append(out.Stale, stale)
	}
	return out
}

func (d *Daemon) reloadNow(w http.ResponseWriter, r *http.Request) {
	out := Reloading{OK: true}
	if err := d.Reload(r.Context()); err != nil {
		out.OK, out.Error = false, err.Error()
	}
	out.ReloadState = d.Reloaded()
	out.ReloadState.Error = "" // it stands above
	answer(w, out.OK, http.StatusUnprocessableEntity, out)
}

// answer writes JSON with 200, or another status.
func answer(w http.ResponseWriter, ok bool, otherwise int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer can't be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(otherwise)
	}
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}
