package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newStateCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "state",
		GroupID: groupLook,
		Short:   "Show or change how far entities have been read",
		Long: "A checkpoint says up to which moment every change of an entity is in the\n" +
			"warehouse. It moves with the rows that are stored. Move it by hand only to have\n" +
			"something read again; what was there before is logged in _atsync.state_log." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync state show",
		Args:    cobra.ArbitraryArgs,
		RunE:    onlySubcommands,
	}
	cmd.AddCommand(newStateShowCommand(e), newStateSetCommand(e), newStateResetCommand(e))
	return cmd
}

func newStateShowCommand(e *env) *cobra.Command {
	var tenants, entities []string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the checkpoints",
		Long: "Shows for each entity up to when it is complete, when it was last read whole\n" +
			"(full_at) or over its recent window (reread_at), and which load of its parent\n" +
			"its children have followed (parent_load). All times are Autotask's clock." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync state show\n  atsync state show --tenant acme --entity 'Ticket*'\n  atsync --json state show",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.stateShow(cmd.Context(), tenants, entities) },
	}
	addTenantFlag(cmd, &tenants)
	cmd.Flags().StringArrayVar(&entities, "entity", nil, "only this `entity`, preset or pattern; may be repeated")
	return cmd
}

func newStateSetCommand(e *env) *cobra.Command {
	var opts steerOptions
	var through string
	cmd := &cobra.Command{
		Use:   "set ENTITY",
		Short: "Move a checkpoint, so that changes are read again from there on",
		Long: "Moves an entity's checkpoint back: the next run reads every change since. The\n" +
			"time is RFC 3339, or a date or date and time in the tenant's time zone. Rows are\n" +
			"not touched, and those that did not change are not written again.\n\n" +
			"Forward it moves only with --force: changes between the two moments are then\n" +
			"never read, unless the entity is read whole one day." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync state set Tickets --complete-through 2026-03-01\n" +
			"  atsync state set Tickets --complete-through 2026-03-01T08:00:00Z --tenant acme --yes",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entity, err := oneEntity(cmd, args[0])
			if err != nil {
				return err
			}
			return e.stateSet(cmd, opts, entity, through, time.Now())
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().StringVar(&through, "complete-through", "", "the new `time`, e.g. 2026-03-01 or 2026-03-01T08:00:00Z")
	cmd.Flags().BoolVar(&opts.force, "force", false, "also move it forward, though changes in between are lost")
	_ = cmd.MarkFlagRequired("complete-through") // fails only for a flag that is not there
	return cmd
}

func newStateResetCommand(e *env) *cobra.Command {
	var opts steerOptions
	cmd := &cobra.Command{
		Use:   "reset ENTITY…",
		Short: "Forget checkpoints, so that the next run reads the entities whole",
		Long: "Forgets the entities' checkpoints. Rows stay: the next run reads everything,\n" +
			"compares, writes what differs, and marks rows that are gone as deleted." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync state reset Tickets\n  atsync state reset --all --tenant acme --yes --note 'after the restore'",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.all == (len(args) > 0) {
				return usage(cmd, "name entities, or write --all for every one")
			}
			var entities []*schemas.Entity
			for _, name := range args {
				entity, err := oneEntity(cmd, name)
				if err != nil {
					return err
				}
				entities = append(entities, entity)
			}
			return e.stateReset(cmd.Context(), opts, entities)
		},
	}
	opts.addFlags(cmd)
	cmd.Flags().BoolVar(&opts.all, "all", false, "every entity of the tenant that has a checkpoint")
	return cmd
}

// steerOptions are the flags of the commands that change checkpoints.
type steerOptions struct {
	tenant string
	note   string
	yes    bool
	force  bool
	all    bool
}

func (o *steerOptions) addFlags(cmd *cobra.Command) {
	addOneTenantFlag(cmd, &o.tenant)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask; off a terminal it never asks")
	cmd.Flags().StringVar(&o.note, "note", "", "why, as a `text` for _atsync.state_log")
}

// stateReport is the --json output of state show, and with Changed that of set and reset.
type stateReport struct {
	Tenants []tenantState `json:"tenants"`
}

type tenantState struct {
	Tenant   string  `json:"tenant"`
	Entities []state `json:"entities"` // set and reset: those that were changed, as they are now
}

