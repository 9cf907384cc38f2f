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
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

func newInitCommand(e *env) *cobra.Command {
	var opts initOptions
	cmd := &cobra.Command{
		Use:     "init",
		GroupID: groupSetup,
		Short:   "Write a configuration for an Autotask tenant",
		Long: "Finds the zone of the API user, tries the login, counts what there is, chooses\n" +
			"a schedule that leaves other integrations their share of the hour's requests,\n" +
			"and writes config.yaml, or what --config names. On a terminal it asks for what\n" +
			"no flag tells.\n\n" +
			"A secret is given as a reference: env:NAME, file:/path, cmd:command, aws-sm:\n" +
			"or azure-kv:. One that is given itself is written to a file of its own in the\n" +
			"folder secrets beside the configuration, which only you can read, never into\n" +
			"the configuration; but a shell's history and the list of processes show flags,\n" +
			"so prefer the form or a reference. Relative files are relative to the\n" +
			"configuration's folder.\n\n" +
			"If the login is refused, no configuration is written, and the same values are\n" +
			"not sent again, so that the API user is not locked, until you say --release:\n" +
			"a new API user may need some minutes. init costs a request an entity." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitCanceled),
		Example: "  atsync init\n" +
			"  atsync init --username env:USER --integration-code env:CODE --secret env:KEY\n" +
			"  atsync init --tenant acme --schedule @hourly --timezone Europe/Berlin\n" +
			"  atsync --config /etc/atsync/config.yaml init --force --data-dir /srv/atsync",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.setUp(cmd, opts, time.Now()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.tenant, "tenant", "", "`name` for this tenant, else that of the\nuser's domain")
	flags.StringVar(&opts.username, "username", "", "the API user's Username (`Key`), or a\nreference")
	flags.StringVar(&opts.code, "integration-code", "", "the Tracking Identifier: a `reference`,\nor itself")
	flags.StringVar(&opts.secret, "secret", "", "the Password (Secret): a `reference`,\nor itself")
	flags.StringVar(&opts.zone, "zone", "", "the `zone`, like webservices3, or its URL;\nelse Autotask is asked")
	flags.StringArrayVar(&opts.entities, "entity", nil, "sync this `entity`, preset or pattern;\nmay be repeated; else core")
	flags.StringVar(&opts.schedule, "schedule", "", "`cron` schedule, else one that fits the\nquota")
	flags.StringVar(&opts.timezone, "timezone", "UTC", "time `zone` of the schedule and of dates\nin the views")
	flags.StringVar(&opts.dataDir, "data-dir", "./data", "`folder` for the data, relative to the\nconfiguration's")
	flags.StringVar(&opts.sink, "sink", config.SinkDuckDB, "`kind` of publication: duckdb or parquet\n")
	flags.BoolVar(&opts.force, "force", false, "replace a configuration that is there")
	flags.BoolVar(&opts.noCheck, "no-check", false, "ask Autotask nothing: no login, no counts")
	flags.BoolVar(&opts.release, "release", false, "end the hold of a login that was refused\nbefore, and try it again")
	flags.StringVar(&opts.discovery, "discovery-url", "", "who is asked for the zone")
	_ = flags.MarkHidden("discovery-url") // for simulators; the flag exists
	return cmd
}

type initOptions struct {
	tenant, username, code, secret string
	zone                           string
	entities                       []string
	schedule, timezone             string
	dataDir, sink                  string
	force, noCheck, release        bool
	discovery                      string
	asks                           bool // a person is there to ask
}

// initReport is the --json output of init.
type initReport struct {
	Config   string       `json:"config"`
	Tenant   string       `json:"tenant"`
	Written  []string     `json:"written"` // files, the configuration last
	Zone     *zone        `json:"zone,omitempty"`
	Hints    []hint       `json:"hints"` // values that look mixed up
	Rows     int64        `json:"rows"`
	Entities []rightsItem `json:"entities"` // empty with --no-check
	Schedule string       `json:"schedule"`
	Forecast *forecast    `json:"forecast,omitempty"` // of the schedule
}

// draft is a configuration on its way.
type draft struct {
	e    *env
	opts initOptions
	file string
	w    wiring
	initReport
}

func (e *env) setUp(cmd *cobra.Command, opts initOptions, now time.Time) error {
	ctx := cmd.Context()
	opts.asks = !e.json && console.IsTerminal(e.stdin, e.environ) && console.IsTerminal(e.stderr, e.environ)
	d := &draft{e: e, opts: opts, file: e.configFile()}
	d.Config, d.Hints, d.Entities = d.file, []hint{}, []rightsItem{}
	if err := d.free(d.file); err != nil {
		return err
	}
	if err := d.name(ctx, cmd); err != nil {
		return err
	}
	t, err := d.tenant(schedules()[0])
	if err != nil {
		return err
	}
	if !opts.noCheck {
		if err := d.findZone(ctx, t); err != nil {
			return err
		}
	}
	if err := d.credentials(ctx, cmd); err != nil {
		return err
	}
	if t, err = d.tenant(schedules()[0]); err != nil {
		return err
	}
	if d.Hints, err = d.w.diagnose(ctx, t); err != nil {
		return err
	}
	d.Schedule = d.opts.schedule
	if !opts.noCheck {
		if err := d.count(ctx, t, now); err != nil {
			return err
		}
	}
	if err := d.write(ctx); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(d.initReport)
	}
	return d.print()
}

