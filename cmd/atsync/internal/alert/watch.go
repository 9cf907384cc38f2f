package alert

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
)

// Feed is what a Watcher looks at; daemon.Control is one.
type Feed interface {
	Config() *config.Config
	StartedAt() time.Time
	Tenants() []daemon.TenantState
}

// Options say what a Watcher works with.
type Options struct {
	Send   func(ctx context.Context, target config.AlertTarget, notices []Notice) error // Sender.Send
	File   string                                                                       // where it keeps what was told
	Logger *slog.Logger
}

// Watcher tells targets of alerts. Run may be called once, Firing at any time.
type Watcher struct {
	opts    Options
	feed    Feed // while Run works
	log     *slog.Logger
	state   *state
	written []byte
	targets map[string]*delivery // by name
	results chan result

	mu     sync.Mutex
	firing []daemon.Alert // as of the last look
}

// delivery is how a target is doing.
type delivery struct {
	busy     bool // a message is on its way
	failures int  // in a row
	after    time.Time
}

// result is how a message went.
type result struct {
	target  string
	keys    []string
	notices []Notice
	err     error
}

// Times of a Watcher.
const (
	lookEvery  = 10 * time.Second
	sendWithin = 30 * time.Second
	stopWithin = 5 * time.Second // from the end of Run's context until messages on their way are given up
	mostWait   = 15 * time.Minute
)

// New makes a Watcher, which does nothing until Run. If what an earlier one has kept can't be read, it begins anew: a daemon does
// not stand still for that.
func New(opts Options) *Watcher {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := readState(opts.File)
	if err != nil {
		opts.Logger.Warn("nobody knows who was told of which alerts; what is wrong is told again", "error", err)
	}
	return &Watcher{opts: opts, log: opts.Logger, state: s, targets: map[string]*delivery{}, results: make(chan result)}
}

// Run looks at the feed and tells until ctx ends, and a little longer for what is on its way.
func (w *Watcher) Run(ctx context.Context, feed Feed) {
	w.feed = feed
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	w.look(sending, time.Now())
	for {
		select {
		case <-ticker.C:
			w.look(sending, time.Now())
		case r := <-w.results:
			w.done(r, time.Now())
		case <-ctx.Done():
			w.finish(stop)
			return
		}
	}
}

// finish waits for what is on its way.
func (w *Watcher) finish(stop context.CancelFunc) {
	bound := time.AfterFunc(stopWithin, stop)
	defer bound.Stop()
	for w.busy() {
		w.done(<-w.results, time.Now())
	}
}

func (w *Watcher) busy() bool {
	for _, d := range w.targets {
		if d.busy {
			return true
		}
	}
	return false
}

// Firing returns what is wrong as of the last look, and who was told, the newest first.
func (w *Watcher) Firing() []daemon.Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Concat([]daemon.Alert{}, w.firing)
}

// show lets others see what is wrong.
func (w *Watcher) show() {
	firing := w.state.firing()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.firing = firing
}

// look applies the rules and sends what targets are to be told. Without a target the rules are for those who ask.
func (w *Watcher) look(ctx context.Context, now time.Time) {
	defer w.show()
	cfg := w.feed.Config()
	w.state.apply(look(w.state, cfg.Alerts, w.feed.Tenants(), w.feed.StartedAt(), now), cfg.TenantNames(), now)
	w.tidy(cfg)
	for name, target := range cfg.Alerts.Targets {
		d := w.targets[name]
		if d == nil {
			d = &delivery{}
			w.targets[name] = d
		}
		if d.busy || now.Before(d.after) {
			continue
		}
		keys, notices := w.state.due(name, target, cfg.Alerts.Repeat, now)
		if len(keys) == 0 {
			continue
		}
		d.busy = true
		go w.send(ctx, name, target, keys, notices)
	}
	w.keep()
}

// send sends a message, in a goroutine of its own.
func (w *Watcher) send(ctx context.Context, name string, target config.AlertTarget, keys []string, notices []Notice) {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	err := w.opts.Send(ctx, target, notices)
	w.results <- result{name, keys, slices.Clone(notices), err}
}

// done notes how a message went. After a failure the target has a rest, longer each time.
func (w *Watcher) done(r result, now time.Time) {
	d := w.targets[r.target]
	d.busy = false
	if r.err != nil {
		d.failures++
		wait := min(lookEvery<<min(d.failures, 10), mostWait)
		d.after = now.Add(wait)
		w.log.Warn("nobody could be told of alerts; it is tried again", "target", r.target, "alerts", len(r.keys), "again_in", wait.String(), "error", r.err)
		return
	}
	d.failures, d.after = 0, time.Time{}
	w.state.tell(r.target, r.keys, r.notices, now)
	w.tidy(w.feed.Config())
	w.show()
	for _, n := range r.notices {
		w.log.Info("told of an alert", "target", r.target, "state", string(n.State), "kind", string(n.Kind), "tenant", n.Tenant, "summary", n.Summary)
	}
	w.keep()
}

// tidy forgets what is done with, unless somebody is just being told of it.
func (w *Watcher) tidy(cfg *config.Config) {
	if !w.busy() {
		w.state.tidy(cfg.Alerts.Targets)
	}
}

// keep writes what was told. If that fails, a restart may tell it again.
func (w *Watcher) keep() {
	written, err := w.state.write(w.opts.File, w.written)
	if err != nil {
		w.log.Warn("what was told of alerts could not be kept; after a restart it may be told again", "error", err)
	}
	w.written = written
}
