package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc/pool"
	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newCheckCommand(e *env) *cobra.Command {
	var opts checkOptions
	cmd := &cobra.Command{
		Use:     "check",
		GroupID: groupSetup,
		Short:   "Check credentials, rights, quota and warehouse",
		Long: "Goes through what a sync needs, in order: configuration, secrets, warehouse, zone, login, quota, and the\n" +
			"right to read each selected entity (a count each, so one request an entity). It says what is fine and what\n" +
			"to do about the rest, and points out values that look mixed up.\n\n" +
			"A login that Autotask refuses puts the tenant on hold: nothing more is sent, so that the API user is not\n" +
			"locked. The hold ends when the credentials in the configuration change, or with --release." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitCanceled),
		Example: "  atsync check\n  atsync check --tenant acme --no-rights\n  atsync check --release --tenant acme\n  atsync --json check",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return e.check(cmd.Context(), opts) },
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().BoolVar(&opts.release, "release", false, "end a hold and try the login again")
	cmd.Flags().BoolVar(&opts.noRights, "no-rights", false, "leave out the counts, which cost a request an entity")
	return cmd
}

type checkOptions struct {
	tenants  []string
	release  bool
	noRights bool
}

// checkReport is the --json output of check.
type checkReport struct {
	OK      bool          `json:"ok"`
	Tenants []tenantCheck `json:"tenants"`
}

type tenantCheck struct {
	Tenant string       `json:"tenant"`
	OK     bool         `json:"ok"`
	Items  []checkItem  `json:"items"`
	Hints  []hint       `json:"hints"` // values that look mixed up
	Rights []rightsItem `json:"rights"`
}

