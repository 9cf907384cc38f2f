package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

// functions are what templates can call. Those that return HTML make it of numbers and fixed words alone.
func (p *Pages) functions() template.FuncMap {
	return template.FuncMap{
		"soft":     soft,
		"count":    console.Count,
		"bytes":    console.Bytes,
		"some":     some,
		"seconds":  func(s float64) string { return console.Duration(time.Duration(s * float64(time.Second))) },
		"duration": console.Duration,
		"ago":      func(t time.Time) string { return shortAgo(p.now().Sub(t)) },
		"clock":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") },
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"date":     func(t time.Time) string { return t.UTC().Format("2006-01-02") },
		"took":     func(a, b time.Time) string { return console.Duration(b.Sub(a)) },
		"since":    func(t time.Time) string { return console.Duration(max(0, p.now().Sub(t))) },
		"next":     nextOf,
		"spark":    spark,
		"sum":      sum,
		"last":     func(list []int64) int64 { return list[len(list)-1] },
		"strip":    strip,
		"share":    percent,
		"gauge":    gauge,
		"sub":      func(a, b int64) int64 { return max(0, a-b) },
		"state":    stateOf,
		"len64":    func(list []Reject) int64 { return int64(len(list)) },
		"within": func(root string, t Tenant) map[string]any { // what the list of runs needs
			return map[string]any{"Root": root, "Tenant": t.Tenant, "Runs": t.Runs[:min(25, len(t.Runs))]}
		},
		"alerted": func(root string, tenants bool, alerts []daemon.Alert) map[string]any { // what the list of alerts needs
			return map[string]any{"Root": root, "Tenants": tenants, "Alerts": alerts}
		},
	}
}

// soft lets a long name break between its words: after an underscore, or before a capital.
func soft(name string) template.HTML {
	var b strings.Builder
	begin := 0
	for i := 1; i < len(name); i++ {
		if name[i-1] == '_' || name[i-1] >= 'a' && name[i-1] <= 'z' && name[i] >= 'A' && name[i] <= 'Z' {
			b.WriteString(template.HTMLEscapeString(name[begin:i]) + "<wbr>")
			begin = i
		}
	}
	return template.HTML(b.String() + template.HTMLEscapeString(name[begin:])) //nolint:gosec // every piece is escaped
}

// some is "1 hole" or "2,000 holes".
func some(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return console.Count(n) + " " + noun
}

// shortAgo says how long ago something was, or with "in" how far ahead.
func shortAgo(d time.Duration) string {
	if d < -time.Second {
		return "in " + about(-d)
	}
	if d < 10*time.Second {
		return "now"
	}
	return about(d) + " ago"
}

