package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/atsync/atsync/schemas"
)

// parentsPerLoad is how many parents go into one load where each of them costs a request: what a killed run
// reads again at most.
const parentsPerLoad = 50

// wholeEvery is how often an entity without a query of its own is read for all of its parents again, since its rows
// change without them.
const wholeEvery = 7 * 24 * time.Hour

// perParent is the plan of a read that asks parent by parent. Parents are followed in the order in which loads wrote
// them, and each load's checkpoint says how far that went, so that a first or whole read that was stopped goes on
// where it was.
type perParent struct {
	mode  Mode
	start Checkpoint // before the first group
	next  time.Time  // CompleteThrough, once no parent is left
}

// planPerParent decides where to begin. It asks nobody.
func planPerParent(in planInput) perParent {
	e, cp := in.table.Entity, in.state.Checkpoint
	p := perParent{mode: ModeParent, start: cp, next: minTime(in.serverTime.Add(-Settle), in.parentThrough)}
	first := cp.CompleteThrough.IsZero()
	switch {
	case first:
		p.mode = ModeFirst
	case in.full:
		p.mode = ModeFull
	case !e.ByNameOnly() && in.serverTime.Sub(cp.FullAt) >= wholeEvery:
		p.mode = ModeFull
	}
	begun := cp.ParentLoad > 0 || !cp.FullAt.IsZero()
	switch {
	case in.full, p.mode == ModeFull, first && !begun && !e.ByNameOnly():
		p.start.FullAt, p.start.ParentLoad, p.start.ParentID = in.serverTime, 0, 0
	case first && !begun: // what the parents were is not read unless asked for
		p.start.ParentLoad, p.start.ParentID = in.parentLoad, math.MaxInt64
	}
	return p
}

// syncPerParent brings an entity up to date whose parents are asked one by one.
func (s *run) syncPerParent(ctx context.Context, in planInput, report *StreamReport) error {
	e := in.table.Entity
	parent, err := s.Sink.Stream(ctx, e.Parent)
	if err != nil {
		return err
	}
	in.parentThrough = parent.Checkpoint.CompleteThrough
	if in.parentThrough.IsZero() {
		return s.withoutParent(e)
	}
	if _, in.parentLoad, err = s.Sink.Changed(ctx, schemas.TableName(e.Parent), math.MaxInt64); err != nil {
		return err
	}
	plan := planPerParent(in)
	report.Mode, report.Class = string(plan.mode), string(e.Class)
	if s.Trace != nil && s.Trace.StreamStarted != nil {
		s.Trace.StreamStarted(e.Name, report.Mode)
	}
	cp := plan.start
	for last := false; !last; {
		group, err := s.Sink.Next(ctx, schemas.TableName(e.Parent), Place{Load: cp.ParentLoad, ID: cp.ParentID}, parentsPerLoad)
		if err != nil {
			return err
		}
		if last = len(group) < parentsPerLoad; last {
			cp.CompleteThrough = plan.next
		}
		if len(group) > 0 {
			cp.ParentLoad, cp.ParentID = group[len(group)-1].Load, group[len(group)-1].ID
		}
		if err := s.readChildren(ctx, in, group, cp, report); err != nil {
			return err
		}
	}
	report.CompleteThrough = plan.next
	return nil
}

// readChildren reads the rows of some parents and commits them. Those of a parent that is deleted go without a
// question. A row that is missing must be missing twice.
func (s *run) readChildren(ctx context.Context, in planInput, group []Place, cp Checkpoint, report *StreamReport) error {
	t := in.table
	scope := Window{InField: t.Reads().ParentKey}
	asked := Window{InField: scope.InField}
	for _, parent := range group {
		scope.In = append(scope.In, parent.ID)
		if !parent.Deleted {
			asked.In = append(asked.In, parent.ID)
		}
	}
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: t.Entity.Class, Window: scope})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	c := Commit{Checkpoint: cp, Reason: "parent"}
	for look := 0; look < 2 && len(group) > 0; look++ {
		if len(asked.In) > 0 {
			if err := s.Source.Read(ctx, Slice{Table: t, Window: asked}, l.stage(ctx)); err != nil {
				return err
			}
		}
		if c.Tombstones, err = l.load.Absent(ctx); err != nil {
			return err
		}
		if len(c.Tombstones) == 0 {
			break
		}
	}
	if len(c.Tombstones) > 0 {
		if err := s.guard(ctx, t.Entity, report.Deleted+int64(len(c.Tombstones)), in.state.LiveRows); err != nil {
			return err
		}
	}
	return l.commit(ctx, c, report)
}

// withoutParent is the error of an entity whose parents are not in the warehouse, or not all of them.
func (s *run) withoutParent(e *schemas.Entity) error {
	s.mu.Lock()
	report, selected := s.reports[e.Parent]
	s.mu.Unlock()
	switch {
	case !selected:
		return &Error{Class: ClassConfig, Op: "find parents",
			Err:    fmt.Errorf("it is read through %s, which the warehouse does not have", e.Parent),
			Remedy: "add " + e.Parent + " to sync.entities"}
	case report.Status == StatusAbsent:
		return &Error{Class: ClassAbsent, Op: "find parents", Err: fmt.Errorf("this tenant's zone does not have %s, its parent", e.Parent),
			Remedy: "leave it out of sync.entities, or ignore this: it is read as soon as it is there"}
	}
	err := &Error{Class: report.ErrorClass, Op: "find parents",
		Err: fmt.Errorf("it is read through %s, which was not read completely yet", e.Parent), Remedy: "see the error of " + e.Parent}
	if err.Class == "" {
		err.Class, err.Err = ClassInternal, errors.New("its parent "+e.Parent+" was read and has no checkpoint")
	}
	return err
}
