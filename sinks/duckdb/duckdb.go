// Package duckdb keeps one tenant's warehouse in a DuckDB file and publishes copies of it.
//
// It is a pipeline.Sink: batches are staged on a connection of their own, unless they are few and known, and merged by
// key in one transaction together with tombstones, rejects, the load record and the checkpoint. It promises that a
// load is visible whole or not at all, whatever stops the process; that an id is in its table once; that a
// row whose content is unchanged is not written; and that values arrive exactly. A file that DuckDB could not write to
// its end goes back to what its publication has, rows and checkpoints.
//
// The warehouse file is private to this process. DuckDB guards it with a POSIX lock that the kernel drops
// as soon as the process closes any other descriptor of the file. Therefore nothing here opens it but the
// one DuckDB instance: sizes come from os.Stat, copies are made by a child process (see CopyChild), and
// readers get a publication. It never runs SQL text from outside on the warehouse, never creates a primary
// key or an index (they make the merge ten times slower), and never sends Go values through setters
// unchecked.
//
// main() and the TestMain of every test that publishes must call CopyChild first.
package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/atsync/atsync/pipeline"
)

// Options says where a warehouse is and what it may use.
type Options struct {
	Path     string           // of the private file; its folder is created
	Tenant   string           // named in errors, runs and freshness
	MemoryMB int              // of DuckDB's buffers, 192 by default, more while wide tables are loaded; the process uses up to 200 MB beside it
	Threads  int              // 2 by default
	TempDir  string           // where staging spills; Path + ".tmp" by default
	From     string           // a publication to start from if the file at Path is missing or damaged; may be missing itself
	Hydrate  Hydrate          // makes the file from another kind of publication then; nil: From does
	TimeZone string           // IANA name of the tenant's zone, in which the views' dates are; empty: UTC
	WebURL   func() string    // of the tenant's Autotask in a browser, asked when views are made; nil or "": as last known
	LockWait time.Duration    // how long to wait for another process to let go of the file; 5 s by default, < 0: not at all
	Now      func() time.Time // our clock; time.Now by default
	Logger   *slog.Logger     // nil: silent
}

// Hydrate makes a warehouse file at a path where there is none from a publication; false: there is no publication.
type Hydrate func(ctx context.Context, to string) (bool, error)

// Warehouse is one tenant's private DuckDB file. It implements pipeline.Sink and is safe for concurrent use.
type Warehouse struct {
	opts     Options
	db       *sql.DB
	feeds    *feeds
	commit   chan struct{} // holds one token: commits, metadata, runs and publishing are serialised
	replaced bool          // by a compaction: the file of this name is not this instance's; guarded by commit
	version  atomic.Int64  // counts commits of this process
	loadID   atomic.Int64
	runID    atomic.Int64
	storage  string
	memo     memo

	mu       sync.Mutex
	loading  map[string]*load       // open loads by table
	flushing int                    // how many of them have flushed
	memoryMB int                    // DuckDB's limit as it is set
	running  map[int64]bool         // runs begun and not ended by this process
	recorded map[int64]recordedLoad // committed loads of such runs
}

var _ pipeline.Sink = (*Warehouse)(nil)

// Open opens or creates a warehouse. Another process that holds the file is waited for (Options.LockWait). A damaged one is made anew
// from its publication, if there is one.
// Errors are *pipeline.Error of ClassSink and name the remedy.
func Open(ctx context.Context, opts Options) (*Warehouse, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	if err := hydrate(ctx, opts); err != nil {
		return nil, openError(opts, err)
	}
	connector, err := opts.connectMended(ctx)
	if err != nil {
		return nil, openError(opts, err)
	}
	w := &Warehouse{
		opts:    opts,
		db:      sql.OpenDB(patient{connector}),
		commit:  make(chan struct{}, 1),
		loading: map[string]*load{}, memoryMB: opts.MemoryMB,
		running: map[int64]bool{}, recorded: map[int64]recordedLoad{},
	}
	w.db.SetMaxIdleConns(2)
	if err := w.prepare(ctx, connector); err != nil {
		_ = w.db.Close() // the error that matters is err
		return nil, openError(opts, err)
	}
	if err := sweep(opts.Path); err != nil { // it would only take space
		opts.Logger.WarnContext(ctx, "what an interrupted compaction left can't be removed", "path", opts.Path, "cause", err)
	}
	if err := writeHolder(opts.Path, opts.Now()); err != nil { // it would only tell more than DuckDB does
		opts.Logger.DebugContext(ctx, "who has the warehouse open can't be noted", "cause", err)
	}
	opts.Logger.DebugContext(ctx, "warehouse open", "path", opts.Path, "storage", w.storage, "direct", w.feeds.direct)
	return w, nil
}

