package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/robfig/cron/v3"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// planned plans the rig's next run from its closed warehouse, as the command does.
func (r *rig) planned(full bool) pipeline.Preview {
	r.Helper()
	w := wiring{}
	stored, _, err := w.recall(r.Context(), r.cfg, r.cfg.Entities)
	if err != nil {
		r.Fatal(err)
	}
	s := r.open()
	defer func() {
		if err := s.Close(); err != nil {
			r.Error(err)
		}
	}()
	p, err := s.runner(nil).Plan(r.Context(), stored, pipeline.PlanRequest{
		SyncRequest: pipeline.SyncRequest{Entities: r.cfg.Entities, Full: full}, Interval: 15 * time.Minute,
	})
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// TestPlanPromisesWhatSyncSpends compares, entity by entity, what a plan says with what the simulator then serves.
func TestPlanPromisesWhatSyncSpends(t *testing.T) {
	t.Parallel()
	r := newRig(t, autotasktest.Scaled(700))
	r.cfg.Entities = entities(t, "Tickets", "TicketNotes", "TimeEntries", "BillingItems", "Companies", "Resources", "Roles",
		"TicketSecondaryResources", "ServiceCalls", "ServiceCallTickets", "ContractServiceUnits", "Appointments", "InventoryProducts")
	for _, step := range []struct {
		name string
		full bool
		edit func()
	}{
		{"first run", false, func() {}},
		{"incremental", false, func() {
			r.clock.Advance(20 * time.Minute)
			for i, id := range r.server.Data().IDs("Tickets") {
				if i < 520 {
					r.server.Data().Update("Tickets", id, map[string]any{"title": fmt.Sprint("edited ", i)})
				}
			}
			r.clock.Advance(20 * time.Minute)
		}},
		{"the recent window again", false, func() { r.clock.Advance(25 * time.Hour) }},
		{"whole", true, func() { r.clock.Advance(time.Hour) }},
	} {
		step.edit()
		p := r.planned(step.full)
		run, err := r.sync(pipeline.SyncRequest{Full: step.full})
		if err != nil {
			t.Fatal(err)
		}
		counts := r.server.RequestCounts()
		total := int64(1)
		for _, s := range p.Streams {
			got := stream(t, run, s.Entity)
			if served := int64(counts[s.Entity]); served != got.Requests {
				t.Errorf("%s: %s: %d requests reported, %d served", step.name, s.Entity, got.Requests, served)
			}
			if off := s.Requests - got.Requests; string(s.Mode) != got.Mode || off < -1 || off > 1 {
				t.Errorf("%s: %s: planned %s with %d requests, was %s with %d", step.name, s.Entity, s.Mode, s.Requests, got.Mode, got.Requests)
			}
			total += s.Requests
		}
		t.Logf("%s: %d planned, %d spent", step.name, total, run.Requests)
	}
}

func TestPaceOf(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cron    string
		perDay  float64
		perHour int64
	}{
		{"*/15 * * * *", 96, 4},
		{"@every 1m", 1440, 60},
		{"@hourly", 24, 1},
		{"0 8-17 * * 1-5", 10.0 * 5 / 7, 1},
		{"*/5 8 * * *", 12, 12},
		{"0 6 * * 1", 1.0 / 7, 1},
		{"50,59 1 * * *", 2, 2},
		{"0 0 30 2 *", 0, 0},
	} {
		schedule, err := cron.ParseStandard(tt.cron)
		if err != nil {
			t.Fatal(err)
		}
		got := paceOf(schedule, time.Date(2026, 1, 5, 12, 3, 0, 0, berlin))
		if d := got.perDay - tt.perDay; d < -0.05 || d > 0.05 || got.perHour != tt.perHour {
			t.Errorf("%s: %+v", tt.cron, got)
		}
	}
	if got := (pace{perDay: 96}).interval(); got != 15*time.Minute {
		t.Errorf("interval %s", got)
	}
}

