package pipeline

import (
	"context"
	"fmt"
	"slices"
)

// settle takes a second look at the suspects by their ids, counts once more and, if asked to, repairs. It reports
// false if the source has changed meanwhile and the comparison should begin anew; the last attempt has to do.
func (c *comparison) settle(ctx context.Context, last bool) (bool, error) {
	var l *streamLoad
	if c.req.Repair {
		var err error
		if l, err = c.begin(ctx, LoadSpec{Table: c.table, Class: c.table.Reads().Class, Mode: ModeVerify}); err != nil {
			return false, err
		}
		defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	}
	if err := c.lookAgain(ctx, l); err != nil {
		return false, err
	}
	c.Missing, c.Gone = int64(len(c.missing)), int64(len(c.gone))
	c.Holes = c.Missing + c.Gone
	c.MissingIDs, c.GoneIDs = firstOf(c.missing), firstOf(c.gone)
	drift, err := c.drift(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case drift != 0 && !last:
		return false, nil
	case drift < 0: // rows vanish while one looks: deletions, or a right that was taken away
		return false, &Error{
			Class: ClassSource, Op: "verify", Err: fmt.Errorf("the source has %d rows fewer than a moment ago; nothing was repaired", -drift),
			Remedy: "run it again; if it stays so, check the API user's rights",
		}
	}
	if err := c.repair(ctx, l); err != nil {
		return false, err
	}
	if drift > 0 {
		c.Verdict = VerdictUnknown
		return false, &Error{
			Class: ClassSource, Op: "verify", Err: fmt.Errorf("query/count says %d rows more than its lists show", drift),
			Remedy: "run it again, with --deep if it stays so",
		}
	}
	return true, nil
}

// firstOf returns a few ids as examples.
func firstOf(ids []int64) []int64 { return append([]int64{}, ids[:min(len(ids), examples)]...) }

// lookAgain asks for all suspects by id: rows that are there are not gone, rows that are not there are not missing.
// With a load it stages the rows that it finds.
func (c *comparison) lookAgain(ctx context.Context, l *streamLoad) error {
	found := map[int64]bool{}
	slice, stage := c.idsOnly(), func(Batch) error { return nil }
	if l != nil {
		slice.Table, slice.Fields, stage = c.table, nil, l.stage(ctx)
	}
	suspects := slices.Sorted(slices.Values(slices.Concat(c.missing, c.gone)))
	for group := range slices.Chunk(suspects, pageSize) {
		slice.Window = Window{InField: "id", In: group}
		err := c.Source.Read(ctx, slice, func(b Batch) error {
			for _, id := range batchIDs(b) {
				found[id] = true
			}
			return stage(b)
		})
		if err != nil {
			return err
		}
	}
	c.missing = slices.DeleteFunc(c.missing, func(id int64) bool { return !found[id] })
	c.gone = slices.DeleteFunc(c.gone, func(id int64) bool { return found[id] })
	return nil
}

// drift returns how many rows more (or, negative, fewer) the source counts now than the warehouse has after the
// repair. Rows that came in since the run began are not counted: the next sync brings them.
func (c *comparison) drift(ctx context.Context) (int64, error) {
	now, err := c.countSource(ctx, nil, nil)
	if err != nil {
		return 0, err
	}
	drift := now - (c.WarehouseRows - c.Gone + c.Missing)
	stamps := c.table.Reads().Stamps
	if drift <= 0 || len(stamps) == 0 {
		return drift, nil
	}
	late, err := c.Source.Count(ctx, Slice{Table: c.table, Window: Window{Stamps: stamps, Since: c.login.ServerTime.Add(-Settle)}, Priority: Verify})
	return max(0, drift-late), err
}

// repair commits what was staged with the tombstones, and says how the two sides stand.
func (c *comparison) repair(ctx context.Context, l *streamLoad) error {
	switch {
	case c.Holes == 0:
		c.Verdict = VerdictEqual
		return nil
	case l == nil:
		c.Verdict = VerdictHoles
		return nil
	}
	commit := Commit{Checkpoint: c.state.Checkpoint, Tombstones: c.gone, Reason: string(ModeVerify), SourceCount: &c.SourceRows}
	if err := l.commit(ctx, commit, c.report); err != nil {
		return err
	}
	c.Repaired, c.Verdict = c.Holes, VerdictRepaired
	return nil
}