// complete fills in the defaults and makes the path absolute.
func (o Options) complete() (Options, error) {
	if o.Path == "" {
		return o, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: o.Tenant, Op: "open warehouse",
			Err: fmt.Errorf("no path"), Remedy: "set data_dir"}
	}
	abs, err := filepath.Abs(o.Path)
	if err != nil {
		return o, openError(o, err)
	}
	o.Path = abs
	if name := strings.TrimSuffix(filepath.Base(abs), filepath.Ext(abs)); slices.Contains(reservedNames(), strings.ToLower(name)) {
		return o, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: o.Tenant, Op: "open warehouse",
			Err: fmt.Errorf("DuckDB keeps the name %q for itself", name), Remedy: "give the tenant another name"}
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = 192
	}
	if o.Threads <= 0 {
		o.Threads = 2
	}
	if o.TempDir == "" {
		o.TempDir = o.Path + ".tmp"
	}
	if o.LockWait == 0 {
		o.LockWait = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hydrate == nil {
		o.Hydrate = o.copyPublication
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return o, openError(o, err)
	}
	return o, nil
}

// prepare settles the session, the table function and the system tables of a freshly opened instance.
func (w *Warehouse) prepare(ctx context.Context, connector *duckdb.Connector) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	// A list of functions would tell as well, but to make one takes longer than all the rest.
	if _, err := conn.ExecContext(ctx, `FROM `+feedFunction+`(0)`); err != nil && strings.Contains(err.Error(), errNoFeed.Error()) {
		return errOpenHere
	}
	if _, err := conn.ExecContext(ctx, `SET GLOBAL TimeZone = 'UTC'`); err != nil {
		return err
	}
	if w.feeds, err = registerFeeds(ctx, connector); err != nil {
		return err
	}
	if err := w.createSystem(ctx); err != nil {
		return err
	}
	return conn.QueryRowContext(ctx, `SELECT coalesce(tags['storage_version'], 'unknown'),
			(SELECT coalesce(max(load_id), 0) FROM (SELECT load_id FROM _atsync.loads UNION ALL SELECT load_id FROM _atsync.checkpoints)),
			(SELECT coalesce(max(run_id), 0) FROM _atsync.runs)
		FROM duckdb_databases() WHERE NOT internal AND path IS NOT NULL`).Scan(&w.storage, scanInt(&w.loadID), scanInt(&w.runID))
}

// Path returns the absolute path of the private file. Do not open it.
func (w *Warehouse) Path() string { return w.opts.Path }

// StorageVersion returns the format of the file as DuckDB names it, e.g. "v1.0.0+".
func (w *Warehouse) StorageVersion() string { return w.storage }

// Close ends the instance: DuckDB checkpoints and lets go of the file. Open loads, which nobody may be using
// any more, are aborted.
func (w *Warehouse) Close() error {
	w.mu.Lock()
	open := slices.Collect(maps.Values(w.loading))
	w.mu.Unlock()
	for _, l := range open {
		_ = l.Abort() // never fails
	}
	w.commit <- struct{}{}
	defer w.unlock()
	var err error
	if !w.replaced { // what has the name now may be another process's already
		err = removeHolder(w.opts.Path)
	}
	return w.fail("", "close", errors.Join(err, w.db.Close()))
}

// lock takes the commit token, or gives up with ctx. There is nothing to write to once a compaction has replaced the file.
func (w *Warehouse) lock(ctx context.Context) error {
	select {
	case w.commit <- struct{}{}:
		if w.replaced {
			w.unlock()
			return errors.New("the warehouse has been compacted: open it again")
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Warehouse) unlock() { <-w.commit }

func (w *Warehouse) now() time.Time { return w.opts.Now().UTC().Truncate(time.Microsecond) }

// scanInt scans a BIGINT into an atomic.
func scanInt(dst *atomic.Int64) sql.Scanner { return atomicScanner{dst} }

type atomicScanner struct{ dst *atomic.Int64 }

// Scan implements sql.Scanner.
func (s atomicScanner) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want a BIGINT, got %T", v)
	}
	s.dst.Store(n)
	return nil
}

// tellAfter is how long a held lock is waited for in silence.
const tellAfter = 2 * time.Second

// connect opens the instance and waits for a lock that another process holds.
func connect(ctx context.Context, opts Options) (*duckdb.Connector, error) {
	dsn, err := dataSource(opts)
	if err != nil {
		return nil, err
	}
	begun, told := time.Now(), false
	deadline := begun.Add(opts.LockWait)
	for {
		before, missing := os.Stat(opts.Path)
		connector, err := duckdb.NewConnector(dsn, nil)
		if err == nil && missing == nil {
			// A compaction in another process may have put a new file in place between the opening and the lock.
			if now, gone := os.Stat(opts.Path); gone != nil || !os.SameFile(before, now) {
				if err := connector.Close(); err != nil {
					return nil, err
				}
				continue
			}
		}
		if err == nil || !isLocked(err) || !time.Now().Before(deadline) {
			return connector, err
		}
		if !told && time.Since(begun) > tellAfter {
			told = true
			opts.Logger.InfoContext(ctx, "waiting for the warehouse", "path", opts.Path, "cause", plain(opts.Path, err), "at_most", opts.LockWait.String())
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
