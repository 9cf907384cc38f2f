package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Backfiller reads a span of an entity's history beside the live sync. It leaves the checkpoint alone, cuts the
// span into chunks, counts each before it reads any, and remembers in the sink how far it has come, so that it can
// be stopped and run again. It holds the sink for moments only: to look, and to commit what it has read.
// Its fields are set once. It does one backfill at a time; two of one tenant are not to run side by side.
type Backfiller struct {
	Tenant string
	Source Source
	Open   func(ctx context.Context) (Lease, error) // may wait long; called again only after Release
	Trace  *Trace                                   // nil: nobody listens
	Now    func() time.Time                         // nil: time.Now

	PublishEvery time.Duration // publish at most this often, and while the backfill goes on at most every hour
	MetadataAge  time.Duration // how long an entity's metadata is trusted; 0: 24 h
	Schema       SchemaMode    // what is done when the tenant's fields have changed
}

// Lease is a sink that is borrowed for a moment.
type Lease struct {
	Sink      Sink
	Publisher Publisher // nil: nothing is published
	Release   func() error
}

// BackfillRequest says which history to read.
type BackfillRequest struct {
	Entity   *schemas.Entity
	By       string         // create, modified, activity or a field's name; empty: create where there is such a stamp
	From, To time.Time      // rows with From <= stamp < To
	Size     ChunkSize      // empty: month
	Location *time.Location // whose calendar cuts the chunks; nil: UTC
	Restart  bool           // begin anew even if the same backfill was begun or finished before
	DryRun   bool           // quote only: nothing is stored
}

// BackfillPlan is a counted backfill, ready to run.
type BackfillPlan struct {
	ID       int64 // 0: not stored (a dry run)
	Entity   *schemas.Entity
	By       string // Autotask's name of the stamp
	From, To time.Time
	Size     ChunkSize
	Chunks   []Chunk
	Quote    BackfillQuote
	Resumed  bool // the same backfill was begun before
	Finished bool // … and is done: there is nothing to run
	Synced   bool // the entity has been synced: its checkpoint is set

	table    *schemas.Table
	login    Login
	requests int64 // that this process spent before it began on the plan's chunks
	dryRun   bool
}

// The shares and reserves of a quote.
const (
	backfillShare   = 0.40 // of the database's requests an hour, all integrations together
	usualThreshold  = 10000
	usualWindow     = time.Hour
	pollEvery       = 90 * time.Second // how often the quota is asked at most while requests are sent
	reserveRestarts = 12               // requests that two interruptions cost beside the pages they lose
)

// BackfillQuote says what a backfill costs. Requests = Counts + Pages + Checks + Others + Reserve.
type BackfillQuote struct {
	Rows      int64     `json:"rows"`
	Requests  int64     `json:"requests"`  // for the whole backfill, what was spent before included
	Counts    int64     `json:"counts"`    // one a chunk
	Pages     int64     `json:"pages"`     // 500 rows each
	Checks    int64     `json:"checks"`    // a last count of everything
	Others    int64     `json:"others"`    // login, metadata, and asking for the quota every 90 s
	Reserve   int64     `json:"reserve"`   // for interruptions
	Remaining int64     `json:"remaining"` // requests that are still to be spent, without the reserve
	Threshold int64     `json:"threshold"` // requests an hour of the database, as Autotask says
	Used      int64     `json:"used"`      // of them in the last hour, by all integrations
	Allowed   int64     `json:"allowed"`   // requests an hour that a backfill may take now
	Minutes   float64   `json:"minutes"`   // for what remains, at that rate; 0 with nothing allowed
	FinishAt  time.Time `json:"finish_at,omitzero"`
}

// quote adds up the chunks.
func (p *BackfillPlan) quote(now time.Time, steady bool) {
	q := BackfillQuote{Counts: int64(len(p.Chunks)), Reserve: reserveRestarts, Others: p.requests,
		Threshold: p.login.Threshold, Used: p.login.Used}
	for _, c := range p.Chunks {
		q.Rows += max(c.Counted, 0)
		q.Pages += chunkReads(c.Counted)
		q.Remaining += c.left()
	}
	if steady && q.Pages > 0 {
		q.Checks = 1
		q.Remaining++
	}
	threshold, window := p.login.Threshold, time.Duration(p.login.WindowMins)*time.Minute
	if threshold <= 0 {
		threshold = usualThreshold
	}
	if window <= 0 {
		window = usualWindow
	}
	q.Allowed = max(0, int64((backfillShare*float64(threshold)-float64(q.Used))*float64(time.Hour)/float64(window)))
	if q.Allowed > 0 && q.Remaining > 0 {
		lasts := time.Duration(float64(q.Remaining) / float64(q.Allowed) * float64(time.Hour))
		polls := int64(lasts / pollEvery)
		q.Others += polls
		q.Remaining += polls
		lasts += time.Duration(float64(polls) / float64(q.Allowed) * float64(time.Hour))
		q.Minutes, q.FinishAt = lasts.Minutes(), now.Add(lasts).Truncate(time.Second)
	}
	q.Requests = q.Counts + q.Pages + q.Checks + q.Others + q.Reserve
	p.Quote = q
}

// finished reports whether every chunk is done.
func finished(chunks []Chunk) bool {
	for _, c := range chunks {
		if c.Status != ChunkDone {
			return false
		}
	}
	return true
}

