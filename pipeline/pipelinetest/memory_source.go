package pipelinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// MemorySource is a model of Autotask for tests of the Runner: rows by id, a clock, and hooks to fail or
// to edit rows in the middle of a read. It pages and decodes like the real source. It is safe for
// concurrent use.
type MemorySource struct {
	// Clock is the server's time. It may be replaced before a run.
	Clock func() time.Time
	// PageSize is how many rows a batch holds; 0: 500.
	PageSize int
	// Latency is how long a page or a count takes; Threads, if not 0, is how many of them are served at a time.
	Latency time.Duration
	Threads int
	// OnPage, if set, is called before a page is served; its error fails the read.
	OnPage func(entity string, page int) error
	// OnCount, if set, may change what Count answers.
	OnCount func(entity string, n int64) (int64, error)
	// LoginErr and DescribeErr, if set, are what these methods answer with.
	LoginErr    error
	DescribeErr func(entity string) error
	// OnDescribe, if set, may change what Describe answers: the catalogue's own fields.
	OnDescribe func(entity string, m *schemas.Metadata)
	// OnAccess, if set, says what the user may read of an entity; else it is everything.
	OnAccess func(entity string) (pipeline.Access, error)

	// QuotaUse is what Quota returns.
	QuotaUse pipeline.QuotaUse

	hooks    sync.Mutex // held while a page is served or a slice counted
	mu       sync.Mutex
	running  chan struct{} // holds a token for each page or count under way
	rows     map[string]map[int64]map[string]any
	requests map[string]int64
}

var _ pipeline.Source = (*MemorySource)(nil)

// NewMemorySource returns an empty source whose clock stands at now.
func NewMemorySource(now time.Time) *MemorySource {
	return &MemorySource{
		Clock:    func() time.Time { return now },
		rows:     map[string]map[int64]map[string]any{},
		requests: map[string]int64{},
	}
}

// Put inserts or replaces a row. Values are what encoding/json makes of them; times in RFC 3339.
func (s *MemorySource) Put(entity string, id int64, fields map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[entity] == nil {
		s.rows[entity] = map[int64]map[string]any{}
	}
	row := maps.Clone(fields)
	if row == nil {
		row = map[string]any{}
	}
	row["id"] = id
	s.rows[entity][id] = row
}

// Delete removes a row without a trace, as Autotask does.
func (s *MemorySource) Delete(entity string, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows[entity], id)
}

// IDs returns an entity's ids, ascending.
func (s *MemorySource) IDs(entity string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.rows[entity]))
}

// Row returns a copy of one row, or nil.
func (s *MemorySource) Row(entity string, id int64) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rows[entity][id])
}

// Login implements pipeline.Source.
func (s *MemorySource) Login(context.Context) (pipeline.Login, error) {
	s.request("")
	if s.LoginErr != nil {
		return pipeline.Login{}, s.LoginErr
	}
	return pipeline.Login{ServerTime: s.Clock().Truncate(time.Second), Threshold: 10000, WindowMins: 60}, nil
}

// Describe implements pipeline.Source with the catalogue's own fields, unless OnDescribe changes them.
func (s *MemorySource) Describe(_ context.Context, e *schemas.Entity) (*schemas.Metadata, error) {
	s.request(e.Name)
	if s.DescribeErr != nil {
		if err := s.DescribeErr(e.Name); err != nil {
			return nil, err
		}
	}
	m := &schemas.Metadata{}
	for _, f := range e.Fields {
		m.Fields = append(m.Fields, schemas.MetaField{Name: f.Name, DataType: f.Type, IsQueryable: true})
	}
	if s.OnDescribe != nil {
		s.OnDescribe(e.Name, m)
	}
	return m, nil
}

// Access implements pipeline.Source.
func (s *MemorySource) Access(_ context.Context, e *schemas.Entity) (pipeline.Access, error) {
	s.request(e.Name)
	if s.OnAccess != nil {
		return s.OnAccess(e.Name)
	}
	return pipeline.AccessAll, nil
}