// synced is an error for a tenant of which nothing is stored.
func synced(t config.TenantConfig) error {
	_, work := os.Stat(t.WorkPath)
	_, published := os.Stat(t.PublishPath)
	if errors.Is(work, os.ErrNotExist) && errors.Is(published, os.ErrNotExist) {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: t.Name, Err: errors.New("the tenant has never synced"),
			Remedy: "run: atsync sync --tenant " + t.Name}
	}
	return nil
}

// readState returns what is stored of a tenant's entities, of some of them if these are named. open is openReader
// for a look and openPrivate for a change.
func readState(ctx context.Context, t config.TenantConfig, entities []*schemas.Entity,
	open func(context.Context, config.TenantConfig) (*reader, error)) (out tenantState, err error) {
	out = tenantState{Tenant: t.Name, Entities: []state{}}
	r, err := open(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil // never synced
	} else if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	all, err := r.states(ctx)
	if err != nil {
		return out, located(err, t.Name)
	}
	for _, s := range all {
		if entities == nil || slices.ContainsFunc(entities, func(e *schemas.Entity) bool { return e.Name == s.Entity }) {
			out.Entities = append(out.Entities, s)
		}
	}
	return out, nil
}

func (e *env) stateShow(ctx context.Context, names, patterns []string) error {
	_, tenants, err := e.selected(names)
	if err != nil {
		return err
	}
	for i := range tenants {
		tenants[i].Entities = nil // what is stored, configured or not
	}
	if err := narrow(tenants, patterns); err != nil {
		return err
	}
	report := stateReport{Tenants: []tenantState{}}
	for _, t := range tenants {
		s, err := readState(ctx, t, t.Entities, openReader)
		if err != nil {
			return err
		}
		report.Tenants = append(report.Tenants, s)
	}
	return e.printState(report)
}

func (e *env) printState(report stateReport) error {
	if e.json {
		return e.printJSON(report)
	}
	for i, t := range report.Tenants {
		if i > 0 {
			if err := e.printf("\n"); err != nil {
				return err
			}
		}
		if len(t.Entities) == 0 {
			if err := e.printf("%s: nothing is stored yet\n  → run: atsync sync --tenant %s\n", t.Tenant, t.Tenant); err != nil {
				return err
			}
			continue
		}
		if err := e.printf("%s\n", t.Tenant); err != nil {
			return err
		}
		if err := stateTable(t.Entities, console.Width(e.stdout)).Write(e.stdout); err != nil {
			return err
		}
	}
	return nil
}

// stateTable lays checkpoints out for a terminal of a width, 0 for none.
func stateTable(entities []state, width int) *console.Table {
	narrow := width > 0 && width < wide
	columns := []console.Column{{Title: "entity", Min: 20}, console.Left("class"), console.Right("rows"), console.Left("complete through")}
	if !narrow {
		columns = append(columns, console.Left("full at"), console.Left("reread at"), console.Right("parent load"), console.Right("load"), console.Right("run"))
	}
	t := console.NewTable(columns...).Indent("  ").Fit(width)
	at := func(v time.Time) string {
		if v.IsZero() {
			return ""
		}
		return v.Format("2006-01-02 15:04:05Z")
	}
	for _, s := range entities {
		through := cmp.Or(at(s.Checkpoint.CompleteThrough), "never")
		if s.Reset {
			through = "reset: read whole next"
		}
		cells := []any{s.Entity, s.Class, s.Rows, through}
		if !narrow {
			var parent any
			if s.Checkpoint.ParentLoad != 0 {
				parent = s.Checkpoint.ParentLoad
			}
			cells = append(cells, at(s.Checkpoint.FullAt), at(s.Checkpoint.RereadAt), parent, s.LoadID, s.RunID)
		}
		t.Row(cells...)
	}
	return t
}

// operator is who works here, for the log of changes by hand: user@host.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// agreed asks a person at a terminal whether to go on.
func (e *env) agreed(opts steerOptions, question string) error {
	if opts.yes || e.json || !console.IsTerminal(e.stdin, e.environ) || !console.IsTerminal(e.stderr, e.environ) {
		return nil
	}
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(e.stdin).ReadString('\n') // none is a no
	if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
		return nil
	}
	return &pipeline.Error{Class: pipeline.ClassCanceled, Err: errors.New("nothing was changed"), Remedy: "answer y, or add --yes"}
}
