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

// A first load is flushed while its pages are waited for, as often as flushing takes a tenth of the time.
const (
	flushPause = 9                     // times as long as the last flush took
	firstFlush = 20 * time.Millisecond // what the first one is taken to take
	flushDelay = 5 * time.Second       // for how long one waits while there are pages to be staged: large flushes cost less a row
)

// stage stages what the workers have read until the read is complete. Rows of a first load are made durable together
// with the ranges that are left; the last ones are left to the commit.
func (d *division) stage(ctx context.Context) error {
	put := d.load.stage(ctx)
	staged, due := false, time.Now().Add(flushPause*firstFlush)
	for {
		var wake <-chan time.Time
		if staged {
			wake = time.After(time.Until(due))
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
			staged = d.load.spec.Fresh
		}
		if done {
			return nil
		}
		if now := time.Now(); staged && (now.After(due.Add(flushDelay)) || !now.Before(due) && !d.busy()) {
			if err := d.load.load.Flush(ctx, d.plan.checkpoint(left, d.load.distinct)); err != nil {
				return err
			}
			took := time.Since(now)
			if !d.load.flushed {
				took = firstFlush // it created the table, which any load has to
			}
			d.load.flushed, staged = true, false
			due = time.Now().Add(flushPause * took)
		}
	}
}

// busy reports whether pages are waiting to be staged.
func (d *division) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting) > 0
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
