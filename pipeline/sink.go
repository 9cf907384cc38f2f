package pipeline

import (
	"context"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Sink is one tenant's warehouse. Methods may be called concurrently; loads of different tables may
// run side by side, but a table has at most one load at a time.
// Errors are *Error of ClassSink unless said otherwise.
type Sink interface {
	// Stream returns what is stored of an entity: where its reads stand and how its table looks.
	// For an entity that was never loaded it is the zero StreamState.
	Stream(ctx context.Context, entity string) (StreamState, error)

	// Begin opens a load. The table is created or evolved (columns added, types widened, never dropped)
	// by the load's commit, not before.
	Begin(ctx context.Context, spec LoadSpec) (Load, error)

	// Changed returns the ids of a table's rows written or tombstoned by loads after the given one,
	// ascending, and the newest load that touched the table. An unknown table has none.
	Changed(ctx context.Context, table string, after int64) (ids []int64, newest int64, err error)

	// Next returns up to limit rows of a table from behind a place, in the order in which loads wrote or tombstoned
	// them, by id within a load: a feed of changes that can be left and taken up again. An unknown table has none.
	Next(ctx context.Context, table string, after Place, limit int) ([]Place, error)
	// Named returns the distinct values of an integer column among rows that a feed selects, ascending, and the
	// newest load that touched the table. An unknown table or column has none.
	Named(ctx context.Context, f Feed) (values []int64, newest int64, err error)

	// Extent counts the live rows of a table with after < id <= until (nil: no bound) and finds the middle one;
	// LiveIDs lists them, ascending. An unknown table has none.
	Extent(ctx context.Context, table string, after, until *int64) (Extent, error)
	LiveIDs(ctx context.Context, table string, after, until *int64) ([]int64, error)

	// Duplicates counts the rows of a table, tombstones included, that repeat an id: 0, or the table is broken.
	Duplicates(ctx context.Context, table string) (int64, error)

	// SaveMetadata keeps an entity's live metadata for later runs and brings the table picklists up to
	// date with it. It reports how many picklist rows are new or changed.
	SaveMetadata(ctx context.Context, entity string, m *schemas.Metadata, at time.Time) (changed int64, err error)

	// AckRejects acknowledges the open rejects that the selection names and returns how many these are: they stay
	// listed, and make no stream partial any more. A value that changes to another bad one is open again. The note
	// is kept with them.
	AckRejects(ctx context.Context, which RejectSelection, note string) (int64, error)

	// BeginRun records a run's start and returns its id; EndRun records its outcome. It may be
	// called again if that changes; without streams it leaves what is recorded of them.
	BeginRun(ctx context.Context, run Run) (id int64, err error)
	EndRun(ctx context.Context, run Run) error

	// Chunks returns the chunks of all backfills, by backfill and number.
	Chunks(ctx context.Context) ([]Chunk, error)

	// SaveChunks replaces the chunks of one backfill, which must not be empty, and returns its id: a new one if
	// theirs is 0.
	SaveChunks(ctx context.Context, chunks []Chunk) (id int64, err error)

	// Hold returns the tenant's auth hold, or nil. SetHold places or (with nil) lifts it.
	Hold(ctx context.Context) (*Hold, error)
	SetHold(ctx context.Context, hold *Hold) error

	// SetCheckpoint replaces an entity's checkpoint by hand, or with nil forgets it, so that the next run reads the
	// entity whole. In the same step it notes who did it, and what stood there, in the log of such changes. An
	// entity without a checkpoint, or one whose first load is not complete, is an error.
	SetCheckpoint(ctx context.Context, entity string, cp *Checkpoint, note StateNote) error

	Close() error
}

// Publisher makes what a Sink holds readable for others.
type Publisher interface {
	// Publish brings the publication up to the newest committed load. Readers see the old or the new
	// version, whole. It is safe to repeat and to kill.
	Publish(ctx context.Context) (Publication, error)
	// Pending reports whether readers would see a difference: something was committed since the current
	// publication was made, by this process or one before it, or there is none.
	Pending(ctx context.Context) (bool, error)
	// Published tells when the current publication was made; false if there is none.
	Published() (time.Time, bool)
}

// Extent is what a sink holds of a range of ids.
type Extent struct {
	Live   int64 // rows that are not tombstoned
	Median int64 // the id in the middle: at least half of them are not above it; 0 without rows
}

// Feed selects rows of a table that say something of other rows.
type Feed struct {
	Table  string
	Column string    // holds the ids that the rows name
	After  int64     // rows written by later loads only …
	Stamp  string    // column of a time
	Since  time.Time // that is at or after this, or NULL
	Recent time.Time // … or whose time is at or after this
}

// Publication describes one published version.
type Publication struct {
	Path    string  `json:"path"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// StreamState is what a sink knows of one entity.
type StreamState struct {
	Checkpoint Checkpoint
	Columns    []schemas.Column // of the table as it stands, in order; nil: no table yet
	Metadata   *schemas.Metadata
	MetadataAt time.Time // when Metadata was read; our clock
	LiveRows   int64     // not tombstoned
	MaxID      *int64    // greatest id in the table, tombstones included

	OpenRejects OpenRejects
}

// Place is where a row stands in the feed of a table's changes (Sink.Next). The zero Place is before all of them.
type Place struct {
	Load    int64 // that wrote or tombstoned the row last
	ID      int64
	Deleted bool // the row is tombstoned; of no account in comparisons
}

// Checkpoint says how far an entity has been read. It is written by the commit that stores the rows it
// speaks of. All times are the server's clock, UTC.
type Checkpoint struct {
	CompleteThrough time.Time `json:"complete_through,omitzero"` // every change up to here is in
	FullAt          time.Time `json:"full_at,omitzero"`          // start of the last complete whole read (parent by parent: of the last one, which may go on)
	RereadAt        time.Time `json:"reread_at,omitzero"`        // start of the last read of the recent window (append)
	ParentLoad      int64     `json:"parent_load,omitempty"`     // newest load of the parent's table that was followed (parent)

	Progress *Progress `json:"progress,omitempty"`  // of a first load that is not complete
	ParentID int64     `json:"parent_id,omitempty"` // read parent by parent: of that load, up to this parent

	LogLoads map[string]int64 `json:"log_loads,omitempty"` // newest load followed of each log of deletions, by the log's entity
}

// LoadSpec describes a load before its first batch.
type LoadSpec struct {
	RunID    int64
	Table    *schemas.Table
	Class    schemas.Class // chosen for this run
	Window   Window
	Mode     Mode
	Complete bool // every row of the source is read: enables Absent without scope

	Frozen []schemas.Change // changes that the table is kept from; noted once each in _atsync.schema_changes

	// Fresh: no id that will be staged is in the table or is staged twice. So it is with a first load and with one
	// that goes on with what Flush has stored.
	Fresh bool

	// MissedSince, if not zero, makes the commit write a row of _atsync.stamp_misses: how many stored rows differ
	// from what was read though none of their stamps is at or after this time.
	MissedSince time.Time
}

// Load brings one read into one table. It is used by one goroutine at a time and must end in Commit or
// Abort; Abort after Commit does nothing.
type Load interface {
	// Stage takes a batch. The record may be released by the caller once Stage returns.
	Stage(ctx context.Context, b Batch) error

	// Flush makes what was staged durable, in one transaction with a checkpoint that tells how far the load has come;
	// the load goes on. It is for Fresh loads only. Readers of a publication do not see the table before Commit.
	Flush(ctx context.Context, cp Checkpoint) error

	// Absent returns the ids of live rows in the table that were not staged by this load: of the whole
	// table for a Complete load, otherwise of rows whose InField is one of the window's In values.
	Absent(ctx context.Context) ([]int64, error)

	// Commit makes everything visible in one transaction: newest version per id, unchanged rows left
	// alone, an older version never over a newer one, rows that came back undeleted, tombstones, rejects, the load
	// record and the checkpoint. When it returns nil all of it is durable; otherwise none of it is.
	// Of two versions of a row the one that was read later is the newer, unless the other's change stamp is greater.
	// A row that was found deleted after it was read stays so. A time of reading that lies in the future says nothing.
	//
	// A column that no batch of the load had keeps its stored value in rows that are replaced. A column that is
	// added to a table with rows, restored or replaced is partial (schemas.Column.PartialSince) unless the load
	// is complete; until a complete load, a row is unchanged only if the column's value is, too.
	Commit(ctx context.Context, c Commit) (LoadResult, error)

	// Abort drops everything staged.
	Abort() error
}

// Commit is what a load writes beside its rows.
type Commit struct {
	Checkpoint  Checkpoint
	Tombstones  []int64 // ids to mark deleted
	Reason      string  // of the tombstones: full, parent, log, verify, fetch
	SourceCount *int64  // rows in the window as counted by the server, if asked
	Requests    int64   // that the read cost

	// Chunks is the progress of a backfill, stored with the rows it speaks of, under the load's id. The stored
	// checkpoint then stays as it is, whatever Checkpoint says.
	Chunks []Chunk
}

// LoadResult counts what a commit did. Fetched = Inserted + Updated + Unchanged + duplicates within the load.
// Rejected counts the rejects of rows in the load that are open now.
type LoadResult struct {
	LoadID                                                   int64
	Fetched, Inserted, Updated, Unchanged, Deleted, Rejected int64
	SchemaChanged                                            bool // table created or complete for the first time, column added, widened, retired, restored or renamed
}

// Changed reports whether the load altered anything an analyst can see.
func (r LoadResult) Changed() bool {
	return r.Inserted+r.Updated+r.Deleted > 0 || r.SchemaChanged
}

// Hold stops all requests for a tenant whose credentials were refused, until they change or a person
// releases it: a locked API user costs an MSP every integration (api.md §1).
type Hold struct {
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`      // for people, with the remedy
	Fingerprint string    `json:"fingerprint"` // of the credentials that were refused; not reversible
}

// StateNote says who changed a checkpoint by hand, and why.
type StateNote struct {
	Command string // "state set", "state reset"
	By      string // user@host
	Note    string // in the person's words; may be empty
}
