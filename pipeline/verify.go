package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/atsync/atsync/schemas"
)

// VerifyRequest says what to compare and what to do about differences.
type VerifyRequest struct {
	Entities     []*schemas.Entity
	Repair       bool // insert what is missing here, tombstone what is gone at the source
	Deep         bool // list every id, though the counts are equal
	AllowDeletes bool // go on though more rows are gone than the guard allows
}

// Verdict is what verify says of an entity.
type Verdict string

// The verdicts.
const (
	VerdictEqual    Verdict = "equal"    // source and warehouse have the same number of rows (deep: the same ids)
	VerdictRepaired Verdict = "repaired" // they have now
	VerdictHoles    Verdict = "holes"    // they have not
	VerdictSkipped  Verdict = "skipped"  // nothing to compare: Reason says why
	VerdictUnknown  Verdict = "unknown"  // it failed or was stopped before there was an answer
)

// Verification is what verify found out about one entity. Counts are those before repairs.
type Verification struct {
	SourceRows    int64   `json:"source_count"`    // by query/count
	WarehouseRows int64   `json:"warehouse_count"` // live
	Holes         int64   `json:"holes"`           // missing + gone
	Missing       int64   `json:"missing"`         // at the source, not here
	Gone          int64   `json:"gone"`            // here, not at the source
	Repaired      int64   `json:"repaired"`        // of the holes
	Duplicates    int64   `json:"duplicates"`      // rows that repeat an id; anything but 0 is a fault
	MissingIDs    []int64 `json:"missing_ids"`     // the first of them
	GoneIDs       []int64 `json:"gone_ids"`        // the first of them
	Deep          bool    `json:"deep"`            // every id was listed
	Verdict       Verdict `json:"verdict"`
	Reason        string  `json:"reason,omitempty"` // of skipped
}

// examples is how many ids of each kind a Verification names.
const examples = 20

// Verify compares, entity by entity, how many rows the source and the warehouse have, finds the ids that make
// the difference and, if asked, repairs it. Entities that differ are brought up to date first, as Sync does,
// so that what is new is no hole. Checkpoints are left where they are otherwise. The returned Run is complete
// even when the error is not nil; holes that stay are of ClassPartial.
func (r *Runner) Verify(ctx context.Context, req VerifyRequest) (Run, error) {
	s := r.newRun("verify", SyncRequest{Entities: req.Entities, AllowDeletes: req.AllowDeletes})
	s.work = func(ctx context.Context, e *schemas.Entity, report *StreamReport) error {
		return s.verify(ctx, e, req, report)
	}
	return s.perform(ctx)
}

// verify compares one entity and fills in the report.
func (s *run) verify(ctx context.Context, e *schemas.Entity, req VerifyRequest, report *StreamReport) error {
	v := &Verification{Verdict: VerdictUnknown, Deep: req.Deep, MissingIDs: []int64{}, GoneIDs: []int64{}}
	report.Mode, report.Verify = string(ModeVerify), v
	state, err := s.Sink.Stream(ctx, e.Name)
	if err != nil {
		return err
	}
	switch {
	case !e.Countable():
		v.Reason = "the API has no count of it"
	case state.Checkpoint.CompleteThrough.IsZero():
		v.Reason = "it has not been loaded yet"
	}
	if v.Reason != "" {
		v.Verdict, report.Status = VerdictSkipped, StatusSkipped
		return nil
	}
	if s.Trace != nil && s.Trace.StreamStarted != nil {
		s.Trace.StreamStarted(e.Name, report.Mode)
	}
	table, _ := s.Schema.shape(e, state.Metadata, state.Columns)
	c := &comparison{run: s, req: req, table: table, state: state, report: report, Verification: v}
	report.Class = string(c.table.Reads().Class)
	if v.Duplicates, err = s.Sink.Duplicates(ctx, c.table.Name); err != nil {
		return err
	}
	if v.Duplicates > 0 {
		return &Error{Class: ClassInternal, Op: "verify", Err: fmt.Errorf("%d rows of %s repeat an id", v.Duplicates, c.table.Name),
			Remedy: "please report this; then move the private warehouse away and sync anew"}
	}
	err = c.compare(ctx)
	report.Mode, report.CompleteThrough = string(ModeVerify), c.state.Checkpoint.CompleteThrough
	if err == nil && v.Verdict == VerdictHoles {
		report.Status, report.ErrorClass = StatusPartial, ClassPartial
		report.Error = fmt.Sprintf("%d rows missing here, %d gone at the source (run: atsync verify --repair)", v.Missing, v.Gone)
	}
	return err
}

// comparison is the work on one entity.
type comparison struct {
	*run
	*Verification
	req    VerifyRequest
	table  *schemas.Table
	state  StreamState
	report *StreamReport

	missing, gone []int64 // suspects, ascending
}

