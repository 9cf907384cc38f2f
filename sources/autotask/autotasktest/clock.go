package autotasktest

import (
	"sync"
	"time"
)

// Clock is a settable clock for [Handler.SetClock]: it stands still until it is told otherwise.
// It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at t.
func NewClock(t time.Time) *Clock { return &Clock{now: t.UTC()} }

// Now returns the instant at which the clock stands, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock to t, forward or back.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t.UTC()
}

// Advance moves the clock by d and returns the new instant.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// stampMillis is t as Autotask stores it: milliseconds since 1970 on the grid of SQL Server's datetime,
// whose milliseconds end in 0, 3 or 7 (api.md §5). It rounds down, so that no stamp lies in the future.
func stampMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	r := ((ms % 10) + 10) % 10
	switch {
	case r >= 7:
		return ms - r + 7
	case r >= 3:
		return ms - r + 3
	}
	return ms - r
}
