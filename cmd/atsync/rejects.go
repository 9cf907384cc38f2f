package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newRejectsCommand(e *env) *cobra.Command {
	var opts rejectsOptions
	cmd := &cobra.Command{
		Use:     "rejects",
		GroupID: groupLook,
		Short:   "List values that did not fit their column, and accept them",
		Long: "Lists the values that did not fit their column: the row is there, with NULL in\n" +
			"that place, and the value as it was sent is kept beside it. While an entity has\n" +
			"open ones every run of it is partial (exit code 7). A value that is read clean\n" +
			"leaves the list by itself; one that is to stay as it is can be acknowledged.\n\n" +
			"The same rows are in the table _atsync.rejects." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync rejects\n" +
			"  atsync rejects --tenant acme --entity Tickets --all\n" +
			"  atsync --json rejects | jq '.rejects[].raw'\n" +
			"  atsync rejects ack --entity Tickets --field userDefined --note 'ticket 4711'",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return onlySubcommands(cmd, args)
			}
			return e.rejects(cmd.Context(), opts)
		},
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().StringVar(&opts.entity, "entity", "", "only those of this `entity`")
	cmd.Flags().BoolVar(&opts.all, "all", false, "acknowledged ones, too")
	cmd.AddCommand(newRejectsAckCommand(e))
	return cmd
}

func newRejectsAckCommand(e *env) *cobra.Command {
	var opts rejectsOptions
	cmd := &cobra.Command{
		Use:   "ack",
		Short: "Accept rejected values as they are",
		Long: "Acknowledges open rejects: the cells stay NULL and the values stay listed, but\n" +
			"they make no run partial any more. If such a value changes to another bad one,\n" +
			"that is open again. Say which are meant: an entity, one row or field of it, or\n" +
			"--all." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync rejects ack --tenant acme --entity Tickets\n" +
			"  atsync rejects ack --entity Tickets --id 4711 --note 'typed by hand in 2019'\n" +
			"  atsync rejects ack --all",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("id") {
				opts.id = &opts.row
			}
			switch {
			case opts.entity == "" && opts.field == "" && opts.id == nil && !opts.all:
				return usage(cmd, "say which: --entity, --field or --id, or --all")
			case opts.id != nil && opts.entity == "":
				return usage(cmd, "--id needs --entity: ids are not unique among entities")
			}
			return e.ackRejects(cmd.Context(), opts)
		},
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().StringVar(&opts.entity, "entity", "", "only those of this `entity`")
	cmd.Flags().Int64Var(&opts.row, "id", 0, "only those of the row with this `id`")
	cmd.Flags().StringVar(&opts.field, "field", "", "only those of this `field`, by Autotask's name or the column's")
	cmd.Flags().BoolVar(&opts.all, "all", false, "every open one of the tenants chosen")
	cmd.Flags().StringVar(&opts.note, "note", "", "`text` to keep with them: who says so, and why")
	return cmd
}

type rejectsOptions struct {
	tenants []string
	entity  string
	field   string
	note    string
	row     int64
	id      *int64
	all     bool
}

// selection resolves the entity's name.
func (o rejectsOptions) selection() (pipeline.RejectSelection, error) {
	which := pipeline.RejectSelection{ID: o.id, Field: o.field}
	if o.entity == "" {
		return which, nil
	}
	found, ok := schemas.Lookup(o.entity)
	if !ok {
		return which, &pipeline.Error{Class: pipeline.ClassConfig, Op: "--entity", Err: fmt.Errorf("there is no entity %q", o.entity),
			Remedy: "atsync entities lists what there is"}
	}
	which.Entity = found.Name
	return which, nil
}

// rejectsReport is the --json output of rejects.
type rejectsReport struct {
	Open    int         `json:"open"` // of the rejects listed
	Rejects []rejectRow `json:"rejects"`
}

func (e *env) rejects(ctx context.Context, opts rejectsOptions) error {
	_, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	which, err := opts.selection()
	if err != nil {
		return err
	}
	report := rejectsReport{Rejects: []rejectRow{}}
	for _, t := range tenants {
		rows, err := readRejects(ctx, t, which)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.AcknowledgedAt.IsZero() {
				report.Open++
			} else if !opts.all {
				continue
			}
			report.Rejects = append(report.Rejects, r)
		}
	}
	if e.json {
		return e.printJSON(report)
	}
	return e.printRejects(report)
}

func readRejects(ctx context.Context, t config.TenantConfig, which pipeline.RejectSelection) ([]rejectRow, error) {
	r, err := openReader(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // never synced
	} else if err != nil {
		return nil, err
	}
	rows, err := r.rejects(ctx, which)
	return rows, errors.Join(err, r.Close())
}

func (e *env) printRejects(report rejectsReport) error {
	if len(report.Rejects) == 0 {
		return e.printf("no rejects\n")
	}
	now := time.Now()
	t := console.NewTable(console.Left("tenant"), console.Left("entity"), console.Right("id"), console.Left("field"), console.Left("sent as"),
		console.Left("reason"), console.Left("found"), console.Left("acknowledged"))
	for _, r := range report.Rejects {
		var acked any
		if !r.AcknowledgedAt.IsZero() {
			acked = strings.TrimSpace(console.Ago(r.AcknowledgedAt, now) + " " + r.Note)
		}
		t.Row(r.Tenant, r.Entity, strconv.FormatInt(r.ID, 10), console.Clean(r.Field), short(console.Clean(r.Raw)), r.Reason, console.Ago(r.FoundAt, now), acked)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	if report.Open == 0 {
		return e.printf("none is open\n")
	}
	return e.printf("%s open\n  → correct them in Autotask, or accept them: atsync rejects ack\n", console.Count(int64(report.Open)))
}

// ackReport is the --json output of rejects ack.
type ackReport struct {
	Tenants []ackCount `json:"tenants"`
}

type ackCount struct {
	Tenant       string `json:"tenant"`
	Acknowledged int64  `json:"acknowledged"`
}

func (e *env) ackRejects(ctx context.Context, opts rejectsOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	which, err := opts.selection()
	if err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	report := ackReport{Tenants: []ackCount{}}
	for _, t := range tenants {
		n, err := w.ackRejects(ctx, t, which, opts.note)
		if err != nil {
			return err
		}
		report.Tenants = append(report.Tenants, ackCount{t.Name, n})
		if !e.json {
			if err := e.printf("%s: %s acknowledged\n", t.Name, console.Count(n)); err != nil {
				return err
			}
		}
	}
	if e.json {
		return e.printJSON(report)
	}
	return nil
}
