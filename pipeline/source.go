package pipeline

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/schemas"
)

// Source reads one tenant of Autotask. All methods may be called concurrently.
// Errors are *Error with tenant, entity and operation set.
type Source interface {
	// Login proves the credentials with a single request, before anything runs in parallel, and tells
	// the server's clock and the quota as the server counts it. Calling it again is cheap but not free.
	Login(ctx context.Context) (Login, error)

	// Describe asks for an entity's live fields and UDFs: two requests.
	// An entity that the tenant's zone does not have yields an error of class ClassAbsent.
	Describe(ctx context.Context, entity *schemas.Entity) (*schemas.Metadata, error)

	// Access asks what the API user may read of an entity: one request, none for an entity without metadata of its own.
	Access(ctx context.Context, entity *schemas.Entity) (Access, error)

	// Read fetches a slice page by page in ascending id order and hands batches to emit, on one goroutine.
	// An entity that is read parent by parent (schemas.Entity.PerParent) takes only a Window that names parents by In;
	// its ids ascend within each parent.
	// A batch is only valid during the call: emit must Retain the record to keep it.
	// It returns after the slice's last page, or with the first error (emit's included): a slice is
	// either complete or failed.
	Read(ctx context.Context, slice Slice, emit func(Batch) error) error

	// Pages returns a reader of single pages of a table, for reads that are divided by id among workers.
	Pages(table *schemas.Table) Pages

	// Count asks the server how many rows a slice holds: one request. Entities read parent by parent have no counts.
	Count(ctx context.Context, slice Slice) (int64, error)

	// Requests returns how many requests each entity has cost this Source so far, retries included.
	// The key "" holds what belongs to no entity (zone, login, thresholds).
	Requests() map[string]int64

	// Quota returns what this Source has taken of the database's hourly requests since its last Login began. It
	// sends nothing; the zero QuotaUse says that nothing is known.
	Quota() QuotaUse

	// Close releases idle connections.
	Close() error
}

// Pages fetches single pages of one table's rows. Next may be called concurrently.
type Pages interface {
	// Next fetches the first page of a slice. Like all errors of a Source, its error means that asking again
	// did not help; nothing of the page was kept.
	Next(ctx context.Context, slice Slice) (Page, error)
}

// Page is one page of a slice: its first rows, in ascending id order.
type Page struct {
	Batch // Record is nil if there are no rows; else it is the caller's to release

	First, Last int64 // ids, if there are rows
	End         bool  // the slice has no more rows
}

// Rows returns how many rows the page has.
func (p Page) Rows() int {
	if p.Record == nil {
		return 0
	}
	return int(p.Record.NumRows())
}

// Login is what the first authenticated answer of a run tells.
type Login struct {
	ServerTime time.Time // Autotask's clock, UTC, whole seconds
	BaseURL    string    // the REST root in use, ending in /V1.0
	WebURL     string    // where people open the same database, ending in a slash; empty: unknown
	ZoneName   string    // "America East 2"; empty if the zone was configured
	Database   string    // identity of the Autotask database whose quota is shared
	Threshold  int64     // requests allowed per window, all integrations together
	Used       int64     // requests counted in the current window
	WindowMins int64     // length of that window
}

// Access is what the API user may read of an entity (api.md §6).
type Access string

// The kinds of access. Restricted rows are absent from answers, without an error (api.md §9).
const (
	AccessUnknown    Access = ""
	AccessNone       Access = "none"
	AccessRestricted Access = "restricted"
	AccessAll        Access = "all"
)

// Slice is a part of a read that one worker pages through: the rows of Window with After < id <= Until.
type Slice struct {
	Table  *schemas.Table
	Window Window
	After  *int64 // nil: from the first id (ids can be 0 or negative)
	Until  *int64 // nil: to the end

	Fields   []string // Autotask names of the fields wanted, the id among them; nil: all. Table has no other columns then
	Priority Priority // whose share of the quota its requests take
	Paged    bool     // every page is a batch of its own, instead of some together
}

// Window says which rows are wanted. Its conditions are alternatives: a row that meets any of them is in.
// The zero Window holds every row.
type Window struct {
	Stamps  []string  // Autotask names of datetime fields …
	Since   time.Time // … any of which is at or after this instant (server's clock, UTC)
	Before  time.Time // and before this one; zero: no bound; only with a single stamp
	NewerID *int64    // or whose id is greater than this
	In      []int64   // or whose InField is one of these (at most 500)
	InField string
}

// All reports whether w holds every row.
func (w Window) All() bool { return len(w.Stamps) == 0 && w.NewerID == nil && len(w.In) == 0 }

// Batch is a group of decoded rows. Record's schema is that of schemas.Decoder: the table's columns, then
// _extra and _row_hash. Later batches of a read may have wider column types than earlier ones.
type Batch struct {
	Record  arrow.RecordBatch
	Rejects []schemas.Reject
	ReadAt  time.Time // when the request of its first page was sent; our clock, UTC
	Bodies  [][]byte  // what the rows were decoded from, a JSON object with "items" each; nil unless the source was asked to hand them on
}
