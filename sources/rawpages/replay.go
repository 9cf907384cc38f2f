package rawpages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Clock is the warehouse's clock during a replay: it shows the time at which the load at hand was committed, so that
// the rows say when they were read and found deleted, and not when they were replayed.
type Clock struct{ at atomic.Pointer[time.Time] }

// Now returns the time of the load at hand, and the time of day when there is none.
func (c *Clock) Now() time.Time {
	if at := c.at.Load(); at != nil {
		return *at
	}
	return time.Now()
}

func (c *Clock) set(at time.Time) { c.at.Store(&at) }
func (c *Clock) clear()           { c.at.Store(nil) }

// Replay rebuilds tables from kept pages, without a request. Its fields are set once; it is used once.
type Replay struct {
	Tenant    string
	Dir       string // of the tenant's kept pages
	Sink      pipeline.Sink
	Clock     *Clock             // which the sink goes by
	Publisher pipeline.Publisher // nil: nothing is published
	Trace     *pipeline.Trace    // nil: nobody listens

	loads []numbered // loads of the warehouse that kept the pages, and ours in their place; both rise
}

type numbered struct{ was, is int64 }

// entry is a file as the replay needs it.
type entry struct {
	path   string
	at     time.Time
	read   *header
	commit *end
	meta   *metadata
	loadID int64 // 0: unknown
}

func (e entry) entity() string {
	if e.meta != nil {
		return e.meta.Entity
	}
	return e.read.Entity
}

// Run replays what is kept of the entities, in the order in which it was committed: of each from its first whole read
// on. An entity that has a table already, or of which no whole read is kept, fails; the others go on. The returned run
// is recorded in the sink.
func (r *Replay) Run(ctx context.Context, entities []*schemas.Entity) (pipeline.Run, error) {
	rec := pipeline.Run{Tenant: r.Tenant, Command: "sync --from-raw", StartedAt: time.Now().UTC(), Status: pipeline.StatusRunning}
	var err error
	if rec.ID, err = r.Sink.BeginRun(ctx, rec); err != nil {
		rec.Status, rec.EndedAt, rec.Error, rec.ErrorClass = pipeline.StatusFailed, time.Now().UTC(), err.Error(), pipeline.ClassOf(err)
		return rec, err
	}
	err = r.replay(ctx, &rec, entities)
	r.Clock.clear()
	rec.EndedAt, rec.Status = time.Now().UTC(), pipeline.StatusOK
	if err != nil {
		rec.Status, rec.Error, rec.ErrorClass = pipeline.StatusFailed, err.Error(), pipeline.ClassOf(err)
		if rec.ErrorClass == pipeline.ClassPartial {
			rec.Status = pipeline.StatusPartial
		}
	}
	after := context.WithoutCancel(ctx)
	if ended := r.Sink.EndRun(after, rec); ended != nil {
		return rec, errors.Join(err, ended)
	}
	if r.Publisher != nil && (err == nil || rec.Status == pipeline.StatusPartial) {
		p, published := r.Publisher.Publish(after)
		if published != nil {
			return rec, errors.Join(err, published)
		}
		if r.Trace != nil && r.Trace.Published != nil {
			r.Trace.Published(p)
		}
	}
	return rec, err
}