// free refuses to replace a file that nobody has said may be replaced.
func (d *draft) free(file string) error {
	if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) || d.opts.force && err == nil {
		return nil
	} else if err != nil {
		return unwritable(err)
	}
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "init", Err: fmt.Errorf("%s is there already", file),
		Remedy: "give another file with --config, or --force to replace it; a second tenant is a few more lines below tenants:"}
}

func unwritable(err error) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "init", Err: err, Remedy: "name a file that can be written with --config"}
}

// name settles who is to log in, and the name of the tenant.
func (d *draft) name(ctx context.Context, cmd *cobra.Command) error {
	if err := d.missing(cmd); err != nil {
		return err
	}
	if d.opts.username == "" {
		err := console.Ask(ctx, d.e.stdin, d.e.stderr, console.Question{Title: "Username (Key)", Answer: &d.opts.username, Check: notEmpty,
			Help: "Autotask shows it on the API user's page; it looks like an e-mail address"})
		if err != nil {
			return err
		}
	}
	username, err := d.username(ctx)
	if err != nil {
		return err
	}
	if d.Tenant = d.opts.tenant; d.Tenant == "" {
		_, domain, _ := strings.Cut(username, "@")
		label, _, _ := strings.Cut(domain, ".")
		d.Tenant = config.TenantName(label)
	}
	return nil
}

// missing says which flags are needed where nobody can be asked.
func (d *draft) missing(cmd *cobra.Command) error {
	var names []string
	for _, f := range []struct{ name, value string }{
		{"--username", d.opts.username}, {"--integration-code", d.opts.code}, {"--secret", d.opts.secret},
	} {
		if f.value == "" {
			names = append(names, f.name)
		}
	}
	if d.opts.asks || len(names) == 0 {
		return nil
	}
	return usage(cmd, "not given: %s (on a terminal, init asks for them)", strings.Join(names, ", "))
}

func notEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("write something")
	}
	return nil
}

// username resolves what was given as user name.
func (d *draft) username(ctx context.Context) (string, error) {
	d.opts.username = strings.TrimSpace(d.opts.username)
	ref, err := secret.ParseRef(d.opts.username)
	if err != nil {
		return "", &pipeline.Error{Class: pipeline.ClassConfig, Op: "init", Err: fmt.Errorf("--username %w", err)}
	}
	value, err := secret.Resolver{Environ: d.e.environ, Dir: filepath.Dir(d.file)}.Resolve(ctx, ref)
	if err != nil {
		return "", &pipeline.Error{Class: pipeline.ClassConfig, Op: "init", Err: fmt.Errorf("--username: %w", err)}
	}
	return value.Reveal(), nil
}

// findZone asks Autotask where the user's data is.
func (d *draft) findZone(ctx context.Context, t config.TenantConfig) error {
	username, err := d.username(ctx)
	if err != nil {
		return err
	}
	z, err := d.w.zoneOf(ctx, t, username)
	if err != nil {
		return err
	}
	d.Zone = &z
	if d.opts.asks {
		fmt.Fprintf(d.e.stderr, "✓ %s is in the zone %s\n", console.Clean(username), console.Clean(strings.TrimSpace(z.Name+" "+z.URL)))
	}
	return nil
}

// credentials asks for what the user name is not enough for.
func (d *draft) credentials(ctx context.Context, cmd *cobra.Command) error {
	if d.opts.asks && (d.opts.code == "" || d.opts.secret == "") {
		const help = "itself, or where it is: env:NAME, file:/path, cmd:command, aws-sm:NAME, azure-kv:VAULT/NAME"
		err := console.Ask(ctx, d.e.stdin, d.e.stderr,
			console.Question{Title: "Tracking Identifier", Help: help, Answer: &d.opts.code, Check: reference},
			console.Question{Title: "Password (Secret)", Help: help, Answer: &d.opts.secret, Check: reference, Hidden: true})
		if err != nil {
			return err
		}
	}
	for _, f := range []struct{ name, value string }{{"--integration-code", d.opts.code}, {"--secret", d.opts.secret}} {
		if err := reference(f.value); err != nil {
			return usage(cmd, "%s %v", f.name, err)
		}
	}
	for key, given := range map[string]string{"integration_code": d.opts.code, "secret": d.opts.secret} {
		if file, own := d.ownFile(key, given); own {
			if err := d.free(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// reference says what is wrong with a reference.
func reference(text string) error {
	_, err := secret.ParseRef(text)
	return err
}
