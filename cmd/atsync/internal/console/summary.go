package console

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// RunSummary prints what a run did: a table of its streams with a line of totals, then what went wrong and
// what to do about it. Streams that were read and had nothing new are one line for all, and what was done
// to no row has no column, unless verbose (and the terminal has room). On a terminal the table fits its width.
func RunSummary(w io.Writer, run pipeline.Run, verbose bool) error {
	var total pipeline.StreamReport
	var shown []pipeline.StreamReport
	quiet := map[string]int{}
	var absent, skipped []string
	for _, s := range run.Streams {
		add(&total, s)
		switch {
		case !verbose && s.Status == pipeline.StatusAbsent:
			absent = append(absent, s.Entity)
		case !verbose && s.Status == pipeline.StatusSkipped:
			skipped = append(skipped, s.Entity)
		case !verbose && s.Status == pipeline.StatusOK && s.Inserted+s.Updated+s.Deleted+s.Rejected == 0:
			quiet[s.Mode]++
		default:
			shown = append(shown, s)
		}
	}
	var b strings.Builder
	if len(shown) > 0 {
		sum := total
		sum.Entity, sum.Status, sum.Requests = "total", run.Status, max(total.Requests, run.Requests)
		if !run.EndedAt.IsZero() {
			sum.Seconds = run.EndedAt.Sub(run.StartedAt).Seconds()
		}
		width := Width(w)
		all := verbose && (width == 0 || width >= allColumns)
		if err := streamTable(shown, sum, all).Fit(width).Write(&b); err != nil {
			return err
		}
	}
	writeFolded(&b, quiet, absent, skipped)
	for _, s := range run.Streams {
		for _, w := range s.Warnings {
			fmt.Fprintf(&b, "! %s: %s\n", s.Entity, Clean(strings.TrimPrefix(w, run.Tenant+"/"+s.Entity+": ")))
		}
	}
	writeFailures(&b, run)
	writeVerdict(&b, run, total)
	_, err := io.WriteString(w, b.String())
	return err
}

// allColumns is how wide a table with every column gets.
const allColumns = 120

// streamTable lays out streams over their sum. Of what can be done to rows, only what was done to some has
// a column, unless all are asked for.
func streamTable(streams []pipeline.StreamReport, sum pipeline.StreamReport, all bool) *Table {
	columns := []Column{{Title: "entity", Min: 22}, Left("mode"), Right("fetched")}
	work := []struct {
		title string
		rows  func(pipeline.StreamReport) int64
	}{
		{"inserted", func(s pipeline.StreamReport) int64 { return s.Inserted }},
		{"updated", func(s pipeline.StreamReport) int64 { return s.Updated }},
		{"unchanged", func(s pipeline.StreamReport) int64 { return s.Unchanged }},
		{"deleted", func(s pipeline.StreamReport) int64 { return s.Deleted }},
		{"rejected", func(s pipeline.StreamReport) int64 { return s.Rejected }},
	}
	var rows []func(pipeline.StreamReport) int64
	for _, c := range work {
		if all || c.rows(sum) != 0 {
			columns, rows = append(columns, Right(c.title)), append(rows, c.rows)
		}
	}
	t := NewTable(append(columns, Right("requests"), Right("seconds"), Left("status"))...)
	row := func(s pipeline.StreamReport) {
		cells := []any{s.Entity, s.Mode, s.Fetched}
		for _, count := range rows {
			cells = append(cells, count(s))
		}
		t.Row(append(cells, s.Requests, s.Seconds, s.Status)...)
	}
	for _, s := range streams {
		row(s)
	}
	t.Rule()
	row(sum)
	return t
}

func add(total *pipeline.StreamReport, s pipeline.StreamReport) {
	total.Fetched += s.Fetched
	total.Inserted += s.Inserted
	total.Updated += s.Updated
	total.Unchanged += s.Unchanged
	total.Deleted += s.Deleted
	total.Rejected += s.Rejected
	total.Requests += s.Requests
	total.Seconds += s.Seconds
}

