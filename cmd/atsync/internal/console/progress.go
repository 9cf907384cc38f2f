package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/atsync/atsync/pipeline"
)

// Progress shows on a terminal what runs do: one line for each entity at work and one for all of them.
// An entity's line goes when it is done; only a failure leaves one behind. Safe for concurrent use.
type Progress struct {
	bars    *mpb.Progress
	overall *mpb.Bar
	now     func() time.Time
	start   time.Time
	many    bool // several tenants: lines name them

	mu       sync.Mutex // never held while bars is called: it calls back
	streams  map[string]*stream
	order    int // of the next line: first come, highest
	expected int
	done     int
	failed   int
	rows     int64
	requests int64
	waiting  map[string]pipeline.QuotaWait // tenants whose requests wait for quota
}

// stream is what is known of one entity at work.
type stream struct {
	name     string
	mode     string
	started  time.Time
	rows     int64
	total    int64 // -1: not known
	requests int64
	bar      *mpb.Bar
}

// NewProgress starts to show progress on w, which should be a terminal (IsTerminal). entities is how many
// are expected, of all tenants together; tenants is how many those are. Wait ends it.
func NewProgress(w io.Writer, entities, tenants int) *Progress {
	return newProgress(w, entities, tenants, time.Now)
}

func newProgress(w io.Writer, entities, tenants int, now func() time.Time) *Progress {
	p := &Progress{
		bars: mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh()),
		now:  now, start: now(), many: tenants > 1, expected: entities, streams: map[string]*stream{},
		waiting: map[string]pipeline.QuotaWait{},
	}
	p.overall = p.line(1<<20, p.overallLine)
	return p
}

// Write prints text above the lines of progress, as for log lines. It comes with the next refresh.
func (p *Progress) Write(text []byte) (int, error) { return p.bars.Write(text) }

// Wait takes the lines of progress away. Nothing may be traced after it.
func (p *Progress) Wait() {
	p.mu.Lock()
	var left []*mpb.Bar
	for _, s := range p.streams {
		left = append(left, s.bar)
	}
	p.streams = map[string]*stream{}
	p.mu.Unlock()
	for _, bar := range append(left, p.overall) {
		if bar != nil {
			bar.Abort(true)
		}
	}
	p.bars.Wait()
}

// Trace returns the Trace that feeds the progress of one tenant.
func (p *Progress) Trace(tenant string) *pipeline.Trace {
	key := func(entity string) string { return tenant + "/" + entity }
	return &pipeline.Trace{
		StreamStarted: func(entity, mode string) { p.started(key(entity), p.name(tenant, entity), mode) },
		StreamTotal:   func(entity string, rows int64) { p.update(key(entity), func(s *stream) { s.total = rows }) },
		Page: func(entity string, rows int) {
			p.update(key(entity), func(s *stream) { s.rows += int64(rows) })
		},
		Request: func(r pipeline.RequestInfo) {
			p.update(key(r.Entity), func(s *stream) { s.requests++ })
		},
		Retry: func(entity, op string, attempt int, wait time.Duration, cause error) {
			_, _ = fmt.Fprintf(p, "… %s: %s failed (%s), attempt %d in %s\n",
				p.name(tenant, entity), op, Clean(fmt.Sprint(cause)), attempt+1, Duration(wait))
		},
		Waiting:        func(w pipeline.QuotaWait) { p.wait(tenant, w) },
		StreamFinished: func(r pipeline.StreamReport) { p.finished(key(r.Entity), p.name(tenant, r.Entity), r) },
	}
}

func (p *Progress) name(tenant, entity string) string {
	switch {
	case entity == "": // as for the login
		return tenant
	case p.many:
		return tenant + "/" + entity
	}
	return entity
}

func (p *Progress) started(key, name, mode string) {
	s := &stream{name: name, mode: mode, started: p.now(), total: -1}
	p.mu.Lock()
	p.order++
	priority := p.order
	p.mu.Unlock()
	s.bar = p.line(priority, func(width int) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return s.line(p.now(), width)
	})
	p.mu.Lock()
	p.streams[key] = s
	p.mu.Unlock()
}

// update changes a stream's numbers and the sums over all streams with them.
func (p *Progress) update(key string, change func(*stream)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streams[key]
	if s == nil { // requests that belong to no entity, like the login
		s = &stream{}
	}
	rows, requests := s.rows, s.requests
	change(s)
	p.rows += s.rows - rows
	p.requests += s.requests - requests
}

