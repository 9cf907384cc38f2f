package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/atsync/atsync/schemas"
)

// sync brings one entity up to date. It fills in the report; rows are stored only by commits that leave
// the warehouse right for the checkpoint that they write.
func (s *run) sync(ctx context.Context, e *schemas.Entity, report *StreamReport) error {
	state, err := s.Sink.Stream(ctx, e.Name)
	if err != nil {
		return err
	}
	meta, err := s.metadata(ctx, e, state)
	if err != nil {
		return err
	}
	in := planInput{
		table:      schemas.NewTable(e, meta, state.Columns),
		state:      state,
		serverTime: s.login.ServerTime,
		overlap:    s.Overlap,
		full:       s.req.Full,
	}
	if e.Class == schemas.ClassParent {
		parent, err := s.Sink.Stream(ctx, e.Parent)
		if err != nil {
			return err
		}
		in.parentThrough = parent.Checkpoint.CompleteThrough
		in.parentRead = slices.ContainsFunc(s.req.Entities, func(p *schemas.Entity) bool { return p.Name == e.Parent })
		if !in.parentThrough.IsZero() { // rows of an unfinished first load say nothing of what is not there yet
			in.parents, in.parentLoad, err = s.Sink.Changed(ctx, schemas.TableName(e.Parent), state.Checkpoint.ParentLoad)
			if err != nil {
				return err
			}
		}
	}
	plan := planStream(in)
	report.Mode, report.Class = string(plan.Mode), string(plan.Class)
	if s.Trace != nil && s.Trace.StreamStarted != nil {
		s.Trace.StreamStarted(e.Name, report.Mode)
	}
	if plan.Mode == ModeParent {
		err = s.readParents(ctx, in.table, state, plan, report)
	} else {
		err = s.readWindow(ctx, in.table, state, plan, report)
	}
	if err == nil {
		report.CompleteThrough = plan.Next.CompleteThrough
	}
	return err
}

// metadata returns the entity's live metadata, asking for it at most once a day.
func (s *run) metadata(ctx context.Context, e *schemas.Entity, state StreamState) (*schemas.Metadata, error) {
	age := s.MetadataAge
	if age == 0 {
		age = metadataAge
	}
	if state.Metadata != nil && s.now().Sub(state.MetadataAt) < age && !s.req.Full {
		return state.Metadata, nil
	}
	meta, err := s.Source.Describe(ctx, e)
	if err != nil {
		return nil, err
	}
	_, err = s.Sink.SaveMetadata(ctx, e.Name, meta, s.now())
	return meta, err
}

// absent returns the ids to tombstone after a whole read: those that the listing did not show and that a
// second look, by id, does not find either. Rows that it does find are staged.
func (s *run) absent(ctx context.Context, l *streamLoad, state StreamState, t *schemas.Table) ([]int64, error) {
	missing, err := l.load.Absent(ctx)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	if err := s.guard(int64(len(missing)), state.LiveRows); err != nil {
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

// guard refuses a read that would tombstone more than max(50, 2 %) of a table or empty it: more
// often a lost right than real deletions (api.md §9).
func (s *run) guard(missing, live int64) error {
	if s.req.AllowDeletes || (missing <= max(50, live/50) && (missing < live || live <= 5)) {
		return nil
	}
	return &Error{
		Class: ClassGuard, Op: "guard",
		Err:    fmt.Errorf("%d of %d rows are no longer listed; nothing was changed", missing, live),
		Remedy: "check the API user's rights and lines of business; if the rows are really gone, run: atsync sync --full --allow-deletes",
	}
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
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: plan.Class, Window: w})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	c := Commit{Checkpoint: next, Reason: "parent"}
	if len(parents) > 0 {
		if err := s.Source.Read(ctx, Slice{Table: t, Window: w}, l.stage(ctx)); err != nil {
			return err
		}
		missing, err := l.load.Absent(ctx)
		if err != nil {
			return err
		}
		if c.Tombstones, err = s.secondLook(ctx, l, t, missing); err != nil {
			return err
		}
		if err := s.guard(report.Deleted+int64(len(c.Tombstones)), live); err != nil {
			return err
		}
	}
	return l.commit(ctx, c, report)
}