func writeFolded(b *strings.Builder, quiet map[string]int, absent, skipped []string) {
	n := 0
	var modes []string
	for _, mode := range slices.Sorted(maps.Keys(quiet)) {
		n += quiet[mode]
		modes = append(modes, fmt.Sprintf("%d %s", quiet[mode], mode))
	}
	switch {
	case len(modes) == 1:
		fmt.Fprintf(b, "%s unchanged (%s)\n", entities(n), strings.SplitN(modes[0], " ", 2)[1])
	case n > 0:
		fmt.Fprintf(b, "%s unchanged (%s)\n", entities(n), strings.Join(modes, ", "))
	}
	if len(absent) > 0 {
		fmt.Fprintf(b, "%s not offered by this tenant's zone%s\n", entities(len(absent)), named(absent))
	}
	if len(skipped) > 0 {
		fmt.Fprintf(b, "%s not started%s\n", entities(len(skipped)), named(skipped))
	}
}

// named lists names if there are few; -v has them all.
func named(names []string) string {
	if len(names) > 8 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

func entities(n int) string {
	if n == 1 {
		return "1 entity"
	}
	return Count(int64(n)) + " entities"
}

func writeFailures(b *strings.Builder, run pipeline.Run) {
	type failure struct {
		name, text string
		class      pipeline.Class
	}
	var failures []failure
	for _, s := range run.Streams {
		if s.Error != "" && s.Status != pipeline.StatusAbsent && s.Status != pipeline.StatusSkipped {
			failures = append(failures, failure{s.Entity, strings.TrimPrefix(s.Error, run.Tenant+"/"+s.Entity+": "), s.ErrorClass})
		}
	}
	if (len(failures) == 0 || run.ErrorClass == pipeline.ClassSink) && run.Error != "" {
		failures = append(failures, failure{run.Tenant, strings.TrimPrefix(run.Error, run.Tenant+": "), run.ErrorClass})
	}
	for _, f := range failures {
		text, remedy := splitRemedy(f.text)
		if remedy == "" {
			remedy = remedyOf(f.class)
		}
		fmt.Fprintf(b, "✗ %s (%s): %s\n", f.name, f.class, Clean(text))
		if remedy != "" {
			fmt.Fprintf(b, "  → %s\n", Clean(remedy))
		}
	}
}

// splitRemedy takes apart what pipeline.Error.Error puts together: "cause (remedy)", brackets in the remedy
// included.
func splitRemedy(text string) (cause, remedy string) {
	if !strings.HasSuffix(text, ")") {
		return text, ""
	}
	depth := 0
	for i := len(text) - 1; i > 0; i-- {
		switch text[i] {
		case ')':
			depth++
		case '(':
			if depth--; depth == 0 && text[i-1] == ' ' {
				return text[:i-1], text[i+1 : len(text)-1]
			} else if depth == 0 {
				return text, ""
			}
		}
	}
	return text, ""
}

// remedyOf says what helps with a class of failure when the failure itself doesn't say.
func remedyOf(class pipeline.Class) string {
	switch class {
	case pipeline.ClassCanceled:
		return "run it again: what is complete is kept, this starts anew"
	case pipeline.ClassTransient:
		return "run it again later; nothing is lost"
	case pipeline.ClassQuota:
		return "wait until the hour's requests are free again, or see which other integrations use them"
	case pipeline.ClassAuth:
		return "run: atsync check"
	case pipeline.ClassRights:
		return "give the API user's security level the right to read this entity, or leave it out of entities"
	case pipeline.ClassInternal:
		return "this is a fault in atsync: report it with the output of atsync version"
	}
	return ""
}

func writeVerdict(b *strings.Builder, run pipeline.Run, total pipeline.StreamReport) {
	changed := total.Inserted + total.Updated + total.Deleted
	mark := "✓"
	if run.Status != pipeline.StatusOK {
		mark = "✗"
	}
	fmt.Fprintf(b, "%s %s: %s", mark, run.Tenant, run.Status)
	if !run.EndedAt.IsZero() {
		fmt.Fprintf(b, " in %s", Duration(run.EndedAt.Sub(run.StartedAt).Round(100*time.Millisecond)))
	}
	fmt.Fprintf(b, ", %s changed, %s\n", number(changed, "row"), number(max(run.Requests, total.Requests), "request"))
}

// number prints "1 row", "1,234 rows".
func number(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Count(n) + " " + noun
}