// wait notes that a tenant's requests wait for quota, or that they no longer do.
func (p *Progress) wait(tenant string, w pipeline.QuotaWait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, tenant)
	if w.Waiting {
		p.waiting[tenant] = w
	}
}

func (p *Progress) finished(key, name string, r pipeline.StreamReport) {
	failed := r.Status == pipeline.StatusFailed || r.Status == pipeline.StatusPartial
	p.mu.Lock()
	s := p.streams[key]
	delete(p.streams, key)
	p.done++
	if failed {
		p.failed++
	}
	p.mu.Unlock()
	if s != nil && s.bar != nil {
		s.bar.Abort(true)
	}
	if failed {
		_, _ = fmt.Fprintf(p, "✗ %s: %s\n", name, Clean(r.Error))
	}
}

// line adds a line whose text is asked for at every refresh. Lower numbers stand higher.
func (p *Progress) line(priority int, text func(width int) string) *mpb.Bar {
	bar, err := p.bars.Add(0, mpb.NopStyle().Build(), mpb.BarPriority(priority), mpb.BarFillerTrim(),
		mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return text(s.AvailableWidth) })))
	if err != nil { // only after Wait
		return nil
	}
	return bar
}

func (p *Progress) overallLine(width int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := []string{
		fmt.Sprintf("%d/%s", p.done, entities(max(p.expected, p.done))),
		number(p.rows, "row"), number(p.requests, "request"), Duration(p.now().Sub(p.start)),
	}
	if p.failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", p.failed))
	}
	var until time.Time
	for _, w := range p.waiting {
		if w.Until.After(until) {
			until = w.Until
		}
	}
	if len(p.waiting) > 0 {
		parts = append(parts, "waiting for quota, until "+until.Local().Format("15:04")+" at the latest")
	}
	return fit("  "+strings.Join(parts, "  "), width)
}

// Columns that a stream's line takes.
const (
	nameWidth    = 30
	longWidth    = 100 // of a line that spells everything out
	numbersWidth = 57  // of what follows the name in a line that doesn't
)

// line is "Tickets   41,500/48,120   86%  1,204 rows/s  83 requests  5s left"; on a narrow terminal
// "Tickets   41,500/48,120  86%  1,204/s  83 req  5s left", where the name gives way to the numbers.
func (s *stream) line(now time.Time, width int) string {
	if width > 0 && width < longWidth {
		numbers := s.numbers(now, 18, "/s", fmt.Sprintf("%5s req", Count(s.requests)))
		room := min(nameWidth, width-max(numbersWidth, runewidth.StringWidth(numbers)))
		return fit(column(s.name, max(room, narrowest))+numbers, width)
	}
	noun := "requests"
	if s.requests == 1 {
		noun = "request"
	}
	numbers := s.numbers(now, 20, " rows/s", fmt.Sprintf("%4s %-8s", Count(s.requests), noun))
	return fit(column(s.name, nameWidth)+numbers, width)
}

// column cuts or fills text to a width.
func column(text string, width int) string {
	return runewidth.FillRight(runewidth.Truncate(text, width, "…"), width)
}

// numbers is what a line says after the name; rows is how wide the first of them is.
func (s *stream) numbers(now time.Time, rows int, perSecond, requests string) string {
	var b strings.Builder
	if s.total >= 0 {
		fmt.Fprintf(&b, "%*s", rows, " "+Count(s.rows)+"/"+Count(s.total))
		percent := 100.0
		if s.total > 0 {
			percent = min(100, 100*float64(s.rows)/float64(s.total))
		}
		fmt.Fprintf(&b, " %3.0f%%", percent)
	} else {
		fmt.Fprintf(&b, "%*s     ", rows, " "+Count(s.rows))
	}
	elapsed := now.Sub(s.started).Seconds()
	rate := 0.0
	if elapsed >= 1 {
		rate = float64(s.rows) / elapsed
		fmt.Fprintf(&b, "  %6s%s", Count(int64(rate)), perSecond)
	} else {
		b.WriteString(strings.Repeat(" ", 8+len(perSecond)))
	}
	b.WriteString("  " + requests)
	if left := s.total - s.rows; left > 0 && rate > 0 {
		b.WriteString("  " + Duration(time.Duration(float64(left)/rate*float64(time.Second))) + " left")
	}
	return strings.TrimRight(b.String(), " ")
}

// fit cuts text to a terminal's width; 0 is unlimited.
func fit(text string, width int) string {
	if width <= 0 {
		return text
	}
	return runewidth.Truncate(text, width, "…")
}
