package console

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProgressLine(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		s     stream
		after time.Duration
		width int
		want  string
	}{
		{stream{name: "Tickets", total: -1}, 0, 0,
			"Tickets                                          0                         0 requests"},
		{stream{name: "Tickets", rows: 41500, total: 48120, requests: 83}, 40 * time.Second, 0,
			"Tickets                              41,500/48,120  86%   1,037 rows/s    83 requests  6.4s left"},
		{stream{name: "Tickets", rows: 600, total: 500, requests: 2}, 2 * time.Second, 0,
			"Tickets                                    600/500 100%     300 rows/s     2 requests"},
		{stream{name: "Roles", total: 0, requests: 1}, 2 * time.Second, 0,
			"Roles                                          0/0 100%       0 rows/s     1 request"},
		{stream{name: "globex/ContractExclusionBillingCodes", rows: 1234567, total: 2345678, requests: 12345}, 12 * time.Minute, 80,
			"globex/ContractExcl… 1,234,567/2,345,678  53%   1,714/s  12,345 req  10m48s left"},
		{stream{name: "globex/ContractExclusionBillingCodes", rows: 5, total: -1, requests: 1}, time.Second, 50,
			"globex/…                 5            5/s      1 …"},
	} {
		c.s.started = start
		if c.width == 80 && runewidth.StringWidth(c.want) > 80 {
			t.Errorf("%q is too wide", c.want)
		}
		if diff := cmp.Diff(c.want, c.s.line(start.Add(c.after), c.width)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestProgressCountsAndLeavesFailuresBehind(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, 40, 1)
	trace := p.Trace("acme")
	trace.Request(pipeline.RequestInfo{Op: "version"})
	var wg sync.WaitGroup
	for i := range 40 {
		entity := "Entity" + strings.Repeat("x", i)
		wg.Go(func() {
			trace.StreamStarted(entity, "first")
			trace.StreamTotal(entity, 1000)
			for range 2 {
				trace.Request(pipeline.RequestInfo{Entity: entity, Op: "query"})
				trace.Page(entity, 500)
			}
			r := pipeline.StreamReport{Entity: entity, Status: pipeline.StatusOK}
			if i == 3 {
				trace.Retry(entity, "query", 1, 2*time.Second, errors.New("reset"))
				r.Status, r.Error = pipeline.StatusFailed, "broken\x1b[2J"
			}
			trace.StreamFinished(r)
		})
	}
	wg.Wait()
	trace.StreamStarted("Unfinished", "first")
	line := p.overallLine(0)
	if !strings.HasPrefix(line, "  40/40 entities  40,000 rows  81 requests  ") || !strings.HasSuffix(line, "  1 failed") {
		t.Errorf("overall: %q", line)
	}
	until := time.Date(2026, 3, 1, 12, 34, 0, 0, time.Local)
	trace.Waiting(pipeline.QuotaWait{Waiting: true, Until: until})
	if line := p.overallLine(0); !strings.HasSuffix(line, "  waiting for quota, until 12:34 at the latest") {
		t.Errorf("while requests wait: %q", line)
	}
	trace.Waiting(pipeline.QuotaWait{})
	if line := p.overallLine(0); strings.Contains(line, "waiting") {
		t.Errorf("when they go on: %q", line)
	}
	p.Wait()
	text := out.String()
	for _, want := range []string{"✗ Entityxxx: broken [2J\n", "… Entityxxx: query failed (reset), attempt 2 in 2.0s\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %q", want, text)
		}
	}
	if _, err := p.Write([]byte("late")); err == nil {
		t.Error("Write after Wait succeeds")
	}
	trace.StreamStarted("Late", "first") // must not hang or panic
	trace.StreamFinished(pipeline.StreamReport{Entity: "Late"})
}