func TestPredict(t *testing.T) {
	streams := []pipeline.StreamPlan{{Entity: "Tickets", Requests: 240, Later: 1, Daily: 2}, {Entity: "Products", Requests: 60, Later: 58, Daily: 1}}
	p := pipeline.Preview{Threshold: 10000, Used: 1000, Streams: streams}
	for _, tt := range []struct {
		name   string
		p      pipeline.Preview
		runs   pace
		want   forecast // numbers only
		says   string
		remedy string
	}{
		{"fits", p, pace{96, 4}, forecast{Requests: 301, Later: 60, Daily: 96*60 + 3, BusiestHour: 243, Fits: true}, "fits: ", ""},
		{"once a week: what comes daily comes with the run", p, pace{1.0 / 7, 1}, forecast{Requests: 301, Later: 60, Daily: 9, BusiestHour: 63, Fits: true}, "fits: ", ""},
		{"never", p, pace{}, forecast{Requests: 301, Later: 60, Fits: true}, "fits: ", ""},
		{"too often", p, pace{86400 / 20, 180}, forecast{Requests: 301, Later: 60, Daily: 259203, BusiestHour: 10803},
			"the busiest hour needs 10,803 requests, and 6,500 of the 7,500", "at most 108 times an hour (sync.schedule), or leave out the dearest entities: Products (58), Tickets (1)"},
		{"one run too large", pipeline.Preview{Threshold: 100, Streams: streams[1:]}, pace{24, 1}, forecast{Requests: 61, Later: 59, Daily: 1417, BusiestHour: 60, Fits: true}, "fits", ""},
		{"no run fits", pipeline.Preview{Threshold: 60, Streams: streams[1:]}, pace{24, 1}, forecast{Requests: 61, Later: 59, Daily: 1417, BusiestHour: 60},
			"does not fit: ", "leave out the dearest entities: Products (58); or run less"},
		{"the first run takes longer", pipeline.Preview{Threshold: 300, Streams: streams}, pace{24, 1}, forecast{Requests: 301, Later: 60, Daily: 1443, BusiestHour: 63},
			"about 2 hours with pauses; later runs fit", "Tickets (240), Products (60)"},
		{"others use everything", pipeline.Preview{Threshold: 10000, Used: 8000, Streams: streams}, pace{24, 1},
			forecast{Requests: 301, Later: 60, Daily: 1443, BusiestHour: 63}, "other integrations leave no room", "wait"},
		{"threshold unknown", pipeline.Preview{Streams: streams}, pace{24, 1}, forecast{Requests: 301, Later: 60, Daily: 1443, BusiestHour: 63, Fits: true, Assumed: true}, "of the 7,500", ""},
	} {
		f := predict(tt.p, tempo{runs: tt.runs, own: tt.runs})
		if f.Requests != tt.want.Requests || f.Later != tt.want.Later || f.Daily != tt.want.Daily || f.BusiestHour != tt.want.BusiestHour ||
			f.Fits != tt.want.Fits || f.Assumed != tt.want.Assumed {
			t.Errorf("%s: %+v", tt.name, f)
		}
		if !strings.Contains(f.Verdict, tt.says) || !strings.Contains(f.Remedy, tt.remedy) || (f.Remedy == "") != f.Fits {
			t.Errorf("%s: %q → %q", tt.name, f.Verdict, f.Remedy)
		}
	}
	// a group that runs often, and the rest that does not
	f := predict(p, tempo{runs: pace{24*60 + 1, 61}, own: pace{1, 1}, of: map[string]pace{streams[0].Entity: {24 * 60, 60}}})
	want := 24*60*(streams[0].Later+1) + streams[1].Later + 1
	if f.Daily-want != streams[0].Daily+streams[1].Daily || f.BusiestHour != 60*(streams[0].Later+1)+streams[1].Later+1+streams[0].Daily+streams[1].Daily {
		t.Errorf("with a group: %+v", f)
	}
	// verifications count each entity, after a login
	runs := pace{96, 4}
	with, without := predict(p, tempo{runs: runs, own: runs, verify: pace{2, 1}}), predict(p, tempo{runs: runs, own: runs})
	if with.Verify != 3 || without.Verify != 0 || with.Daily-without.Daily != 2*3 || with.BusiestHour-without.BusiestHour != 3 {
		t.Errorf("with verifications: %+v, without: %+v", with, without)
	}
}

// TestPlanFitsANarrowTerminal: names whole where they can be, and no line beyond the edge.
func TestPlanFitsANarrowTerminal(t *testing.T) {
	p := tenantPlan{}
	for _, e := range schemas.Catalogue() {
		p.Streams = append(p.Streams, pipeline.StreamPlan{Entity: e.Name, Mode: pipeline.ModeIncremental, Class: "activity", Rows: 1_234_567,
			ToRead: 123_456, Requests: 2_471, Later: 2_471, Daily: 12, Stamps: e.Stamps, Guessed: true})
	}
	for _, width := range []int{80, 100, 120} {
		var b bytes.Buffer
		if err := planTable(p, width).Write(&b); err != nil {
			t.Fatal(err)
		}
		if err := stateTable([]state{{Entity: "ContractExclusionSetExcludedWorkTypes", Class: "activity", Rows: 12_345_678}}, width).Write(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d: a line takes %d: %q", width, n, line)
			}
		}
	}
}

func TestNumbersLast(t *testing.T) {
	for in, want := range map[string]string{
		"fetch Tickets 1 2":                     "fetch Tickets 1 2",
		"fetch Tickets -5 1 --tenant acme -0":   "fetch Tickets 1 --tenant acme -- -5 -0",
		"--json fetch Tickets -5 -v":            "--json fetch Tickets -v -- -5",
		"fetch Tickets -- -5":                   "fetch Tickets -- -5",
		"runs --limit -5":                       "runs --limit -5",
		"fetch Tickets -5x":                     "fetch Tickets -5x",
		"":                                      "",
		"--config fetch.yaml fetch Tickets -12": "--config fetch.yaml fetch Tickets -- -12",
	} {
		if got := strings.Join(numbersLast(strings.Fields(in)), " "); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestParseInstant(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"2026-03-01":                "2026-02-28T23:00:00Z",
		"2026-07-01 08:30":          "2026-07-01T06:30:00Z",
		"2026-07-01T08:30:15":       "2026-07-01T06:30:15Z",
		"2026-03-01T08:00:00Z":      "2026-03-01T08:00:00Z",
		"2026-03-01T08:00:00+05:00": "2026-03-01T03:00:00Z",
		"2026-03-01 08:00:00Z":      "2026-03-01T08:00:00Z",
		"2026-02-30":                "", "01.03.2026": "", "": "", "now": "", "1772352000": "",
	} {
		at, err := parseInstant(in, berlin)
		if got := at.Format(time.RFC3339); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
}
