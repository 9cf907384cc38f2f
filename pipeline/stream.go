package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
	if err := s.followLogs(ctx, in.table, plan.Next, state, report); err != nil {
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
	most := max(50, live/50)
	if access == AccessRestricted { // what such a user does not see may well be there
		most = max(fewDeletes, live/50)
	}
	if s.req.AllowDeletes || missing <= most && (!emptied || live <= fewDeletes && access != AccessRestricted) {
		return nil
	}
	return s.guarded(fmt.Errorf("%d of %d rows are no longer listed; nothing was changed", missing, live))
}

// guarded is the error of a stop at the guard.
func (s *run) guarded(err error) error {
	allowed := "atsync sync --full --allow-deletes"
	if s.rec.Command == "verify" {
		allowed = "atsync verify --repair --allow-deletes"
	}
	return &Error{Class: ClassGuard, Op: "guard", Err: err,
		Remedy: "check the API user's rights and lines of business; if the rows are really gone, run: " + allowed}
}

// guardPart is guard for a read of a part of the table, which may go on from run to run without ever being too much at
// once: it also counts the whole entity. A source that shows far fewer rows than would be left has lost more than
// the part shows.
func (s *run) guardPart(ctx context.Context, t *schemas.Table, missing, live int64) error {
	if err := s.guard(ctx, t.Entity, missing, live); err != nil || missing <= 0 || s.req.AllowDeletes {
		return err
	}
	shown, err := s.Source.Count(ctx, Slice{Table: t})
	if err != nil {
		return err
	}
	left := live - missing
	if left > 0 && (shown < left/2 || left-shown > max(50, left/50)) {
		return s.guarded(fmt.Errorf("%d of %d rows are no longer listed, and of the other %d the source shows only %d; nothing was changed", missing, live, left, shown))
	}
	return nil
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
		if err := s.guardPart(ctx, t, report.Deleted+int64(len(c.Tombstones)), live); err != nil {
			return err
		}
	}
	return l.commit(ctx, c, report)
}
