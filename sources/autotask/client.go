// Package autotask reads one tenant of Autotask PSA through its REST API: it is the pipeline.Source of atsync.
//
// It promises that a slice is read completely, in ascending id order, or fails; that credentials go to the
// tenant's own zone host only, never across a redirect and never unencrypted beyond the local machine; that a
// login that is refused is tried at most twice before everything stops (the hold); that it keeps to the
// thread limit per entity and leaves part of the hourly quota to others; and that no error, log line or
// formatted value holds a secret.
// It never writes to Autotask, never follows nextPageUrl (save for children of one parent, on the tenant's own zone),
// and knows no sink and no file.
package autotask

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// Config says which tenant to read and how. Tenant and Credentials are required.
type Config struct {
	Tenant      string // name in errors and logs
	Credentials Credentials

	// Zone is webservices3, 3, a host, or a REST URL with or without /V1.0. Empty: asked from DiscoveryURL.
	Zone string
	// DiscoveryURL is where zoneInformation is asked, by default https://webservices.autotask.net.
	DiscoveryURL string

	// Transport carries the requests; see NewTransport, which is what nil means. Tenants should share one.
	Transport http.RoundTripper
	Trace     *pipeline.Trace // may be nil
	Logger    *slog.Logger    // may be nil

	// Moved is what an earlier client told OnMove. It stands as long as Zone is the same.
	Moved Move
	// OnMove keeps the zone that was found in place of a configured one that refuses the login, so that the next
	// client does not have to be refused again.
	OnMove func(ctx context.Context, move Move) error

	// Hold is the tenant's hold as it was kept. It stands as long as the credentials are the same.
	Hold *pipeline.Hold
	// OnHold keeps a new hold, or with nil forgets it. It is called at most once per change.
	OnHold func(ctx context.Context, hold *pipeline.Hold) error

	// Quotas is shared by all clients of a process, so that those of one Autotask database share its quota.
	// Nil: the client has one of its own.
	Quotas *Quotas

	// Bodies makes batches carry the pages that they were decoded from (pipeline.Batch.Bodies), up to 8 MiB and a page
	// of them at a time.
	Bodies bool

	Limits Limits
}

// Limits bound what a client asks of Autotask and of this machine. Zero values mean the defaults.
type Limits struct {
	ThreadsPerEntity int           // requests at a time on one entity: default 2, the server allows 3 (api.md §7)
	PageSize         int           // rows per page: default and most 500
	RequestTimeout   time.Duration // for one exchange, body included: default 120 s
	PageBytes        int64         // largest page, unpacked: default 64 MiB
	MetadataBytes    int64         // largest other answer, unpacked: default 32 MiB
	Attempts         int           // per request that fails in a way that may pass: default 5
	Backoff          time.Duration // before the second attempt, doubling up to 30 s: default 500 ms
	RetryBudget      int           // retries between two logins, over all requests: default 200
	ThreadPause      time.Duration // after the answer that an entity has too many requests at a time, times their number: default 5 s
	HourPause        time.Duration // after the answer that the hour is used up, unless it says how long: default 60 s
	QuotaShare       float64       // of the hourly threshold, all integrations together, at which live requests wait: default 0.75
	BackgroundShare  float64       // the same for verify and backfill: default 0.40
	QuotaWait        time.Duration // how long a live request waits for quota before it fails: default 1 h
	BackgroundWait   time.Duration // the same for verify and backfill: default 24 h
}

func (l Limits) withDefaults() (Limits, error) {
	for _, v := range []*int{&l.ThreadsPerEntity, &l.PageSize, &l.Attempts, &l.RetryBudget} {
		if *v < 0 {
			return l, errors.New("a limit is negative")
		}
	}
	if l.PageSize > 500 {
		return l, fmt.Errorf("page size %d is more than Autotask's 500", l.PageSize)
	}
	if l.ThreadsPerEntity > 3 {
		return l, fmt.Errorf("%d threads per entity are more than Autotask's 3", l.ThreadsPerEntity)
	}
	orDefault(&l.ThreadsPerEntity, 2)
	orDefault(&l.PageSize, 500)
	orDefault(&l.RequestTimeout, 120*time.Second)
	orDefault(&l.PageBytes, 64<<20)
	orDefault(&l.MetadataBytes, 32<<20)
	orDefault(&l.Attempts, 5)
	orDefault(&l.Backoff, 500*time.Millisecond)
	orDefault(&l.RetryBudget, 200)
	orDefault(&l.ThreadPause, 5*time.Second) // the server frees a thread slightly after its answer (api.md §7)
	orDefault(&l.HourPause, time.Minute)
	orDefault(&l.QuotaShare, 0.75)
	orDefault(&l.BackgroundShare, 0.40)
	orDefault(&l.QuotaWait, time.Hour)
	orDefault(&l.BackgroundWait, 24*time.Hour)
	return l, nil
}

