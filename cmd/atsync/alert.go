package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/alert"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

func newAlertCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "alert",
		GroupID: groupSetup,
		Short:   "Try out whom the daemon tells when something is wrong",
		Long: "The daemon tells the targets below alerts.targets of the configuration when\n" +
			"something is wrong, and when it is right again." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync alert test",
		Args:    cobra.ArbitraryArgs,
		RunE:    onlySubcommands,
	}
	cmd.AddCommand(newAlertTestCommand(e))
	return cmd
}

func newAlertTestCommand(e *env) *cobra.Command {
	var targets []string
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Send a test message to every target",
		Long: "Sends a test message to every target, or those that are named, and says who\n" +
			"took it. It asks Autotask nothing, and works beside the daemon.\n\n" +
			"Exit codes:\n" +
			"  0    every target took it\n" +
			"  2    the command line or the configuration is wrong\n" +
			"  5    a target can't be reached or refuses it\n" +
			"  7    some took it, some did not\n" +
			"  130  interrupted",
		Example: "  atsync alert test\n  atsync alert test --target ops\n  atsync --json alert test",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.alertTest(cmd.Context(), targets, time.Now()) },
	}
	cmd.Flags().StringArrayVar(&targets, "target", nil, "only this `target`; may be repeated")
	return cmd
}

// alertReport is the --json output of alert test.
type alertReport struct {
	OK      bool         `json:"ok"`
	Targets []targetTest `json:"targets"`
}

type targetTest struct {
	Target string `json:"target"`
	Type   string `json:"type"`
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

func (e *env) alertTest(ctx context.Context, names []string, now time.Time) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	all := slices.Sorted(maps.Keys(cfg.Alerts.Targets))
	if len(all) == 0 {
		return noTarget("the configuration names no targets", `write one below alerts: targets: { ops: { type: slack, url: env:SLACK_URL } }`)
	}
	if len(names) == 0 {
		names = all
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return noTarget(fmt.Sprintf("there is no target %q", name), "the configuration has "+strings.Join(all, ", "))
		}
	}
	sender := e.alertSender(cfg)
	defer sender.CloseIdle()
	notice := alert.Notice{State: alert.Event, Kind: alert.Test, Summary: "this is a test by atsync alert test", Since: now.UTC(),
		Remedy: "nothing is to be done"}
	report := alertReport{OK: true, Targets: []targetTest{}}
	var errs []error
	for _, name := range names {
		target := cfg.Alerts.Targets[name]
		one := targetTest{Target: name, Type: target.Type}
		err := sendTest(ctx, sender, target, notice)
		if one.OK = err == nil; err != nil {
			report.OK = false
			one.Error = err.Error()
			if p, ok := errors.AsType[*pipeline.Error](err); ok {
				one.Error, one.Remedy = cmp.Or(fmt.Sprint(p.Err), string(p.Class)), p.Remedy
			}
			err = &printed{err}
		}
		errs = append(errs, err)
		report.Targets = append(report.Targets, one)
	}
	if e.json {
		return errors.Join(e.printJSON(report), verdict(errs))
	}
	return errors.Join(e.printAlertTest(report), verdict(errs))
}

func noTarget(what, remedy string) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "alert test", Err: errors.New(what), Remedy: remedy}
}

// testWithin is how long a target may take to answer.
const testWithin = 20 * time.Second

func sendTest(ctx context.Context, sender *alert.Sender, target config.AlertTarget, notice alert.Notice) error {
	within, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	err := sender.Send(within, target, []alert.Notice{notice})
	if err != nil && ctx.Err() != nil {
		return &pipeline.Error{Class: pipeline.ClassCanceled, Op: "alert test", Err: errors.New("interrupted")}
	}
	return err
}

func (e *env) printAlertTest(r alertReport) error {
	t := console.NewTable(console.Left(""), console.Left(""), console.Left(""), console.Left("")).Fit(console.Width(e.stdout))
	for _, one := range r.Targets {
		if one.OK {
			t.Row("✓", one.Target, one.Type, "sent")
			continue
		}
		t.Row("✗", one.Target, one.Type, one.Error)
		if one.Remedy != "" {
			t.Row("", "", "", "→ "+one.Remedy)
		}
	}
	return t.Write(e.stdout)
}

// alertSender delivers alerts; references are resolved for each message, so that they can be rotated.
func (e *env) alertSender(cfg *config.Config) *alert.Sender {
	return &alert.Sender{Resolve: e.resolver(cfg).Resolve}
}

// newAlerts makes what watches for alerts, and its sender.
func (e *env) newAlerts(cfg *config.Config) (*alert.Watcher, *alert.Sender) {
	sender := e.alertSender(cfg)
	return alert.New(alert.Options{Send: sender.Send, File: filepath.Join(cfg.DataDir, "alerts.json"), Logger: e.logger(e.stderr, cfg)}), sender
}

// watchAlerts tells targets of what is wrong with a daemon, until the returned function is called after ctx has ended.
func watchAlerts(ctx context.Context, w *alert.Watcher, sender *alert.Sender, d *daemon.Daemon, log *slog.Logger) (wait func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer sender.CloseIdle()
		if crash := panics.Try(func() { w.Run(ctx, d) }); crash != nil {
			log.Error("alerts crashed; nobody is told of any until the next start", "panic", crash.Value, "stack", string(crash.Stack))
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
