package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newFetchCommand(e *env) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "fetch ENTITY ID…",
		GroupID: groupSync,
		Short:   "Read some rows again, by id",
		Long: "Reads the named rows of an entity as they are in Autotask now, stores them at\n" +
			"once, and publishes. An id that Autotask does not have any more is marked\n" +
			"deleted (reason fetch). Checkpoints stay where they are. It costs a login and a\n" +
			"request for every 500 ids. - takes ids from standard input, separated by blanks,\n" +
			"commas or lines.\n\n" +
			"Outcomes: inserted (new, or back again), updated, unchanged, gone (marked\n" +
			"deleted), unknown (neither Autotask nor the warehouse has it)." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitGuard, console.ExitCanceled),
		Example: "  atsync fetch Tickets 4711 4712\n" +
			"  atsync fetch Companies 0 --tenant acme\n" +
			"  cut -d, -f1 ids.csv | atsync fetch TimeEntries -\n" +
			"  atsync --json fetch Tickets 4711",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			entity, err := oneEntity(cmd, args[0])
			if err != nil {
				return err
			}
			ids, err := e.readIDs(cmd, args[1:])
			if err != nil {
				return err
			}
			return e.fetch(cmd.Context(), tenant, entity, ids)
		},
	}
	addOneTenantFlag(cmd, &tenant)
	return cmd
}

// addOneTenantFlag is the flag --tenant of commands that work on one tenant.
func addOneTenantFlag(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVar(tenant, "tenant", "", "the `tenant`; needed where there are several")
}

// oneTenant returns the settings of the named tenant, or of the only one.
func oneTenant(cfg *config.Config, name string) (config.TenantConfig, error) {
	names := cfg.TenantNames()
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if name == "" {
		return config.TenantConfig{}, &pipeline.Error{Class: pipeline.ClassConfig,
			Err: errors.New("which tenant is meant?"), Remedy: "add --tenant with one of " + strings.Join(names, ", ")}
	}
	return cfg.Tenant(name)
}

// oneEntity finds the entity that an argument names, by any of its names.
func oneEntity(cmd *cobra.Command, name string) (*schemas.Entity, error) {
	found, err := schemas.Select([]string{name}) // its error names the nearest
	if err != nil {
		return nil, usage(cmd, "%w", err)
	}
	entity, ok := schemas.Lookup(name)
	if !ok || len(found) != 1 {
		return nil, usage(cmd, "%q is a preset or pattern, not an entity", name)
	}
	return entity, nil
}

// numbersLast moves the ids of fetch behind "--", or a negative one would pass for a flag. No flag of fetch takes a
// number.
func numbersLast(args []string) []string {
	i := slices.Index(args, "fetch")
	if i < 0 || slices.Contains(args, "--") {
		return args
	}
	negative := regexp.MustCompile(`^-[0-9]+$`)
	out, ids := slices.Clone(args[:i]), []string(nil)
	for _, arg := range args[i:] {
		if negative.MatchString(arg) {
			ids = append(ids, arg)
		} else {
			out = append(out, arg)
		}
	}
	if ids == nil {
		return args
	}
	return slices.Concat(out, []string{"--"}, ids)
}

// readIDs reads ids from the arguments and, for "-", from standard input.
func (e *env) readIDs(cmd *cobra.Command, args []string) ([]int64, error) {
	var words []string
	for _, arg := range args {
		if arg != "-" {
			words = append(words, arg)
			continue
		}
		text, err := io.ReadAll(e.stdin)
		if err != nil {
			return nil, usage(cmd, "standard input can't be read: %w", err)
		}
		words = append(words, string(text))
	}
	var ids []int64
	for _, word := range strings.FieldsFunc(strings.Join(words, " "), func(c rune) bool { return strings.ContainsRune(" \t\r\n,;", c) }) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, usage(cmd, "%q is not an id: ids are whole numbers", word)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, usage(cmd, "no id is given")
	}
	return ids, nil
}

// fetchReport is the --json output of fetch.
type fetchReport struct {
	Run pipeline.Run       `json:"run"`
	IDs []pipeline.Fetched `json:"ids"` // in the order given, each once
}

func (e *env) fetch(ctx context.Context, tenant string, entity *schemas.Entity, ids []int64) error {
	cfg, err := e.loadConfig()
	if err != nil {
		return err
	}
	t, err := oneTenant(cfg, tenant)
	if err != nil {
		return err
	}
	if err := synced(t); err != nil {
		return err
	}
	w := e.newWiring(cfg, e.logger(e.stderr, cfg))
	s, err := w.open(ctx, t)
	if err != nil {
		return err
	}
	r := s.runner(nil)
	r.PublishEvery = 0 // a person waits for these rows
	run, fetched, err := r.Fetch(ctx, entity, ids)
	if closed := s.Close(); closed != nil {
		w.log.ErrorContext(ctx, "closing", "tenant", t.Name, "error", closed)
	}
	if run.StartedAt.IsZero() {
		return err // it never began
	}
	if e.json {
		return errors.Join(e.printJSON(fetchReport{Run: run, IDs: fetched}), err)
	}
	return errors.Join(e.printFetched(entity, run, fetched), err)
}

func (e *env) printFetched(entity *schemas.Entity, run pipeline.Run, fetched []pipeline.Fetched) error {
	t := console.NewTable(console.Column{Title: "id", Right: true}, console.Left("outcome"))
	counts := map[pipeline.FetchOutcome]int{}
	for _, f := range fetched {
		counts[f.Outcome]++
		t.Row(strconv.FormatInt(f.ID, 10), f.Outcome)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	var parts []string
	for _, o := range []pipeline.FetchOutcome{pipeline.FetchInserted, pipeline.FetchUpdated, pipeline.FetchUnchanged, pipeline.FetchGone,
		pipeline.FetchUnknown, pipeline.FetchFailed} {
		if counts[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[o], o))
		}
	}
	mark := "✓"
	if run.Status != pipeline.StatusOK {
		mark = "✗"
	}
	return e.printf("%s %s: %s: %s, %d requests\n", mark, run.Tenant, entity.Name, strings.Join(parts, ", "), run.Requests)
}