// check completes a request and refuses what makes no sense.
func (r *BackfillRequest) check() error {
	bad := func(remedy, format string, args ...any) error {
		return &Error{Class: ClassConfig, Op: "backfill", Err: fmt.Errorf(format, args...), Remedy: remedy}
	}
	if r.Entity == nil {
		return bad("name one: --entity Tickets", "no entity")
	}
	if why := r.Entity.Unreadable(); why != "" {
		return bad("atsync entities lists what there is", "%s can't be read: %s", r.Entity.Name, why)
	}
	if r.Location == nil {
		r.Location = time.UTC
	}
	if r.Size == "" {
		r.Size = ChunkMonth
	}
	known := false
	for _, s := range ChunkSizes() {
		known = known || s == r.Size
	}
	if !known {
		return bad("write day, week, month, year or auto", "there are no chunks of a %q", r.Size)
	}
	r.From, r.To = r.From.UTC().Truncate(time.Millisecond), r.To.UTC().Truncate(time.Millisecond)
	for _, at := range []time.Time{r.From, r.To} {
		if y := at.Year(); y < 1900 || y > 9998 {
			return bad("write a date between 1900 and 9998", "%s is no date of Autotask's", at.Format(time.DateOnly))
		}
	}
	if !r.From.Before(r.To) {
		return bad("from must be earlier; the day of to is not read itself", "the span from %s to %s is empty",
			r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	}
	return nil
}

// stampOf resolves the word of a request to a datetime field that may stand in a filter. steady: rows move out of
// a span of the past, never into it.
func stampOf(t *schemas.Table, by string) (field string, steady bool, err error) {
	reads := t.Reads()
	var changes []string
	for _, s := range reads.Stamps {
		if s != reads.Create {
			changes = append(changes, s)
		}
	}
	prefer := func(parts ...string) string {
		for _, part := range parts {
			for _, s := range changes {
				if strings.Contains(strings.ToLower(s), part) {
					return s
				}
			}
		}
		return ""
	}
	pick := func(names ...string) string {
		for _, name := range names {
			if name != "" {
				return name
			}
		}
		return ""
	}
	first := ""
	if len(changes) > 0 {
		first = changes[0]
	}
	switch strings.ToLower(by) {
	case "":
		field = pick(reads.Create, created(t), first)
	case "create", "created":
		field = pick(reads.Create, created(t))
	case "modified":
		field = pick(prefer("modif", "update"), first)
	case "activity":
		field = pick(prefer("activity"), first)
	default:
		if c := t.Column(by); c != nil && c.Queryable && c.Type.Kind == schemas.Timestamp {
			field = c.Source
		}
	}
	if field == "" {
		return "", false, noStamp(t, by)
	}
	for _, s := range append(changes, reads.Create) {
		steady = steady || s == field
	}
	return field, steady, nil
}

// created returns the create stamp of an entity whose changes are found in another way, if it may be filtered by.
func created(t *schemas.Table) string {
	for _, name := range []string{t.Entity.CreateStamp, "createDate", "createDateTime", "createdDateTime", "createdTime"} {
		if c := t.Column(name); name != "" && c != nil && c.Queryable && c.Type.Kind == schemas.Timestamp {
			return c.Source
		}
	}
	return ""
}

// noStamp says why there is nothing to select by, and what to do.
func noStamp(t *schemas.Table, by string) error {
	var dates []string
	for _, c := range t.Columns {
		if !c.UDF && c.Queryable && c.Type.Kind == schemas.Timestamp {
			dates = append(dates, c.Source)
		}
	}
	e := &Error{Class: ClassConfig, Entity: t.Entity.Name, Op: "backfill"}
	c := t.Column(by)
	switch {
	case len(dates) == 0:
		e.Err = fmt.Errorf("%s has no date that Autotask lets a query select by", t.Entity.Name)
		e.Remedy = "read it whole: atsync sync --full --entity " + t.Entity.Name
		return e
	case by == "" || strings.EqualFold(by, "create") || strings.EqualFold(by, "created"):
		e.Err = fmt.Errorf("%s has no create stamp that Autotask lets a query select by", t.Entity.Name)
	case strings.EqualFold(by, "modified") || strings.EqualFold(by, "activity"):
		e.Err = fmt.Errorf("%s has no change stamp that Autotask lets a query select by", t.Entity.Name)
	case c == nil:
		e.Err = fmt.Errorf("%s has no field %q", t.Entity.Name, by)
	case c.Type.Kind != schemas.Timestamp:
		e.Err = fmt.Errorf("%s.%s is no date", t.Entity.Name, c.Source)
	default:
		e.Err = fmt.Errorf("no query may select by %s.%s, says Autotask", t.Entity.Name, c.Source)
	}
	e.Remedy = "--by takes one of: " + strings.Join(dates, ", ")
	return e
}

func (b *Backfiller) now() time.Time { return b.runner().now() }

// runner returns a Runner for what backfills have in common with syncs.
func (b *Backfiller) runner() *Runner {
	return &Runner{Tenant: b.Tenant, Source: b.Source, Trace: b.Trace, Now: b.Now, PublishEvery: b.PublishEvery}
}

// borrow opens the sink for the time of fn.
func (b *Backfiller) borrow(ctx context.Context, fn func(Lease) error) error {
	lease, err := b.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(lease), lease.Release())
}
