package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"github.com/atsync/atsync/schemas"
)

// Runner syncs one tenant. Its fields are set once and not changed while a run goes on; a Runner does
// one run at a time.
type Runner struct {
	Tenant    string
	Source    Source
	Sink      Sink
	Publisher Publisher        // nil: nothing is published
	Trace     *Trace           // nil: nobody listens
	Now       func() time.Time // nil: time.Now

	PublishEvery time.Duration // publish at most this often; 0: after every run that changed something
	StopWithin   time.Duration // once stopped, how long recording and publishing may take; 0: as long as otherwise

	Streams     int           // entities read side by side; 0: 4
	Threads     int           // pages of one entity asked for side by side; 0: 2. The source has the last word
	Overlap     time.Duration // how far an incremental read reaches behind its checkpoint
	MetadataAge time.Duration // how long an entity's metadata is trusted; 0: 24 h
	Schema      SchemaMode    // what is done when a tenant's fields have changed
	FullEvery   time.Duration // how long change stamps are trusted until everything is read again; 0: for ever
}

// republishAfter bounds how far the freshness shown in a publication lags behind runs that changed nothing.
const republishAfter = time.Hour

// finishWithin bounds what is done after the last stream: recording the run and publishing. It is long,
// since a publication copies the whole warehouse; a second interrupt ends the process at once.
const finishWithin = 10 * time.Minute

// SyncRequest says what a run is to do.
type SyncRequest struct {
	Entities     []*schemas.Entity
	Full         bool // read every row instead of the changed ones
	AllowDeletes bool // let a whole read tombstone more rows than the guard allows
}

// run is the state of one command's work.
type run struct {
	*Runner
	req    SyncRequest
	rec    Run
	login  Login
	cancel context.CancelCauseFunc
	work   func(ctx context.Context, e *schemas.Entity, report *StreamReport) error // on one entity

	mu       sync.Mutex
	reports  map[string]StreamReport
	errs     map[string]error
	access   map[string]Access   // as asked before rows were tombstoned
	reread   map[string][]int64  // ids that a read through parents has looked at, changed or not
	outlines map[string]*outline // what each stream goes by
}

// Sync brings the warehouse up to date with the source for the entities of the request, then publishes it
// if anything changed. The returned Run is complete even when the error is not nil; the error's class
// tells the outcome (nil: ok).
func (r *Runner) Sync(ctx context.Context, req SyncRequest) (Run, error) {
	s := r.newRun("sync", req)
	s.work = s.sync
	return s.perform(ctx)
}

func (r *Runner) newRun(command string, req SyncRequest) *run {
	s := &run{Runner: r, req: req, reports: map[string]StreamReport{}, errs: map[string]error{}, access: map[string]Access{}, reread: map[string][]int64{}, outlines: map[string]*outline{}}
	s.rec = Run{Tenant: r.Tenant, Command: command, StartedAt: r.now(), Status: StatusRunning}
	return s
}

// perform does the run's work on every stream, records it and publishes the result.
func (s *run) perform(ctx context.Context) (Run, error) {
	r := s.Runner
	id, err := r.Sink.BeginRun(ctx, s.rec)
	if err != nil {
		err = r.locate(err, "", "begin run")
		s.rec.Status, s.rec.EndedAt, s.rec.Error, s.rec.ErrorClass = StatusFailed, r.now(), err.Error(), ClassOf(err)
		return s.rec, err
	}
	s.rec.ID = id
	if s.Trace != nil && s.Trace.RunStarted != nil {
		s.Trace.RunStarted(s.rec)
	}

	runErr := s.execute(ctx)
	s.finish(ctx, runErr)

	// The outcome is recorded and published even if a person has stopped the run.
	after, stop := r.afterwards(ctx)
	defer stop()
	if err := r.Sink.EndRun(after, s.rec); err != nil {
		return s.unfinished(r.locate(err, "", "end run"), s.outcome(runErr))
	}
	if err := s.publish(after); err != nil {
		rec, err := s.unfinished(r.locate(err, "", "publish"), s.outcome(runErr))
		rec.Streams = nil // they are recorded
		if again := r.Sink.EndRun(after, rec); again != nil {
			err = errors.Join(err, r.locate(again, "", "end run"))
		}
		return s.rec, err
	}
	return s.rec, s.outcome(runErr)
}

// afterwards returns a context for what is done after the last stream. It outlives ctx, but not for longer than
// StopWithin.
func (r *Runner) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	forget := func() bool { return true }
	if r.StopWithin > 0 {
		forget = context.AfterFunc(ctx, func() {
			timer := time.NewTimer(r.StopWithin)
			defer timer.Stop()
			select {
			case <-timer.C:
				cancel()
			case <-after.Done():
			}
		})
	}
	return after, func() {
		forget() // ctx may live for years, and would keep all that the run had
		cancel()
	}
}

// unfinished notes in the run's record that what was read could not be recorded or shown to readers.
func (s *run) unfinished(err, earlier error) (Run, error) {
	if s.rec.Status == StatusOK {
		s.rec.Status = StatusPartial
	}
	if s.rec.Error != "" {
		s.rec.Error += "; "
	}
	s.rec.Error += err.Error()
	s.rec.ErrorClass = ClassOf(err)
	if earlier != nil {
		return s.rec, errors.Join(earlier, err)
	}
	return s.rec, err
}

