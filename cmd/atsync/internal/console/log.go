package console

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"github.com/atsync/atsync/pipeline"
)

// LogOptions say how a logger writes.
type LogOptions struct {
	Level  string // debug, info, warn, error; anything else: info
	Format string // auto, text, json; auto: short lines on a terminal, text (key=value) elsewhere

	Terminal bool // what is written ends up on a terminal (IsTerminal)
	Color    bool // and may be coloured (Color)
}

// NewLogger makes a logger that writes to w.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		level = slog.LevelInfo
	}
	switch {
	case o.Format == "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	case o.Format != "text" && o.Terminal:
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: time.TimeOnly, NoColor: !o.Color,
		}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// logEvery is how often a long read reports where it is.
const logEvery = 10 * time.Second

// LogTrace returns a Trace that writes what happens as structured logs: what a run shows where no terminal
// is. Give it a logger that names the tenant.
func LogTrace(log *slog.Logger) *pipeline.Trace {
	l := &logTrace{log: log, streams: map[string]*logStream{}}
	return &pipeline.Trace{
		StreamStarted: func(entity, mode string) {
			log.Debug("stream started", "entity", entity, "mode", mode)
			l.with(entity, func(s *logStream) { s.last = time.Now() })
		},
		StreamTotal: func(entity string, rows int64) { l.with(entity, func(s *logStream) { s.total = rows }) },
		Page:        l.page,
		Request: func(r pipeline.RequestInfo) {
			log.Debug("request", of(r.Entity, "op", r.Op, "status", r.Status,
				"ms", r.Duration.Milliseconds(), "bytes", r.Bytes, "error", r.Err)...)
		},
		Retry: func(entity, op string, attempt int, wait time.Duration, cause error) {
			log.Warn("retry", of(entity, "op", op, "attempt", attempt, "wait", wait.String(), "cause", cause)...)
		},
		StreamFinished: l.finished,
		Published: func(p pipeline.Publication) {
			log.Info("published", "path", p.Path, "bytes", p.Bytes, "seconds", p.Seconds)
		},
	}
}

// of puts the entity before attributes; requests like the login's have none.
func of(entity string, attrs ...any) []any {
	if entity == "" {
		return attrs
	}
	return append([]any{"entity", entity}, attrs...)
}

type logTrace struct {
	log     *slog.Logger
	mu      sync.Mutex
	streams map[string]*logStream
}

type logStream struct {
	rows, total int64
	last        time.Time // when something was logged
}

func (l *logTrace) with(entity string, f func(*logStream)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[entity]
	if s == nil {
		s = &logStream{last: time.Now()}
		l.streams[entity] = s
	}
	f(s)
}

func (l *logTrace) page(entity string, rows int) {
	var due logStream
	l.with(entity, func(s *logStream) {
		s.rows += int64(rows)
		if now := time.Now(); now.Sub(s.last) >= logEvery {
			s.last, due = now, *s
		}
	})
	if !due.last.IsZero() {
		l.log.Info("reading", "entity", entity, "rows", due.rows, "total", due.total)
	}
}

func (l *logTrace) finished(r pipeline.StreamReport) {
	l.mu.Lock()
	delete(l.streams, r.Entity)
	l.mu.Unlock()
	attrs := []any{
		"entity", r.Entity, "mode", r.Mode, "status", string(r.Status), "fetched", r.Fetched, "inserted", r.Inserted,
		"updated", r.Updated, "unchanged", r.Unchanged, "deleted", r.Deleted, "rejected", r.Rejected,
		"requests", r.Requests, "seconds", r.Seconds,
	}
	if r.Error != "" {
		attrs = append(attrs, "error", r.Error, "error_class", string(r.ErrorClass))
	}
	for _, w := range r.Warnings {
		l.log.Warn("stream finished with a warning", "entity", r.Entity, "warning", w)
	}
	switch r.Status {
	case pipeline.StatusOK, pipeline.StatusAbsent, pipeline.StatusSkipped:
		l.log.Info("stream finished", attrs...)
	case pipeline.StatusInterrupted:
		l.log.Warn("stream finished", attrs...)
	default:
		l.log.Error("stream finished", attrs...)
	}
}