// replay does the work and fills in the run's streams.
func (r *Replay) replay(ctx context.Context, rec *pipeline.Run, entities []*schemas.Entity) error {
	reports := map[string]*pipeline.StreamReport{}
	var all []entry
	failed := 0
	for _, e := range entities {
		report := &pipeline.StreamReport{Entity: e.Name, Table: schemas.TableName(e.Name), Mode: "replay", Class: string(e.Class), Status: pipeline.StatusOK}
		list, err := r.entries(ctx, e)
		if ctx.Err() != nil {
			return r.fail(e.Name, context.Cause(ctx))
		}
		if err != nil {
			failed++
			report.Status, report.Error, report.ErrorClass = pipeline.StatusFailed, err.Error(), pipeline.ClassOf(err)
		}
		all = append(all, list...)
		reports[e.Name] = report
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	var err error
	for _, it := range all {
		if err = r.one(ctx, it, rec.ID, reports[it.entity()]); err != nil {
			break
		}
	}
	for _, e := range entities {
		rec.Streams = append(rec.Streams, *reports[e.Name])
	}
	if err == nil && failed > 0 {
		err = &pipeline.Error{Class: pipeline.ClassPartial, Tenant: r.Tenant, Op: "replay", Err: fmt.Errorf("%d of %d entities are not rebuilt", failed, len(entities)),
			Remedy: "atsync sync reads them from Autotask"}
		if failed == len(entities) {
			err = &pipeline.Error{Class: pipeline.ClassConfig, Tenant: r.Tenant, Op: "replay", Err: errors.New("nothing is rebuilt: " + rec.Streams[0].Error)}
		}
	}
	return err
}

func (r *Replay) fail(entity string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Error](err); ok {
		return err
	}
	class, remedy := pipeline.ClassSink, "restore the file, or leave it out and let atsync sync --full read what it held"
	if errors.Is(err, context.Canceled) {
		class, remedy = pipeline.ClassCanceled, ""
	}
	return &pipeline.Error{Class: class, Tenant: r.Tenant, Entity: entity, Op: "replay", Err: err, Remedy: remedy}
}

// entries lists what is to be replayed of an entity.
func (r *Replay) entries(ctx context.Context, e *schemas.Entity) ([]entry, error) {
	state, err := r.Sink.Stream(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if state.Columns != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: r.Tenant, Entity: e.Name, Op: "replay", Err: errors.New("the table is there already"),
			Remedy: "replay rebuilds what is missing: move the warehouse in data_dir/work and the publication away first"}
	}
	paths, err := files(r.Dir, e.Name)
	if err != nil {
		return nil, r.fail(e.Name, err)
	}
	var metas, reads []entry
	for _, path := range paths {
		it, err := scan(ctx, path)
		if err != nil {
			return nil, r.fail(e.Name, fmt.Errorf("%s: %w", path, err))
		}
		if it.entity() != e.Name {
			return nil, r.fail(e.Name, fmt.Errorf("%s holds pages of %s", path, it.entity()))
		}
		if it.meta != nil {
			metas = append(metas, it)
		} else {
			reads = append(reads, it)
		}
	}
	slices.SortStableFunc(reads, func(a, b entry) int { return a.at.Compare(b.at) })
	first := slices.IndexFunc(reads, func(it entry) bool { return it.read.Complete && it.read.Part == 0 && !it.commit.Kept || e.PerParent() })
	if first < 0 {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: r.Tenant, Entity: e.Name, Op: "replay",
			Err:    errors.New("no whole read of it is kept in " + filepath.Join(r.Dir, e.Name)),
			Remedy: "it was made before keep_raw was set, or is pruned: atsync sync reads it from Autotask"}
	}
	return append(metas, reads[first:]...), nil
}

// scan reads a file without its pages.
func scan(ctx context.Context, path string) (it entry, err error) {
	it.path = path
	pages := int64(0)
	err = readLines(path, func(text []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, _, ok := pageLine(text); ok {
			pages++
			return nil
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("a line can't be read: %w", err)
		}
		switch {
		case l.Read != nil:
			it.read = l.Read
		case l.Metadata != nil:
			it.meta, it.at = l.Metadata, l.Metadata.At
		case l.Commit != nil:
			it.commit, it.at = l.Commit, l.Commit.At
		case l.LoadID != 0:
			it.loadID = l.LoadID
		}
		return nil
	})
	if err != nil {
		return it, err
	}
	format := 0
	switch {
	case it.meta != nil && it.meta.Fields != nil:
		format = it.meta.Format
	case it.read == nil || it.commit == nil || it.commit.Pages != pages:
		return it, errors.New("the file is not whole")
	default:
		format = it.read.Format
	}
	if format != formatVersion {
		return it, fmt.Errorf("the file has format %d, this atsync knows %d", format, formatVersion)
	}
	return it, nil
}

