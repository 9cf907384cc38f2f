package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func newDemoCommand(e *env) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: groupSync,
		Short:   "See it work on a made-up service provider, without credentials",
		Long: "Starts a simulator of Autotask's API on this machine, with the data of a small made-up service provider, syncs\n" +
			"it as a real tenant would be, and answers five questions that an analyst would ask. The warehouse and its\n" +
			"configuration stay in the folder, so that status, runs and sql can be tried on them. Nothing leaves this\n" +
			"machine." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSource, console.ExitSink, console.ExitCanceled),
		Example: "  atsync demo\n  atsync demo --dir /tmp/demo --serve\n  atsync demo --sink parquet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.sink != config.SinkDuckDB && opts.sink != config.SinkParquet {
				return usage(cmd, "--sink %s is unknown: write duckdb or parquet", opts.sink)
			}
			return e.demo(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.dir, "dir", "atsync-demo", "`folder` for the warehouse and its configuration; what an earlier demo left there is replaced")
	cmd.Flags().StringVar(&opts.sink, "sink", config.SinkDuckDB, "`kind` of publication: duckdb or parquet")
	cmd.Flags().BoolVar(&opts.serve, "serve", false, "keep the simulator running until interrupted, to try sync and check on it")
	return cmd
}

type demoOptions struct {
	dir   string
	sink  string
	serve bool
}

// demoSeed makes every demo the same.
const demoSeed = 2026

// demoMark is the first line of a demo's configuration; only a folder that has it is replaced.
const demoMark = "# Made by atsync demo. Delete this folder when you are done."

func (e *env) demo(ctx context.Context, opts demoOptions) error {
	started := time.Now()
	server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Small(), demoSeed))
	defer server.Close()
	file, err := prepareDemo(opts, server)
	if err != nil {
		return err
	}
	e.configPath = file
	if !e.json {
		if err := e.printf("A simulator of Autotask's API, with a small made-up service provider, listens on %s.\n\n", server.URL); err != nil {
			return err
		}
	}
	if err := e.sync(ctx, syncOptions{}); err != nil {
		return err
	}
	if !e.json {
		if err := e.answer(ctx, questions()); err != nil {
			return err
		}
		if err := e.printf("%s", demoEnd(file, opts, time.Since(started))); err != nil {
			return err
		}
	}
	if opts.serve {
		err := e.printf("\nThe simulator goes on; Ctrl-C ends it. Meanwhile, in another terminal, try:\n  %s\n", practice(server))
		if err != nil {
			return err
		}
		<-ctx.Done()
	}
	return nil
}

// prepareDemo makes the demo's folder with a configuration for the simulator and returns the latter's path.
func prepareDemo(opts demoOptions, server *autotasktest.Server) (string, error) {
	bad := func(err error, remedy string) (string, error) {
		return "", &pipeline.Error{Class: pipeline.ClassConfig, Op: "demo", Err: err, Remedy: remedy}
	}
	dir := opts.dir
	file := filepath.Join(dir, "config.yaml")
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		old, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(old), demoMark) {
			return bad(fmt.Errorf("%s holds something else", dir), "give another folder with --dir")
		}
		if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
			return bad(err, "give another folder with --dir")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return bad(err, "give another folder with --dir")
	}
	text := fmt.Sprintf(`%s
# The simulator is gone with the demo (unless it runs with --serve), but status, runs and sql work on what was synced:
#   atsync --config %s status

data_dir: ./data
sink: { type: %s }
log: { level: warn }
tenants:
  demo:
    username: %s
    integration_code: %s
    secret: %q              # a real one belongs in env:, file: or cmd:
    url: %s
`, demoMark, file, opts.sink, server.Username, server.IntegrationCode, server.Secret, server.BaseURL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return bad(err, "give another folder with --dir")
	}
	return file, nil
}

// answer runs the questions over the published data and prints them with their answers.
func (e *env) answer(ctx context.Context, list []question) error {
	_, tenants, err := e.selected(nil)
	if err != nil {
		return err
	}
	files, err := publications(tenants, true)
	if err != nil {
		return err
	}
	db, err := openPublications(ctx, files)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // opened for reading
	for i, q := range list {
		if err := e.printf("\n%d. %s\n\n", i+1, q.Title); err != nil {
			return err
		}
		if err := e.query(ctx, db, q.SQL, "table"); err != nil {
			return errors.Join(fmt.Errorf("question %d", i+1), err)
		}
	}
	return nil
}

func demoEnd(file string, opts demoOptions, took time.Duration) string {
	what, where := "a DuckDB file that any DuckDB can open", "demo.duckdb"
	if opts.sink == config.SinkParquet {
		what, where = "a folder of Parquet files, with a DuckDB catalog", filepath.Join("lake", "demo")
	}
	more := ""
	if !opts.serve {
		more = "check and sync need the simulator, too: " + program() + " demo --serve\n"
	}
	return fmt.Sprintf(`
Done in %s. The data is %s: %s
Try:
  %[4]s --config %[5]s status
  %[4]s --config %[5]s sql 'SELECT status_label, count(*) FROM v_tickets GROUP BY ALL ORDER BY 2 DESC'
%[6]sThen: docs/getting-started.md connects your own Autotask.
`, console.Duration(took), what, filepath.Join(filepath.Dir(file), "data", where), program(), file, more)
}

// practice is the command line that connects the simulator as if it were Autotask.
func practice(server *autotasktest.Server) string {
	return fmt.Sprintf("%s init --tenant acme --username %s --integration-code %s --secret '%s' --zone %s",
		program(), server.Username, server.IntegrationCode, server.Secret, server.BaseURL())
}

// program is what to type to run this program again: built by "go run", it is in no PATH, and neither is bin/atsync.
func program() string {
	self, err := os.Executable()
	if err == nil && strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/atsync"
	}
	if typed := os.Args[0]; strings.ContainsRune(typed, filepath.Separator) && !strings.ContainsRune(typed, ' ') {
		return typed
	}
	return "atsync"
}
