package autotasktest

import "time"

// Option changes a [Handler] or [Server] when it is made.
type Option func(*Handler)

// WithData answers from d, which may be shared with other servers.
func WithData(d *Data) Option { return func(h *Handler) { h.data = d } }

// WithCredentials replaces the made-up login.
func WithCredentials(username, integrationCode, secret string) Option {
	return func(h *Handler) { h.Username, h.IntegrationCode, h.Secret = username, integrationCode, secret }
}

// WithClock sets the clock; see [Handler.SetClock]. Without it real time is used.
func WithClock(now func() time.Time) Option { return func(h *Handler) { h.clock = now } }

// WithZone sets what zone lookups tell; by default America East 2 and database 632538.
func WithZone(z Zone) Option { return func(h *Handler) { h.zone = z } }

// WithVersions sets the list of VersionInformation; by default V1.0 and V2.0, of which only V1.0 works.
func WithVersions(v ...string) Option { return func(h *Handler) { h.version = v } }

// WithMaxFailedLogins sets after how many failures in a row the user is locked; by default 5.
func WithMaxFailedLogins(n int) Option { return func(h *Handler) { h.auth.maxFailures = n } }

// WithIntegrationCodeErrors answers a bad integration code with 500 and a text, as older reports have it,
// in place of an empty 401 (api.md §12).
func WithIntegrationCodeErrors() Option { return func(h *Handler) { h.auth.codeText = true } }

// WithThreads sets how many requests may run at a time for each entity; by default 3, 0 lifts the limit.
func WithThreads(n int) Option { return func(h *Handler) { h.limits.threads = n } }

// WithThreshold sets how many requests an hour are allowed; by default 10,000, 0 lifts the limit.
func WithThreshold(n int) Option { return func(h *Handler) { h.limits.threshold = n } }

// WithLatency makes every answer that needs a login take d in real time, or as long as its making takes if that is more.
func WithLatency(d time.Duration) Option { return func(h *Handler) { h.limits.latency = d } }

// WithUsageLatency adds the service's delays of heavy use, times scale: 0.5 s from 50 % of the threshold,
// 1 s above 75 % (api.md §7). By default there are none.
func WithUsageLatency(scale float64) Option { return func(h *Handler) { h.limits.heavy = scale } }

// WithRetryAfter adds a Retry-After header to every 429, in seconds or, if date is true, as a date.
// By default there is none, as observed (api.md §7).
func WithRetryAfter(d time.Duration, date bool) Option {
	return func(h *Handler) { h.limits.retry, h.limits.retryDate = d, date }
}

// WithEmptyLastPage makes a last page that is exactly full carry a nextPageUrl, which leads to an empty
// page. By default it carries none; the service's habit is not known (api.md §4).
func WithEmptyLastPage() Option { return func(h *Handler) { h.emptyLastPage = true } }

// WithoutEmptyUDFs leaves userDefinedFields out of a page none of whose rows has a value, as documented;
// by default it is always there, as recorded (api.md §12).
func WithoutEmptyUDFs() Option { return func(h *Handler) { h.omitUDFs = true } }

// WithoutGzip sends every body plain, even to a client that accepts gzip.
func WithoutGzip() Option { return func(h *Handler) { h.gzip = false } }

// WithoutLog keeps no list of requests, only counters: for benchmarks.
func WithoutLog() Option { return func(h *Handler) { h.journal.off = true } }

// WithDatesWithoutZone spells dates as in 2020, without the Z (api.md §5).
func WithDatesWithoutZone() Option { return func(h *Handler) { h.noZone = true } }

// SetDatesWithoutZone chooses how dates are spelled: as in 2020, without the Z, or with it.
func (d *Data) SetDatesWithoutZone(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noZone = on
}
