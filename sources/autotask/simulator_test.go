package autotask_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func simulated(t *testing.T, s *autotasktest.Server, change func(*autotask.Config)) (*autotask.Client, *holds) {
	t.Helper()
	cfg, _, held := baseConfig(t)
	cfg.DiscoveryURL, cfg.Transport = s.URL, autotask.NewTransport(nil)
	cfg.Credentials = autotask.NewCredentials(s.Username, s.IntegrationCode, s.Secret)
	if change != nil {
		change(&cfg)
	}
	return newClient(t, cfg), held
}

func simulator(t *testing.T, opts ...autotasktest.Option) *autotasktest.Server {
	t.Helper()
	s := autotasktest.NewServer(append([]autotasktest.Option{autotasktest.WithGenerated(autotasktest.Small(), 1)}, opts...)...)
	t.Cleanup(s.Close)
	return s
}

// TestSimulatorCore reads the core entities whole, with the metadata that each has.
func TestSimulatorCore(t *testing.T) {
	s := simulator(t)
	c, _ := simulated(t, s, nil)
	core, err := schemas.Select([]string{"core"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range core {
		m, err := c.Describe(t.Context(), e)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		table := schemas.NewTable(e, m, nil)
		ids, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table})
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if d := cmp.Diff(s.Data().IDs(e.Name), ids); d != "" {
			t.Errorf("%s: %s", e.Name, d)
		}
		if n, err := c.Count(t.Context(), pipeline.Slice{Table: table}); err != nil || int(n) != len(ids) {
			t.Errorf("%s: count %d of %d, %v", e.Name, n, len(ids), err)
		}
	}
	var sent int64
	for _, n := range c.Requests() {
		sent += n
	}
	if int(sent) != s.RequestCount() {
		t.Errorf("%d requests counted, %d arrived", sent, s.RequestCount())
	}
}

// TestSimulatorWindows reads windows and compares with what the rows say.
func TestSimulatorWindows(t *testing.T) {
	s := simulator(t)
	c, _ := simulated(t, s, nil)
	e, _ := schemas.Lookup("Tickets")
	table := schemas.NewTable(e, nil, nil)
	all, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	since := s.Now().Add(-90 * 24 * time.Hour)
	window := pipeline.Window{Stamps: table.Reads().Stamps, Since: since}
	recent, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table, Window: window})
	if err != nil || len(recent) == 0 || len(recent) >= len(all) {
		t.Fatalf("%d of %d, %v", len(recent), len(all), err)
	}
	n, err := c.Count(t.Context(), pipeline.Slice{Table: table, Window: window})
	if err != nil || int(n) != len(recent) {
		t.Errorf("count %d of %d, %v", n, len(recent), err)
	}
	middle := recent[len(recent)/2]
	low, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table, Window: window, Until: &middle})
	if err != nil {
		t.Fatal(err)
	}
	high, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table, Window: window, After: &middle})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(recent, slices.Concat(low, high)); d != "" {
		t.Errorf("the two halves of a window: %s", d)
	}
	notes, _ := schemas.Lookup("TicketNotes")
	in := pipeline.Window{In: all[:100], InField: "ticketID"}
	got, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: schemas.NewTable(notes, nil, nil), Window: in})
	if err != nil || len(got) == 0 || len(got) >= s.Data().Count("TicketNotes") {
		t.Errorf("%d notes of 100 tickets, %v", len(got), err)
	}
}

func TestSimulatorLogins(t *testing.T) {
	for name, opts := range map[string][]autotasktest.Option{"401": nil, "500": {autotasktest.WithIntegrationCodeErrors()}} {
		s := simulator(t, opts...)
		for _, creds := range []autotask.Credentials{
			autotask.NewCredentials(s.Username, s.IntegrationCode, "not the secret at all 1234"),
			autotask.NewCredentials(s.Username, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZ", s.Secret),
			autotask.NewCredentials("nobody@northwind-msp.example", s.IntegrationCode, s.Secret),
		} {
			before := s.FailedLogins()
			var hold *pipeline.Hold
			for range 11 {
				c, held := simulated(t, s, func(cfg *autotask.Config) { cfg.Credentials, cfg.Hold = creds, hold })
				_, err := c.Login(t.Context())
				wantError(t, err, pipeline.ClassAuth)
				if len(held.told) > 0 {
					hold = held.told[0]
				}
			}
			if n := s.FailedLogins() - before; n > 2 {
				t.Errorf("%s: %d failed logins", name, n)
			}
		}
		if c, _ := simulated(t, s, nil); !s.Locked() {
			if _, err := c.Login(t.Context()); err != nil {
				t.Errorf("the right login: %v", err)
			}
		}
	}
}

func TestSimulatorMovesAndRemoves(t *testing.T) {
	from := simulator(t)
	to := simulator(t)
	c, held := simulated(t, from, nil)
	e, _ := schemas.Lookup("Tickets")
	table := schemas.NewTable(e, nil, nil)
	if _, err := c.Count(t.Context(), pipeline.Slice{Table: table}); err != nil {
		t.Fatal(err)
	}
	from.MoveTo(to)
	if _, err := c.Count(t.Context(), pipeline.Slice{Table: table}); err != nil || len(held.told) > 0 {
		t.Errorf("after the move: %v, holds %v", err, held.told)
	}
	if n := to.RequestCounts()["Tickets"]; n == 0 {
		t.Errorf("nothing reached the new zone: %v", to.RequestCounts())
	}
	to.RemoveEntity("Tickets")
	_, err := c.Count(t.Context(), pipeline.Slice{Table: table})
	wantError(t, err, pipeline.ClassAbsent)
}
