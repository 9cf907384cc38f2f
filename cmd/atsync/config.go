package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newConfigCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		GroupID: groupSetup,
		Short:   "Check, describe or show the configuration",
		Long: "Works on the configuration file alone: no request, no secret fetched." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync config check",
		Args:    cobra.ArbitraryArgs,
		RunE:    onlySubcommands,
	}
	cmd.AddCommand(newConfigCheckCommand(e), newConfigSchemaCommand(e), newConfigShowCommand(e), newConfigPasswordCommand(e))
	return cmd
}

// configReport is the --json output of config check.
type configReport struct {
	OK       bool             `json:"ok"`
	File     string           `json:"file"`
	Problems []config.Problem `json:"problems"`
	Warnings []config.Problem `json:"warnings"`
	Tenants  []tenantReport   `json:"tenants"`
}

type tenantReport struct {
	Name     string      `json:"name"`
	Entities []string    `json:"entities"`
	Schedule string      `json:"schedule"`
	NextRuns []time.Time `json:"next_runs"` // if the daemon runs
	Path     string      `json:"path"`      // of the published file
}

func newConfigCheckCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Report every mistake in the configuration at once",
		Long: "Checks the configuration file and ATSYNC_… variables. Each mistake is a line:\n\n" +
			"  file:line:column: path: what is wrong (what to write)\n\n" +
			"Without mistakes it shows what each tenant will do, with its next three runs\n" +
			"by the daemon. Whether Autotask accepts the credentials is for atsync check to\n" +
			"say." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync config check\n  atsync --config acme.yaml --json config check",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return e.configCheck(time.Now()) },
	}
}

func (e *env) configCheck(now time.Time) error {
	report := configReport{File: e.configFile(), Problems: config.Problems{}, Warnings: config.Problems{}, Tenants: []tenantReport{}}
	cfg, err := e.loadConfig()
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		if !e.json {
			return err
		}
		report.Problems = problems
		return errors.Join(e.printJSON(report), &printed{err})
	case err != nil:
		return err
	}
	report.OK = true
	report.Warnings = append(report.Warnings, cfg.Warnings...)
	for _, name := range cfg.TenantNames() {
		t, err := cfg.Tenant(name)
		if err != nil {
			return err
		}
		r := tenantReport{Name: name, Schedule: t.Cron, Path: t.Readers()}
		for _, entity := range t.Entities {
			r.Entities = append(r.Entities, entity.Name)
		}
		for at := now.In(t.Location); len(r.NextRuns) < 3; {
			at = t.Schedule.Next(at)
			r.NextRuns = append(r.NextRuns, at)
		}
		report.Tenants = append(report.Tenants, r)
	}
	if e.json {
		return e.printJSON(report)
	}
	return e.printConfigReport(report)
}

func (e *env) printConfigReport(r configReport) error {
	for _, w := range r.Warnings {
		fmt.Fprintln(e.stderr, "warning: "+console.Clean(w.Error()))
	}
	t := console.NewTable(console.Left("tenant"), console.Right("entities"), console.Left("schedule"),
		console.Left("next runs"), console.Left("file"))
	for _, tenant := range r.Tenants {
		var next []string
		for i, at := range tenant.NextRuns {
			layout := "15:04"
			if i == 0 || at.YearDay() != tenant.NextRuns[i-1].YearDay() {
				layout = "Mon 2 Jan 15:04"
			}
			if i == len(tenant.NextRuns)-1 {
				layout += " MST"
			}
			next = append(next, at.Format(layout))
		}
		t.Row(tenant.Name, len(tenant.Entities), tenant.Schedule, strings.Join(next, ", "), tenant.Path)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	return e.printf("✓ %s is fine\n", r.File)
}

func newConfigSchemaCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Long: "Prints the JSON Schema (draft 2020-12) of the configuration file. Editors\n" +
			"complete and check with it: on the first line of the file, put\n\n" +
			"  # yaml-language-server: $schema=atsync.schema.json" +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync config schema > atsync.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.JSONSchema()
			if err != nil {
				return err
			}
			return e.printf("%s", text)
		},
	}
}

func newConfigShowCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the whole configuration in effect, without secrets",
		Long: "Prints the configuration as atsync sees it: defaults filled in, variables\n" +
			"applied, paths resolved, each value with its origin. References to secrets are\n" +
			"shown; secrets themselves read (hidden)." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync config show\n  atsync config show --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := e.loadConfig()
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(cfg.Redacted())
			}
			text, err := cfg.YAML()
			if err != nil {
				return &pipeline.Error{Class: pipeline.ClassInternal, Op: "config show", Err: err}
			}
			return e.printf("%s", text)
		},
	}
}