// execute logs in and runs every stream. Its error is one that ended the run as a whole; what happened to
// single streams is in s.reports and s.errs.
func (s *run) execute(ctx context.Context) error {
	login, err := s.Source.Login(ctx)
	if err != nil {
		return s.locate(err, "", "login")
	}
	s.login = login

	ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	for _, level := range levels(s.req.Entities) {
		p := pool.New().WithMaxGoroutines(max(1, cmp.Or(s.Streams, 4)))
		for _, e := range level {
			p.Go(func() { s.stream(ctx, e) })
		}
		p.Wait()
	}
	return context.Cause(ctx)
}

// stream runs one entity and files its report. An error that would meet every other stream, too, ends
// the run.
func (s *run) stream(ctx context.Context, e *schemas.Entity) {
	if ctx.Err() != nil {
		return // filed as skipped by finish
	}
	started, before := s.now(), s.Source.Requests()[e.Name]
	report := StreamReport{Entity: e.Name, Table: schemas.TableName(e.Name), Class: string(e.Class)}
	var err error
	if crash := panics.Try(func() { err = s.work(ctx, e, &report) }); crash != nil {
		err = &Error{Class: ClassInternal, Op: s.rec.Command, Err: crash.AsError(), Remedy: "please report this with the log"}
	}
	err = s.locate(err, e.Name, s.rec.Command)
	report.Requests = s.Source.Requests()[e.Name] - before
	report.Seconds = s.now().Sub(started).Seconds()
	switch class := ClassOf(err); {
	case err == nil && max(report.OpenRejects, report.Rejected) > 0: // takeStock has said which
		report.Status, report.ErrorClass = StatusPartial, ClassPartial
		if report.Error == "" {
			report.Error = fmt.Sprintf("%d values do not fit their columns and are NULL there (atsync rejects lists them)", report.Rejected)
		}
	case err == nil && report.Status != "": // the work has judged itself
	case err == nil:
		report.Status = StatusOK
	case ctx.Err() != nil || class == ClassCanceled:
		report.Status, report.ErrorClass, report.Error = StatusInterrupted, ClassCanceled, "interrupted before it was complete; its checkpoint stays"
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			// another stream's failure ended the run, and is what there is to tell
			report.Status, report.ErrorClass, report.Error = StatusSkipped, "", ""
		}
	case class == ClassAbsent:
		report.Status, report.ErrorClass, report.Error = StatusAbsent, class, err.Error()
	default:
		report.Status, report.ErrorClass, report.Error = StatusFailed, class, err.Error()
		if class == ClassAuth || class == ClassQuota || class == ClassSink {
			s.cancel(err)
		}
	}
	s.mu.Lock()
	s.reports[e.Name], s.errs[e.Name] = report, err
	s.mu.Unlock()
	if s.Trace != nil && s.Trace.StreamFinished != nil {
		s.Trace.StreamFinished(report)
	}
}

// publish makes the publication current if analysts would see a difference.
func (s *run) publish(ctx context.Context) error {
	if s.Publisher == nil {
		return nil
	}
	at, ok := s.Publisher.Published()
	if !ok && !s.committed() {
		return nil // an empty publication would only mislead
	}
	age := s.now().Sub(at)
	if ok && age >= 0 && age < s.PublishEvery {
		return nil // a later run will: what waits stays pending
	}
	if ok && age >= 0 && age < republishAfter { // one from the future says nothing
		pending, err := s.Publisher.Pending(ctx)
		if err != nil || !pending {
			return err
		}
	}
	p, err := s.Publisher.Publish(ctx)
	if err == nil && s.Trace != nil && s.Trace.Published != nil {
		s.Trace.Published(p)
	}
	return err
}

// committed reports whether any stream of the run has stored something, if only its checkpoint.
func (s *run) committed() bool {
	for _, r := range s.reports {
		if r.LoadID != 0 {
			return true
		}
	}
	return false
}

// levels groups entities so that each comes after the ones that it follows, its parent and the logs of deletions,
// big ones first within a level.
func levels(entities []*schemas.Entity) [][]*schemas.Entity {
	selected := map[string]*schemas.Entity{}
	for _, e := range entities {
		selected[e.Name] = e
	}
	depth := func(e *schemas.Entity) int {
		d := 0
		for selected[e.Follows()] != nil && d < len(entities) {
			e, d = selected[e.Follows()], d+1
		}
		if slices.ContainsFunc(lanes(e), func(l lane) bool { return selected[l.log] != nil }) {
			d++
		}
		return d
	}
	var out [][]*schemas.Entity
	for _, e := range entities {
		d := depth(e)
		for len(out) <= d {
			out = append(out, nil)
		}
		out[d] = append(out[d], e)
	}
	for _, level := range out {
		slices.SortStableFunc(level, func(a, b *schemas.Entity) int {
			return slices.Index(sizes, b.Size) - slices.Index(sizes, a.Size)
		})
	}
	return out
}

var sizes = []string{"tiny", "small", "medium", "large", "huge"}

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now().UTC()
}

// locate makes sure that an error names its tenant and entity, wrapping it at most once.
func (r *Runner) locate(err error, entity, op string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		located := *e
		located.Tenant = cmp.Or(e.Tenant, r.Tenant)
		located.Entity = cmp.Or(e.Entity, entity)
		located.Op = cmp.Or(e.Op, op)
		return &located
	}
	class := ClassInternal
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		class = ClassCanceled
	}
	return &Error{Class: class, Tenant: r.Tenant, Entity: entity, Op: op, Err: err}
}
