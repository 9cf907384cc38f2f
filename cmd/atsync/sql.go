package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newSQLCommand(e *env) *cobra.Command {
	var opts sqlOptions
	cmd := &cobra.Command{
		Use:     "sql [QUERY]",
		GroupID: groupLook,
		Short:   "Query the published data",
		Long: "Runs a query over the published data of every tenant: FROM acme.tickets. With\n" +
			"one tenant, FROM tickets will do. Without QUERY, or with -, it is read from\n" +
			"standard input; of several statements the last one's result is shown.\n" +
			"Published files are opened read-only in an instance that cannot write, load\n" +
			"extensions, change settings or reach any other file; a running sync is not\n" +
			"disturbed.\n\n" +
			"Each table has a view v_<table>: rows that are not deleted, with labels of coded\n" +
			"values, names of references, dates and a link. In the tables themselves, rows\n" +
			"that Autotask has deleted stay, marked: add WHERE _deleted_at IS NULL. Times are\n" +
			"UTC. Decimals are exact; in JSON they are strings so that they stay so." +
			exits(console.ExitOK, console.ExitUsage, console.ExitSink, console.ExitCanceled),
		Example: "  atsync sql 'SELECT queue_label, count(*) FROM v_tickets GROUP BY ALL'\n" +
			"  atsync sql --tenant acme --format csv 'FROM time_entries' > time.csv\n" +
			"  atsync --json sql 'FROM _atsync.freshness'\n" +
			"  atsync sql - < report.sql",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.format != "table" && opts.format != "csv" && opts.format != "json" {
				return usage(cmd, "--format %s is unknown: write table, csv or json", opts.format)
			}
			if e.json && cmd.Flags().Changed("format") && opts.format != "json" {
				return usage(cmd, "--json and --format %s contradict each other", opts.format)
			}
			if e.json {
				opts.format = "json"
			}
			query, err := e.readQuery(cmd, args)
			if err != nil {
				return err
			}
			return e.sql(cmd.Context(), opts, query)
		},
	}
	addTenantFlag(cmd, &opts.tenants)
	cmd.Flags().StringVar(&opts.format, "format", "table", "`form` of the result: table, csv or json; in a table ∅ is NULL")
	return cmd
}

type sqlOptions struct {
	tenants []string
	format  string
}

// readQuery takes the query from the arguments or from standard input.
func (e *env) readQuery(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	if len(args) == 0 && console.IsTerminal(e.stdin, e.environ) {
		return "", usage(cmd, "no query given")
	}
	text, err := io.ReadAll(io.LimitReader(e.stdin, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return "", usage(cmd, "no query given")
	}
	return string(text), nil
}

func (e *env) sql(ctx context.Context, opts sqlOptions, query string) error {
	_, tenants, err := e.selected(opts.tenants)
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
	err = e.query(ctx, db, query, opts.format)
	return errors.Join(err, db.Close())
}

// publications lists the published files. A tenant without one is left out unless it was asked for by name.
func publications(tenants []config.TenantConfig, named bool) (map[string]string, error) {
	files := map[string]string{}
	for _, t := range tenants {
		if _, err := os.Stat(t.PublishPath); err == nil || named {
			files[t.Name] = t.PublishPath
		}
	}
	if len(files) == 0 {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Op: "sql", Err: errors.New("nothing is published yet"),
			Remedy: "run atsync sync first: it makes the publication"}
	}
	return files, nil
}

// query runs a query and prints its result.
func (e *env) query(ctx context.Context, db *sql.DB, query, format string) error {
	_, err := eachRow(ctx, db, query, func(types []*sql.ColumnType) (rowWriter, error) {
		switch format {
		case "csv":
			return newCSVRows(e.stdout, types), nil
		case "json":
			return &jsonRows{w: e.stdout, types: types}, nil
		}
		return newTableRows(e.stdout, types), nil
	})
	return err
}

