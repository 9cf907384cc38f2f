package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

// jobLog is a job's logger: every line names the tenant, the job and, once it has begun, the run by the id of its record.
type jobLog struct {
	logger *slog.Logger
	run    *atomic.Int64
}

func newJobLog(log *slog.Logger, s app.Start) jobLog {
	run := new(atomic.Int64)
	attrs := []any{"tenant", s.Job.Tenant, "command", command(s.Job.Kind)}
	if s.Job.Group != "" {
		attrs = append(attrs, "group", s.Job.Group)
	}
	return jobLog{slog.New(runHandler{log.Handler(), run}).With(attrs...), run}
}

// runHandler adds the run's id to each record.
type runHandler struct {
	slog.Handler
	run *atomic.Int64
}

// Handle implements slog.Handler.
func (h runHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := h.run.Load(); id != 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("run_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h runHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return runHandler{h.Handler.WithAttrs(attrs), h.run}
}

// WithGroup implements slog.Handler.
func (h runHandler) WithGroup(name string) slog.Handler {
	return runHandler{h.Handler.WithGroup(name), h.run}
}

// tell logs how a job ended.
func tell(log *slog.Logger, run pipeline.Run, took time.Duration, err error) {
	changed, holes := int64(0), 0
	for _, s := range run.Streams {
		changed += s.Inserted + s.Updated + s.Deleted
		if s.Verify != nil {
			holes += int(s.Verify.Holes)
		}
	}
	attrs := []any{"seconds", took.Seconds(), "entities", len(run.Streams), "changed", changed, "requests", run.Requests}
	if holes > 0 {
		attrs = append(attrs, "holes", holes)
	}
	if err != nil {
		attrs = append(attrs, "error", err, "error_class", string(pipeline.ClassOf(err)))
	}
	switch {
	case err == nil:
		log.Info("job ended", attrs...)
	case pipeline.ClassOf(err) == pipeline.ClassCanceled:
		log.Info("job stopped; the next one goes on from there", attrs...)
	case pipeline.ClassOf(err) == pipeline.ClassPartial:
		log.Warn("job ended", attrs...)
	default:
		log.Error("job failed", attrs...)
	}
}

// trace returns what listens to a job: its log, the metrics and the tenant's activity.
func (d *Daemon) trace(tenant string, m *memory, logs jobLog) *pipeline.Trace {
	log := console.LogTrace(logs.logger)
	return &pipeline.Trace{
		RunStarted: func(run pipeline.Run) {
			logs.run.Store(run.ID)
			m.doing(func(a *Activity) { a.RunID = run.ID })
		},
		StreamStarted: func(entity, mode string) {
			log.StreamStarted(entity, mode)
			m.doing(func(a *Activity) {
				a.Streams = append(a.Streams, Stream{Entity: entity, Mode: mode, StartedAt: time.Now().UTC(), Status: pipeline.StatusRunning})
			})
		},
		StreamTotal: func(entity string, rows int64) {
			log.StreamTotal(entity, rows)
			m.stream(entity, func(s *Stream) { s.Total = rows })
		},
		Page: func(entity string, rows int) {
			log.Page(entity, rows)
			d.app.Idle(tenant, false)
			m.stream(entity, func(s *Stream) { s.Rows += int64(rows) })
		},
		Request: func(r pipeline.RequestInfo) {
			log.Request(r)
			d.metrics.request(tenant, r)
			m.doing(func(a *Activity) { a.Requests++ })
			if r.Err == nil && r.Status == http.StatusOK {
				d.app.Idle(tenant, false)
			}
		},
		Retry: func(entity, op string, attempt int, wait time.Duration, cause error) {
			log.Retry(entity, op, attempt, wait, cause)
			d.app.Idle(tenant, true)
			d.metrics.retries.WithLabelValues(tenant).Inc()
			m.stream(entity, func(s *Stream) { s.Retries++ })
		},
		Waiting: func(w pipeline.QuotaWait) {
			if w.Waiting {
				logs.logger.Info("waiting for quota", "used", w.Used, "threshold", w.Threshold, "until", w.Until)
			}
			d.app.Idle(tenant, w.Waiting)
			m.doing(func(a *Activity) {
				if a.Waiting = nil; w.Waiting {
					a.Waiting = &w.Until
				}
			})
		},
		StreamFinished: func(r pipeline.StreamReport) {
			if quiet(r) { // there is one for every entity, each time
				logs.logger.Debug("stream finished", "entity", r.Entity, "mode", r.Mode, "status", string(r.Status), "fetched", r.Fetched, "requests", r.Requests, "seconds", r.Seconds)
			} else {
				log.StreamFinished(r)
			}
			d.metrics.stream(tenant, r)
			m.stream(r.Entity, func(s *Stream) { s.Status, s.EndedAt = r.Status, time.Now().UTC() })
		},
		Published: log.Published,
	}
}
