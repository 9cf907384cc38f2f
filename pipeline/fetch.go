package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/atsync/atsync/schemas"
)

// FetchOutcome says what became of one id.
type FetchOutcome string

// The outcomes of a fetch.
const (
	FetchInserted  FetchOutcome = "inserted"  // was not in the warehouse, or only as a deleted row
	FetchUpdated   FetchOutcome = "updated"   // differed
	FetchUnchanged FetchOutcome = "unchanged" // is stored as the source has it
	FetchGone      FetchOutcome = "gone"      // the source does not have it any more: marked deleted
	FetchUnknown   FetchOutcome = "unknown"   // neither the source nor the warehouse has it
	FetchFailed    FetchOutcome = "failed"    // not looked up: the run's error says why
)

// Fetched is the outcome of one id.
type Fetched struct {
	ID      int64        `json:"id"`
	Outcome FetchOutcome `json:"outcome"`
}

// reasonFetch marks rows that a fetch found deleted.
const reasonFetch = "fetch"

// Fetch reads rows of one entity by id, stores them as they are now, and marks those deleted that the source
// does not have any more. The entity's checkpoint stays where it is. The outcomes are in the order of ids, each id
// once. An entity that was never read whole is refused: a few rows would pass for the table.
func (r *Runner) Fetch(ctx context.Context, e *schemas.Entity, ids []int64) (Run, []Fetched, error) {
	if e.PerParent() {
		return Run{}, nil, &Error{Class: ClassConfig, Tenant: r.Tenant, Entity: e.Name, Op: reasonFetch,
			Err: errors.New("its rows can't be asked for by id"), Remedy: "fetch its parent, or run: atsync sync --full --entity " + e.Name}
	}
	state, err := r.Sink.Stream(ctx, e.Name)
	if err != nil {
		return Run{}, nil, r.locate(err, e.Name, reasonFetch)
	}
	if state.Checkpoint.CompleteThrough.IsZero() {
		return Run{}, nil, &Error{Class: ClassConfig, Tenant: r.Tenant, Entity: e.Name, Op: reasonFetch,
			Err:    errors.New("the entity has not been read whole yet, and a few rows of it would pass for the table"),
			Remedy: "run: atsync sync --tenant " + r.Tenant + " --entity " + e.Name}
	}
	f := &fetch{run: r.newRun(reasonFetch, SyncRequest{Entities: []*schemas.Entity{e}}), outcomes: map[int64]FetchOutcome{}}
	for _, id := range ids {
		if _, twice := f.outcomes[id]; !twice {
			f.ids, f.outcomes[id] = append(f.ids, id), FetchFailed
		}
	}
	f.work = f.entity
	rec, err := f.perform(ctx)
	out := make([]Fetched, len(f.ids))
	for i, id := range f.ids {
		out[i] = Fetched{id, f.outcomes[id]}
	}
	return rec, out, err
}

// fetch is the state of one Fetch call.
type fetch struct {
	*run
	ids      []int64
	outcomes map[int64]FetchOutcome
}

// entity fetches the ids, a load for as many as a query takes (api.md §3).
func (f *fetch) entity(ctx context.Context, e *schemas.Entity, report *StreamReport) error {
	report.Mode = reasonFetch
	state, err := f.Sink.Stream(ctx, e.Name)
	if err != nil {
		return err
	}
	meta, err := f.metadata(ctx, e, state)
	if err != nil {
		return err
	}
	t, _ := f.Schema.shape(e, meta, state.Columns)
	report.Class, report.CompleteThrough = string(t.Reads().Class), state.Checkpoint.CompleteThrough
	if f.Trace != nil && f.Trace.StreamStarted != nil {
		f.Trace.StreamStarted(e.Name, report.Mode)
	}
	for group := range slices.Chunk(f.ids, pageSize) {
		if err := f.group(ctx, t, state, group, report); err != nil {
			return err
		}
	}
	return nil
}

// group fetches at most a page of ids and commits them.
func (f *fetch) group(ctx context.Context, t *schemas.Table, state StreamState, ids []int64, report *StreamReport) error {
	l, err := f.begin(ctx, LoadSpec{Table: t, Class: t.Reads().Class, Window: Window{InField: "id", In: ids}})
	if err != nil {
		return err
	}
	defer l.load.Abort()              //nolint:errcheck // after a commit it does nothing, before one the first error counts
	stored, err := l.load.Absent(ctx) // nothing is staged yet: every live row among the ids
	if err != nil {
		return err
	}
	missing, err := f.secondLook(ctx, l, t, slices.Clone(ids))
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(missing), func(id int64) bool { return !slices.Contains(stored, id) })
	if err := f.guard(ctx, t.Entity, report.Deleted+int64(len(gone)), state.LiveRows); err != nil {
		return err
	}
	if len(gone) > 0 {
		looked := slices.Clone(gone)
		if gone, err = f.secondLook(ctx, l, t, gone); err != nil {
			return err
		}
		missing = slices.DeleteFunc(missing, func(id int64) bool { // it came back
			return slices.Contains(looked, id) && !slices.Contains(gone, id)
		})
	}
	if err := l.commit(ctx, Commit{Checkpoint: state.Checkpoint, Tombstones: gone, Reason: reasonFetch}, report); err != nil {
		return err
	}
	written, _, err := f.Sink.Changed(ctx, t.Name, report.LoadID-1) // by this load, the table's newest
	if err != nil {
		return err
	}
	f.file(ids, stored, missing, written)
	return nil
}

// file notes the outcomes of a group: which of its ids were live before, which the source did not have, and which
// the load has written.
func (f *fetch) file(ids, stored, missing, written []int64) {
	in := func(list []int64) map[int64]bool {
		set := make(map[int64]bool, len(list))
		for _, id := range list {
			set[id] = true
		}
		return set
	}
	before, absent, changed := in(stored), in(missing), in(written)
	for _, id := range ids {
		switch {
		case !changed[id] && absent[id]:
			f.outcomes[id] = FetchUnknown
		case !changed[id]:
			f.outcomes[id] = FetchUnchanged
		case !before[id]:
			f.outcomes[id] = FetchInserted
		case absent[id]:
			f.outcomes[id] = FetchGone
		default:
			f.outcomes[id] = FetchUpdated
		}
	}
}
