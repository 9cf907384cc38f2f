package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas/views"
)

// Publisher publishes a warehouse as a copy of its file. Readers that have the old copy open keep it; new
// ones open the new copy: a rename never shows them a mixture.
type Publisher struct {
	w      *Warehouse
	target string

	mu   sync.Mutex
	done int64 // the warehouse's version that target holds; -1: unknown
}

// What the warehouse remembers of its publication: as of when it is current, and how the file was left.
const (
	publishedAtKey   = "published_at"
	publishedFileKey = "published_file"
)

// mark tells a file from what somebody makes of it, or puts in its place, later.
func mark(info os.FileInfo) string {
	return fmt.Sprintf("%d bytes of %s", info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano))
}

// own reports whether the target is there as the last publication left it.
func (p *Publisher) own(ctx context.Context) (bool, error) {
	info, err := os.Stat(p.target)
	if err != nil {
		return false, nil //nolint:nilerr // whatever keeps it from being seen, Publish will say
	}
	var left string
	err = p.w.db.QueryRowContext(ctx, `SELECT coalesce(max(value), '') FROM _atsync.info WHERE key = ?`, publishedFileKey).Scan(&left)
	return left == mark(info), err
}

var _ pipeline.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher to the file target, on any file system. The executable must call CopyChild.
func NewPublisher(w *Warehouse, target string) *Publisher {
	return &Publisher{w: w, target: target, done: -1}
}

// Published tells when the current publication was made; false if there is none.
func (p *Publisher) Published() (time.Time, bool) {
	info, err := os.Stat(p.target)
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime().UTC(), true
}

// Check reports what would keep Publish from writing the target, as far as that can be seen without copying.
func (p *Publisher) Check() error {
	opts := p.w.opts
	opts.Path = p.target
	if err := p.makeRoom(); err != nil {
		return wrap(opts, "", "publish", err)
	}
	probe := p.partial("check")
	err := os.WriteFile(probe, []byte("may this be written?"), 0o600)
	return wrap(opts, "", "publish", errors.Join(err, os.RemoveAll(probe)))
}

// Pending reports whether something that readers see was committed since the target was made, whether the views
// are to be made anew, or whether there is no target as it was made. It knows of commits of earlier processes, too.
func (p *Publisher) Pending(ctx context.Context) (bool, error) {
	if own, err := p.own(ctx); err != nil || !own {
		return true, wrap(p.w.opts, "", "publish", err)
	}
	var pending bool
	err := p.w.db.QueryRowContext(ctx, `WITH published AS (SELECT coalesce(max(value::TIMESTAMPTZ), '-infinity') AS since
			FROM _atsync.info WHERE key = '`+publishedAtKey+`')
		SELECT exists(FROM _atsync.loads, published WHERE ended_at > since AND (inserted + updated + deleted > 0 OR schema_changed))
			OR exists(FROM _atsync.metadata, published WHERE changed_at > since)
			OR exists(FROM _atsync.rejects, published WHERE acknowledged_at > since)`).Scan(&pending)
	if err == nil && !pending {
		var stale []views.View
		stale, _, err = p.w.staleViews(ctx)
		pending = len(stale) > 0
	}
	return pending, wrap(p.w.opts, "", "publish", err)
}

// Publish brings the publication up to the newest commit. While the copy is made (about a second a gigabyte)
// commits wait: nothing may checkpoint or append meanwhile. Staging and first loads go on. If nothing was committed
// since the last call, nothing is copied.
func (p *Publisher) Publish(ctx context.Context) (pipeline.Publication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	start := time.Now()
	size, err := p.publish(ctx)
	if err != nil {
		opts := p.w.opts
		opts.Path = p.target
		return pipeline.Publication{}, wrap(opts, "", "publish", err)
	}
	return pipeline.Publication{Path: p.target, Bytes: size, Seconds: time.Since(start).Seconds()}, nil
}

