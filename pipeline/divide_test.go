package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
)

// latency is what an answer takes, in the time of a bubble.
const latency = 200 * time.Millisecond

// newLargeLab holds tickets with the given ids on pages of 50.
func newLargeLab(t *testing.T, ids []int64) *lab {
	l := newLab(t)
	l.source.PageSize, l.source.Latency, l.source.Threads = 50, latency, 3
	l.runner.Threads = 3
	for _, id := range ids {
		l.put("Tickets", id, map[string]any{"title": "t"})
	}
	l.now = l.now.Add(time.Hour)
	return l
}

// spread returns n ids in three far clusters, the last one with growing gaps; 0 and negative ones are among them.
func spread(n int) []int64 {
	ids := make([]int64, 0, n)
	for i := range n {
		switch {
		case i < n/4:
			ids = append(ids, int64(i-n/8))
		case i < n/2:
			ids = append(ids, 1e9+int64(i))
		default:
			ids = append(ids, 1e12+int64(math.Pow(float64(i-n/2), 2.5)))
		}
	}
	return ids
}

// equal compares the warehouse's tickets with the source's.
func (l *lab) equal(t *testing.T) {
	t.Helper()
	got, ids := l.live("Tickets", "title"), l.source.IDs("Tickets")
	if len(got) != len(ids) {
		t.Errorf("%d tickets, the source has %d", len(got), len(ids))
	}
	for _, id := range ids {
		if want := l.source.Row("Tickets", id)["title"]; got[fmt.Sprint(id)] != want {
			t.Fatalf("ticket %d: %q, want %q", id, got[fmt.Sprint(id)], want)
		}
	}
}

// TestLargeFirstLoadKeepsItsSchedule: 200 pages, three at a time.
func TestLargeFirstLoadKeepsItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pages, threads = 200, 3
		l := newLargeLab(t, spread(pages*50))
		started := time.Now()
		run, err := l.sync("Tickets")
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(started)
		l.equal(t)
		ideal := (pages + threads - 1) / threads * latency
		if took > ideal*110/100 {
			t.Errorf("took %v, want at most 1.10 × %v", took, ideal)
		}
		s := one(t, run, "Tickets")
		if most := int64(pages*102/100 + 10); s.Requests > most {
			t.Errorf("%d requests, want at most %d", s.Requests, most)
		}
		t.Logf("%d requests, %.3f × the ideal time", s.Requests, float64(took)/float64(ideal))
	})
}

// TestSmallReadsCostWhatTheyMust: a read is not counted before it turns out to be large.
func TestSmallReadsCostWhatTheyMust(t *testing.T) {
	for _, tt := range []struct {
		entity     string
		rows, want int64 // requests, the metadata's included
	}{
		{"Roles", 0, 2}, {"Roles", 49, 2}, {"Roles", 150, 5}, // a page that is not full
		{"Tickets", 49, 3}, // announced
	} {
		l := newLab(t)
		l.source.PageSize = 50
		for id := range tt.rows {
			l.put(tt.entity, id, nil)
		}
		if _, err := l.sync(tt.entity); err != nil {
			t.Fatal(err)
		}
		if n := l.source.Requests()[tt.entity]; n != tt.want {
			t.Errorf("%d %s cost %d requests, want %d", tt.rows, tt.entity, n, tt.want)
		}
	}
}

func TestLargeWindowIsDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLab(t, spread(5000))
		if _, err := l.sync("Tickets"); err != nil {
			t.Fatal(err)
		}
		l.now = l.now.Add(time.Hour)
		for _, id := range l.source.IDs("Tickets")[1000:4000] {
			l.put("Tickets", id, map[string]any{"title": "edited"})
		}
		l.now = l.now.Add(time.Minute)
		started := time.Now()
		run, err := l.sync("Tickets")
		if err != nil {
			t.Fatal(err)
		}
		l.equal(t)
		const pages = 3000 / 50
		if took := time.Since(started); took > pages/2*latency {
			t.Errorf("took %v", took)
		}
		if s := one(t, run, "Tickets"); s.Updated != 3000 || s.Requests > pages+15 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRowsThatComeBehindADividedRead: nothing but the count tells of a new row without stamps behind a worker that
// has done its part.
func TestRowsThatComeBehindADividedRead(t *testing.T) {
	l := newLab(t)
	l.source.PageSize = 50
	for id := range int64(5000) {
		l.source.Put("BillingItems", id, map[string]any{"description": "b"})
	}
	for range 2 { // a first load, and a whole read
		l.source.OnPage = func(_ string, page int) error {
			if page == 95 {
				ids := l.source.IDs("BillingItems")
				l.source.Put("BillingItems", ids[len(ids)-1]+1, map[string]any{"description": "new"})
			}
			return nil
		}
		if _, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find("BillingItems"), Full: true}); err != nil {
			t.Fatal(err)
		}
		if got, want := len(l.live("BillingItems", "id")), len(l.source.IDs("BillingItems")); got != want {
			t.Errorf("%d rows, want %d", got, want)
		}
	}
}

// TestOneWorkerFails: its error ends the read, whatever the others are doing.
func TestOneWorkerFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return &pipeline.Error{Class: pipeline.ClassSource, Err: errors.New("no page")} },
		"panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLargeLab(t, spread(5000))
				l.source.OnPage = func(_ string, page int) error {
					if page == 40 {
						return fail()
					}
					return nil
				}
				started := time.Now()
				run, err := l.sync("Tickets")
				want := map[string]pipeline.Class{"error": pipeline.ClassSource, "panic": pipeline.ClassInternal}[name]
				if s := one(t, run, "Tickets"); pipeline.ClassOf(err) != want || s.ErrorClass != want {
					t.Errorf("%v: %+v", err, s)
				}
				if took := time.Since(started); took > 20*latency {
					t.Errorf("the others went on for %v", took)
				}
			})
		})
	}
}

// slowSink stages nothing until it is let.
type slowSink struct {
	*pipelinetest.MemorySink
	let chan struct{}
}

type slowLoad struct {
	pipeline.Load
	let chan struct{}
}

func (s *slowSink) Begin(ctx context.Context, spec pipeline.LoadSpec) (pipeline.Load, error) {
	l, err := s.MemorySink.Begin(ctx, spec)
	return &slowLoad{l, s.let}, err
}

func (l *slowLoad) Stage(ctx context.Context, b pipeline.Batch) error {
	<-l.let
	return l.Load.Stage(ctx, b)
}

// TestReadWaitsForTheSink: the memory of a read is bounded by pages, not by its size.
func TestReadWaitsForTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLab(t, spread(5000))
		sink := &slowSink{l.sink, make(chan struct{})}
		l.runner.Sink = sink
		served := 0
		l.source.OnPage = func(string, int) error { served++; return nil }
		done := make(chan error)
		go func() {
			_, err := l.sync("Tickets")
			done <- err
		}()
		time.Sleep(time.Hour)
		if served < 8 || served > 20 {
			t.Errorf("%d pages were read while none could be staged", served)
		}
		close(sink.let)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.equal(t)
	})
}
