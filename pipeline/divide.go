package pipeline

import (
	"cmp"
	"context"
	"sync"

	"github.com/sourcegraph/conc/pool"
)

// A read whose size nobody knows is counted and divided after this many full pages.
const fullPagesAlone = 4

// mostWaiting is how many pages may wait to be staged before no more are asked for: it bounds the memory of a read.
const mostWaiting = 8

// division is one window's read on its way into a load. Workers fetch pages, of which each belongs to a segment; one
// goroutine stages them. There is a worker more than requests are allowed at a time, so that while a page is
// decoded another one is under way.
type division struct {
	*run
	load    *streamLoad
	plan    Plan
	pages   Pages
	already int64 // rows that an interrupted load has stored

	mu       sync.Mutex
	segments *segments
	waiting  []Page // read, not yet taken to be staged
	count    counting
	enough   func(announced int64) error // of a count at the beginning; the read is not done before it
	full     int                         // full pages read
	changed  chan struct{}               // closed and replaced when a waiter may have something to do
}

// counting says whether the server is to be asked how many rows there are.
type counting uint8

const (
	countLater counting = iota // when the read turns out to be large
	countNow
	counted // or somebody is at it
)

// divide reads the plan's window and stages it. If enough is set, it asks at the beginning how many rows there are, returns
// the server's answer, and ends if enough does not like it. Else it asks once the read turns out to be large, and returns 0.
func (s *run) divide(ctx context.Context, l *streamLoad, plan Plan, enough func(announced int64) error) (announced int64, err error) {
	workers := max(1, cmp.Or(s.Threads, 2)) + 1
	d := &division{run: s, load: l, plan: plan, pages: s.Source.Pages(l.spec.Table), already: l.distinct,
		segments: newSegments(workers, plan.Left), changed: make(chan struct{})}
	if enough != nil {
		d.count, d.enough = countNow, enough
	}
	l.divided = plan.resumed
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for range workers {
		p.Go(d.work)
	}
	p.Go(d.stage)
	err = p.Wait()
	release(d.waiting) // only after an error there are any
	if enough != nil {
		announced = max(0, d.segments.total) + d.already
	}
	return announced, err
}

// work is one worker: it fetches pages until nothing is left.
func (d *division) work(ctx context.Context) error {
	for {
		a, count, done, err := d.next(ctx)
		switch {
		case err != nil || done:
			return err
		case count:
			err = d.ask(ctx)
		default:
			err = d.fetch(ctx, a)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for something to do: a page to fetch, or the count.
func (d *division) next(ctx context.Context) (a ask, count, done bool, err error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return a, false, false, err
		}
		d.mu.Lock()
		changed := d.changed
		ready := false
		if len(d.waiting) < mostWaiting {
			a, ready = d.segments.goOn()
		}
		done = d.segments.done()
		switch {
		case ready:
		case d.count == countNow && (!done || d.enough != nil):
			d.count, count, done = counted, true, false
		case !done && len(d.waiting) < mostWaiting:
			if a, ready = d.segments.steal(); ready {
				d.load.divided = true
			}
		}
		d.mu.Unlock()
		if ready || count || done {
			return a, count, done, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// tell wakes everybody who waits for a change. d.mu is held.
func (d *division) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// ask has the server count the window.
func (d *division) ask(ctx context.Context) error {
	table := d.load.spec.Table
	n, err := d.Source.Count(ctx, Slice{Table: table, Window: d.plan.Window})
	if err != nil {
		return err
	}
	if d.Trace != nil && d.Trace.StreamTotal != nil {
		d.Trace.StreamTotal(table.Entity.Name, n)
	}
	if d.enough != nil {
		if err := d.enough(n); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.segments.expect(n - d.already)
	d.tell()
	return nil
}

// fetch asks for a page and takes it in.
func (d *division) fetch(ctx context.Context, a ask) error {
	page, err := d.pages.Next(ctx, Slice{Table: d.load.spec.Table, Window: d.plan.Window, After: a.After, Until: a.Until})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	until := d.segments.land(a, landing{page.Rows(), page.First, page.Last, page.End})
	if until != nil && page.Rows() > 0 {
		page = page.upTo(*until)
	}
	d.segments.keep(a, page.Rows())
	if page.Rows() > 0 {
		d.waiting = append(d.waiting, page)
	}
	if !page.End {
		if d.full++; d.full == fullPagesAlone && d.count == countLater {
			d.count = countNow
		}
	}
	d.tell()
	return nil
}
