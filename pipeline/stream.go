package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/schemas"
)

// sync brings one entity up to date. It fills in the report; rows are stored only by commits that leave
// the warehouse right for the checkpoint that they write.
func (s *run) sync(ctx context.Context, e *schemas.Entity, report *StreamReport) error {
	o, err := s.outline(ctx, e, false)
	if err != nil {
		return err
	}
	err = s.update(ctx, e, o, report)
	if !errors.Is(err, errOutdated) {
		return err
	}
	if o, err = s.outline(ctx, e, true); err != nil {
		return err
	}
	return s.update(ctx, e, o, report)
}

// update reads what is new of an entity and commits it, then looks after rows with open rejects.
func (s *run) update(ctx context.Context, e *schemas.Entity, o *outline, report *StreamReport) error {
	if err := s.readNew(ctx, e, o, report); err != nil {
		return err
	}
	return s.settle(ctx, o, report)
}

// readNew plans and carries out the read of what is new.
func (s *run) readNew(ctx context.Context, e *schemas.Entity, o *outline, report *StreamReport) error {
	state := o.state
	in := planInput{
		table:      o.table,
		state:      state,
		serverTime: s.login.ServerTime,
		overlap:    s.Overlap,
		full:       s.req.Full,
		fullEvery:  s.FullEvery,
	}
	if e.PerParent() {
		return s.syncPerParent(ctx, in, report)
	}
	if e.Class == schemas.ClassParent {
		parent, err := readParent(ctx, s.Sink, e, state.Checkpoint)
		if err != nil {
			return err
		}
		in.parents, in.parentLoad, in.parentThrough = parent.changed, parent.load, parent.through
		in.parentRead = slices.ContainsFunc(s.req.Entities, func(p *schemas.Entity) bool { return p.Name == e.Parent })
		// A parent that is a link itself has nothing of its own to change: what was looked at counts, too.
		s.mu.Lock()
		in.parents = append(in.parents, s.reread[e.Parent]...)
		s.mu.Unlock()
		slices.Sort(in.parents)
		in.parents = slices.Compact(in.parents)
	}
	plan := planStream(in)
	guarded := s.read(ctx, in.table, state, plan, report)
	if plan.Due && ClassOf(guarded) == ClassGuard {
		// What is new must not wait until a person has looked into what is gone.
		in.fullEvery = 0
		plan = planStream(in)
		if err := s.read(ctx, in.table, state, plan, report); err != nil {
			return err
		}
	} else if guarded != nil {
		return guarded
	}
	report.CompleteThrough = plan.Next.CompleteThrough
	if err := s.followLogs(ctx, in.table, plan.Next, state.LiveRows, report); err != nil {
		return err
	}
	return guarded
}

// read does what a plan says.
func (s *run) read(ctx context.Context, t *schemas.Table, state StreamState, plan Plan, report *StreamReport) error {
	report.Mode, report.Class = string(plan.Mode), string(plan.Class)
	if s.Trace != nil && s.Trace.StreamStarted != nil {
		s.Trace.StreamStarted(t.Entity.Name, report.Mode)
	}
	if plan.Mode == ModeParent {
		return s.readParents(ctx, t, state, plan, report)
	}
	return s.readWindow(ctx, t, state, plan, report)
}

// stale reports whether a run asks for an entity's metadata again.
func (r *Runner) stale(state StreamState, req SyncRequest) bool {
	age := cmp.Or(r.MetadataAge, metadataAge)
	return req.Full || state.Metadata == nil || r.now().Sub(state.MetadataAt) >= age
}

// readWindow reads one window whole and commits it.
func (s *run) readWindow(ctx context.Context, t *schemas.Table, state StreamState, plan Plan, report *StreamReport) error {
	complete := plan.Window.All()
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: plan.Class, Window: plan.Window, Mode: plan.Mode, Complete: complete, MissedSince: plan.MissedSince})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	announced := int64(0)
	if complete && (plan.Mode == ModeFirst || state.LiveRows > pageSize) {
		if announced, err = s.announce(ctx, t, plan, state); err != nil {
			return err
		}
		if plan.Mode != ModeFirst && !plan.Refill {
			if err := s.guard(ctx, t.Entity, state.LiveRows-announced, state.LiveRows); err != nil {
				return err
			}
		}
	}
	if err := s.Source.Read(ctx, Slice{Table: t, Window: plan.Window}, l.stage(ctx)); err != nil {
		return err
	}
	c := Commit{Checkpoint: plan.Next}
	if l.rows > pageSize || l.distinct < announced {
		if c.SourceCount, err = s.confirm(ctx, l, plan); err != nil {
			return err
		}
	}
	if complete && plan.Mode != ModeFirst {
		c.Tombstones, err = s.absent(ctx, l, state, t)
		if plan.Refill && err != nil && ClassOf(err) == ClassGuard {
			// The read was made to fill columns: that it found out more than it may act on must not stop it.
			report.Warnings = append(report.Warnings, err.Error())
			c.Checkpoint.FullAt = state.Checkpoint.FullAt
		} else if err != nil {
			return err
		}
		c.Reason = string(ModeFull)
	}
	return l.commit(ctx, c, report)
}

