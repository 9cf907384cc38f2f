package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/atsync/atsync/schemas"
)

// opConfirm is the operation of the error that a read's count did not fit.
const opConfirm = "confirm"

// readWindow reads one window whole and commits it.
func (s *run) readWindow(ctx context.Context, t *schemas.Table, state StreamState, plan Plan, report *StreamReport) error {
	complete := plan.Window.All()
	fresh := plan.resumed || plan.Mode == ModeFirst && state.MaxID == nil
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: plan.Class, Window: plan.Window, Mode: plan.Mode, Complete: complete, Fresh: fresh,
		MissedSince: plan.MissedSince})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	if plan.resumed && state.MaxID != nil {
		l.distinct, l.lastID = state.LiveRows, *state.MaxID
	}
	var enough func(announced int64) error
	if complete && announces(t, plan, state) {
		enough = func(announced int64) error {
			if plan.Mode == ModeFirst || plan.Refill {
				return nil
			}
			return s.guard(ctx, t.Entity, state.LiveRows-announced, state.LiveRows)
		}
	}
	announced, err := s.divide(ctx, l, plan, enough)
	if err != nil {
		return err
	}
	c := Commit{Checkpoint: plan.Next}
	switch {
	case enough != nil && l.distinct == announced && countedOnce(t.Reads().Class):
		// The count at the beginning has confirmed it. What is new since has stamps, by which the next run finds it.
		c.SourceCount = &announced
	case l.distinct > pageSize || l.distinct < announced:
		if c.SourceCount, err = s.confirm(ctx, l, plan); err != nil {
			return l.doubt(ctx, plan, err)
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

// countedOnce reports whether a read needs no second count if the one at its beginning fits: of the others a row that came
// behind the read might never be seen.
func countedOnce(class schemas.Class) bool {
	return class == schemas.ClassModified || class == schemas.ClassActivity
}

// announces reports whether a whole read is large enough to ask at its beginning how many rows it will bring: a
// read that brings fewer must be explained.
func announces(t *schemas.Table, plan Plan, state StreamState) bool {
	if plan.Mode == ModeFirst {
		return slices.Contains([]string{"medium", "large", "huge"}, t.Entity.Size) || state.LiveRows > 0
	}
	return state.LiveRows > pageSize
}

// doubt notes that stored rows of a first load could not be confirmed, so that the next run reads everything again.
func (l *streamLoad) doubt(ctx context.Context, plan Plan, err error) error {
	if e, ok := errors.AsType[*Error](err); !ok || e.Op != opConfirm || !l.flushed && !plan.resumed {
		return err
	}
	return errors.Join(err, l.load.Flush(ctx, plan.again()))
}

// mostTails is how often rows are fetched that came behind a read while it went on.
const mostTails = 3

// confirm compares the rows read with the server's own count. If that is greater, it is taken apart: up to the last id
// read, and beyond it, where a read that ended early would have left some. Rows that changed since the read began may
// have come into the window behind it: the next run's window holds them.
func (s *run) confirm(ctx context.Context, l *streamLoad, plan Plan) (*int64, error) {
	for tails := 0; ; tails++ {
		total, err := s.Source.Count(ctx, Slice{Table: l.spec.Table, Window: plan.Window})
		if err != nil {
			return nil, err
		}
		if total <= l.distinct {
			return &total, nil
		}
		below, beyond, err := s.counts(ctx, l, plan)
		if err != nil {
			return nil, err
		}
		total = below.counted + beyond.counted
		switch last := l.lastID; {
		case below.missing:
			return nil, mismatch(l.distinct, below.counted)
		case !beyond.missing:
			return &total, nil
		case tails == mostTails || !l.divided:
			return nil, mismatch(0, beyond.counted)
		default:
			// The worker at the end may have been done long before the others.
			if err := s.Source.Read(ctx, Slice{Table: l.spec.Table, Window: plan.Window, After: &last}, l.stage(ctx)); err != nil {
				return nil, err
			}
			if l.lastID == last {
				return nil, mismatch(0, beyond.counted)
			}
		}
	}
}

// A tally is what the server counts in a slice.
type tally struct {
	counted int64
	missing bool // more than were read and than have changed since the read began
}

// counts asks for both sides of the last id read, at the same time.
func (s *run) counts(ctx context.Context, l *streamLoad, plan Plan) (below, beyond tally, err error) {
	slice := Slice{Table: l.spec.Table, Window: plan.Window}
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	if l.distinct > 0 {
		slice.Until = &l.lastID
		upTo := slice
		p.Go(func(ctx context.Context) (err error) {
			below, err = s.tally(ctx, upTo, plan, l.distinct)
			return err
		})
		slice.Until, slice.After = nil, &l.lastID
	}
	p.Go(func(ctx context.Context) (err error) {
		beyond, err = s.tally(ctx, slice, plan, 0)
		return err
	})
	return below, beyond, p.Wait()
}

// tally counts a slice. Fewer rows than were read are in order: rows are deleted meanwhile.
func (s *run) tally(ctx context.Context, slice Slice, plan Plan, read int64) (tally, error) {
	n, err := s.Source.Count(ctx, slice)
	if err != nil || n <= read {
		return tally{counted: n}, err
	}
	late := int64(0)
	if stamps := slice.Table.Reads().Stamps; len(stamps) > 0 {
		slice.Window = Window{Stamps: stamps, Since: plan.started.Add(-Settle)}
		if late, err = s.Source.Count(ctx, slice); err != nil {
			return tally{}, err
		}
	}
	return tally{counted: n, missing: n-late > read}, nil
}

// mismatch is the error of a read that the server's own count contradicts.
func mismatch(read, counted int64) error {
	return &Error{
		Class: ClassSource, Op: opConfirm,
		Err:    fmt.Errorf("read %d rows where query/count says %d", read, counted),
		Remedy: "the checkpoint stays where it was and the next run reads the window again",
	}
}
