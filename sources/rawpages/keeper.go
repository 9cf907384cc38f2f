package rawpages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Keeper is a sink that keeps the pages of what goes through it. It is safe for concurrent use as the sink is.
type Keeper struct {
	pipeline.Sink
	dir string // of the tenant
	now func() time.Time

	mu sync.Mutex // guards the choice of names
}

// Keep returns a sink that keeps in dir/ENTITY the pages of all loads and the metadata that go through it. Its batches
// must carry their bodies. The caller has the sink for itself, so what is not whole in dir was left by a killed
// process and goes.
func Keep(sink pipeline.Sink, dir string) (*Keeper, error) {
	k := &Keeper{Sink: sink, dir: dir, now: time.Now}
	left, err := filepath.Glob(filepath.Join(escape(dir), "*", "*"+suffix+partial))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, k.fail("", err)
	}
	return k, nil
}

// escape keeps a folder's name from being taken for a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func (k *Keeper) fail(entity string, err error) error {
	if err == nil {
		return nil
	}
	return &pipeline.Error{Class: pipeline.ClassSink, Entity: entity, Op: "keep raw pages", Err: err,
		Remedy: "make room in " + k.dir + " and make it writable, or set keep_raw to 0s; nothing was committed"}
}

// SaveMetadata keeps the metadata, then saves it.
func (k *Keeper) SaveMetadata(ctx context.Context, entity string, m *schemas.Metadata, at time.Time) (int64, error) {
	name := fmt.Sprintf("metadata-%d", at.UnixNano())
	path, err := k.path(entity, name)
	if err == nil {
		err = writeLines(path+partial, line{Metadata: &metadata{Format: formatVersion, Entity: entity, At: at.UTC(), Fields: m}})
	}
	if err == nil {
		err = settle(path)
	}
	if err != nil {
		return 0, k.fail(entity, err)
	}
	return k.Sink.SaveMetadata(ctx, entity, m, at)
}

// path returns a free name in an entity's folder, which it creates. Entities' names are those of the catalogue.
func (k *Keeper) path(entity, name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir := filepath.Join(k.dir, entity)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d%s", name, n, suffix))
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, f.Close()
	}
}