// listAnyway is how many requests a list may take that is made in place of a bisection as soon as the counts
// differ: nothing in it can cancel out.
const listAnyway = 20

// attempts is how often an entity is compared that changes meanwhile.
const attempts = 2

func (c *comparison) compare(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		if err := c.count(ctx); err != nil {
			return err
		}
		if c.SourceRows == c.WarehouseRows && !c.req.Deep {
			c.Verdict = VerdictEqual
			return nil
		}
		if err := c.catchUp(ctx); err != nil {
			return err
		}
		if c.SourceRows == c.WarehouseRows && !c.req.Deep {
			c.Verdict = VerdictEqual
			return nil
		}
		if err := c.search(ctx); err != nil {
			return err
		}
		if settled, err := c.settle(ctx, attempt == attempts); settled || err != nil {
			return err
		}
	}
}

// count asks both sides. A difference beyond the guard ends the comparison before it has cost anything.
func (c *comparison) count(ctx context.Context) (err error) {
	c.WarehouseRows = c.state.LiveRows
	if c.SourceRows, err = c.countSource(ctx, nil, nil); err != nil {
		return err
	}
	return c.guard(ctx, c.table.Entity, c.WarehouseRows-c.SourceRows, c.WarehouseRows)
}

func (c *comparison) countSource(ctx context.Context, after, until *int64) (int64, error) {
	return c.Source.Count(ctx, Slice{Table: c.table, After: after, Until: until, Priority: Verify})
}

// catchUp brings what is new since the last sync, where that takes no whole read, and counts again.
func (c *comparison) catchUp(ctx context.Context) error {
	plan := planStream(planInput{table: c.table, state: c.state, serverTime: c.login.ServerTime, overlap: c.Overlap, catchUp: true})
	if plan.Mode != ModeIncremental {
		return nil
	}
	if err := c.readWindow(ctx, c.table, c.state, plan, c.report); err != nil {
		return err
	}
	var err error
	if c.state, err = c.Sink.Stream(ctx, c.table.Entity.Name); err != nil {
		return err
	}
	c.table, _ = c.Schema.shape(c.table.Entity, c.state.Metadata, c.state.Columns)
	return c.count(ctx)
}

// search finds the ids on which the two sides differ.
func (c *comparison) search(ctx context.Context) error {
	c.missing, c.gone = nil, nil
	all := span{source: c.SourceRows, live: c.WarehouseRows}
	if c.req.Deep || listCost(all.source) <= listAnyway {
		return c.list(ctx, all)
	}
	b := &bisection{count: c.countSource, list: c.list, budget: listCost(all.source),
		extent: func(ctx context.Context, after, until *int64) (Extent, error) {
			return c.Sink.Extent(ctx, c.table.Name, after, until)
		}}
	return b.search(ctx, all)
}

// idsOnly is a slice whose rows are ids and nothing else.
func (c *comparison) idsOnly() Slice {
	t := &schemas.Table{Entity: c.table.Entity, Name: c.table.Name, Columns: c.table.Columns[:1]}
	return Slice{Table: t, Fields: []string{"id"}, Priority: Verify}
}

// list reads all ids of a range and notes those that only one side has.
func (c *comparison) list(ctx context.Context, sp span) error {
	slice := c.idsOnly()
	slice.After, slice.Until = sp.after, sp.until
	from := sp.after
	err := c.Source.Read(ctx, slice, func(b Batch) error {
		listed := slices.Clone(batchIDs(b))
		if len(listed) == 0 {
			return nil
		}
		last := listed[len(listed)-1]
		stored, err := c.Sink.LiveIDs(ctx, c.table.Name, from, &last)
		if err != nil {
			return err
		}
		c.note(listed, stored)
		from = &last
		return c.guard(ctx, c.table.Entity, int64(len(c.gone)), c.WarehouseRows)
	})
	if err != nil {
		return err
	}
	rest, err := c.Sink.LiveIDs(ctx, c.table.Name, from, sp.until)
	if err != nil {
		return err
	}
	c.note(nil, rest)
	return c.guard(ctx, c.table.Entity, int64(len(c.gone)), c.WarehouseRows)
}

// note compares two ascending lists of ids.
func (c *comparison) note(listed, stored []int64) {
	for len(listed) > 0 || len(stored) > 0 {
		switch {
		case len(stored) == 0 || len(listed) > 0 && listed[0] < stored[0]:
			c.missing, listed = append(c.missing, listed[0]), listed[1:]
		case len(listed) == 0 || stored[0] < listed[0]:
			c.gone, stored = append(c.gone, stored[0]), stored[1:]
		default:
			listed, stored = listed[1:], stored[1:]
		}
	}
}
