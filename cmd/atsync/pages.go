package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/pipeline"
)

// newPages makes the status pages of a daemon. Who may see them is settled when it starts.
func (e *env) newPages(ctx context.Context, cfg *config.Config, version string) daemon.NewPages {
	return func(c daemon.Control) (daemon.Pages, error) {
		secrets := cfg.Resolver(e.environ)
		access := web.Access{Listen: cfg.HTTP.Listen, Username: cfg.HTTP.Username, ReadOnly: cfg.HTTP.ReadOnly}
		if ref := cfg.HTTP.PasswordHash; !ref.Empty() {
			hash, err := secrets.Resolve(ctx, ref)
			if err != nil {
				return nil, badAccess("http.password_hash", err)
			}
			access.PasswordHash = hash.Reveal()
		}
		if ref := cfg.HTTP.Token; !ref.Empty() {
			token, err := secrets.Resolve(ctx, ref)
			if err != nil {
				return nil, badAccess("http.token", err)
			}
			access.Token = token.Reveal()
		}
		return web.New(web.Options{Control: c, Store: newLibrary(c), Access: access, Version: version, Logger: e.logger(e.stderr, cfg)})
	}
}

func badAccess(op string, err error) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: op, Err: err}
}

// library reads publications for pages: never a warehouse, which belongs to the jobs. One is read at a time, so that pages
// never take more memory than one reader, and what a publication tells at a glance is remembered until there is a newer one.
type library struct {
	control daemon.Control
	turn    chan struct{} // holds one token

	mu      sync.Mutex
	cfg     *config.Config                 // that tenants are of
	tenants map[string]config.TenantConfig // as far as they were needed: to work one out takes a while
	known   map[string]edition             // by path
}

// edition is what was read of a publication: of its file as it was then.
type edition struct {
	tables   []pipeline.TableSummary
	modified time.Time
	size     int64
}

// of tells where readers find what was read here: a bucket may be behind, or have nothing yet.
func (e edition) of(t config.TenantConfig) web.Published {
	out := web.Published{Path: t.PublishPath, At: e.modified.UTC(), Bytes: e.size, Tables: e.tables}
	if where, at, bytes := published(t); where != "" {
		out.Path, out.At, out.Bytes = where, at, bytes
	}
	return out
}

// Days that pages look back.
const (
	summaryDays = 15
	historyDays = 90
)

func newLibrary(c daemon.Control) *library {
	return &library{control: c, turn: make(chan struct{}, 1), known: map[string]edition{}}
}

// tenant returns a tenant's settings in the configuration in force.
func (l *library) tenant(name string) (config.TenantConfig, error) {
	cfg := l.control.Config()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg != cfg {
		l.cfg, l.tenants = cfg, map[string]config.TenantConfig{}
	}
	if t, ok := l.tenants[name]; ok {
		return t, nil
	}
	t, err := cfg.Tenant(name)
	if err == nil {
		l.tenants[name] = t
	}
	return t, err
}

// read opens a tenant's publication for fn, when its turn comes. What has begun is done even if ctx ends.
func (l *library) read(ctx context.Context, tenant string, fn func(context.Context, *reader) error) error {
	t, err := l.tenant(tenant)
	if err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil { // of two cases that are ready either is taken
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	r, err := openFile(ctx, t.PublishPath, t.Name)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // opened for reading
	return fn(ctx, r)
}

func since(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
}

// Published implements web.Store.
func (l *library) Published(ctx context.Context, tenant string) (web.Published, error) {
	t, err := l.tenant(tenant)
	if err != nil {
		return web.Published{}, err
	}
	info, err := os.Stat(t.PublishPath)
	if err != nil {
		return web.Published{}, err
	}
	l.mu.Lock()
	old, ok := l.known[t.PublishPath]
	l.mu.Unlock()
	if ok && old.modified.Equal(info.ModTime()) && old.size == info.Size() {
		return old.of(t), nil
	}
	fresh := edition{modified: info.ModTime(), size: info.Size()}
	err = l.read(ctx, tenant, func(ctx context.Context, r *reader) (err error) {
		fresh.tables, err = r.summaries(ctx, since(summaryDays))
		return err
	})
	switch {
	case err != nil && ok && ctx.Err() != nil:
		return old.of(t), nil // better than nothing, until there is time
	case err != nil:
		return web.Published{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[t.PublishPath] = fresh
	return fresh.of(t), nil
}

// History implements web.Store.
func (l *library) History(ctx context.Context, tenant string, entity string) (h *pipeline.History, rejects []web.Reject, err error) {
	err = l.read(ctx, tenant, func(ctx context.Context, r *reader) error {
		if h, err = r.history(ctx, entity, since(historyDays)); err != nil || h == nil {
			return err
		}
		rows, err := r.rejects(ctx, pipeline.RejectSelection{Entity: entity})
		for _, row := range rows {
			rejects = append(rejects, web.Reject(row))
		}
		return err
	})
	rejects = slices.DeleteFunc(rejects, func(r web.Reject) bool { return !r.AcknowledgedAt.IsZero() })
	return h, rejects, err
}

// Run implements web.Store.
func (l *library) Run(ctx context.Context, tenant string, id int64) (run *pipeline.Run, loads []pipeline.LoadRecord, err error) {
	err = l.read(ctx, tenant, func(ctx context.Context, r *reader) error {
		if run, err = r.run(ctx, id); err != nil {
			return err
		}
		loads, err = r.loads(ctx, id)
		return err
	})
	return run, loads, err
}
