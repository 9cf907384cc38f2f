package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Plan counts what a backfill will read. A backfill of the same entity, stamp, span and size of chunks that was
// begun before is gone on with, and costs no further count; if it is done, nothing is sent at all.
// Unless it is a dry run, chunks and counts are stored as they become known. Bad requests are errors of ClassConfig.
func (b *Backfiller) Plan(ctx context.Context, req BackfillRequest) (*BackfillPlan, error) {
	if err := req.check(); err != nil {
		return nil, b.locate(err, req.Entity)
	}
	p, err := b.plan(ctx, req)
	return p, b.locate(err, req.Entity)
}

func (b *Backfiller) locate(err error, e *schemas.Entity) error {
	entity := ""
	if e != nil {
		entity = e.Name
	}
	return b.runner().locate(err, entity, "backfill")
}

func (b *Backfiller) plan(ctx context.Context, req BackfillRequest) (*BackfillPlan, error) {
	p := &BackfillPlan{Entity: req.Entity, From: req.From, To: req.To, Size: req.Size, dryRun: req.DryRun}
	var state StreamState
	var stored []Chunk
	err := b.borrow(ctx, func(l Lease) (err error) {
		if state, err = l.Sink.Stream(ctx, req.Entity.Name); err != nil {
			return err
		}
		stored, err = l.Sink.Chunks(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Synced = !state.Checkpoint.CompleteThrough.IsZero()
	p.table, _ = b.Schema.shape(req.Entity, state.Metadata, state.Columns)
	steady := false
	if p.By, steady, err = stampOf(p.table, req.By); err != nil && state.Metadata != nil {
		return nil, err
	} else if err == nil && !req.Restart {
		if p.Chunks = b.same(stored, p); p.Chunks != nil {
			p.ID, p.Resumed, p.Finished = p.Chunks[0].Backfill, true, finished(p.Chunks)
		}
	}
	if p.Finished {
		p.quote(b.now(), steady)
		p.Quote.Checks, p.Quote.Reserve, p.Quote.Remaining = 0, 0, 0
		return p, nil
	}
	if p.login, err = b.Source.Login(ctx); err != nil {
		return nil, err
	}
	fresh, err := b.describe(ctx, p, state)
	if err != nil {
		return nil, err
	}
	if p.By, steady, err = stampOf(p.table, cmp.Or(p.By, req.By)); err != nil {
		return nil, err
	}
	for _, n := range b.Source.Requests() {
		p.requests += n
	}
	if p.Chunks == nil {
		if err := p.cut(req, steady); err != nil {
			return nil, err
		}
	}
	if err := b.save(ctx, p, fresh); err != nil {
		return nil, err
	}
	if err := b.count(ctx, p, req.Location); err != nil {
		return nil, err
	}
	p.quote(b.now(), steady)
	return p, nil
}

// same returns the chunks of the newest stored backfill that is the planned one, or nil.
func (b *Backfiller) same(stored []Chunk, p *BackfillPlan) []Chunk {
	byID := map[int64][]Chunk{}
	newest := int64(0)
	for _, c := range stored {
		byID[c.Backfill] = append(byID[c.Backfill], c)
	}
	for id, chunks := range byID {
		first, last := chunks[0], chunks[len(chunks)-1]
		if id > newest && first.Entity == p.Entity.Name && first.By == p.By && first.Size == p.Size &&
			first.From.Equal(p.From) && last.To.Equal(p.To) {
			newest = id
		}
	}
	return byID[newest]
}

// cut makes the chunks of a new backfill.
func (p *BackfillPlan) cut(req BackfillRequest, steady bool) error {
	var last time.Time
	if steady {
		last = p.login.ServerTime
		if !p.From.Before(last) {
			return &Error{Class: ClassConfig, Op: "backfill",
				Err:    fmt.Errorf("%s lies in the future, and %s never does", p.From.Format(time.RFC3339), p.By),
				Remedy: "choose a span of the past: from is its beginning, to its end"}
		}
	}
	var err error
	p.Chunks, err = cut(p.From, p.To, p.Size, req.Location, last)
	if err != nil {
		return &Error{Class: ClassConfig, Op: "backfill", Err: err, Remedy: "choose larger chunks (--chunk month, year, auto) or a shorter span"}
	}
	for i := range p.Chunks {
		p.Chunks[i].Entity, p.Chunks[i].By = p.Entity.Name, p.By
	}
	return nil
}

// describe brings the plan's table up to date with the live metadata, and returns what of it is to be stored.
func (b *Backfiller) describe(ctx context.Context, p *BackfillPlan, state StreamState) (*schemas.Metadata, error) {
	age := b.MetadataAge
	if age == 0 {
		age = metadataAge
	}
	if state.Metadata != nil && b.now().Sub(state.MetadataAt) < age {
		return nil, nil
	}
	meta, err := b.Source.Describe(ctx, p.Entity)
	if err != nil {
		return nil, err
	}
	p.table, _ = b.Schema.shape(p.Entity, meta, state.Columns)
	return meta, nil
}

// save stores the plan's chunks, and new metadata if there is any.
func (b *Backfiller) save(ctx context.Context, p *BackfillPlan, meta *schemas.Metadata) error {
	if p.dryRun {
		return nil
	}
	return b.borrow(ctx, func(l Lease) error {
		if meta != nil {
			if _, err := l.Sink.SaveMetadata(ctx, p.Entity.Name, meta, b.now()); err != nil {
				return err
			}
		}
		id, err := l.Sink.SaveChunks(ctx, p.Chunks)
		if err != nil {
			return err
		}
		p.ID = id
		for i := range p.Chunks {
			p.Chunks[i].Backfill = id
		}
		return nil
	})
}

// count asks how many rows each chunk holds, and halves those of an automatic size that hold too many. What is
// known is stored now and then, so that an interruption costs no more than a hundredth of it, or four counts.
func (b *Backfiller) count(ctx context.Context, p *BackfillPlan, loc *time.Location) error {
	every := max(4, len(p.Chunks)/100)
	unsaved := 0
	for i := 0; i < len(p.Chunks); i++ {
		if p.Chunks[i].Counted < 0 {
			if err := b.countChunk(ctx, p, &p.Chunks[i]); err != nil {
				return err
			}
			unsaved++
		}
		for p.divisible(i) {
			at, ok := halve(p.Chunks[i].From, p.Chunks[i].To, loc)
			if !ok {
				break
			}
			if err := b.divide(ctx, p, i, at); err != nil {
				return err
			}
			unsaved++
		}
		if c := &p.Chunks[i]; c.Counted == 0 && c.Status != ChunkDone {
			c.Status, c.StartedAt, c.EndedAt = ChunkDone, b.now(), b.now()
		}
		if unsaved >= every || unsaved > 0 && i == len(p.Chunks)-1 {
			if err := b.save(ctx, p, nil); err != nil {
				return err
			}
			unsaved = 0
		}
	}
	return nil
}

// divisible reports whether a chunk of an automatic size is untouched and too large.
func (p *BackfillPlan) divisible(i int) bool {
	c := p.Chunks[i]
	return c.Size == ChunkAuto && c.Status == ChunkPending && c.Counted > autoRows && c.LastID == nil && len(p.Chunks) < mostChunks
}

func (b *Backfiller) countChunk(ctx context.Context, p *BackfillPlan, c *Chunk) error {
	n, err := b.Source.Count(ctx, Slice{Table: p.table, Window: c.window(), Priority: Backfill})
	if err != nil {
		return err
	}
	c.Counted = n
	c.Requests++
	return nil
}

// divide makes two chunks of one. The second half is what the first leaves of the count.
func (b *Backfiller) divide(ctx context.Context, p *BackfillPlan, i int, at time.Time) error {
	first, second := p.Chunks[i], p.Chunks[i]
	first.To, second.From, second.Requests = at, at, 0
	if err := b.countChunk(ctx, p, &first); err != nil {
		return err
	}
	second.Counted -= min(first.Counted, second.Counted)
	p.Chunks = slices.Insert(p.Chunks, i+1, second)
	p.Chunks[i] = first
	for j := range p.Chunks {
		p.Chunks[j].Number = j + 1
	}
	return nil
}
