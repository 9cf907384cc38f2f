package pipeline

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Bounds of what a backfill holds in memory before it borrows the sink.
const (
	fewPages      = 3
	mostHeldPages = 20
	mostHeldBytes = 32 << 20
)

// hold keeps a page until the next flush.
func (s *backfill) hold(i int, batch Batch) {
	batch.Record.Retain()
	s.held = append(s.held, batch)
	s.bytes += sizeOf(batch.Record)
	c := &s.p.Chunks[i]
	if ids := batchIDs(batch); len(ids) > 0 {
		c.Read += int64(len(ids))
		c.LastID = new(ids[len(ids)-1])
	}
}

// account puts what was spent since the last call on a chunk, whose state is to be stored.
func (s *backfill) account(i int) {
	spent := s.Source.Requests()[s.p.Entity.Name]
	s.p.Chunks[i].Requests += spent - s.requests
	s.requests = spent
	s.dirty[i] = true
}

func sizeOf(rec arrow.RecordBatch) (n uint64) {
	for _, col := range rec.Columns() {
		n += col.Data().SizeInBytes()
	}
	return n
}

// mostHeld is how many pages are held before they are stored: a four hundredth of the work, so that losing them
// twice stays within a hundredth, or a few that the reserve covers, and no more than memory should hold.
func (s *backfill) mostHeld() int {
	return int(max(fewPages, min(mostHeldPages, s.p.Quote.Requests/400)))
}

// flush stores the pages held together with the progress of their chunks, of which i is the last. If it fails,
// the plan's chunks are again what the sink has.
func (s *backfill) flush(ctx context.Context, i int) error {
	s.account(i)
	held := s.held
	s.held, s.bytes = nil, 0
	defer func() {
		for _, batch := range held {
			batch.Record.Release()
		}
	}()
	var progress []Chunk
	requests := int64(0)
	for j := range s.p.Chunks {
		if s.dirty[j] {
			progress = append(progress, s.p.Chunks[j])
			requests += s.p.Chunks[j].Requests - s.stored[j].Requests
		}
	}
	stored := false
	err := s.b.borrow(ctx, func(l Lease) error {
		res, err := s.store(ctx, l.Sink, held, Commit{Chunks: progress, Requests: requests})
		if err != nil {
			return err
		}
		stored = true
		for j := range s.dirty {
			s.p.Chunks[j].LoadID = res.LoadID
		}
		s.keep()
		s.add(res)
		if s.now().Sub(s.saved) < max(republishAfter, s.PublishEvery) {
			return nil
		}
		s.saved = s.now()
		return s.publishThrough(ctx, l)
	})
	if !stored {
		copy(s.p.Chunks, s.stored)
		clear(s.dirty)
	}
	return err
}

// keep notes that the sink has the plan's chunks as they are.
func (s *backfill) keep() {
	s.stored = slices.Clone(s.p.Chunks)
	clear(s.dirty)
}

// store commits batches.
func (s *backfill) store(ctx context.Context, sink Sink, held []Batch, c Commit) (LoadResult, error) {
	w := Window{Stamps: []string{s.p.By}, Since: s.p.From, Before: s.p.To}
	load, err := sink.Begin(ctx, LoadSpec{RunID: s.rec.ID, Table: s.p.table, Class: s.p.Entity.Class, Window: w, Mode: ModeBackfill})
	if err != nil {
		return LoadResult{}, err
	}
	defer load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	for _, batch := range held {
		if err := load.Stage(ctx, batch); err != nil {
			return LoadResult{}, err
		}
	}
	return load.Commit(ctx, c)
}

func (s *backfill) add(res LoadResult) {
	r := &s.report
	r.LoadID = res.LoadID
	r.Fetched += res.Fetched
	r.Inserted += res.Inserted
	r.Updated += res.Updated
	r.Unchanged += res.Unchanged
	r.Rejected += res.Rejected
}
