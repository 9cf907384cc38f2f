package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func TestExitCode(t *testing.T) {
	of := func(class pipeline.Class) error { return &pipeline.Error{Class: class} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{of(pipeline.ClassInternal), 1},
		{of(pipeline.ClassConfig), 2},
		{of(pipeline.ClassAuth), 3},
		{of(pipeline.ClassRights), 3},
		{of(pipeline.ClassQuota), 4},
		{of(pipeline.ClassTransient), 5},
		{of(pipeline.ClassSource), 5},
		{of(pipeline.ClassAbsent), 5},
		{of(pipeline.ClassSchema), 5},
		{of(pipeline.ClassSink), 6},
		{of(pipeline.ClassPartial), 7},
		{of(pipeline.ClassGuard), 8},
		{of(pipeline.ClassCanceled), 130},
		{fmt.Errorf("wrapped: %w", of(pipeline.ClassSink)), 6},
		{fmt.Errorf("wrapped: %w", context.Canceled), 130},
		{&pipeline.Error{Class: pipeline.ClassSink, Err: context.Canceled}, 6},
		{errors.Join(of(pipeline.ClassAuth), of(pipeline.ClassRights)), 3},
		{errors.Join(of(pipeline.ClassAuth), of(pipeline.ClassSink)), 7},
		{errors.Join(of(pipeline.ClassAuth), of(pipeline.ClassCanceled), of(pipeline.ClassSink)), 130},
		{fmt.Errorf("a: %w, %w", of(pipeline.ClassAuth), of(pipeline.ClassSink)), 3},
	} {
		if got := console.ExitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	auth := &pipeline.Error{
		Class: pipeline.ClassAuth, Tenant: "acme", Entity: "Tickets", Op: "query",
		Err: errors.New("refused\x1b[2J"), Remedy: "check the secret (it ends in #)",
	}
	many := &pipeline.Error{Class: pipeline.ClassConfig, Err: errors.New("a.yaml:1:1: x\na.yaml:2:1: y")}
	for _, c := range []struct {
		err  error
		want string
	}{
		{auth, "atsync: acme/Tickets: query: refused [2J\n→ check the secret (it ends in #)\n"},
		{fmt.Errorf("sync: %w", auth), "atsync: sync: acme/Tickets: query: refused [2J\n→ check the secret (it ends in #)\n"},
		{many, "a.yaml:1:1: x\na.yaml:2:1: y\n"},
		{errors.New("odd"), "atsync: odd\n"},
		{errors.Join(errors.New("one"), errors.New("two")), "atsync: one\natsync: two\n"},
	} {
		var b bytes.Buffer
		console.PrintError(&b, c.err, false)
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
	var b bytes.Buffer
	console.PrintError(&b, errors.Join(auth, many), true)
	want := `{
  "error": {
    "class": "auth",
    "tenant": "acme",
    "entity": "Tickets",
    "op": "query",
    "message": "acme/Tickets: query: refused\u001b[2J\na.yaml:1:1: x\na.yaml:2:1: y",
    "remedy": "check the secret (it ends in #)",
    "exit_code": 7
  },
  "errors": [
    {
      "class": "auth",
      "tenant": "acme",
      "entity": "Tickets",
      "op": "query",
      "message": "acme/Tickets: query: refused\u001b[2J",
      "remedy": "check the secret (it ends in #)",
      "exit_code": 3
    },
    {
      "class": "config",
      "message": "a.yaml:1:1: x\na.yaml:2:1: y",
      "exit_code": 2
    }
  ]
}
`
	var line bytes.Buffer // one line, so that standard error can be read line by line
	if err := json.Compact(&line, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(line.String()+"\n", b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	table := console.NewTable(console.Left("name"), console.Right("rows"), console.Left("note"))
	table.Row("Tickets", 1234567, "ok")
	table.Row("日本語", int64(-5), nil)
	table.Row("e\u0301te\u0301", 90*time.Second, "evil\x1b[31m\nline\u202e")
	table.Rule()
	table.Row("total", 1.25)
	var b bytes.Buffer
	if err := table.Indent("  ").Write(&b); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"  name          rows  note",
		"  Tickets  1,234,567  ok",
		"  日本語          -5",
		"  e\u0301te\u0301          1m30s  evil [31m line",
		"  ───────────────────────────────────",
		"  total          1.2",
		"",
	}, "\n")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if table.Len() != 4 {
		t.Errorf("Len = %d", table.Len())
	}
}

func TestTableFits(t *testing.T) {
	table := console.NewTable(console.Column{Title: "name", Min: 12}, console.Right("number"), console.Left("note"))
	table.Row("TicketNotesOf", 1234567, "日本語 is wide, and this is long")
	table.Rule()
	table.Row("total", 1)
	facts := console.NewTable(console.Left(""), console.Left("")).Indent(" ")
	facts.Row("is", "what there is to tell of it")
	facts.Row("table", "tickets")
	for _, c := range []struct {
		table *console.Table
		width int
		want  []string
	}{
		{table, 0, []string{
			"name              number  note", "TicketNotesOf  1,234,567  日本語 is wide, and this is long",
			strings.Repeat("─", 58), "total                  1"}},
		{table, 58, []string{
			"name              number  note", "TicketNotesOf  1,234,567  日本語 is wide, and this is long",
			strings.Repeat("─", 58), "total                  1"}},
		{table, 40, []string{
			"name              number  note", "TicketNotesOf  1,234,567  日本語 is wid…",
			strings.Repeat("─", 40), "total                  1"}},
		{table, 20, []string{ // numbers stay, so it can't
			"name             number  note", "TicketNotes…  1,234,567  日本語 …",
			strings.Repeat("─", 20), "total                 1"}},
		{facts, 29, []string{" is     what there is to tell", "        of it", " table  tickets"}},
		{facts, 27, []string{" is     what there is to tell of it", " table  tickets"}},
		{facts, 0, []string{" is     what there is to tell of it", " table  tickets"}},
	} {
		var b bytes.Buffer
		if err := c.table.Fit(c.width).Write(&b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Join(c.want, "\n")+"\n", b.String()); diff != "" {
			t.Errorf("width %d: %s", c.width, diff)
		}
	}
}

func TestHumanValues(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", 420 * time.Millisecond: "0.4s", 9940 * time.Millisecond: "9.9s", 9960 * time.Millisecond: "10s",
		12 * time.Second: "12s", 130 * time.Second: "2m10s", 3*time.Hour + 5*time.Minute: "3h05m",
		52 * time.Hour: "2d4h", -time.Minute: "-1m00s",
	} {
		if got := console.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		console.Count(-1234567): "-1,234,567", console.Bytes(12345678): "12 MB",
		console.Ago(now.Add(-3*time.Minute), now): "3 minutes ago", console.Ago(time.Time{}, now): "never",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOnlyTerminalsAreTerminals(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, w := range []any{f, &bytes.Buffer{}, nil} {
		if console.IsTerminal(w, nil) || console.Color(w, nil) {
			t.Errorf("%T is taken for a terminal", w)
		}
		if width := console.Width(w); width != 0 {
			t.Errorf("%T is %d wide", w, width)
		}
	}
}

func TestRunSummary(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run := pipeline.Run{
		ID: 7, Tenant: "acme", Command: "sync", StartedAt: start, EndedAt: start.Add(93 * time.Second), Status: "partial",
		Requests: 140,
		Streams: []pipeline.StreamReport{
			{Entity: "Companies", Mode: "incremental", Status: "ok", Requests: 1},
			{Entity: "Tickets", Mode: "first", Status: "ok", Fetched: 20000, Inserted: 20000, Requests: 41, Seconds: 12.34},
			{Entity: "Phases", Mode: "full", Status: "ok", Fetched: 12, Unchanged: 12, Requests: 1},
			{Entity: "Contacts", Mode: "incremental", Status: "ok", Requests: 1},
			{Entity: "TimeEntries", Mode: "incremental", Status: "failed", Requests: 3, ErrorClass: "rights",
				Error: "acme/TimeEntries: query: the API user may not read it (give its security level (see docs) the right)"},
			{Entity: "Roles", Mode: "full", Status: "partial", ErrorClass: "transient", Error: "acme/Roles: timeout"},
			{Entity: "TagAliases", Status: "absent", ErrorClass: "absent", Error: "acme/TagAliases: not there"},
			{Entity: "Zebras", Status: "skipped"},
		},
	}
	for _, c := range []struct {
		verbose bool
		want    string
	}{
		{false, `
entity       mode         fetched  inserted  unchanged  requests  seconds  status
Tickets      first         20,000    20,000          0        41     12.3  ok
TimeEntries  incremental        0         0          0         3      0.0  failed
Roles        full               0         0          0         0      0.0  partial
──────────────────────────────────────────────────────────────────────────────────
total                      20,012    20,000         12       140     93.0  partial
3 entities unchanged (1 full, 2 incremental)
1 entity not offered by this tenant's zone: TagAliases
1 entity not started: Zebras
✗ TimeEntries (rights): query: the API user may not read it
  → give its security level (see docs) the right
✗ Roles (transient): timeout
  → run it again later; nothing is lost
✗ acme: partial in 1m33s, 20,000 rows changed, 140 requests
`},
		{true, `
entity       mode         fetched  inserted  updated  unchanged  deleted  rejected  requests  seconds  status
Companies    incremental        0         0        0          0        0         0         1      0.0  ok
Tickets      first         20,000    20,000        0          0        0         0        41     12.3  ok
Phases       full              12         0        0         12        0         0         1      0.0  ok
Contacts     incremental        0         0        0          0        0         0         1      0.0  ok
TimeEntries  incremental        0         0        0          0        0         0         3      0.0  failed
Roles        full               0         0        0          0        0         0         0      0.0  partial
TagAliases                      0         0        0          0        0         0         0      0.0  absent
Zebras                          0         0        0          0        0         0         0      0.0  skipped
──────────────────────────────────────────────────────────────────────────────────────────────────────────────
total                      20,012    20,000        0         12        0         0       140     93.0  partial
✗ TimeEntries (rights): query: the API user may not read it
  → give its security level (see docs) the right
✗ Roles (transient): timeout
  → run it again later; nothing is lost
✗ acme: partial in 1m33s, 20,000 rows changed, 140 requests
`},
	} {
		var b bytes.Buffer
		if err := console.RunSummary(&b, run, c.verbose); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
			t.Errorf("verbose %v: %s", c.verbose, diff)
		}
	}
}

func TestRunSummaryOfNothingNewAndOfARefusal(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	quiet := pipeline.Run{Tenant: "acme", Status: "ok", StartedAt: start, EndedAt: start.Add(time.Second), Requests: 3,
		Streams: []pipeline.StreamReport{{Entity: "A", Mode: "incremental", Status: "ok"}, {Entity: "B", Mode: "incremental", Status: "ok"}}}
	refused := pipeline.Run{Tenant: "acme", Status: "failed", Error: "acme: login: refused", ErrorClass: "auth", Requests: 1}
	for _, c := range []struct {
		run  pipeline.Run
		want string
	}{
		{quiet, "2 entities unchanged (incremental)\n✓ acme: ok in 1.0s, 0 rows changed, 3 requests\n"},
		{refused, "✗ acme (auth): login: refused\n  → run: atsync check\n✗ acme: failed, 0 rows changed, 1 request\n"},
	} {
		var b bytes.Buffer
		if err := console.RunSummary(&b, c.run, false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
}