// announce asks how many rows a large read will bring, tells listeners, and returns it: a read that brings
// fewer must be explained. 0 means that the read is not worth the request.
func (s *run) announce(ctx context.Context, t *schemas.Table, plan Plan, state StreamState) (int64, error) {
	if plan.Mode == ModeFirst && !slices.Contains([]string{"medium", "large", "huge"}, t.Entity.Size) && state.LiveRows == 0 {
		return 0, nil
	}
	n, err := s.Source.Count(ctx, Slice{Table: t, Window: plan.Window})
	if err == nil && s.Trace != nil && s.Trace.StreamTotal != nil {
		s.Trace.StreamTotal(t.Entity.Name, n)
	}
	return n, err
}

// confirm compares the rows read with the server's own count: up to the last id read, and beyond it, where a
// read that ended early would have left some. Rows that changed since the run began may have come into the
// window behind the read: the next run's window holds them.
func (s *run) confirm(ctx context.Context, l *streamLoad, plan Plan) (*int64, error) {
	slice := Slice{Table: l.spec.Table, Window: plan.Window}
	total := int64(0)
	if l.distinct > 0 {
		slice.Until = &l.lastID
		n, err := s.explain(ctx, slice, l.distinct)
		if err != nil {
			return nil, err
		}
		total = n
		slice.Until, slice.After = nil, &l.lastID
	}
	n, err := s.explain(ctx, slice, 0)
	if err != nil {
		return nil, err
	}
	total += n
	return &total, nil
}

// explain counts a slice and fails if it holds more rows than were read of it and than have changed since
// the run began. Fewer is in order: rows are deleted meanwhile.
func (s *run) explain(ctx context.Context, slice Slice, read int64) (int64, error) {
	n, err := s.Source.Count(ctx, slice)
	if err != nil || n <= read {
		return n, err
	}
	late := int64(0)
	if stamps := slice.Table.Reads().Stamps; len(stamps) > 0 {
		slice.Window = Window{Stamps: stamps, Since: s.login.ServerTime.Add(-Settle)}
		if late, err = s.Source.Count(ctx, slice); err != nil {
			return 0, err
		}
	}
	if n-late > read {
		return 0, mismatch(read, n)
	}
	return n, nil
}

// absent returns the ids to tombstone after a whole read: those that the listing did not show and that a
// second look, by id, does not find either. Rows that it does find are staged.
func (s *run) absent(ctx context.Context, l *streamLoad, state StreamState, t *schemas.Table) ([]int64, error) {
	missing, err := l.load.Absent(ctx)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	if err := s.guard(ctx, t.Entity, int64(len(missing)), state.LiveRows); err != nil {
		return nil, err
	}
	return s.secondLook(ctx, l, t, missing)
}