// settle gives a written file its name, durably.
func settle(path string) error {
	if err := os.Rename(path+partial, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Begin opens a load whose pages are kept.
func (k *Keeper) Begin(ctx context.Context, spec pipeline.LoadSpec) (pipeline.Load, error) {
	load, err := k.Sink.Begin(ctx, spec)
	if err != nil {
		return nil, err
	}
	h := &header{Format: formatVersion, Entity: spec.Table.Entity.Name, Table: spec.Table.Name, Run: spec.RunID, Class: spec.Class,
		Mode: spec.Mode, Window: spec.Window, Complete: spec.Complete, Fresh: spec.Fresh, MissedSince: spec.MissedSince, Started: k.now().UTC()}
	if spec.Fresh {
		state, err := k.Stream(ctx, h.Entity)
		if err != nil {
			return nil, errors.Join(err, load.Abort())
		}
		if state.Checkpoint.Progress != nil {
			h.Part = 1 // it goes on with what an earlier one has stored
		}
	}
	for _, c := range spec.Table.Columns {
		h.Columns = append(h.Columns, column{c, c.Type.SQL()})
	}
	return &keptLoad{Load: load, k: k, header: h}, nil
}

// keptLoad is a load whose pages go to a file. The file is made with the first of them.
type keptLoad struct {
	pipeline.Load
	k      *Keeper
	header *header

	path  string
	file  *os.File
	enc   *zstd.Encoder
	pages int64
}

// Stage keeps a batch's pages, then stages it.
func (l *keptLoad) Stage(ctx context.Context, b pipeline.Batch) error {
	if err := l.keep(b); err != nil {
		return l.k.fail(l.header.Entity, err)
	}
	return l.Load.Stage(ctx, b)
}

func (l *keptLoad) keep(b pipeline.Batch) error {
	if len(b.Bodies) == 0 {
		return errors.New("a batch came without its pages")
	}
	if err := l.open(); err != nil {
		return err
	}
	for _, body := range b.Bodies {
		if err := writePage(l.enc, b.ReadAt, body); err != nil {
			return err
		}
		l.pages++
	}
	return nil
}

func (l *keptLoad) open() (err error) {
	if l.file != nil {
		return nil
	}
	if l.path, err = l.k.path(l.header.Entity, fmt.Sprintf("%08d", l.header.Run)); err != nil {
		return err
	}
	if l.file, err = os.OpenFile(l.path+partial, os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if err := appendLines(l.file, line{Read: l.header}); err != nil {
		return err
	}
	l.enc, err = newEncoder(l.file)
	return err
}

// Commit makes the pages durable, then the rows. A load that failed leaves no file; one that was killed in between may
// leave a file of rows that are not in the warehouse, which the next run reads again: it does no harm.
func (l *keptLoad) Commit(ctx context.Context, c pipeline.Commit) (pipeline.LoadResult, error) {
	e := &end{At: l.k.now().UTC(), Pages: l.pages, Checkpoint: c.Checkpoint, Kept: len(c.Chunks) > 0, Tombstones: c.Tombstones,
		Reason: c.Reason, SourceCount: c.SourceCount}
	if err := l.seal(e); err != nil {
		return pipeline.LoadResult{}, l.k.fail(l.header.Entity, err)
	}
	res, err := l.Load.Commit(ctx, c)
	if err != nil {
		if l.pages > 0 || len(c.Tombstones) > 0 {
			err = errors.Join(err, os.Remove(l.path))
		}
		return res, err
	}
	l.number(res.LoadID)
	return res, nil
}

// Flush makes the pages so far durable in a file of their own, then the rows.
func (l *keptLoad) Flush(ctx context.Context, cp pipeline.Checkpoint) error {
	if l.pages == 0 {
		return l.Load.Flush(ctx, cp)
	}
	if err := l.seal(&end{At: l.k.now().UTC(), Pages: l.pages, Checkpoint: cp, Flushed: true}); err != nil {
		return l.k.fail(l.header.Entity, err)
	}
	if err := l.Load.Flush(ctx, cp); err != nil {
		return errors.Join(err, os.Remove(l.path))
	}
	next := *l.header
	next.Part++
	l.header, l.pages = &next, 0
	return nil
}

// seal ends the file. A load without rows and tombstones only moves a checkpoint: of these the newest is kept.
func (l *keptLoad) seal(e *end) error {
	if l.pages == 0 && len(e.Tombstones) == 0 {
		dir := filepath.Join(l.k.dir, l.header.Entity)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		l.path = filepath.Join(dir, "checkpoint"+suffix)
		if err := writeLines(l.path+partial, line{Read: l.header}, line{Commit: e}); err != nil {
			return err
		}
		return settle(l.path)
	}
	if err := l.open(); err != nil {
		return err
	}
	err := l.enc.Close()
	l.enc = nil
	if err == nil {
		err = appendLines(l.file, line{Commit: e})
	}
	err = errors.Join(err, l.file.Close())
	l.file = nil
	if err != nil {
		return errors.Join(err, os.Remove(l.path+partial))
	}
	return settle(l.path)
}

// number notes the load's number behind the file. Replay can do without: a failure is of no account.
func (l *keptLoad) number(id int64) {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	info, err := f.Stat()
	if err == nil && appendLines(f, line{LoadID: id}) != nil {
		_ = f.Truncate(info.Size()) // half a line would make the file unreadable
	}
	_ = f.Close() // synced, or of no account
}

// Abort drops the file with what was staged.
func (l *keptLoad) Abort() error {
	if l.file != nil {
		if l.enc != nil {
			_ = l.enc.Close() // the file goes
		}
		_, _ = l.file.Close(), os.Remove(l.path+partial) // what stays, the next Keep removes
		l.file = nil
	}
	return l.Load.Abort()
}

// Usage is how much is kept.
type Usage struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Prune removes the files in a tenant's folder that were written before a time, and returns what went and what is
// there now. With dryRun nothing goes, and left is what would be there.
func Prune(dir string, before time.Time, dryRun bool) (pruned, left Usage, err error) {
	k := Keeper{dir: dir}
	list, err := files(dir, "")
	if err != nil {
		return pruned, left, k.fail("", err)
	}
	for _, path := range list {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return pruned, left, k.fail("", err)
		}
		u := &left
		if info.ModTime().Before(before) {
			if u = &pruned; !dryRun {
				if err := os.Remove(path); err != nil {
					return pruned, left, k.fail("", err)
				}
			}
		}
		u.Files, u.Bytes = u.Files+1, u.Bytes+info.Size()
	}
	return pruned, left, nil
}
