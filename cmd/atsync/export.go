package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newExportCommand(e *env) *cobra.Command {
	var opts exportOptions
	cmd := &cobra.Command{
		Use:     "export [TABLE]",
		GroupID: groupLook,
		Short:   "Write a table, a query's result or everything to files",
		Long: "Writes published data to a file: a table or view, the result of --query, or with\n" +
			"--all every table of a tenant, a file each. The format is that of --format, else\n" +
			"of the file's ending: Parquet (.parquet), CSV (.csv), JSON Lines (.jsonl, .ndjson)\n" +
			"or Excel (.xlsx). With --to -, CSV and JSON Lines go to standard output.\n\n" +
			"A file is there whole or not at all; one that is there already is replaced only\n" +
			"with --force. A running sync is not disturbed. A query can read nothing but what\n" +
			"is published. In the tables themselves, rows that Autotask has deleted stay,\n" +
			"marked: the views v_<table> have live rows only.\n\n" +
			"Times are UTC. In CSV, NULL is an empty field and empty text is \"\". Decimals are\n" +
			"exact: text in JSON Lines, and in Excel from 16 digits on. Excel's limits of\n" +
			"1,048,576 rows and 32,767 characters a cell are errors." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink, console.ExitCanceled),
		Example: "  atsync export v_tickets --to tickets.xlsx\n" +
			"  atsync export acme.time_entries --to time.csv --force\n" +
			"  atsync export --query 'FROM tickets WHERE queue_id = 8' --to queue.parquet\n" +
			"  atsync export --all --tenant acme --to backup --format csv\n" +
			"  atsync export companies --to - --format jsonl | jq .company_name",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.check(cmd, args, e.json); err != nil {
				return err
			}
			return e.export(cmd.Context(), opts)
		},
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().StringVar(&opts.query, "query", "", "write the result of this `SQL` query")
	cmd.Flags().BoolVar(&opts.all, "all", false, "write every table of the tenants, a file each, to the folder --to")
	cmd.Flags().StringVar(&opts.to, "to", "", "`file` to write, or folder; - is standard output")
	cmd.Flags().StringVar(&opts.format, "format", "", "parquet, csv, jsonl or xlsx (default: what the file's ending says; of --all parquet)")
	cmd.Flags().BoolVar(&opts.force, "force", false, "replace files that are there")
	return cmd
}

type exportOptions struct {
	tenants           []string
	table, query      string
	all, force        bool
	to, format, given string // given: the format as written
}

// The formats, by the endings of files.
func exportFormats() map[string]string {
	return map[string]string{".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx"}
}

// check completes the options, or says what is wrong with them.
func (o *exportOptions) check(cmd *cobra.Command, args []string, asJSON bool) error {
	if len(args) == 1 {
		o.table = args[0]
	}
	what := 0
	for _, given := range []bool{o.table != "", o.query != "", o.all} {
		if given {
			what++
		}
	}
	switch {
	case what != 1:
		return usage(cmd, "say what to export: a table, --query or --all")
	case o.to == "":
		return usage(cmd, "say where to: --to FILE, or --to - for standard output")
	}
	o.given = o.format
	switch info, err := os.Stat(o.to); {
	case o.format != "":
	case o.all, err == nil && info.IsDir():
		o.format = "parquet"
	default:
		o.format = exportFormats()[strings.ToLower(filepath.Ext(o.to))]
	}
	switch {
	case !slices.Contains([]string{"parquet", "csv", "jsonl", "xlsx"}, o.format):
		return usage(cmd, "no format for %q: write --format parquet, csv, jsonl or xlsx", cmpFirst(o.given, o.to))
	case o.to != "-":
		return nil
	case o.all:
		return usage(cmd, "--all writes a file each: --to a folder")
	case asJSON:
		return usage(cmd, "--json and --to - would both write to standard output")
	case o.format == "parquet" || o.format == "xlsx":
		return usage(cmd, "%s can't go to standard output: write --to a file, or --format csv or jsonl", o.format)
	}
	return nil
}

