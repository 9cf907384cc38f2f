package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// newHistory is a victim with three years of tickets and nothing else worth mentioning.
func newHistory(t *testing.T, tickets int) *victim {
	t.Helper()
	server := autotasktest.NewServer(autotasktest.WithClock(simulatedNow), autotasktest.WithLatency(3*time.Millisecond),
		autotasktest.WithGenerated(autotasktest.Size{Years: 3.1, Companies: 20, ContactsPerCompany: 1, Resources: 5, Tickets: tickets}, 7))
	t.Cleanup(server.Close)
	v := &victim{T: t, server: server, dir: t.TempDir()}
	config := fmt.Sprintf("data_dir: ./data\nautotask: {discovery_url: %q}\nsync: {entities: [Tickets]}\ntenants:\n"+
		"  acme: {username: %q, integration_code: \"env:CODE\", secret: \"env:SECRET\", url: %q}\n",
		server.URL, server.Username, server.BaseURL())
	if err := os.WriteFile(filepath.Join(v.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

// atsync makes a process of its own.
func (v *victim) atsync(stdout, stderr *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := v.command(stderr)
	cmd.Args = append([]string{"atsync", "--config", filepath.Join(v.dir, "config.yaml")}, args...)
	cmd.Stdout = stdout
	return cmd
}

var threeYears = []string{"backfill", "--entity", "Tickets", "--from", "2023-01-01", "--to", "2026-04-01"}

// backfill runs one to its end and returns its report.
func (v *victim) backfill(args ...string) backfillItem {
	v.Helper()
	var stdout, stderr bytes.Buffer
	if err := v.atsync(&stdout, &stderr, append([]string{"--json"}, args...)...).Run(); err != nil {
		v.Fatalf("%v: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	var report backfillReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || len(report.Backfills) != 1 {
		v.Fatalf("%v\n%s", err, stdout.String())
	}
	return report.Backfills[0]
}

// liveSync runs a sync and returns what it spent.
func (v *victim) liveSync() int64 {
	v.Helper()
	var stdout, stderr bytes.Buffer
	if err := v.atsync(&stdout, &stderr, "--json", "sync").Run(); err != nil {
		v.Fatalf("live sync: %v\n%s%s", err, stdout.String(), stderr.String())
	}
	var report syncReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		v.Fatal(err)
	}
	return report.Runs[0].Requests
}

// editHistory changes tickets of all times behind the live sync's back.
func (v *victim) editHistory(n int) {
	data := v.server.Data()
	ids := data.IDs("Tickets")
	r := rand.New(rand.NewPCG(testSeed(v.T), 3))
	for i := range n {
		data.UpdateQuietly("Tickets", ids[r.IntN(len(ids))], map[string]any{"title": fmt.Sprintf("quietly %d", i)})
	}
}

// backfillPages counts the pages that backfills have asked for.
func (v *victim) backfillPages() (n int) {
	for _, r := range v.server.Requests() {
		if r.Op == autotasktest.OpQuery && strings.Contains(r.Body, `"lt"`) {
			n++
		}
	}
	return n
}

// killedAfter starts a backfill, kills it once so many pages were asked for, and works beside it until then.
func (v *victim) killedAfter(pages int, beside func()) {
	v.Helper()
	var stdout, stderr bytes.Buffer
	cmd := v.atsync(&stdout, &stderr, threeYears...)
	if err := cmd.Start(); err != nil {
		v.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for v.backfillPages() < pages {
		select {
		case err := <-ended:
			v.Fatalf("it ended by itself: %v\n%s%s", err, stdout.String(), stderr.String())
		default:
			beside()
		}
	}
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.Exited() {
		v.Fatalf("it was not killed: %v\n%s%s", err, stdout.String(), stderr.String())
	}
}

// TestBackfillBesideLiveSync: three years, with edits and live syncs beside them, killed twice.
func TestBackfillBesideLiveSync(t *testing.T) {
	t.Parallel()
	v := newHistory(t, 6000)
	v.sync()
	v.editHistory(400)
	quoted := v.backfill(append(threeYears, "--dry-run")...).Quote
	if quoted.Rows < 5000 || quoted.Counts != 39 || quoted.Minutes <= 0 {
		t.Fatalf("quote: %+v", quoted)
	}
	v.server.ResetLog()

	data := v.server.Data()
	live, edits := int64(0), 0
	beside := func() {
		ids := data.IDs("Tickets")
		for range 5 {
			edits++
			data.Update("Tickets", ids[(edits*37)%len(ids)], map[string]any{"title": fmt.Sprintf("live edit %d", edits)})
		}
		live += v.liveSync()
	}
	v.killedAfter(8, beside)
	v.killedAfter(v.backfillPages()+10, beside)
	killed := v.backfillPages()
	item := v.backfill(threeYears...)
	live += v.liveSync()
	if !item.Resumed || item.State != string(pipeline.StatusOK) || item.Run.Streams[0].Updated == 0 {
		t.Errorf("the last run: %+v", item)
	}
	for _, difference := range differences(v.published(), data, []string{"Tickets"}) {
		t.Error(difference)
	}
	spent := int64(v.server.RequestCount()) - live
	t.Logf("quoted %+v, spent %d, of them %d pages, %d before the last run; %d live syncs' requests; chunks say %d",
		quoted, spent, v.backfillPages(), killed, live, item.Requests)
	if float64(spent) > 1.01*float64(quoted.Requests) {
		t.Errorf("spent %d requests, quoted were %d", spent, quoted.Requests)
	}

	v.server.ResetLog()
	if again := v.backfill(threeYears...); again.State != "finished" || v.server.RequestCount() != 0 {
		t.Errorf("once more: %s, %d requests", again.State, v.server.RequestCount())
	}
}
