package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newSchemaCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schema",
		GroupID: groupLook,
		Short:   "Compare Autotask's fields with the warehouse, or read them anew",
		Long: "Fields, user-defined fields and picklists are read from Autotask at most once a\n" +
			"day. diff shows what has changed there since; refresh takes it over now." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync schema diff\n  atsync schema refresh --entity Tickets",
		Args:    cobra.ArbitraryArgs,
		RunE:    onlySubcommands,
	}
	cmd.AddCommand(newSchemaDiffCommand(e), newSchemaRefreshCommand(e))
	return cmd
}

type schemaOptions struct {
	tenants  []string
	entities []string
	exitCode bool
}

func (o *schemaOptions) addFlags(cmd *cobra.Command) {
	addTenantFlag(cmd, &o.tenants)
	cmd.Flags().StringArrayVar(&o.entities, "entity", nil, "only this `entity`, preset or pattern; may be repeated")
}

func newSchemaDiffCommand(e *env) *cobra.Command {
	var opts schemaOptions
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show how Autotask's fields differ from the warehouse",
		Long: "Asks Autotask for the live fields of each entity that is in the warehouse and\n" +
			"shows how they differ from it: fields and user-defined fields that are new, gone,\n" +
			"renamed or of another type, and picklist values. It stores nothing. It costs one\n" +
			"request an entity, two if that can have user-defined fields, and one more for\n" +
			"their definitions." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial),
		Example: "  atsync schema diff\n" +
			"  atsync schema diff --entity Tickets --exit-code\n" +
			"  atsync --json schema diff --tenant acme",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.schemaDiff(cmd.Context(), opts) },
	}
	opts.addFlags(cmd)
	cmd.Flags().BoolVar(&opts.exitCode, "exit-code", false, "exit with 7 if there is a difference")
	return cmd
}

func newSchemaRefreshCommand(e *env) *cobra.Command {
	var opts schemaOptions
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "Read Autotask's fields and picklists now",
		Long: "Reads the live fields, user-defined fields and picklists of each entity and keeps\n" +
			"them, whatever the age of what is stored. Labels are current at once; columns\n" +
			"change with the next sync." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitCanceled),
		Example: "  atsync schema refresh\n  atsync schema refresh --tenant acme --entity Tickets",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.schemaRefresh(cmd.Context(), opts) },
	}
	opts.addFlags(cmd)
	return cmd
}

// schemaDiffReport is the --json output of schema diff.
type schemaDiffReport struct {
	Different bool          `json:"different"`
	Tenants   []tenantDrift `json:"tenants"`
}

type tenantDrift struct {
	Tenant   string                 `json:"tenant"`
	Requests int64                  `json:"requests"` // that it cost
	Entities []pipeline.SchemaDrift `json:"entities"`
}

func (e *env) schemaDiff(ctx context.Context, opts schemaOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	if err := narrow(tenants, opts.entities); err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	report := schemaDiffReport{Tenants: []tenantDrift{}}
	var errs []error
	for _, t := range tenants {
		drift, err := w.schemaDiff(ctx, t)
		errs = append(errs, err)
		if err != nil {
			continue
		}
		for _, d := range drift.Entities {
			report.Different = report.Different || d.Different()
		}
		report.Tenants = append(report.Tenants, drift)
		if !e.json {
			if err := e.printDrift(drift); err != nil {
				return err
			}
		}
	}
	if e.json {
		if err := e.printJSON(report); err != nil {
			return err
		}
	}
	if report.Different && opts.exitCode {
		errs = append(errs, &printed{&pipeline.Error{Class: pipeline.ClassPartial, Op: "schema diff", Err: errors.New("there are differences")}})
		return errors.Join(errs...)
	}
	return verdict(errs)
}

// schemaDiff compares one tenant.
func (w wiring) schemaDiff(ctx context.Context, t config.TenantConfig) (drift tenantDrift, err error) {
	if err := synced(t); err != nil {
		return drift, err
	}
	s, err := w.open(ctx, t)
	if err != nil {
		return drift, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	drift = tenantDrift{Tenant: t.Name}
	drift.Entities, err = s.runner(nil).SchemaDiff(ctx, t.Entities)
	for _, n := range s.source.Requests() {
		drift.Requests += n
	}
	return drift, err
}

func (e *env) printDrift(drift tenantDrift) error {
	table := console.NewTable(console.Left("entity"), console.Left("change"), console.Left("column"), console.Left("what"))
	unknown, different := 0, 0
	for _, d := range drift.Entities {
		switch {
		case !d.Known:
			unknown++
			continue
		case d.Absent:
			table.Row(d.Entity, "absent", "", "the tenant's zone does not have it")
		case d.Different():
			different++
		}
		for _, c := range d.Changes {
			table.Row(d.Entity, c.Kind, c.Column, console.Clean(c.String()))
		}
		for _, p := range d.Picklists {
			what := fmt.Sprintf("%s: %q", p.Value, p.Label)
			if p.OldLabel != "" {
				what = fmt.Sprintf("%s: %q was %q", p.Value, p.Label, p.OldLabel)
			}
			table.Row(d.Entity, "picklist "+p.Change, p.Column, console.Clean(what))
		}
	}
	if err := e.printf("%s\n", drift.Tenant); err != nil {
		return err
	}
	if different > 0 {
		if err := table.Indent("  ").Write(e.stdout); err != nil {
			return err
		}
	}
	if err := e.printf("  %d of %d entities differ, %d are not in the warehouse yet, %d requests\n", different, len(drift.Entities), unknown, drift.Requests); err != nil {
		return err
	}
	if different == 0 {
		return nil
	}
	return e.printf("  → the next sync that reads the metadata takes this over; now: atsync schema refresh, then atsync sync\n")
}

func (e *env) schemaRefresh(ctx context.Context, opts schemaOptions) error {
	return e.eachTenant(ctx, task{command: "schema refresh", tenants: opts.tenants, entities: opts.entities, summary: console.RunSummary},
		func(ctx context.Context, r *pipeline.Runner, entities []*schemas.Entity) (pipeline.Run, error) {
			return r.Refresh(ctx, entities)
		})
}