// secondLook asks for ids by name and returns those that are not there.
func (s *run) secondLook(ctx context.Context, l *streamLoad, t *schemas.Table, ids []int64) ([]int64, error) {
	found := map[int64]bool{}
	stage := l.stage(ctx)
	for group := range slices.Chunk(ids, pageSize) {
		w := Window{InField: "id", In: group}
		err := s.Source.Read(ctx, Slice{Table: t, Window: w}, func(b Batch) error {
			for _, id := range batchIDs(b) {
				found[id] = true
			}
			return stage(b)
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(ids, func(id int64) bool { return found[id] }), nil
}

// fewDeletes is how many rows a read may tombstone without a look at the API user's rights.
const fewDeletes = 5

// guard refuses a read that would tombstone more than max(50, 2 %) of a table or empty it: more
// often a lost right than real deletions (api.md §9). Beyond a few rows it asks whether the user may still read the entity.
func (s *run) guard(ctx context.Context, e *schemas.Entity, missing, live int64) error {
	if missing <= 0 {
		return nil
	}
	access, emptied := AccessUnknown, missing >= live
	if emptied || missing > fewDeletes {
		var err error
		if access, err = s.accessTo(ctx, e); err != nil {
			return err
		}
	}
	if access == AccessNone {
		return &Error{
			Class: ClassRights, Op: "guard",
			Err:    fmt.Errorf("%d of %d rows are no longer listed, since the API user may not read this entity any more; nothing was changed", missing, live),
			Remedy: "give the API user's security level back the right to view " + e.Name + ", or leave it out of sync.entities",
		}
	}
	if s.req.AllowDeletes || missing <= max(50, live/50) && (!emptied || live <= 5 && access != AccessRestricted) {
		return nil
	}
	allowed := "atsync sync --full --allow-deletes"
	if s.rec.Command == "verify" {
		allowed = "atsync verify --repair --allow-deletes"
	}
	return &Error{
		Class: ClassGuard, Op: "guard",
		Err:    fmt.Errorf("%d of %d rows are no longer listed; nothing was changed", missing, live),
		Remedy: "check the API user's rights and lines of business; if the rows are really gone, run: " + allowed,
	}
}

// accessTo asks for the user's access to an entity, once a run.
func (s *run) accessTo(ctx context.Context, e *schemas.Entity) (Access, error) {
	s.mu.Lock()
	access, known := s.access[e.Name]
	s.mu.Unlock()
	if known {
		return access, nil
	}
	access, err := s.Source.Access(ctx, e)
	if err != nil {
		return AccessUnknown, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access[e.Name] = access
	return access, nil
}

// readParents re-reads the children of changed parents, a group of parents a load. The checkpoint moves
// with the last group, so that a killed run does the rest again.
func (s *run) readParents(ctx context.Context, t *schemas.Table, state StreamState, plan Plan, report *StreamReport) error {
	groups := slices.Collect(slices.Chunk(plan.Parents, pageSize))
	if len(groups) == 0 {
		groups = [][]int64{nil}
	}
	for i, group := range groups {
		next := plan.Next
		if i < len(groups)-1 {
			next = state.Checkpoint
		}
		if err := s.readParentGroup(ctx, t, group, plan, next, state.LiveRows, report); err != nil {
			return err
		}
	}
	return nil
}

// readParentGroup re-reads the children of some parents; live is how many children there were before the run.
func (s *run) readParentGroup(ctx context.Context, t *schemas.Table, parents []int64, plan Plan, next Checkpoint, live int64, report *StreamReport) error {
	w := Window{InField: plan.Key, In: parents}
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: plan.Class, Window: w, Mode: ModeParent})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	c := Commit{Checkpoint: next, Reason: "parent"}
	if len(parents) > 0 {
		stage := l.stage(ctx)
		err := s.Source.Read(ctx, Slice{Table: t, Window: w}, func(b Batch) error {
			s.mu.Lock()
			s.reread[t.Entity.Name] = append(s.reread[t.Entity.Name], batchIDs(b)...)
			s.mu.Unlock()
			return stage(b)
		})
		if err != nil {
			return err
		}
		missing, err := l.load.Absent(ctx)
		if err != nil {
			return err
		}
		if c.Tombstones, err = s.secondLook(ctx, l, t, missing); err != nil {
			return err
		}
		if err := s.guard(ctx, t.Entity, report.Deleted+int64(len(c.Tombstones)), live); err != nil {
			return err
		}
	}
	return l.commit(ctx, c, report)
}

// streamLoad is a Load with a running count of what was staged.
type streamLoad struct {
	*run
	spec     LoadSpec
	load     Load
	requests int64 // the source's counter when the load began
	rows     int64 // staged
	distinct int64 // staged with an id above all before
	lastID   int64
}

func (s *run) begin(ctx context.Context, spec LoadSpec) (*streamLoad, error) {
	spec.RunID = s.rec.ID
	if o := s.outlineOf(spec.Table.Entity.Name); o != nil {
		spec.Frozen = o.frozen
	}
	load, err := s.Sink.Begin(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &streamLoad{run: s, spec: spec, load: load, requests: s.Source.Requests()[spec.Table.Entity.Name]}, nil
}

// stage returns the function that hands a read's batches to the load.
func (l *streamLoad) stage(ctx context.Context) func(Batch) error {
	return func(b Batch) error {
		ids := batchIDs(b)
		for _, id := range ids {
			if l.rows == 0 || id > l.lastID {
				l.distinct, l.lastID = l.distinct+1, id
			}
			l.rows++
		}
		if err := l.outdated(ctx, l.spec.Table, b.Rejects); err != nil {
			return err
		}
		return l.load.Stage(ctx, b)
	}
}

func (l *streamLoad) commit(ctx context.Context, c Commit, report *StreamReport) error {
	c.Requests = l.Source.Requests()[l.spec.Table.Entity.Name] - l.requests
	res, err := l.load.Commit(ctx, c)
	if err != nil {
		return err
	}
	report.LoadID = res.LoadID
	report.Fetched += res.Fetched
	report.Inserted += res.Inserted
	report.Updated += res.Updated
	report.Unchanged += res.Unchanged
	report.Deleted += res.Deleted
	report.Rejected += res.Rejected
	return nil
}

// batchIDs returns the id column of a batch.
func batchIDs(b Batch) []int64 {
	return b.Record.Column(0).(*array.Int64).Int64Values()
}