func (p *Publisher) publish(ctx context.Context) (int64, error) {
	if err := p.w.lock(ctx); err != nil {
		return 0, err
	}
	unlock := sync.OnceFunc(p.w.unlock)
	defer unlock()
	if err := p.w.refreshViews(ctx); err != nil {
		return 0, err
	}
	version, at := p.w.version.Load(), p.w.now()
	if p.done == version {
		if own, err := p.own(ctx); err != nil {
			return 0, err
		} else if info, err := os.Stat(p.target); own && err == nil {
			return info.Size(), nil
		}
	}
	if err := p.makeRoom(); err != nil {
		return 0, err
	}
	job, err := p.checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	defer removeCopy(job.To)
	if err := job.run(ctx); err != nil {
		return 0, err
	}
	unlock()
	info, err := os.Stat(job.To)
	if err != nil {
		return 0, err
	}
	// a log beside the target belongs to a version that somebody opened for writing: DuckDB would replay it on ours
	if err := os.Remove(p.target + ".wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	if err := os.Rename(job.To, p.target); err != nil {
		return 0, err
	}
	if err := syncDir(filepath.Dir(p.target)); err != nil {
		return 0, err
	}
	return info.Size(), p.remember(ctx, version, at, mark(info))
}

// remember notes in the warehouse as of when the target is current, and its mark. It is no commit that readers see.
func (p *Publisher) remember(ctx context.Context, version int64, at time.Time, mark string) error {
	err := p.w.record(ctx, func(s session) error {
		if err := saveInfo(s, publishedAtKey, at.Format(time.RFC3339Nano)); err != nil {
			return err
		}
		return saveInfo(s, publishedFileKey, mark)
	})
	if err != nil {
		return err
	}
	if p.w.version.CompareAndSwap(version+1, version) {
		p.done = version
	}
	return nil
}

// checkpoint empties the log into the file. A first load that runs beside keeps DuckDB from that; then the log
// is copied too and the copy is checkpointed instead.
func (p *Publisher) checkpoint(ctx context.Context) (copyJob, error) {
	job := copyJob{From: p.w.opts.Path, To: p.partial(fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()))}
	_, err := p.w.db.ExecContext(ctx, "CHECKPOINT")
	if err != nil && strings.Contains(err.Error(), "Cannot CHECKPOINT") {
		job.Log, err = true, nil
	}
	if err != nil {
		return job, err
	}
	job.Drop, err = p.w.unfinished(ctx)
	return job, err
}

// unfinished returns the entities whose first load is not complete: readers never see half a table.
func (w *Warehouse) unfinished(ctx context.Context) (out []unfinished, err error) {
	rows, err := w.db.QueryContext(ctx, `SELECT entity, table_name FROM _atsync.checkpoints WHERE progress IS NOT NULL ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var u unfinished
		if err := rows.Scan(&u.Entity, &u.Table); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

// partial names an unfinished copy, beside the target since rename works within one file system.
func (p *Publisher) partial(id string) string {
	return filepath.Join(filepath.Dir(p.target), "."+filepath.Base(p.target)+".partial-"+id)
}

// makeRoom prepares the target's folder: it exists, holds no left-overs of killed publications and has space.
func (p *Publisher) makeRoom() error {
	dir := filepath.Dir(p.target)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	live, err := os.Stat(p.w.opts.Path)
	if err != nil {
		return err
	}
	old, err := os.Stat(p.target)
	if err == nil && old.IsDir() {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: p.w.opts.Tenant, Op: "publish",
			Err: fmt.Errorf("%s is a folder", p.target), Remedy: p.target + " is a folder: choose another sink.path, or move it away"}
	}
	if err == nil && os.SameFile(live, old) {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: p.w.opts.Tenant, Op: "publish",
			Err: fmt.Errorf("%s is the warehouse itself", p.target), Remedy: "give sink.path another folder than data_dir/work"}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(p.partial(""))) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	need := live.Size() + 1<<20
	if log, err := os.Stat(p.w.opts.Path + ".wal"); err == nil {
		need += 2 * log.Size()
	}
	if free, ok := freeSpace(dir); ok && free < need {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: p.w.opts.Tenant, Op: "publish",
			Err:    fmt.Errorf("a copy needs %d MB, %s has %d MB left", need>>20, dir, free>>20),
			Remedy: "free space there; the old publication stays readable"}
	}
	return nil
}

func removeCopy(path string) {
	for _, name := range []string{path, path + ".wal"} {
		_ = os.Remove(name) // gone already after a successful rename; the next publication cleans up
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
