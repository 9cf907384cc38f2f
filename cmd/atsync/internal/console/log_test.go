package console_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func TestLoggerFormats(t *testing.T) {
	for format, want := range map[string]string{
		"auto": "level=WARN msg=x key=v\n", "text": "level=WARN msg=x key=v\n", "json": `"level":"WARN","msg":"x","key":"v"}` + "\n",
	} {
		var b bytes.Buffer
		log := console.NewLogger(&b, console.LogOptions{Level: "warn", Format: format})
		log.Info("hidden")
		log.Warn("x", "key", "v")
		if !strings.HasSuffix(b.String(), want) || strings.Contains(b.String(), "hidden") {
			t.Errorf("%s: %q", format, b.String())
		}
	}
}

func TestLoggerOnATerminal(t *testing.T) {
	for _, color := range []bool{false, true} {
		var b bytes.Buffer
		console.NewLogger(&b, console.LogOptions{Terminal: true, Color: color}).Warn("x", "key", "v")
		if strings.Contains(b.String(), "\x1b[") != color || strings.Contains(b.String(), "level=") || !strings.Contains(b.String(), "WRN") {
			t.Errorf("color %v: %q", color, b.String())
		}
	}
}

func TestLogTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		trace := console.LogTrace(console.NewLogger(&b, console.LogOptions{}))
		trace.StreamStarted("Tickets", "first")
		trace.StreamTotal("Tickets", 5000)
		for range 6 {
			time.Sleep(4 * time.Second)
			trace.Request(pipeline.RequestInfo{Entity: "Tickets", Op: "query", Status: 200})
			trace.Page("Tickets", 500)
		}
		trace.Retry("Tickets", "query", 1, 2*time.Second, errors.New("reset"))
		trace.Retry("", "version", 1, 2*time.Second, errors.New("reset"))
		trace.StreamFinished(pipeline.StreamReport{Entity: "Tickets", Status: pipeline.StatusOK, Fetched: 3000})
		trace.StreamFinished(pipeline.StreamReport{Entity: "Roles", Status: pipeline.StatusFailed, Error: "x", ErrorClass: "sink"})
		trace.Published(pipeline.Publication{Path: "acme.duckdb", Bytes: 5})
		var got []string
		for line := range strings.Lines(b.String()) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), " level=")
			got = append(got, strings.SplitN(line, " mode=", 2)[0])
		}
		want := []string{
			"INFO msg=reading entity=Tickets rows=1500 total=5000",
			"INFO msg=reading entity=Tickets rows=3000 total=5000",
			"WARN msg=retry entity=Tickets op=query attempt=1 wait=2s cause=reset",
			"WARN msg=retry op=version attempt=1 wait=2s cause=reset",
			"INFO msg=\"stream finished\" entity=Tickets",
			"ERROR msg=\"stream finished\" entity=Roles",
			"INFO msg=published path=acme.duckdb bytes=5 seconds=0",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got:\n%s", strings.Join(got, "\n"))
		}
	})
}