// one replays a file.
func (r *Replay) one(ctx context.Context, it entry, run int64, report *pipeline.StreamReport) error {
	r.Clock.set(it.at)
	if it.meta != nil {
		_, err := r.Sink.SaveMetadata(ctx, it.meta.Entity, it.meta.Fields, it.meta.At)
		return err
	}
	res, err := r.load(ctx, it, run)
	if err != nil {
		report.Status, report.Error, report.ErrorClass = pipeline.StatusFailed, err.Error(), pipeline.ClassOf(err)
		return r.fail(it.read.Entity, err)
	}
	report.LoadID = res.LoadID
	report.Fetched += res.Fetched
	report.Inserted += res.Inserted
	report.Updated += res.Updated
	report.Unchanged += res.Unchanged
	report.Deleted += res.Deleted
	report.Rejected = res.Rejected
	if !it.commit.Kept {
		report.CompleteThrough = it.commit.Checkpoint.CompleteThrough
	}
	if it.loadID != 0 {
		r.loads = append(r.loads, numbered{it.loadID, res.LoadID})
	}
	return nil
}

// load does a kept load again.
func (r *Replay) load(ctx context.Context, it entry, run int64) (res pipeline.LoadResult, err error) {
	table, err := it.read.table()
	if err != nil {
		return res, err
	}
	stored, err := r.Sink.Stream(ctx, it.read.Entity)
	if err != nil {
		return res, err
	}
	l, err := r.Sink.Begin(ctx, pipeline.LoadSpec{RunID: run, Table: table, Class: it.read.Class, Window: it.read.Window, Mode: it.read.Mode,
		Complete: it.read.Complete, MissedSince: it.read.MissedSince, Fresh: it.read.Fresh && it.read.Part == 0 && !it.commit.Flushed})
	if err != nil {
		return res, err
	}
	defer l.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	dec := schemas.NewDecoder(table)
	err = readLines(it.path, func(text []byte) error {
		if at, body, ok := pageLine(text); ok {
			return stagePage(ctx, l, dec, at, body)
		}
		return ctx.Err()
	})
	if err != nil {
		return res, err
	}
	c := pipeline.Commit{Checkpoint: r.renumber(it.commit.Checkpoint), Tombstones: it.commit.Tombstones, Reason: it.commit.Reason, SourceCount: it.commit.SourceCount}
	if it.commit.Kept {
		c.Checkpoint = stored.Checkpoint
	}
	return l.Commit(ctx, c)
}

func stagePage(ctx context.Context, l pipeline.Load, dec *schemas.Decoder, at time.Time, body []byte) error {
	if _, err := dec.Decode(body, nil); err != nil {
		return err
	}
	record, rejects := dec.Flush()
	if record == nil {
		return nil
	}
	defer record.Release()
	return l.Stage(ctx, pipeline.Batch{Record: record, Rejects: rejects, ReadAt: at})
}

// renumber puts the replay's loads in place of those that a checkpoint has followed: the last one replayed that was
// not later. It is never too late, so nothing that comes after is passed over.
func (r *Replay) renumber(cp pipeline.Checkpoint) pipeline.Checkpoint {
	ours := func(was int64) (is int64) {
		for _, n := range r.loads {
			if n.was <= was {
				is = max(is, n.is)
			}
		}
		return is
	}
	cp.ParentLoad = ours(cp.ParentLoad)
	if cp.Progress != nil {
		progress := *cp.Progress
		progress.ParentLoad = ours(progress.ParentLoad)
		cp.Progress = &progress
	}
	if cp.LogLoads != nil {
		logs := make(map[string]int64, len(cp.LogLoads))
		for entity, was := range cp.LogLoads {
			logs[entity] = ours(was)
		}
		cp.LogLoads = logs
	}
	return cp
}

// table returns the table as it was when the pages were read.
func (h *header) table() (*schemas.Table, error) {
	entity, ok := schemas.Lookup(h.Entity)
	if !ok {
		return nil, fmt.Errorf("there is no entity %q", h.Entity)
	}
	t := &schemas.Table{Entity: entity, Name: h.Table}
	for _, c := range h.Columns {
		typ, err := schemas.ParseSQLType(c.SQLType)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		c.Type = typ
		t.Columns = append(t.Columns, c.Column)
	}
	return t, nil
}
