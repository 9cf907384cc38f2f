package pipeline

import (
	"context"
	"errors"
	"slices"

	"github.com/atsync/atsync/schemas"
)

// SchemaMode says what a run does when a tenant's fields have changed.
type SchemaMode string

// The schema modes. In each, nothing is lost: a new field that gets no column is kept in _extra, and a value that
// no column can take is rejected.
const (
	SchemaEvolve SchemaMode = "evolve" // columns are added and widened; the default, and what "" means
	SchemaWarn   SchemaMode = "warn"   // the same, and the stream's report has a warning for each change
	SchemaFreeze SchemaMode = "freeze" // tables stay as they are; the report has a warning for each change left out
)

// refillRows is the largest table that is read whole to fill a new column: 200 requests. In larger ones the column
// is partial until the next complete read.
const refillRows = 100_000

// errOutdated ends a read whose table changed when the metadata was read again: it is made anew.
var errOutdated = errors.New("the entity's metadata has changed")

// outline is what a stream goes by in one run.
type outline struct {
	state  StreamState
	table  *schemas.Table
	frozen []schemas.Change // what the mode freeze leaves out
	fresh  bool             // the metadata was read in this run
}

// outline describes an entity from what is stored of it and its live metadata, which is asked for at most once a
// day, and not again if this run has just done so.
func (s *run) outline(ctx context.Context, e *schemas.Entity, again bool) (*outline, error) {
	state, err := s.Sink.Stream(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	o := &outline{state: state, fresh: again}
	meta := state.Metadata
	if !again {
		if meta, err = s.metadata(ctx, e, state); err != nil {
			return nil, err
		}
		o.fresh = meta != state.Metadata
	}
	o.table, o.frozen = s.Schema.shape(e, meta, state.Columns)
	s.mu.Lock()
	s.outlines[e.Name] = o
	s.mu.Unlock()
	return o, nil
}

// update reads what is new of an entity and commits it, then looks after rows with open rejects.
func (s *run) update(ctx context.Context, e *schemas.Entity, o *outline, report *StreamReport) error {
	if err := s.readNew(ctx, e, o, report); err != nil {
		return err
	}
	return s.settle(ctx, o, report)
}

// metadata returns an entity's live metadata, asking for it if what is stored is too old.
func (s *run) metadata(ctx context.Context, e *schemas.Entity, state StreamState) (*schemas.Metadata, error) {
	if !s.stale(state, s.req) {
		return state.Metadata, nil
	}
	return s.describe(ctx, e)
}

// describe reads an entity's live metadata and keeps it.
func (s *run) describe(ctx context.Context, e *schemas.Entity) (*schemas.Metadata, error) {
	meta, err := s.Source.Describe(ctx, e)
	if err != nil {
		return nil, err
	}
	_, err = s.Sink.SaveMetadata(ctx, e.Name, meta, s.now())
	return meta, err
}

// shape returns the table that a run works with, and what the mode keeps out of it.
func (m SchemaMode) shape(e *schemas.Entity, meta *schemas.Metadata, prior []schemas.Column) (*schemas.Table, []schemas.Change) {
	table := schemas.NewTable(e, meta, prior)
	if m == SchemaFreeze {
		return table.Frozen(prior)
	}
	return table, nil
}

// outlineOf returns the outline that an entity's stream goes by, or nil.
func (s *run) outlineOf(entity string) *outline {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outlines[entity]
}

// outdated looks at the rejects of a batch. A value of the wrong type, in a row that had none before, may mean
// that the field has another type since the metadata was read: then this is done again, once in a run. If that
// changes the table the error is errOutdated, and the stream begins anew.
func (s *run) outdated(ctx context.Context, t *schemas.Table, rejects []schemas.Reject) error {
	o := s.outlineOf(t.Entity.Name)
	if o == nil || o.fresh {
		return nil
	}
	news := slices.ContainsFunc(rejects, func(r schemas.Reject) bool {
		return r.Misfit() && !slices.Contains(o.state.OpenRejects.IDs, r.ID)
	})
	if !news {
		return nil
	}
	o.fresh = true
	meta, err := s.describe(ctx, t.Entity)
	if err != nil {
		return err
	}
	table, _ := s.Schema.shape(t.Entity, meta, o.state.Columns)
	if len(schemas.Diff(t.Columns, table.Columns)) > 0 {
		return errOutdated
	}
	return nil
}

// refills reports whether stored rows lack values of a column that the source has: one that the table is yet to get,
// or one that is partial.
func refills(in planInput) bool {
	if in.state.Columns == nil || in.state.LiveRows == 0 {
		return false
	}
	if slices.ContainsFunc(in.table.Columns, func(c schemas.Column) bool { return c.PartialSince != 0 && !c.Retired }) {
		return true
	}
	return slices.ContainsFunc(schemas.Diff(in.state.Columns, in.table.Columns), schemas.Change.Refills)
}

// takeStock completes a report with what is open of the entity and what has become of its table.
func (s *run) takeStock(o *outline, after StreamState, report *StreamReport) {
	report.OpenRejects = after.OpenRejects.Count
	report.Rejected = min(report.Rejected, report.OpenRejects)
	if report.OpenRejects > 0 {
		report.Error = rejectsText(s.Tenant, report.Entity, after.OpenRejects)
	}
	for _, c := range o.frozen {
		report.Warnings = append(report.Warnings, "left out, the schema is frozen: "+c.String())
	}
	if o.state.Columns == nil {
		return
	}
	for _, c := range schemas.Diff(o.state.Columns, after.Columns) {
		if s.Schema == SchemaWarn {
			report.Warnings = append(report.Warnings, c.String())
		} else {
			report.Changes = append(report.Changes, c.String())
		}
	}
}
