package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

// env is what a command has to do with: the process around it and the flags that all commands share.
type env struct {
	stdin   io.Reader
	stdout  io.Writer // results, and nothing else
	stderr  io.Writer // progress, logs, errors
	environ []string  // "NAME=value"

	configPath string // --config as given; configFile says what it comes to
	json       bool   // --json: results and errors are JSON
	verbose    bool   // -v: debug logs, nothing folded

	started bool // a command runs; before that, every error is one of usage
}

// Groups of commands in the help.
const (
	groupSync  = "sync"
	groupLook  = "look"
	groupSetup = "setup"
)

// newRoot makes the command line. A new command is one line here.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "atsync",
		Short: "Sync Autotask PSA into DuckDB",
		Long: `atsync copies what is in Autotask PSA into DuckDB or Parquet and keeps it current.

First step, without an account and in about a minute:

  atsync demo

Then, with an API user of your Autotask:

  atsync init     # asks for what it needs, writes config.yaml
  atsync check
  atsync plan
  atsync sync     # one run; atsync run: by schedules, from now on

Exit codes of all commands: 0 ok, 1 internal fault, 2 usage or configuration,
3 login or rights, 4 quota, 5 Autotask unreachable or unusable answers,
6 warehouse, 7 partly done, 8 stopped by a guard, 130 interrupted.
With --json, results go to standard output and an error as one object to
standard error.`,
		Example:       "  atsync demo\n  atsync --config /etc/atsync/config.yaml sync",
		Version:       buildVersion().Version,
		Args:          cobra.ArbitraryArgs, // unknown commands are told apart in onlySubcommands
		RunE:          onlySubcommands,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.CompletionOptions.DisableDefaultCmd = true // completion.go has our own
	root.AddGroup(
		&cobra.Group{ID: groupSync, Title: "Sync"},
		&cobra.Group{ID: groupLook, Title: "Look"},
		&cobra.Group{ID: groupSetup, Title: "Set up"},
	)
	root.SetHelpCommandGroupID(groupSetup)
	flags := root.PersistentFlags()
	flags.StringVar(&e.configPath, "config", "", "configuration `file`, else $ATSYNC_CONFIG,\n./config.yaml, ./atsync.yaml")
	flags.BoolVar(&e.json, "json", false, "print results and errors as JSON")
	flags.BoolVarP(&e.verbose, "verbose", "v", false, "say more: debug logs, unabridged tables")
	root.AddCommand(
		newDemoCommand(e),
		newInitCommand(e),
		newPlanCommand(e),
		newSyncCommand(e),
		newRunCommand(e),
		newFetchCommand(e),
		newVerifyCommand(e),
		newBackfillCommand(e),
		newCheckCommand(e),
		newMaintainCommand(e),
		newStatusCommand(e),
		newRunsCommand(e),
		newSchemaCommand(e),
		newRejectsCommand(e),
		newStateCommand(e),
		newSQLCommand(e),
		newExportCommand(e),
		newConfigCommand(e),
		newAlertCommand(e),
		newServiceCommand(e),
		newEntitiesCommand(e),
		newVersionCommand(e),
		newCompletionCommand(),
		newManCommand(e),
	)
	markStarted(e, root)
	return root
}

// markStarted makes every command note that it runs: what fails before that is a matter of usage.
func markStarted(e *env, cmd *cobra.Command) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			e.started = true
			return work(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		markStarted(e, sub)
	}
}

// run executes one command line and returns the exit code. Whatever fails is printed here, once.
func run(ctx context.Context, e *env, args []string) (code int) {
	defer func() {
		if r := recover(); r != nil {
			err := &pipeline.Error{
				Class: pipeline.ClassInternal, Err: fmt.Errorf("internal fault: %v", r),
				Remedy: "report it with the output of atsync version; -v prints where it happened",
			}
			console.PrintError(e.stderr, err, e.json)
			if e.verbose {
				fmt.Fprintf(e.stderr, "%s", debug.Stack())
			}
			code = console.ExitInternal
		}
	}()
	root := newRoot(e)
	root.SetArgs(numbersLast(args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return console.ExitOK
	}
	var ours *pipeline.Error
	if !e.started && !errors.As(err, &ours) {
		e.json = e.json || slices.Contains(args, "--json") // it may stand behind what could not be parsed
		err = usage(cmd, "%s", strings.TrimSpace(err.Error()))
	}
	if rest := unprinted(err); rest != nil {
		console.PrintError(e.stderr, rest, e.json)
	}
	return console.ExitCode(err)
}

// unprinted leaves out of an error what its command has shown.
func unprinted(err error) error {
	if parts, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, part := range parts.Unwrap() {
			if part = unprinted(part); part != nil {
				rest = append(rest, part)
			}
		}
		if len(rest) == 1 {
			return rest[0]
		}
		return errors.Join(rest...)
	}
	if _, done := errors.AsType[*printed](err); done {
		return nil
	}
	return err
}

// printed marks an error that its command has shown already: only the exit code is left to give.
type printed struct{ err error }

func (p *printed) Error() string { return p.err.Error() }
func (p *printed) Unwrap() error { return p.err }

// usage is an error in the command line.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return &pipeline.Error{
		Class: pipeline.ClassConfig, Err: fmt.Errorf(format, args...),
		Remedy: "Try: " + cmd.CommandPath() + " --help",
	}
}

// onlySubcommands is the work of a command that has none of its own: it shows its help, or says which
// command may have been meant.
func onlySubcommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(cmd, "unknown command %q%s", args[0], hint)
}

// exits is the part of a command's help that lists its exit codes.
func exits(codes ...int) string {
	meaning := map[int]string{
		console.ExitOK:       "ok",
		console.ExitInternal: "a fault of atsync's own",
		console.ExitUsage:    "the command line or the configuration is wrong",
		console.ExitAuth:     "Autotask refuses the login, or a right is missing",
		console.ExitQuota:    "the API's limits are reached",
		console.ExitSource:   "Autotask can't be reached, or answers what can't be used",
		console.ExitSink:     "the warehouse can't be written or is locked",
		console.ExitPartial:  "some of the work is done, some is not",
		console.ExitGuard:    "stopped because too much would be deleted",
		console.ExitCanceled: "interrupted; the next run goes on",
	}
	var b strings.Builder
	b.WriteString("\n\nExit codes:\n")
	for _, code := range codes {
		fmt.Fprintf(&b, "  %-3d  %s\n", code, meaning[code])
	}
	return strings.TrimRight(b.String(), "\n")
}

// configFile returns the path of the configuration in use.
func (e *env) configFile() string { return config.Find(e.configPath, e.environ) }

// loadConfig reads the configuration. Its error is of class config.
func (e *env) loadConfig() (*config.Config, error) {
	cfg, err := config.Load(e.configFile(), e.environ)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassConfig, Err: err}
	}
	return cfg, nil
}

// logger makes the logger of a command. w is stderr, or a console.Progress that stands on it.
func (e *env) logger(w io.Writer, cfg *config.Config) *slog.Logger {
	o := console.LogOptions{
		Level: cfg.Log.Level, Format: cfg.Log.Format,
		Terminal: console.IsTerminal(e.stderr, e.environ), Color: console.Color(e.stderr, e.environ),
	}
	if e.verbose {
		o.Level = "debug"
	}
	if e.json {
		o.Format = "json" // so that every line on standard error is one object
	}
	return console.NewLogger(w, o)
}

// printJSON writes a result.
func (e *env) printJSON(v any) error { return console.PrintJSON(e.stdout, v) }

// printf writes text of a result.
func (e *env) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(e.stdout, format, args...)
	return err
}
