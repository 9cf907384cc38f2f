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
)

func newRunsCommand(e *env) *cobra.Command {
	var opts runsOptions
	cmd := &cobra.Command{
		Use:     "runs [ID]",
		GroupID: groupLook,
		Short:   "List past runs, or show one in full",
		Long: "Lists the newest runs of each tenant. With ID, shows what that run did for every entity. It reads the\n" +
			"warehouse, or its publication while another process works on the warehouse; the same rows are in the\n" +
			"table _atsync.runs." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink),
		Example: "  atsync runs\n  atsync runs --tenant acme --limit 5\n  atsync runs 42 --tenant acme\n  atsync --json runs",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := int64(0)
			if len(args) > 0 {
				var err error
				if id, err = strconv.ParseInt(args[0], 10, 64); err != nil || id <= 0 {
					return usage(cmd, "%q is not the number of a run", args[0])
				}
			}
			return e.runs(cmd.Context(), opts, id)
		},
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().IntVar(&opts.limit, "limit", 10, "how many `runs` of each tenant")
	return cmd
}

type runsOptions struct {
	tenants []string
	limit   int
}

// runsReport is the --json output of runs.
type runsReport struct {
	Runs []pipeline.Run `json:"runs"`
}

func (e *env) runs(ctx context.Context, opts runsOptions, id int64) error {
	_, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	limit := max(opts.limit, 1)
	if id > 0 {
		limit = 1 << 30
	}
	report := runsReport{Runs: []pipeline.Run{}}
	for _, t := range tenants {
		runs, err := readRuns(ctx, t, limit)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if id == 0 || run.ID == id {
				report.Runs = append(report.Runs, run)
			}
		}
	}
	switch {
	case id > 0 && len(report.Runs) == 0:
		return &pipeline.Error{Class: pipeline.ClassConfig, Err: fmt.Errorf("there is no run %d", id), Remedy: "atsync runs lists them"}
	case e.json:
		return e.printJSON(report)
	case id > 0:
		for _, run := range report.Runs {
			if err := console.RunSummary(e.stdout, run, true); err != nil {
				return err
			}
		}
		return nil
	}
	if len(report.Runs) == 0 {
		return e.printf("no runs yet\n  → run: atsync sync\n")
	}
	return e.printRuns(report.Runs, time.Now())
}

func readRuns(ctx context.Context, t config.TenantConfig, limit int) ([]pipeline.Run, error) {
	r, err := openReader(ctx, t)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // never synced
	} else if err != nil {
		return nil, err
	}
	runs, err := r.runs(ctx, limit)
	return runs, errors.Join(err, r.Close())
}

func (e *env) printRuns(runs []pipeline.Run, now time.Time) error {
	t := console.NewTable(console.Left("tenant"), console.Right("run"), console.Left("command"), console.Left("started"),
		console.Right("took"), console.Left("status"), console.Right("changed"), console.Right("requests"), console.Left("error"))
	for _, run := range runs {
		changed := int64(0)
		for _, s := range run.Streams {
			changed += s.Inserted + s.Updated + s.Deleted
		}
		var took any
		if !run.EndedAt.IsZero() {
			took = run.EndedAt.Sub(run.StartedAt)
		}
		t.Row(run.Tenant, run.ID, run.Command, console.Ago(run.StartedAt, now), took, run.Status, changed, run.Requests, short(run.Error))
	}
	return t.Write(e.stdout)
}

// short cuts a message for a table's cell.
func short(s string) string {
	s, _, _ = strings.Cut(s, " (")
	if r := []rune(s); len(r) > 70 {
		return string(r[:69]) + "…"
	}
	return s
}
