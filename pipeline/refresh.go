package pipeline

import (
	"context"

	"github.com/atsync/atsync/schemas"
)

// ModeMetadata is the mode of a stream of which only the metadata was read.
const ModeMetadata Mode = "metadata"

// Refresh reads the live metadata of entities now, whatever the age of what is stored, and keeps it, picklists
// included: two requests an entity. Tables change with the next sync. The Run and the error are as Sync's.
func (r *Runner) Refresh(ctx context.Context, entities []*schemas.Entity) (Run, error) {
	s := r.newRun("schema refresh", SyncRequest{Entities: entities})
	s.work = func(ctx context.Context, e *schemas.Entity, report *StreamReport) error {
		report.Mode = string(ModeMetadata)
		meta, err := s.Source.Describe(ctx, e)
		if err != nil {
			return err
		}
		report.Updated, err = s.Sink.SaveMetadata(ctx, e.Name, meta, s.now())
		return err
	}
	return s.perform(ctx)
}

// SchemaDrift is how one entity's live metadata differs from what the warehouse holds.
type SchemaDrift struct {
	Entity    string                   `json:"entity"`
	Table     string                   `json:"table"`
	Known     bool                     `json:"known"`            // the table exists; else there is nothing to differ from
	Absent    bool                     `json:"absent,omitempty"` // the tenant's zone does not have the entity
	Changes   []schemas.Change         `json:"changes"`
	Picklists []schemas.PicklistChange `json:"picklists"`
}

// Different reports whether there is anything to tell.
func (d SchemaDrift) Different() bool { return len(d.Changes)+len(d.Picklists) > 0 }

// SchemaDiff compares the live metadata of entities with the warehouse, one after the other: two requests an entity.
// Nothing is stored. Entities that the warehouse does not have are not asked for.
func (r *Runner) SchemaDiff(ctx context.Context, entities []*schemas.Entity) ([]SchemaDrift, error) {
	if _, err := r.Source.Login(ctx); err != nil {
		return nil, r.locate(err, "", "login")
	}
	out := make([]SchemaDrift, 0, len(entities))
	for _, e := range entities {
		d, err := r.schemaDiff(ctx, e)
		if err != nil {
			return out, r.locate(err, e.Name, "compare schema")
		}
		out = append(out, d)
	}
	return out, nil
}

func (r *Runner) schemaDiff(ctx context.Context, e *schemas.Entity) (SchemaDrift, error) {
	d := SchemaDrift{Entity: e.Name, Table: schemas.TableName(e.Name), Changes: []schemas.Change{}, Picklists: []schemas.PicklistChange{}}
	state, err := r.Sink.Stream(ctx, e.Name)
	if err != nil || state.Columns == nil {
		return d, err
	}
	d.Known = true
	meta, err := r.Source.Describe(ctx, e)
	if ClassOf(err) == ClassAbsent && err != nil {
		d.Absent = true
		return d, nil
	}
	if err != nil {
		return d, err
	}
	table := schemas.NewTable(e, meta, state.Columns)
	d.Changes = append(d.Changes, schemas.Diff(state.Columns, table.Columns)...)
	d.Picklists = append(d.Picklists, schemas.DiffPicklists(table, state.Metadata, meta)...)
	return d, nil
}