func orDefault[T int | int64 | float64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Client reads one tenant. Its methods may be called concurrently. It implements pipeline.Source.
type Client struct {
	tenant    string
	creds     Credentials
	discovery string // scheme and host
	limits    Limits
	bodies    bool // batches carry their pages
	http      *http.Client
	trace     pipeline.Trace
	log       *slog.Logger
	onHold    func(ctx context.Context, hold *pipeline.Hold) error
	onMove    func(ctx context.Context, move Move) error
	zone      string // base URL as configured, or empty

	code      string // fingerprint of the integration code, which threads are counted by
	quotas    *Quotas
	quota     atomic.Pointer[Quota] // of the database in the session's zone; nil before that is known
	session   session
	waits     waits
	zoneLock  lock
	loginLock lock
	defined   definitions
	buffers   sync.Pool // of *bytes.Buffer

	mu       sync.Mutex
	requests map[string]int64
	retries  int // left until the next login
	tally    tally
}

var _ pipeline.Source = (*Client)(nil)

// New checks the configuration and returns a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	bad := func(err error, remedy string) (*Client, error) {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: cfg.Tenant, Op: "configure",
			Err: errors.New(cfg.Credentials.redact(err.Error())), Remedy: remedy}
	}
	if err := cfg.Credentials.sendable(); err != nil {
		return bad(err, cfg.Credentials.withHints("set username, secret and integration_code of the tenant"))
	}
	limits, err := cfg.Limits.withDefaults()
	if err != nil {
		return bad(err, "lower it")
	}
	discovery := cfg.DiscoveryURL
	if strings.TrimSpace(discovery) == "" {
		discovery = defaultDiscovery
	}
	found, err := parseRoot(discovery)
	if err != nil {
		return bad(fmt.Errorf("discovery_url %w", err), "write "+defaultDiscovery+" or leave it out")
	}
	base, err := parseZone(cfg.Zone, found)
	if err != nil {
		return bad(err, "correct the tenant's zone or url")
	}
	if isLoopback(hostname(base)) && !isLoopback(hostname(found)) {
		found = base // a simulator's users are not known to Autotask
	}
	c := &Client{
		tenant: cfg.Tenant, creds: cfg.Credentials, limits: limits, bodies: cfg.Bodies, onHold: cfg.OnHold, onMove: cfg.OnMove, log: cfg.Logger,
		zone:      base,
		discovery: Zone{BaseURL: found}.root(),
		zoneLock:  newLock(), loginLock: newLock(), defined: definitions{lock: newLock()},
		requests: map[string]int64{}, retries: limits.RetryBudget,
		code: cfg.Credentials.codeFingerprint(), quotas: cmp.Or(cfg.Quotas, NewQuotas()),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("tenant", cfg.Tenant)
	if cfg.Trace != nil {
		c.trace = *cfg.Trace
	}
	c.session.hold = cfg.Hold
	if to := cfg.Moved.to(base, found); to != "" {
		c.log.Warn("the tenant is not in the configured zone: set its zone or url to what was found", "configured", hostOf(base), "found", hostOf(to))
		base = to
	}
	if base != "" {
		c.setZone(Zone{BaseURL: base, Database: database(base, "", cfg.Credentials.Username()), Configured: true,
			WebURL: webURL("", base, c.discovery)})
	}
	c.buffers.New = func() any { return new(bytes.Buffer) }
	transport := cfg.Transport
	if transport == nil {
		transport = NewTransport(nil)
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// String prints the tenant's name.
func (c *Client) String() string { return "autotask client of " + c.tenant }

// GoString prints the tenant's name.
func (c *Client) GoString() string { return c.String() }

// Requests returns how many exchanges each entity has cost so far, retries included; "" holds what belongs to none.
func (c *Client) Requests() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.requests)
}

// Close releases idle connections. A shared transport loses its idle ones, too, and makes new ones.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// setZone takes over where the tenant is, and with it the quota of its database.
func (c *Client) setZone(z Zone) {
	c.session.setZone(z)
	c.quota.Store(c.quotas.of(z, c.creds.Username()))
}

// renew gives a new run its retries and threads back, and begins to count what it takes of the quota.
func (c *Client) renew() {
	c.quota.Load().restore(c.code)
	c.waits.renew()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retries, c.tally = c.limits.RetryBudget, tally{}
}

// spend takes one retry from the run's budget.
func (c *Client) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retries--
	return c.retries >= 0
}
