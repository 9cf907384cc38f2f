package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/service"
	"github.com/atsync/atsync/pipeline"
)

func newServiceCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "service",
		GroupID: groupSetup,
		Short:   "Run the daemon as a service of Windows",
		Long: "Makes atsync run a service of Windows: it starts with the machine, is started\n" +
			"again if it fails, and logs to the event log. For systemd and containers see\n" +
			"docs/deploy.md." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync --config C:\\atsync\\config.yaml service install\n" +
			"  atsync service start\n" +
			"  atsync service stop\n" +
			"  atsync service uninstall",
		Args: cobra.ArbitraryArgs,
		RunE: onlySubcommands,
	}
	for _, c := range []struct {
		name, short string
		do          func(ctx context.Context) error
	}{
		{"install", "Make the service, which then starts with the machine", func(context.Context) error { return e.installService() }},
		{"uninstall", "Remove the service; configuration and data stay", func(context.Context) error { return service.Uninstall() }},
		{"start", "Start the service", func(context.Context) error { return service.Start() }},
		{"stop", "Stop the service and wait until it has ended", service.Stop},
	} {
		cmd.AddCommand(&cobra.Command{Use: c.name, Short: c.short, Args: cobra.NoArgs,
			Long:    c.short + ". It takes an administrator." + exits(console.ExitOK, console.ExitUsage),
			Example: "  atsync service " + c.name,
			RunE:    func(cmd *cobra.Command, _ []string) error { return c.do(cmd.Context()) }})
	}
	return cmd
}

// installService makes a service of this program with the configuration in use, once that is found to be right.
func (e *env) installService() error {
	if _, err := e.loadConfig(); err != nil {
		return err
	}
	program, err := os.Executable()
	file := e.configFile()
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return &pipeline.Error{Class: pipeline.ClassInternal, Op: "service install", Err: err}
	}
	return service.Install(program, "--config", file, "run")
}

// runAnywhere is run, for a terminal or a service manager that has started the process.
func (e *env) runAnywhere(ctx context.Context) error {
	if !service.Started() {
		return e.run(ctx)
	}
	return service.Run(ctx, func(ctx context.Context, log io.Writer) error {
		e.stderr = log
		return e.run(ctx)
	})
}