// eachRow runs a query, hands its rows to a writer, and counts them.
func eachRow(ctx context.Context, db *sql.DB, query string, open func([]*sql.ColumnType) (rowWriter, error)) (n int64, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return 0, queryError(ctx, err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	types, err := rows.ColumnTypes()
	if err != nil {
		return 0, queryError(ctx, err)
	}
	out, err := open(types)
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		values := make([]any, len(types))
		targets := make([]any, len(types))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return n, queryError(ctx, err)
		}
		for i, v := range values {
			values[i] = typed(types[i], v)
		}
		if err := out.row(values); err != nil {
			return n, err
		}
		n++
	}
	if err := rows.Err(); err != nil {
		return n, queryError(ctx, err)
	}
	return n, out.end()
}

func queryError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &pipeline.Error{Class: pipeline.ClassCanceled, Op: "sql", Err: errors.New("interrupted")}
	}
	remedy := "correct the query"
	switch text := err.Error(); {
	case strings.HasPrefix(text, "Binder Error"), strings.HasPrefix(text, "Catalog Error"):
		remedy = "FROM _atsync.columns lists tables and columns"
	case strings.HasPrefix(text, "Permission Error"), strings.HasPrefix(text, "Invalid Input Error"):
		remedy = "this session is read-only and its settings are locked; for more, open the published file with DuckDB itself"
	}
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "sql", Err: err, Remedy: remedy}
}

// rowWriter prints a result in one form.
type rowWriter interface {
	row(values []any) error
	end() error
}

type tableRows struct {
	w      io.Writer
	table  *console.Table
	places []int // of decimals, so that points stand below each other; -1: as it is
	n      int
}

func newTableRows(w io.Writer, types []*sql.ColumnType) *tableRows {
	var cols []console.Column
	var places []int
	for _, t := range types {
		cols = append(cols, console.Column{Title: console.Clean(t.Name()), Right: isNumber(t)})
		scale := -1
		if typ, err := schemas.ParseSQLType(t.DatabaseTypeName()); err == nil && typ.Kind == schemas.Decimal {
			scale = typ.Scale
		}
		places = append(places, scale)
	}
	return &tableRows{w: w, table: console.NewTable(cols...), places: places}
}

// fixed pads a decimal's fraction to the places of its type.
func fixed(text string, places int) string {
	if places <= 0 {
		return text
	}
	whole, fraction, _ := strings.Cut(text, ".")
	return whole + "." + fraction + strings.Repeat("0", max(places-len(fraction), 0))
}

func isNumber(t *sql.ColumnType) bool {
	name := t.DatabaseTypeName()
	return strings.Contains(name, "INT") || strings.HasPrefix(name, "DECIMAL") || name == "DOUBLE" || name == "FLOAT"
}

func (t *tableRows) row(values []any) error {
	t.n++
	cells := make([]any, len(values))
	for i, v := range values {
		if cells[i] = fixed(cell(v), t.places[i]); v == nil {
			cells[i] = "∅"
		}
	}
	t.table.Row(cells...)
	return nil
}

func (t *tableRows) end() error {
	if err := t.table.Write(t.w); err != nil {
		return err
	}
	noun := "rows"
	if t.n == 1 {
		noun = "row"
	}
	_, err := fmt.Fprintf(t.w, "%s %s\n", console.Count(int64(t.n)), noun)
	return err
}

type csvRows struct{ w *csv.Writer }

func newCSVRows(w io.Writer, types []*sql.ColumnType) *csvRows {
	c := &csvRows{w: csv.NewWriter(w)}
	var names []string
	for _, t := range types {
		names = append(names, t.Name())
	}
	_ = c.w.Write(names) // kept by the writer and returned by end
	return c
}

func (c *csvRows) row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			cells[i] = cell(v)
		}
	}
	return c.w.Write(cells)
}

func (c *csvRows) end() error {
	c.w.Flush()
	return c.w.Error()
}

// jsonRows prints an array of objects, a line each, keys in the order of the columns.
type jsonRows struct {
	w     io.Writer
	types []*sql.ColumnType
	n     int
}