// Read implements pipeline.Source: each page is what the rows are at the moment it is served.
func (s *MemorySource) Read(ctx context.Context, sl pipeline.Slice, emit func(pipeline.Batch) error) error {
	if !sl.Table.Entity.PerParent() {
		return s.read(ctx, sl, emit)
	}
	w := sl.Window
	if len(w.In) == 0 || w.InField == "" || len(w.Stamps) > 0 || w.NewerID != nil || sl.After != nil || sl.Until != nil {
		return fmt.Errorf("%s is read parent by parent, not by %+v", sl.Table.Entity.Name, sl)
	}
	for _, parent := range w.In {
		sl.Window.In = []int64{parent}
		if err := s.read(ctx, sl, emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *MemorySource) read(ctx context.Context, sl pipeline.Slice, emit func(pipeline.Batch) error) error {
	pages := s.Pages(sl.Table)
	for {
		page, err := pages.Next(ctx, sl)
		if err != nil {
			return err
		}
		if page.Record != nil {
			err := emit(page.Batch)
			page.Record.Release()
			if err != nil {
				return err
			}
		}
		if page.End {
			return nil
		}
		sl.After = &page.Last
	}
}

// Pages implements pipeline.Source.
func (s *MemorySource) Pages(table *schemas.Table) pipeline.Pages {
	return &memoryPages{s: s, dec: schemas.NewDecoder(table), entity: table.Entity.Name}
}

type memoryPages struct {
	s      *MemorySource
	entity string

	dec   *schemas.Decoder
	asked int
}

// Next implements pipeline.Pages.
func (p *memoryPages) Next(ctx context.Context, sl pipeline.Slice) (pipeline.Page, error) {
	if err := p.s.wait(ctx); err != nil {
		return pipeline.Page{}, err
	}
	p.s.hooks.Lock()
	defer p.s.hooks.Unlock()
	p.asked++
	if p.s.OnPage != nil {
		if err := p.s.OnPage(p.entity, p.asked); err != nil {
			return pipeline.Page{}, err
		}
	}
	p.s.request(p.entity)
	at := time.Now().UTC()
	body, err := json.Marshal(map[string]any{"items": p.s.page(sl, sl.After), "pageDetails": nil})
	if err != nil {
		return pipeline.Page{}, err
	}
	found, err := p.dec.Decode(body, sl.After)
	if err != nil {
		return pipeline.Page{}, &pipeline.Error{Class: pipeline.ClassSource, Entity: p.entity, Op: "query", Err: err}
	}
	rec, rejects := p.dec.Flush()
	return pipeline.Page{Batch: pipeline.Batch{Record: rec, Rejects: rejects, ReadAt: at}, First: found.FirstID, Last: found.LastID,
		End: found.Rows < p.s.pageSize()}, nil
}

// Count implements pipeline.Source.
func (s *MemorySource) Count(ctx context.Context, sl pipeline.Slice) (int64, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	s.hooks.Lock()
	defer s.hooks.Unlock()
	entity := sl.Table.Entity.Name
	if sl.Table.Entity.PerParent() {
		return 0, fmt.Errorf("%s has no counts", entity)
	}
	s.request(entity)
	s.mu.Lock()
	n := int64(0)
	for id, row := range s.rows[entity] {
		if inSlice(sl, sl.After, id, row) {
			n++
		}
	}
	s.mu.Unlock()
	if s.OnCount != nil {
		return s.OnCount(entity, n)
	}
	return n, nil
}

// Requests implements pipeline.Source.
func (s *MemorySource) Requests() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Close implements pipeline.Source.
func (s *MemorySource) Close() error { return nil }

// wait takes one of the threads for as long as an answer takes.
func (s *MemorySource) wait(ctx context.Context) error {
	if s.Threads > 0 {
		s.mu.Lock()
		if s.running == nil {
			s.running = make(chan struct{}, s.Threads)
		}
		s.mu.Unlock()
		select {
		case s.running <- struct{}{}:
			defer func() { <-s.running }()
		case <-ctx.Done():
		}
	}
	if s.Latency > 0 {
		select {
		case <-time.After(s.Latency):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (s *MemorySource) request(entity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[entity]++
}

func (s *MemorySource) pageSize() int {
	if s.PageSize > 0 {
		return s.PageSize
	}
	return 500
}

func (s *MemorySource) page(sl pipeline.Slice, after *int64) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []map[string]any{}
	rows := s.rows[sl.Table.Entity.Name]
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if inSlice(sl, after, id, rows[id]) {
			if items = append(items, wanted(rows[id], sl.Fields)); len(items) == s.pageSize() {
				break
			}
		}
	}
	return items
}

// wanted leaves the wanted fields of a row; nil wants all.
func wanted(row map[string]any, fields []string) map[string]any {
	if fields == nil {
		return row
	}
	row = maps.Clone(row)
	maps.DeleteFunc(row, func(name string, _ any) bool { return !slices.Contains(fields, name) })
	return row
}

func inSlice(sl pipeline.Slice, after *int64, id int64, row map[string]any) bool {
	if after != nil && id <= *after || sl.Until != nil && id > *sl.Until {
		return false
	}
	w := sl.Window
	if w.All() || w.NewerID != nil && id > *w.NewerID {
		return true
	}
	for _, stamp := range w.Stamps {
		text, _ := row[stamp].(string)
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil && !t.Before(w.Since) && (w.Before.IsZero() || t.Before(w.Before)) {
			return true
		}
	}
	return w.InField != "" && slices.ContainsFunc(w.In, func(v int64) bool {
		return bytes.Equal(fmt.Append(nil, v), fmt.Append(nil, row[w.InField]))
	})
}

// Quota implements pipeline.Source.
func (s *MemorySource) Quota() pipeline.QuotaUse { return s.QuotaUse }
