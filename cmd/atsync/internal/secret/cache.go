package secret

import (
	"context"
	"sync"
	"time"
)

// Cache resolves references and keeps what a command or a service has answered for a while: a daemon that asked a vault at
// every run would meet its limits. Environment variables and files are read each time. It is safe for concurrent use.
type Cache struct {
	Resolver Resolver
	Keep     time.Duration    // how long
	Now      func() time.Time // nil: time.Now

	mu   sync.Mutex
	kept map[Ref]kept
}

type kept struct {
	value String
	until time.Time
}

// Resolve returns the credential that r refers to, as Resolver.Resolve does. Failures are not kept.
func (c *Cache) Resolve(ctx context.Context, r Ref) (String, error) {
	if s := r.Scheme(); s != Cmd && s != AWS && s != Azure {
		return c.Resolver.Resolve(ctx, r)
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.mu.Lock()
	k, ok := c.kept[r]
	c.mu.Unlock()
	if ok && now().Before(k.until) {
		return k.value, nil
	}
	value, err := c.Resolver.Resolve(ctx, r)
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[Ref]kept{}
	}
	c.kept[r] = kept{value, now().Add(c.Keep)}
	return value, nil
}

// Forget lets references be asked anew: their value was refused, so it may have been rotated.
func (c *Cache) Forget(refs ...Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range refs {
		delete(c.kept, r)
	}
}