func (j *jsonRows) row(values []any) error {
	lead := ",\n  "
	if j.n == 0 {
		lead = "[\n  "
	}
	j.n++
	object, err := jsonObject(j.types, values)
	if err != nil {
		return err
	}
	_, err = io.WriteString(j.w, lead+object)
	return err
}

// jsonObject is a row as an object, keys in the order of the columns.
func jsonObject(types []*sql.ColumnType, values []any) (string, error) {
	var b strings.Builder
	b.WriteString("{")
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		key, err := json.Marshal(types[i].Name())
		if err != nil {
			return "", err
		}
		value, err := json.Marshal(jsonValue(v))
		if err != nil { // a map with other keys than text, say
			if value, err = json.Marshal(fmt.Sprint(v)); err != nil {
				return "", err
			}
		}
		b.Write(key)
		b.WriteString(": ")
		b.Write(value)
	}
	b.WriteString("}")
	return b.String(), nil
}

func (j *jsonRows) end() error {
	if j.n == 0 {
		_, err := io.WriteString(j.w, "[]\n")
		return err
	}
	_, err := io.WriteString(j.w, "\n]\n")
	return err
}

// typed renders a value of a column: dates, times and intervals as DuckDB writes them, not as the instants
// that the driver makes of them.
func typed(t *sql.ColumnType, v any) any {
	at, ok := v.(time.Time)
	switch name := t.DatabaseTypeName(); {
	case ok && name == "DATE":
		return at.UTC().Format(time.DateOnly)
	case ok && name == "TIME":
		return at.UTC().Format("15:04:05.999999")
	case ok && strings.HasPrefix(name, "TIMESTAMP") && name != "TIMESTAMPTZ" && name != "TIMESTAMP WITH TIME ZONE":
		return at.UTC().Format("2006-01-02T15:04:05.999999")
	case name == "INTERVAL" && v != nil:
		return interval(v)
	}
	return v
}

// interval writes "1 month 3 days 04:05:06.7" from the driver's struct of days, months and micros, which
// has JSON names and no method of its own.
func interval(v any) string {
	var i struct{ Days, Months, Micros int64 }
	text, err := json.Marshal(v)
	if err != nil || json.Unmarshal(text, &i) != nil {
		return fmt.Sprint(v)
	}
	var parts []string
	for _, p := range []struct {
		n    int64
		unit string
	}{{i.Months / 12, "year"}, {i.Months % 12, "month"}, {i.Days, "day"}} {
		if p.n == 1 {
			parts = append(parts, "1 "+p.unit)
		} else if p.n != 0 {
			parts = append(parts, fmt.Sprintf("%d %ss", p.n, p.unit))
		}
	}
	if i.Micros != 0 || len(parts) == 0 {
		sign, us := "", i.Micros
		if us < 0 {
			sign, us = "-", -us
		}
		clock := time.UnixMicro(us % 3_600_000_000).UTC().Format("04:05.999999")
		parts = append(parts, fmt.Sprintf("%s%02d:%s", sign, us/3_600_000_000, clock))
	}
	return strings.Join(parts, " ")
}

// cell is a value as text: times in RFC 3339, decimals with all their digits.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.999999Z")
	case []byte:
		return string(v)
	case float64:
		if math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case fmt.Stringer:
		return v.String()
	case map[string]any, []any:
		if text, err := json.Marshal(jsonValue(v)); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v)
}

// jsonValue is a value as encoding/json takes it without losing anything.
func jsonValue(v any) any {
	switch v := v.(type) {
	case time.Time:
		return cell(v)
	case []byte:
		return string(v)
	case *big.Int:
		return v // a number, whole
	case map[string]any:
		for k, item := range v {
			v[k] = jsonValue(item)
		}
		return v
	case []any:
		for i, item := range v {
			v[i] = jsonValue(item)
		}
		return v
	case fmt.Stringer:
		return v.String()
	}
	return v
}
