package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// VerifySummary prints what a run of verify found: a line per entity, what went wrong and what to do about it, and
// the result in words. Entities that are equal are one line for all, unless verbose.
func VerifySummary(w io.Writer, run pipeline.Run, verbose bool) error {
	t := NewTable(Column{Title: "entity", Min: 22}, Right("source"), Right("warehouse"), Right("missing"), Right("gone"),
		Right("repaired"), Right("requests"), Left("verdict"))
	var equal, holes, repaired, unknown int
	var rows int64
	var skipped []string
	for _, s := range run.Streams {
		v := s.Verify
		if v == nil { // it was not begun
			v = &pipeline.Verification{Verdict: pipeline.VerdictUnknown}
		}
		switch v.Verdict {
		case pipeline.VerdictEqual:
			equal++
			rows += v.WarehouseRows
		case pipeline.VerdictHoles:
			holes++
		case pipeline.VerdictRepaired:
			repaired++
		case pipeline.VerdictSkipped:
			skipped = append(skipped, fmt.Sprintf("%s: %s", s.Entity, v.Reason))
			continue
		default:
			unknown++
		}
		if v.Verdict == pipeline.VerdictEqual && !verbose {
			continue
		}
		t.Row(s.Entity, v.SourceRows, v.WarehouseRows, v.Missing, v.Gone, v.Repaired, s.Requests, v.Verdict)
	}
	var b strings.Builder
	if t.Len() > 0 {
		if err := t.Fit(Width(w)).Write(&b); err != nil {
			return err
		}
	}
	if equal > 0 {
		fmt.Fprintf(&b, "%s equal, %s, no id twice\n", entities(equal), number(rows, "row"))
	}
	for _, reason := range skipped {
		fmt.Fprintf(&b, "skipped %s\n", Clean(reason))
	}
	writeIDs(&b, run)
	writeFailures(&b, run)
	writeFinding(&b, run, holes, repaired, unknown)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeIDs names some of the rows, so that one can look at them in Autotask.
func writeIDs(b *strings.Builder, run pipeline.Run) {
	for _, s := range run.Streams {
		if s.Verify == nil {
			continue
		}
		for _, kind := range []struct {
			name string
			ids  []int64
			all  int64
		}{{"missing", s.Verify.MissingIDs, s.Verify.Missing}, {"gone", s.Verify.GoneIDs, s.Verify.Gone}} {
			if len(kind.ids) == 0 {
				continue
			}
			shown := kind.ids[:min(len(kind.ids), 5)]
			fmt.Fprintf(b, "%s %s: id %s", s.Entity, kind.name, strings.Trim(strings.ReplaceAll(fmt.Sprint(shown), " ", ", "), "[]"))
			if more := kind.all - int64(len(shown)); more > 0 {
				fmt.Fprintf(b, " and %s more", Count(more))
			}
			b.WriteString("\n")
		}
	}
}

// writeFinding prints the last line.
func writeFinding(b *strings.Builder, run pipeline.Run, holes, repaired, unknown int) {
	mark, text := "✓", "the warehouse has the rows that Autotask has"
	switch {
	case unknown > 0:
		mark, text = "✗", entities(unknown)+" could not be verified"
	case holes > 0:
		mark, text = "✗", entities(holes)+" with holes; nothing was repaired"
	case repaired > 0:
		text += " again: " + entities(repaired) + " repaired"
	}
	fmt.Fprintf(b, "%s %s: %s", mark, run.Tenant, text)
	if !run.EndedAt.IsZero() {
		fmt.Fprintf(b, ", in %s", Duration(run.EndedAt.Sub(run.StartedAt).Round(100*time.Millisecond)))
	}
	fmt.Fprintf(b, ", %s\n", number(run.Requests, "request"))
}
