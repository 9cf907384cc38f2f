package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// stateSet is the work of state set.
func (e *env) stateSet(cmd *cobra.Command, opts steerOptions, entity *schemas.Entity, through string, now time.Time) error {
	cfg, t, err := e.steered(opts)
	if err != nil {
		return err
	}
	to, err := parseInstant(through, t.Location)
	if err != nil {
		return usage(cmd, "--complete-through: %w", err)
	}
	if to.After(now) {
		return usage(cmd, "--complete-through: %s has not come yet", to.Format(time.RFC3339))
	}
	stored, err := readState(cmd.Context(), t, []*schemas.Entity{entity}, openPrivate)
	if err != nil {
		return err
	}
	if err := movable(t.Name, entity, stored.Entities, to, opts.force); err != nil {
		return err
	}
	was := stored.Entities[0].Checkpoint.CompleteThrough
	question := fmt.Sprintf("%s/%s: complete through %s becomes %s. Go on?", t.Name, entity.Name, was.Format(time.RFC3339), to.Format(time.RFC3339))
	if err := e.agreed(opts, question); err != nil {
		return err
	}
	return e.changeState(cmd.Context(), cfg, t, []*schemas.Entity{entity}, func(ctx context.Context, sink pipeline.Sink) error {
		now, err := sink.Stream(ctx, entity.Name)
		if err != nil {
			return err
		}
		cp := now.Checkpoint
		if !cp.CompleteThrough.Equal(was) {
			return &pipeline.Error{Class: pipeline.ClassSink, Tenant: t.Name, Entity: entity.Name, Op: "state set",
				Err: errors.New("a sync has moved the checkpoint in the meantime; nothing was changed"), Remedy: "look at it with atsync state show, then run it again"}
		}
		cp.CompleteThrough = to
		return sink.SetCheckpoint(ctx, entity.Name, &cp, pipeline.StateNote{Command: "state set", By: operator(), Note: opts.note})
	})
}

// movable says what keeps a checkpoint from being moved.
func movable(tenant string, entity *schemas.Entity, stored []state, to time.Time, force bool) error {
	refuse := func(what, remedy string) error {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: tenant, Entity: entity.Name, Op: "state set", Err: errors.New(what), Remedy: remedy}
	}
	if len(stored) == 0 {
		return refuse("the entity was never read", "run: atsync sync --tenant "+tenant+" --entity "+entity.Name)
	}
	s := stored[0]
	switch was := s.Checkpoint.CompleteThrough; {
	case s.Reset || was.IsZero():
		return refuse("the entity has no checkpoint: the next run reads it whole", "there is nothing to move")
	case !slices.Contains([]schemas.Class{schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend}, schemas.Class(s.Class)):
		return refuse("an entity of class "+s.Class+" is not read by time, so moving its checkpoint would do nothing",
			"have it read whole: atsync state reset "+entity.Name)
	case to.After(was) && !force:
		return refuse(fmt.Sprintf("that is later than its checkpoint %s: changes in between would never be read", was.Format(time.RFC3339)),
			"write an earlier time; if you are sure, add --force")
	}
	return nil
}

// stateReset is the work of state reset. No entities: every one that has a checkpoint.
func (e *env) stateReset(ctx context.Context, opts steerOptions, entities []*schemas.Entity) error {
	cfg, t, err := e.steered(opts)
	if err != nil {
		return err
	}
	stored, err := readState(ctx, t, entities, openPrivate)
	if err != nil {
		return err
	}
	for _, entity := range entities {
		if !slices.ContainsFunc(stored.Entities, func(s state) bool { return s.Entity == entity.Name }) {
			return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: t.Name, Entity: entity.Name, Op: "state reset",
				Err: errors.New("the entity was never read"), Remedy: "there is nothing to reset: the next run reads it whole"}
		}
	}
	var changed []*schemas.Entity
	rows := int64(0)
	for _, s := range stored.Entities {
		if entity, ok := schemas.Lookup(s.Entity); ok && !s.Reset {
			changed, rows = append(changed, entity), rows+s.Rows
		}
	}
	if len(changed) == 0 {
		if e.json {
			return e.printState(stateReport{Tenants: []tenantState{{Tenant: t.Name, Entities: []state{}}}})
		}
		return e.printf("%s: nothing to change: the next run reads what was named whole\n", t.Name)
	}
	question := fmt.Sprintf("%s: the next run reads %d entities with %d rows whole. Go on?", t.Name, len(changed), rows)
	if err := e.agreed(opts, question); err != nil {
		return err
	}
	return e.changeState(ctx, cfg, t, changed, func(ctx context.Context, sink pipeline.Sink) error {
		for _, entity := range changed {
			err := sink.SetCheckpoint(ctx, entity.Name, nil, pipeline.StateNote{Command: "state reset", By: operator(), Note: opts.note})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// steered returns the tenant whose checkpoints are to be changed.
func (e *env) steered(opts steerOptions) (*config.Config, config.TenantConfig, error) {
	cfg, err := e.loadConfig()
	if err != nil {
		return nil, config.TenantConfig{}, err
	}
	t, err := oneTenant(cfg, opts.tenant)
	if err == nil {
		err = synced(t)
	}
	return cfg, t, err
}

// changeState makes a change and prints what it has come to.
func (e *env) changeState(ctx context.Context, cfg *config.Config, t config.TenantConfig, entities []*schemas.Entity,
	change func(context.Context, pipeline.Sink) error) error {
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	if err := w.steer(ctx, t, func(sink pipeline.Sink) error { return change(ctx, sink) }); err != nil {
		return err
	}
	now, err := readState(ctx, t, entities, openPrivate)
	if err != nil {
		return err
	}
	return e.printState(stateReport{Tenants: []tenantState{now}})
}

// parseInstant reads a time of the command line. Without an offset it is meant in loc.
func parseInstant(text string, loc *time.Location) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if at, err := time.ParseInLocation(layout, text, loc); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time (write 2026-03-01, 2026-03-01 08:00 or 2026-03-01T08:00:00Z)", text)
}
