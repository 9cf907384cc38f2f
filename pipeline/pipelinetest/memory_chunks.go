package pipelinetest

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/atsync/atsync/pipeline"
)

// Chunks implements pipeline.Sink.
func (s *MemorySink) Chunks(ctx context.Context) ([]pipeline.Chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.chunks)
	slices.SortFunc(out, func(a, b pipeline.Chunk) int {
		return cmp.Or(cmp.Compare(a.Backfill, b.Backfill), cmp.Compare(a.Number, b.Number))
	})
	return out, s.fail("", "read backfills", context.Cause(ctx))
}

// SaveChunks implements pipeline.Sink.
func (s *MemorySink) SaveChunks(ctx context.Context, chunks []pipeline.Chunk) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return 0, s.fail("", "save backfill", err)
	}
	if len(chunks) == 0 {
		return 0, s.fail("", "save backfill", errors.New("a backfill without chunks"))
	}
	id := chunks[0].Backfill
	if id == 0 {
		for _, c := range s.chunks {
			id = max(id, c.Backfill)
		}
		id++
	}
	s.chunks = slices.DeleteFunc(s.chunks, func(c pipeline.Chunk) bool { return c.Backfill == id })
	for _, c := range chunks {
		c.Backfill = id
		s.chunks = append(s.chunks, microChunk(c))
	}
	return id, nil
}

// chunk returns where a stored chunk is, or nil.
func (s *MemorySink) chunk(c pipeline.Chunk) *pipeline.Chunk {
	for i := range s.chunks {
		if s.chunks[i].Backfill == c.Backfill && s.chunks[i].Number == c.Number {
			return &s.chunks[i]
		}
	}
	return nil
}

// progress reports whether all the chunks of a commit are stored.
func (s *MemorySink) progress(chunks []pipeline.Chunk) error {
	for _, c := range chunks {
		if s.chunk(c) == nil {
			return errors.New("the backfill's chunk is not stored")
		}
	}
	return nil
}

// saveProgress stores the chunks of a commit.
func (s *MemorySink) saveProgress(chunks []pipeline.Chunk, load int64) {
	for _, c := range chunks {
		c.LoadID = load
		*s.chunk(c) = microChunk(c)
	}
}

func microChunk(c pipeline.Chunk) pipeline.Chunk {
	c.From, c.To, c.StartedAt, c.EndedAt = micros(c.From), micros(c.To), micros(c.StartedAt), micros(c.EndedAt)
	return c
}
