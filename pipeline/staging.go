package pipeline

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/schemas"
)

// Waiting pages are staged together, up to this many rows.
const batchRows = 4000

// A first load is flushed as often as flushing takes a tenth of the time. While rows come faster than Autotask ever sends
// them it is not: one that would be read again in seconds is cheaper to store in one go.
const (
	flushPause = 9                     // times as long as the last flush took
	firstFlush = 50 * time.Millisecond // what the first one is taken to take
	flushDelay = 5 * time.Second       // the longest pause
	fastRows   = 20_000                // a second
	manyBytes  = 32 << 20              // of a load that has been flushed are flushed however fast they come: a sink may hold them in memory
)

// stage stages what the workers have read until the read is complete. Rows of a first load are made durable together
// with the ranges that are left; the last ones are left to the commit.
func (d *division) stage(ctx context.Context) error {
	put := d.load.stage(ctx)
	f := flusher{l: d.load, plan: d.plan, last: time.Now(), took: firstFlush, rows: d.load.distinct}
	for {
		var wake <-chan time.Time
		if f.waits() {
			wake = time.After(time.Until(f.due()))
		}
		pages, left, done, err := d.take(ctx, wake)
		if err != nil {
			return err
		}
		for len(pages) > 0 {
			var b Batch
			if b, pages, err = gather(pages); err == nil {
				err = put(b)
				b.Record.Release()
			}
			if err != nil {
				release(pages)
				return err
			}
		}
		if done {
			return nil
		}
		if f.waits() && !time.Now().Before(f.due()) {
			if err := f.flush(ctx, left); err != nil {
				return err
			}
		}
	}
}

// flusher decides when a first load is flushed.
type flusher struct {
	l    *streamLoad
	plan Plan
	last time.Time     // flush
	took time.Duration // it took so long
	rows int64         // of the load that are stored
}

// waits reports whether rows wait to be flushed.
func (f *flusher) waits() bool { return f.l.spec.Fresh && f.l.distinct > f.rows }

// due returns when the rows that wait are to be flushed.
func (f *flusher) due() time.Time {
	pause := min(flushPause*f.took, flushDelay)
	if !f.l.flushed || f.l.bytes < manyBytes {
		pause = max(pause, time.Duration(f.l.distinct-f.rows)*time.Second/fastRows) // by then they will not have come fast
	}
	return f.last.Add(pause)
}

func (f *flusher) flush(ctx context.Context, left []Range) error {
	began := time.Now()
	if err := f.l.load.Flush(ctx, f.plan.checkpoint(left, f.l.distinct)); err != nil {
		return err
	}
	f.last, f.rows, f.l.bytes = time.Now(), f.l.distinct, 0
	if f.l.flushed { // the first one created the table, which any load has to
		f.took = f.last.Sub(began)
	}
	f.l.flushed = true
	return nil
}

// take waits for pages, for the end of the read, or to be woken, and returns all pages that are waiting with the ranges
// that are left beside them.
func (d *division) take(ctx context.Context, wake <-chan time.Time) (pages []Page, left []Range, done bool, err error) {
	for woken := false; ; {
		d.mu.Lock()
		if done = d.segments.done(); done || woken || len(d.waiting) > 0 {
			pages, left = d.waiting, d.segments.ranges()
			d.waiting = nil
			d.tell()
			d.mu.Unlock()
			return pages, left, done, nil
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-wake:
			woken = true
		case <-ctx.Done():
			return nil, nil, false, context.Cause(ctx)
		}
	}
}

// gather makes a batch of the first pages that have the same columns, takes their records over, and returns the others.
func gather(pages []Page) (Batch, []Page, error) {
	b := pages[0].Batch
	n, rows := 1, pages[0].Rows()
	for n < len(pages) && rows+pages[n].Rows() <= batchRows && pages[n].Record.Schema().Equal(b.Record.Schema()) {
		rows += pages[n].Rows()
		n++
	}
	if n == 1 {
		return b, pages[1:], nil
	}
	defer release(pages[:n])
	for _, p := range pages[1:n] {
		b.Rejects, b.Bodies = append(b.Rejects, p.Rejects...), append(b.Bodies, p.Bodies...)
		if p.ReadAt.Before(b.ReadAt) {
			b.ReadAt = p.ReadAt
		}
	}
	columns := make([]arrow.Array, b.Record.NumCols())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	parts := make([]arrow.Array, n)
	for i := range columns {
		for j, p := range pages[:n] {
			parts[j] = p.Record.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
			return Batch{}, pages[n:], err
		}
	}
	b.Record = array.NewRecordBatch(b.Record.Schema(), columns, int64(rows))
	return b, pages[n:], nil
}

// upTo returns the page's rows up to an id, taking the page over.
func (p Page) upTo(until int64) Page {
	ids := batchIDs(p.Batch)
	n := sort.Search(len(ids), func(i int) bool { return ids[i] > until })
	if n == len(ids) {
		return p
	}
	whole := p.Record
	defer whole.Release()
	p.Record = nil
	if n > 0 {
		p.Record, p.Last = whole.NewSlice(0, int64(n)), ids[n-1]
	}
	p.Rejects = slices.DeleteFunc(p.Rejects, func(r schemas.Reject) bool { return r.ID > until })
	return p
}

// release lets go of pages that nobody stages.
func release(pages []Page) {
	for _, p := range pages {
		if p.Record != nil {
			p.Record.Release()
		}
	}
}