// about is a duration in one unit.
func about(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 36*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// stateOf is the word for how current a table is.
func stateOf(t Table) string {
	switch {
	case t.Absent:
		return "absent"
	case t.CompleteThrough.IsZero():
		return "never"
	case !t.Fresh:
		return "late"
	}
	return "ok"
}

func sum(list []int64) (total int64) {
	for _, n := range list {
		total += n
	}
	return total
}

// spark draws a bar for each number, with a root so that one large day does not flatten the others.
func spark(list []int64) template.HTML {
	const height = 18
	top := math.Sqrt(float64(max(1, slices.Max(append([]int64{1}, list...)))))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" width="%d" height="%d" viewBox="0 0 %d %d" aria-hidden="true" focusable="false">`, 5*len(list), height, 5*len(list), height)
	for i, n := range list {
		h, class := 1.0, "none"
		if n > 0 {
			h, class = max(2, height*math.Sqrt(float64(n))/top), "some"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%.1f" width="4" height="%.1f"/>`, class, 5*i, height-h, h)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // of numbers
}

// strip draws a square for each table in the colour of its state, and says in words how many are in which.
func strip(tables []Table) template.HTML {
	const perRow, pitch, side, named = 30, 8, 6, 12
	squares, names, counts := map[string]string{}, map[string][]string{}, map[string]int{}
	for i, t := range tables {
		state := stateOf(t)
		counts[state]++
		squares[state] += fmt.Sprintf("M%d %dh%dv%dh-%dz", pitch*(i%perRow), pitch*(i/perRow), side, side, side)
		if counts[state] <= named {
			names[state] = append(names[state], t.Entity)
		} else if counts[state] == named+1 {
			names[state] = append(names[state], "…")
		}
	}
	var words []string
	var paths strings.Builder
	for _, s := range []struct{ state, word string }{{"late", "late"}, {"never", "never read"}, {"ok", "current"}, {"absent", "not there"}} {
		if counts[s.state] == 0 {
			continue
		}
		words = append(words, fmt.Sprintf("%d %s", counts[s.state], s.word))
		fmt.Fprintf(&paths, `<path class="is-%s" d="%s"><title>%s</title></path>`, s.state, squares[s.state],
			template.HTMLEscapeString(fmt.Sprintf("%d %s: %s", counts[s.state], s.word, strings.Join(names[s.state], ", "))))
	}
	width, height := pitch*min(max(len(tables), 1), perRow), pitch*max((len(tables)+perRow-1)/perRow, 1)
	return template.HTML(fmt.Sprintf(`<svg class="strip" role="img" aria-label="Tables: %s" width="%d" height="%d" viewBox="0 0 %d %d">%s</svg>`, //nolint:gosec // numbers, fixed words and escaped names
		strings.Join(words, ", "), width, height, width, height, paths.String()))
}

func percent(n, of int64) string {
	if of <= 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(of))
}

// gauge draws how a window's requests are used, and the marks at which each kind of work waits.
func gauge(q Quota) template.HTML {
	const width = 1000.0
	at := func(n int64) float64 { return width * min(1, float64(n)/float64(max(q.Threshold, 1))) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="gauge" viewBox="0 0 1000 28" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="rest" x="0" y="4" width="1000" height="20"/>`)
	x := 0.0
	for _, part := range []struct {
		class string
		n     int64
	}{{"live", q.Own.Live}, {"verify", q.Own.Verify}, {"backfill", q.Own.Backfill}, {"others", q.Others}} {
		w := min(at(part.n), width-x)
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="4" width="%.1f" height="20"/>`, part.class, x, w)
		x += w
	}
	for _, limit := range []int64{q.Limits.Backfill, q.Limits.Live} {
		fmt.Fprintf(&b, `<rect class="mark" x="%.1f" y="0" width="3" height="28"/>`, max(0, at(limit)-1.5))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // of numbers
}

// series makes the data of an entity's charts: [times, rows] and [times, inserted, updated, deleted], a value a day. How many
// rows there were is counted back from how many there are.
func (p *Pages) series(h *pipeline.History) (rows, changes string) {
	if len(h.Days) == 0 {
		return "", ""
	}
	today := p.now().UTC().Truncate(24 * time.Hour)
	byDay := map[int64]pipeline.Day{}
	for _, d := range h.Days {
		byDay[d.Day.Unix()] = d
	}
	var at, count, inserted, updated, deleted []int64
	left := h.Rows
	for day := today; !day.Before(h.Days[0].Day); day = day.AddDate(0, 0, -1) {
		d := byDay[day.Unix()]
		at, count = append(at, day.Unix()), append(count, max(0, left))
		inserted, updated, deleted = append(inserted, d.Inserted), append(updated, d.Updated), append(deleted, d.Deleted)
		left -= d.Inserted - d.Deleted
	}
	for _, list := range [][]int64{at, count, inserted, updated, deleted} {
		slices.Reverse(list)
	}
	return asJSON(at, count), asJSON(at, inserted, updated, deleted)
}

func asJSON(columns ...[]int64) string {
	text, err := json.Marshal(columns)
	if err != nil {
		return "" // numbers always can
	}
	return string(text)
}

// bar is one line of a run's timeline.
type bar struct {
	Entity  string
	Mode    string
	Status  string
	X, W    string // of 100
	Took    time.Duration
	Changed int64
	Label   string // "at +12s for 3.1s"
}

// timeline returns what a run did when, and how long it took altogether.
func timeline(run Run, now time.Time) ([]bar, time.Duration) {
	end := run.EndedAt
	if end.IsZero() {
		end = now
	}
	span := max(end.Sub(run.StartedAt), time.Millisecond)
	var bars []bar
	add := func(entity, mode, status string, from, to time.Time, changed int64) {
		if to.IsZero() {
			to = end
		}
		from, to = maxTime(from, run.StartedAt), maxTime(to, from)
		x := min(99.5, 100*float64(from.Sub(run.StartedAt))/float64(span))
		width := min(100-x, max(0.5, 100*float64(to.Sub(from))/float64(span)))
		bars = append(bars, bar{entity, mode, status, fmt.Sprintf("%.2f", x), fmt.Sprintf("%.2f", width), to.Sub(from), changed,
			"starts at +" + console.Duration(from.Sub(run.StartedAt)) + ", takes " + console.Duration(to.Sub(from))})
	}
	if run.Live != nil {
		for _, s := range run.Live.Streams {
			add(s.Entity, s.Mode, string(s.Status), s.StartedAt, s.EndedAt, 0)
		}
		return bars, span
	}
	for _, l := range run.Loads {
		add(l.Entity, l.Mode, string(l.Status), l.StartedAt, l.EndedAt, l.Inserted+l.Updated+l.Deleted)
	}
	return bars, span
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