// checkItem is one line of the check.
type checkItem struct {
	Name   string `json:"name"` // config, secrets, warehouse, hold, zone, login, quota, rights
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// rightsItem is the count of one entity, or why there is none.
type rightsItem struct {
	Entity string         `json:"entity"`
	OK     bool           `json:"ok"`
	Rows   int64          `json:"rows"`
	Class  pipeline.Class `json:"class,omitempty"`
	Error  string         `json:"error,omitempty"`
}

func (e *env) check(ctx context.Context, opts checkOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	w.patience = 10 * time.Second // a person waits
	report := checkReport{OK: true, Tenants: []tenantCheck{}}
	var errs []error
	for _, t := range tenants {
		c := &checker{tenantCheck: tenantCheck{Tenant: t.Name, Hints: []hint{}, Rights: []rightsItem{}}}
		c.pass("config", e.configFile()+warned(cfg, t.Name))
		err := c.run(ctx, w, t, opts)
		c.OK = err == nil
		report.OK = report.OK && c.OK
		report.Tenants = append(report.Tenants, c.tenantCheck)
		if err != nil {
			err = &printed{err}
		}
		errs = append(errs, err)
		if !e.json {
			if err := e.printCheck(c.tenantCheck); err != nil {
				return err
			}
		}
	}
	if e.json {
		if err := e.printJSON(report); err != nil {
			return err
		}
	}
	return verdict(errs)
}

// warned tells of the configuration's warnings that concern a tenant.
func warned(cfg *config.Config, tenant string) string {
	n := 0
	for _, p := range cfg.Warnings {
		if strings.Contains(p.Path, "tenants."+tenant) {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return " (1 warning, see atsync config check)"
	}
	return fmt.Sprintf(" (%d warnings, see atsync config check)", n)
}

// checker collects the items of one tenant.
type checker struct{ tenantCheck }

func (c *checker) pass(name, detail string) {
	c.Items = append(c.Items, checkItem{Name: name, OK: true, Detail: detail})
}

// fail files an error and returns it.
func (c *checker) fail(name string, err error) error {
	item := checkItem{Name: name, Detail: err.Error()}
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		item.Detail, item.Remedy = cmp.Or(fmt.Sprint(e.Err), string(e.Class)), e.Remedy
	}
	c.Items = append(c.Items, item)
	return err
}

// run goes through the items until one fails that the rest depends on.
func (c *checker) run(ctx context.Context, w wiring, t config.TenantConfig, opts checkOptions) (err error) {
	creds, err := w.credentials(ctx, t)
	if err != nil {
		return c.fail("secrets", err)
	}
	c.Hints = append(c.Hints, creds.Diagnose()...)
	c.pass("secrets", "username, integration_code and secret are there")
	s, err := w.open(ctx, t)
	if err != nil {
		return c.fail("warehouse", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.publisher.Check(); err != nil {
		return c.fail("publication", err)
	}
	c.pass("warehouse", fmt.Sprintf("%s can be written; readers get %s (DuckDB storage %s)", t.WorkPath, t.Readers(), s.warehouse.StorageVersion()))
	if err := c.hold(ctx, w, s, opts); err != nil {
		return err
	}
	login, err := s.source.Login(ctx)
	if err != nil {
		return c.fail("login", err)
	}
	c.pass("zone", strings.TrimSpace(login.BaseURL+" "+login.ZoneName))
	c.pass("login", "accepted as "+creds.Username())
	c.pass("quota", fmt.Sprintf("%s of %s requests used in the last %d minutes, by all integrations together",
		console.Count(login.Used), console.Count(login.Threshold), login.WindowMins))
	if opts.noRights {
		return nil
	}
	return c.rights(ctx, s, t.Entities)
}

// hold reports a hold, or ends it if asked to.
func (c *checker) hold(ctx context.Context, w wiring, s *site, opts checkOptions) error {
	hold, err := s.warehouse.Hold(ctx)
	if err != nil {
		return c.fail("hold", err)
	}
	if hold != nil && opts.release {
		if err := s.release(ctx, w); err != nil {
			return c.fail("hold", err)
		}
		c.pass("hold", "ended")
	}
	return nil // Login says what it says: the credentials may have changed
}

// rights counts each entity's rows.
func (c *checker) rights(ctx context.Context, s *site, entities []*schemas.Entity) error {
	c.Rights = make([]rightsItem, len(entities))
	errs := make([]error, len(entities))
	var once sync.Once
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := pool.New().WithMaxGoroutines(4)
	for i, entity := range entities {
		p.Go(func() {
			c.Rights[i] = rightsItem{Entity: entity.Name}
			if errs[i] = ctx.Err(); errs[i] != nil {
				return
			}
			n, err := visible(ctx, s, entity)
			c.Rights[i].Rows, c.Rights[i].OK = n, err == nil
			if err == nil {
				return
			}
			errs[i] = err
			c.Rights[i].Class, c.Rights[i].Error = pipeline.ClassOf(err), err.Error()
			if class := pipeline.ClassOf(err); class == pipeline.ClassAuth || class == pipeline.ClassQuota {
				once.Do(func() { cancel(err) })
			}
		})
	}
	p.Wait()
	if err := context.Cause(ctx); err != nil {
		return c.fail("rights", err)
	}
	return c.summarize(errs)
}

// visible counts the rows of an entity that the user may see. What is read parent by parent has no counts: of that
// only the right is asked for.
func visible(ctx context.Context, s *site, entity *schemas.Entity) (int64, error) {
	if !entity.PerParent() {
		return s.source.Count(ctx, pipeline.Slice{Table: schemas.NewTable(entity, nil, nil)})
	}
	access, err := s.source.Access(ctx, entity)
	if err == nil && access == pipeline.AccessNone {
		err = &pipeline.Error{Class: pipeline.ClassRights, Tenant: s.cfg.Name, Entity: entity.Name, Op: "access",
			Err:    errors.New("the API user may not read this entity"),
			Remedy: "give its security level the right to view it, or leave it out of sync.entities"}
	}
	return 0, err
}

// summarize turns the counts into one item. An entity that the zone does not have is nothing wrong.
func (c *checker) summarize(errs []error) error {
	var first error
	bad, absent, empty, rows := []string{}, 0, 0, int64(0)
	for i, err := range errs {
		switch {
		case err == nil:
			rows += c.Rights[i].Rows
			if e, ok := schemas.Lookup(c.Rights[i].Entity); c.Rights[i].Rows == 0 && ok && !e.PerParent() {
				empty++
			}
		case c.Rights[i].Class == pipeline.ClassAbsent:
			absent++
		default:
			first = cmp.Or(first, err)
			bad = append(bad, c.Rights[i].Entity)
		}
	}
	detail := fmt.Sprintf("%d of %d entities can be read, %s rows", len(errs)-len(bad)-absent, len(errs), console.Count(rows))
	if empty > 0 {
		detail += fmt.Sprintf("; %d are empty or hidden from this user", empty)
	}
	if absent > 0 {
		detail += fmt.Sprintf("; %d are not in this zone", absent)
	}
	if first == nil {
		c.pass("rights", detail)
		return nil
	}
	err := &pipeline.Error{Class: pipeline.ClassPartial, Tenant: c.Tenant, Op: "rights",
		Err:    fmt.Errorf("%s; not: %s", detail, strings.Join(bad, ", ")),
		Remedy: "give the API user's security level the right to read them, or leave them out of entities; first cause: " + first.Error()}
	return c.fail("rights", err)
}

func (e *env) printCheck(c tenantCheck) error {
	if err := e.printf("%s\n", c.Tenant); err != nil {
		return err
	}
	t := console.NewTable(console.Left(""), console.Left(""), console.Left("")).Indent("  ")
	for _, item := range c.Items {
		mark := "✓"
		if !item.OK {
			mark = "✗"
		}
		t.Row(mark, item.Name, item.Detail)
		if item.Remedy != "" {
			t.Row("", "", "→ "+item.Remedy)
		}
	}
	for _, h := range c.Hints {
		t.Row("!", h.Key, h.Text)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	if !e.verbose || len(c.Rights) == 0 {
		return nil
	}
	rights := console.NewTable(console.Left("entity"), console.Right("rows"), console.Left("problem")).Indent("    ")
	for _, r := range c.Rights {
		rights.Row(r.Entity, r.Rows, short(r.Error))
	}
	return rights.Write(e.stdout)
}
