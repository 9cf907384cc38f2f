// Package parquet publishes a warehouse as Parquet files, and makes a lost warehouse anew from them.
//
// A tenant's folder holds for each table a link to its newest generation, catalog.duckdb with the same tables and
// views over explicit file names, and manifest.json, which lists every file. A generation is a folder that never
// changes once it is linked: files of up to 50,000 rows, each a range of ids, with hard links to those of the generation
// before that still hold. Which files still hold is found by comparing a sum of each file's rows with the warehouse, so
// that only what changed is written and nothing has to be remembered between publications. A table's version becomes
// visible by one rename, of its link; that of all tables together by the rename of the catalog.
//
// It promises that a reader who resolves a link once, or goes by catalog or manifest, sees one committed version,
// whole, for at least the grace period; that a kill at any moment leaves the old or the new version of each; and that
// values arrive exactly. It never changes a file that a reader may have, never writes to the warehouse, and never
// opens the warehouse's file: it gets a connection from it.
//
// A Remote publishes the same to a bucket. There are no links there and no rename: each file is an object that never
// changes, and all tables together become visible by one conditional write, of manifest.json.
package parquet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// Names in a tenant's folder.
const (
	CatalogName  = "catalog.duckdb"
	ManifestName = "manifest.json"
	generations  = ".generations"
)

// DefaultGrace is how long files stay after a newer version took their place.
const DefaultGrace = time.Hour

// Warehouse is what is published. Export runs read on a connection that sees it as of one moment, views included; read
// may query, COPY … TO other files and, after ROLLBACK, write attached ones.
type Warehouse interface {
	Export(ctx context.Context, read func(ctx context.Context, conn *sql.Conn) error) error
}

// Options says where a publication is and how it is made.
type Options struct {
	Folder string           // the tenant's own; created
	Tenant string           // named in errors and the manifest
	Grace  time.Duration    // DefaultGrace if 0; < 0: none, old versions go at once
	Plain  bool             // use neither hard links nor symbolic links; found out where the file system has none
	Now    func() time.Time // our clock; time.Now by default
	Logger *slog.Logger     // nil: silent

	// Free tells how many bytes the disk of a folder has left, false if that can't be known; nil: the operating system is asked.
	Free func(folder string) (int64, bool)
}

// Publisher publishes one tenant's warehouse. It is safe for concurrent use; two of one folder are not.
type Publisher struct {
	w    Warehouse
	opts Options
	dir  folder

	mu sync.Mutex
}

var _ pipeline.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher of w. Nothing is read or written yet.
func NewPublisher(w Warehouse, opts Options) *Publisher {
	if opts.Grace == 0 {
		opts.Grace = DefaultGrace
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Free == nil {
		opts.Free = freeSpace
	}
	if abs, err := filepath.Abs(opts.Folder); err == nil {
		opts.Folder = abs
	}
	return &Publisher{w: w, opts: opts, dir: folder{root: opts.Folder, plain: opts.Plain}}
}

// Published tells when the current publication was made; false if there is none.
func (p *Publisher) Published() (time.Time, bool) {
	info, err := os.Stat(filepath.Join(p.opts.Folder, ManifestName))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime().UTC(), true
}

// Check reports what would keep Publish from writing, as far as that can be seen without publishing.
func (p *Publisher) Check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.load()
	if err == nil {
		err = p.dir.prepare()
	}
	return p.fail("publish", err)
}

// Pending reports whether something that readers see was committed since the publication was made, by whatever
// process, or whether files of it are gone.
func (p *Publisher) Pending(ctx context.Context) (pending bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, err := p.load()
	if err != nil {
		return false, p.fail("publish", err)
	}
	if old == nil || !p.dir.intact(old) {
		return true, nil
	}
	err = p.w.Export(ctx, func(ctx context.Context, conn *sql.Conn) error {
		now, err := readState(ctx, conn)
		pending = now != old.State
		return err
	})
	return pending, p.fail("publish", err)
}

// fail wraps an error once with what is known of it. It keeps nil and an error that is wrapped already.
func (p *Publisher) fail(op string, err error) error {
	return wrap(p.opts.Tenant, p.opts.Folder, op, err)
}

func wrap(tenant, dir, op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Error](err); ok {
		return err
	}
	e := &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: op, Err: err}
	text := err.Error()
	has := func(words string) bool { return regexp.MustCompile("(?i)" + words).MatchString(text) }
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Class = pipeline.ClassCanceled
	case errors.Is(err, syscall.ENOSPC), has("no space left|could not write all bytes"):
		e.Remedy = "free space on the disk of " + dir + "; the old publication stays readable"
	case errors.Is(err, syscall.EFBIG), has("file too large"):
		e.Remedy = "raise the limit on the size of files (ulimit -f); the old publication stays readable"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS), has("permission denied|read-only file system"):
		e.Remedy = "make " + dir + " and what is in it writable for the user that runs atsync"
	case errors.Is(err, syscall.ENOTDIR), has("not a directory"):
		e.Remedy = "a part of the path " + dir + " is a file: choose another sink.path"
	case has("out of memory"):
		e.Remedy = "raise the memory limit of the warehouse"
	default:
		e.Remedy = "the old publication stays readable: run again; if it stays, remove " + dir + " and sync: it is made anew"
	}
	return e
}

// refuse is an error that a person has to settle.
func (p *Publisher) refuse(remedy, format string, args ...any) error {
	return &pipeline.Error{Class: pipeline.ClassSink, Tenant: p.opts.Tenant, Op: "publish", Err: fmt.Errorf(format, args...), Remedy: remedy}
}
