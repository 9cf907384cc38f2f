package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Bounds of a running backfill.
const (
	failuresInARow = 3                // chunks that fail one after the other end it
	flushWithin    = 20 * time.Second // how long an interrupted one tries to store what it holds
	skew           = 15 * time.Minute // how far our clock and Autotask's may be apart
)

// backfill is one Run under way.
type backfill struct {
	*run
	b        *Backfiller
	p        *BackfillPlan
	report   StreamReport
	requests int64 // the source's counter for the entity when it was last looked at

	held   []Batch // pages read and not stored yet
	bytes  uint64
	dirty  map[int]bool // chunks, by index, whose state is to be stored with the next commit
	stored []Chunk      // the chunks as the sink has them
	saved  time.Time    // when publishing was last thought of
}

// Run reads the chunks of a plan that are not done and stores them. Progress is stored with the rows: a killed
// backfill loses at most the pages it held, a four hundredth of the whole or three pages, and those under way.
// A chunk that fails leaves the others alone; a fault that would meet them all ends the run.
// The returned Run is complete even when the error is not nil.
func (b *Backfiller) Run(ctx context.Context, p *BackfillPlan) (Run, error) {
	s := &backfill{b: b, p: p, dirty: map[int]bool{}, run: &run{Runner: b.runner(), reports: map[string]StreamReport{}}}
	s.rec = Run{Tenant: b.Tenant, Command: "backfill", StartedAt: b.now(), Status: StatusRunning}
	s.report = StreamReport{Entity: p.Entity.Name, Table: schemas.TableName(p.Entity.Name), Mode: "backfill", Class: string(p.Entity.Class)}
	s.saved = s.rec.StartedAt
	s.keep()
	err := b.borrow(ctx, func(l Lease) (err error) {
		s.rec.ID, err = l.Sink.BeginRun(ctx, s.rec)
		return err
	})
	if err != nil {
		err = b.locate(err, p.Entity)
		s.rec.Status, s.rec.EndedAt, s.rec.Error, s.rec.ErrorClass = StatusFailed, b.now(), err.Error(), ClassOf(err)
		return s.rec, err
	}
	if b.Trace != nil && b.Trace.StreamStarted != nil {
		b.Trace.StreamStarted(p.Entity.Name, s.report.Mode)
	}
	if b.Trace != nil && b.Trace.StreamTotal != nil {
		rows := int64(0)
		for _, c := range p.Chunks {
			if c.Status != ChunkDone {
				rows += max(0, c.Counted-c.Read)
			}
		}
		b.Trace.StreamTotal(p.Entity.Name, rows)
	}
	s.requests = b.Source.Requests()[p.Entity.Name]
	return s.conclude(ctx, b.locate(s.verdict(ctx, s.chunks(ctx)), p.Entity))
}

// verdict turns how the chunks ended into the one error that a caller acts on.
func (s *backfill) verdict(ctx context.Context, err error) error {
	switch {
	case err != nil && (ctx.Err() != nil || ClassOf(err) == ClassCanceled):
		return &Error{Class: ClassCanceled, Op: "backfill", Err: errors.New("interrupted"),
			Remedy: "what was read is stored: run the same backfill again, and it goes on from there"}
	case err == nil && s.report.Rejected > 0:
		return &Error{Class: ClassPartial, Op: "backfill",
			Err:    fmt.Errorf("values that do not fit their type: %d, NULL in the table", s.report.Rejected),
			Remedy: "_atsync.rejects has them, with the reason"}
	}
	return err
}

// chunks reads all chunks that are not done, then checks them all with one count. What was read before a failure is
// stored, too.
func (s *backfill) chunks(ctx context.Context) error {
	last, failed, err := s.readAll(ctx)
	if len(s.held) > 0 {
		calm, stop := ctx, context.CancelFunc(func() {})
		if ctx.Err() != nil {
			calm, stop = context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		}
		defer stop()
		if e := s.flush(calm, last); e != nil && err == nil {
			return e
		}
	}
	switch {
	case err == nil:
		return s.check(ctx)
	case failed > 0:
		return partly(failed, len(s.p.Chunks), err)
	}
	return err
}

// readAll reads the chunks one after the other. It returns the last one read, and how many failed while the others
// went on; 0 with an error means that it ended all.
func (s *backfill) readAll(ctx context.Context) (last, failed int, first error) {
	inARow := 0
	for i := range s.p.Chunks {
		if s.p.Chunks[i].Status == ChunkDone {
			continue
		}
		last = i
		err := s.chunk(ctx, i)
		if err == nil {
			inARow = 0
			continue
		}
		failed++
		inARow++
		if endsAll(ctx, err) || inARow == failuresInARow {
			return last, 0, err
		}
		if first == nil {
			first = err
		}
	}
	return last, failed, first
}

// endsAll reports whether an error would meet every other chunk, too.
func endsAll(ctx context.Context, err error) bool {
	switch ClassOf(err) {
	case ClassTransient, ClassSource, ClassSchema:
		return ctx.Err() != nil
	}
	return true
}

func partly(failed, of int, first error) error {
	return &Error{Class: ClassPartial, Op: "backfill", Err: fmt.Errorf("%d of %d chunks failed; first cause: %w", failed, of, first),
		Remedy: "run the same backfill again: it reads only those"}
}

