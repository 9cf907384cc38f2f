package autotask

import (
	"context"
	"sync"
)

// threads limits how many requests run at a time on one entity's endpoint: queries, counts and metadata
// share one bucket at Autotask (api.md §7).
type threads struct {
	mu      sync.Mutex
	initial int
	limit   int
	used    int
	freed   chan struct{} // closed and replaced whenever a waiter may go on
}

func newThreads(limit int) *threads {
	return &threads{initial: limit, limit: limit, freed: make(chan struct{})}
}

// acquire waits for a free thread.
func (t *threads) acquire(ctx context.Context) error {
	for {
		t.mu.Lock()
		if t.used < t.limit {
			t.used++
			t.mu.Unlock()
			return nil
		}
		freed := t.freed
		t.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *threads) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used--
	t.wake()
}

// lower takes one thread away, down to one.
func (t *threads) lower() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = max(1, t.limit-1)
}

// reset gives the lowered threads back.
func (t *threads) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = t.initial
	t.wake()
}

func (t *threads) wake() {
	close(t.freed)
	t.freed = make(chan struct{})
}

// lock is a mutex whose waiters watch a context.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l lock) unlock() { <-l }