func cmpFirst(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// exportReport is the --json output of export.
type exportReport struct {
	Files []exported `json:"files"`
}

// exported is a file that was written.
type exported struct {
	Path   string `json:"path"`
	Source string `json:"source,omitempty"` // tenant.table; empty: the query
	Format string `json:"format"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// export does the command's work.
func (e *env) export(ctx context.Context, opts exportOptions) error {
	err := e.exportAll(ctx, opts)
	if of, ok := errors.AsType[*pipeline.Error](err); ok && of.Op == "sql" { // what runs queries is that command's
		renamed := *of
		renamed.Op = "export"
		return &renamed
	}
	return err
}

func (e *env) exportAll(ctx context.Context, opts exportOptions) error {
	cfg, tenants, err := e.selected(opts.tenants)
	if err != nil {
		return err
	}
	files, err := publications(tenants, len(opts.tenants) > 0)
	if err != nil {
		return err
	}
	db, err := openPublications(ctx, files)
	if err != nil {
		return err
	}
	x := &exporter{env: e, db: db, files: files, force: opts.force, keep: guarded(cfg)}
	report := exportReport{Files: []exported{}}
	jobs, err := x.jobs(ctx, opts)
	for _, j := range jobs {
		if err != nil {
			break
		}
		var done exported
		if done, err = x.do(ctx, j); err == nil {
			report.Files = append(report.Files, done)
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(report)
	}
	for _, f := range report.Files {
		if f.Path == "-" {
			continue
		}
		if err := e.printf("%s  %s rows  %s\n", f.Path, console.Count(f.Rows), size(f.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// guarded lists the files, and the folders with all that is in them, where an export never writes.
func guarded(cfg *config.Config) (paths []string) {
	for _, name := range cfg.TenantNames() {
		if t, err := cfg.Tenant(name); err == nil {
			paths = append(paths, filepath.Dir(t.WorkPath), t.PublishPath)
			if t.PublishDir != "" {
				paths = append(paths, t.PublishDir)
			}
		}
	}
	return paths
}

// exportJob is one file to be written.
type exportJob struct {
	source string // tenant.table; empty: a query
	query  string
	to     string // path, or -
	format string
}

// jobs finds out what is to be written where. Nothing is written if one of the files may not be.
func (x *exporter) jobs(ctx context.Context, opts exportOptions) (jobs []exportJob, err error) {
	to := opts.to
	info, err := os.Stat(to)
	folder := opts.all || err == nil && info.IsDir()
	if opts.query != "" {
		if folder {
			return nil, exportError(to, errors.New("it is a folder"), "name the file of the query's result in it")
		}
		return x.checked([]exportJob{{query: opts.query, to: to, format: opts.format}})
	}
	list, err := relations(ctx, x.db)
	if err != nil {
		return nil, err
	}
	if !opts.all {
		r, err := x.find(list, opts.table)
		if err != nil {
			return nil, err
		}
		if folder {
			to = filepath.Join(to, r.Name+"."+opts.format)
		}
		return x.checked([]exportJob{tableJob(r, to, opts.format)})
	}
	for _, r := range list {
		if r.View || r.Schema != "main" {
			continue
		}
		path := filepath.Join(to, r.Name+"."+opts.format)
		if len(x.files) > 1 {
			path = filepath.Join(to, r.Tenant, r.Name+"."+opts.format)
		}
		jobs = append(jobs, tableJob(r, path, opts.format))
	}
	return x.checked(jobs)
}

func tableJob(r relation, to, format string) exportJob {
	source := r.Tenant + "." + r.Name
	if r.Schema != "main" {
		source = r.Tenant + "." + r.Schema + "." + r.Name
	}
	return exportJob{source: source, query: "FROM " + r.SQL(), to: to, format: format}
}

// find resolves TABLE, SCHEMA.TABLE, TENANT.TABLE or TENANT.SCHEMA.TABLE.
func (x *exporter) find(list []relation, name string) (relation, error) {
	var found []relation
	for _, r := range list {
		short := r.Name
		if r.Schema != "main" {
			short = r.Schema + "." + r.Name
		}
		if strings.EqualFold(name, short) || strings.EqualFold(name, r.Tenant+"."+short) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return relation{}, &pipeline.Error{Class: pipeline.ClassConfig, Op: "export", Err: fmt.Errorf("there is no table or view %q", name),
			Remedy: "atsync sql 'SHOW ALL TABLES' lists them; names have the form of tickets, v_tickets or acme.tickets"}
	}
	return relation{}, &pipeline.Error{Class: pipeline.ClassConfig, Op: "export", Err: fmt.Errorf("several tenants have a table %q", name),
		Remedy: "write --tenant, or " + found[0].Tenant + "." + name}
}

// checked refuses targets that may not be written.
func (x *exporter) checked(jobs []exportJob) ([]exportJob, error) {
	for _, j := range jobs {
		if j.to == "-" {
			continue
		}
		if x.guards(j.to) {
			return nil, exportError(j.to, errors.New("it is atsync's own, or in a folder that is"), "write to another place")
		}
		info, err := os.Lstat(j.to)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, exportError(j.to, err, "")
		}
		switch {
		case !info.Mode().IsRegular():
			return nil, exportError(j.to, errors.New("it is there, and no regular file"), "write to another file")
		case !x.force:
			return nil, exportError(j.to, errors.New("it is there already"), "write --force to replace it")
		}
	}
	return jobs, nil
}

// exportError is a failure to write.
func exportError(path string, err error, remedy string) error {
	class := pipeline.ClassSink
	switch {
	case remedy != "":
		class = pipeline.ClassConfig
	case errors.Is(err, os.ErrPermission), strings.Contains(err.Error(), "Permission denied"):
		remedy = "make its folder writable, or write elsewhere"
	case errors.Is(err, syscall.ENOSPC), strings.Contains(err.Error(), "No space left"):
		remedy = "free space there, or write elsewhere"
	default:
		remedy = "nothing was written; write elsewhere"
	}
	return &pipeline.Error{Class: class, Op: "export", Err: fmt.Errorf("%s: %w", path, err), Remedy: remedy}
}

// guards reports whether a path is one of those that are kept, or below one, by whatever links.
func (x *exporter) guards(path string) bool {
	path, err := filepath.Abs(path)
	for ; err == nil && path != filepath.Dir(path); path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		for _, kept := range x.keep {
			if own, err := os.Stat(kept); err == nil && os.SameFile(own, info) {
				return true
			}
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
	}
	return false
}