// chunk reads what is left of one chunk.
func (s *backfill) chunk(ctx context.Context, i int) error {
	c := &s.p.Chunks[i]
	if c.StartedAt.IsZero() {
		c.StartedAt = s.now()
	}
	c.Status, c.Error, c.EndedAt = ChunkRunning, "", time.Time{}
	slice := Slice{Table: s.p.table, Window: c.window(), After: c.LastID, Priority: Backfill, Paged: true}
	var sinkErr error
	err := s.Source.Read(ctx, slice, func(batch Batch) error {
		s.hold(i, batch)
		if len(s.held) < s.mostHeld() && s.bytes < mostHeldBytes {
			return nil
		}
		sinkErr = s.flush(ctx, i)
		return sinkErr
	})
	if sinkErr != nil {
		return err
	}
	switch {
	case err == nil:
		c.Status, c.EndedAt = ChunkDone, s.now()
	case ctx.Err() == nil && ClassOf(err) != ClassCanceled:
		c.Status, c.EndedAt, c.Error = ChunkFailed, s.now(), s.b.locate(err, s.p.Entity).Error()
	}
	s.account(i)
	return err
}

// publishThrough publishes if it is time to.
func (s *backfill) publishThrough(ctx context.Context, l Lease) error {
	s.Publisher, s.reports[s.p.Entity.Name] = l.Publisher, s.report
	return s.publish(ctx)
}

// publishLast shows readers what the backfill did, its record included, as soon as PublishEvery allows.
func (s *backfill) publishLast(ctx context.Context, l Lease) error {
	if l.Publisher == nil || s.report.LoadID == 0 {
		return nil
	}
	if at, ok := l.Publisher.Published(); ok && s.PublishEvery > 0 && s.now().Sub(at) < s.PublishEvery {
		return nil // a later run will: what waits stays pending
	}
	p, err := l.Publisher.Publish(ctx)
	if err == nil && s.Trace != nil && s.Trace.Published != nil {
		s.Trace.Published(p)
	}
	return err
}

// check counts the whole span once more where rows can only leave it: fewer rows read than are there now, in
// chunks that ended before they were read, is a fault. The chunks at fault are found and are to be read again.
func (s *backfill) check(ctx context.Context) error {
	if s.p.Quote.Checks == 0 {
		return nil
	}
	closed, read := 0, int64(0)
	for closed < len(s.p.Chunks) && !s.p.Chunks[closed].To.After(s.p.Chunks[closed].StartedAt.Add(-skew)) {
		read += s.p.Chunks[closed].Read
		closed++
	}
	if closed == 0 {
		return nil
	}
	whole := s.p.Chunks[0]
	whole.To = s.p.Chunks[closed-1].To
	n, err := s.Source.Count(ctx, Slice{Table: s.p.table, Window: whole.window(), Priority: Backfill})
	if err != nil || n <= read {
		return err
	}
	failed := 0
	for i := range closed {
		c := &s.p.Chunks[i]
		n, err := s.Source.Count(ctx, Slice{Table: s.p.table, Window: c.window(), Priority: Backfill})
		if err != nil {
			return err
		}
		if n > c.Read {
			failed++
			c.Status, c.Error = ChunkFailed, fmt.Sprintf("read %d rows where query/count says %d", c.Read, n)
			c.Counted, c.Read, c.LastID = n, 0, nil
			s.dirty[i] = true
		}
	}
	if failed == 0 {
		return nil
	}
	return partly(failed, len(s.p.Chunks), mismatch(read, n))
}

// conclude records the outcome, stores what chunks are not yet told of, and publishes.
func (s *backfill) conclude(ctx context.Context, runErr error) (Run, error) {
	s.settle(runErr)
	within := finishWithin
	if ctx.Err() != nil {
		within = flushWithin
	}
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer stop()
	err := s.b.borrow(after, func(l Lease) error {
		if len(s.dirty) > 0 {
			if _, err := l.Sink.SaveChunks(after, s.p.Chunks); err != nil {
				return err
			}
		}
		if err := l.Sink.EndRun(after, s.rec); err != nil {
			return err
		}
		return s.publishLast(after, l)
	})
	if err != nil {
		err = s.b.locate(err, s.p.Entity)
		if s.rec.Status == StatusOK {
			s.rec.Status = StatusPartial
		}
		if s.rec.Error == "" {
			s.rec.Error, s.rec.ErrorClass = err.Error(), ClassOf(err)
		}
		if runErr != nil {
			err = errors.Join(runErr, err)
		}
		return s.rec, err
	}
	return s.rec, runErr
}

// settle fills in the run's record and report.
func (s *backfill) settle(err error) {
	s.rec.EndedAt = s.now()
	for _, n := range s.Source.Requests() {
		s.rec.Requests += n
	}
	r := s.report
	r.LoadID = 0 // there were many, each with its own record
	r.Requests = s.Source.Requests()[s.p.Entity.Name]
	r.Seconds = s.rec.EndedAt.Sub(s.rec.StartedAt).Seconds()
	switch {
	case err == nil:
		r.Status = StatusOK
	case ClassOf(err) == ClassCanceled:
		r.Status = StatusInterrupted
	case ClassOf(err) == ClassPartial || s.report.LoadID != 0:
		r.Status = StatusPartial
	default:
		r.Status = StatusFailed
	}
	if err != nil {
		r.Error, r.ErrorClass = err.Error(), ClassOf(err)
	}
	s.rec.Status, s.rec.Error, s.rec.ErrorClass = r.Status, r.Error, r.ErrorClass
	s.rec.Streams = []StreamReport{r}
	if s.Trace != nil && s.Trace.StreamFinished != nil {
		s.Trace.StreamFinished(r)
	}
}
