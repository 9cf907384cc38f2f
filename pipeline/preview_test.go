package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// plan plans from what the lab's sink holds.
func (l *lab) plan(t *testing.T, full bool, names ...string) pipeline.Preview {
	t.Helper()
	stored, err := pipeline.ReadStored(t.Context(), l.sink, find(names...))
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.runner.Plan(t.Context(), stored, pipeline.PlanRequest{
		SyncRequest: pipeline.SyncRequest{Entities: find(names...), Full: full}, Interval: 15 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlanPromisesWhatSyncSpends goes through a tenant's life: first run, edits, nothing, a week's pause, a whole read.
func TestPlanPromisesWhatSyncSpends(t *testing.T) {
	names := []string{"Tickets", "TicketNotes", "BillingItems", "Roles", "TicketSecondaryResources"}
	l := newLab(t)
	for id := range int64(1300) {
		l.put("Tickets", id, nil)
		l.put("TicketSecondaryResources", id, map[string]any{"ticketID": id})
	}
	for id := range int64(500) {
		l.put("TicketNotes", id, nil)
		l.put("BillingItems", id, map[string]any{"postedDate": l.now.Format(time.RFC3339)})
	}
	for id := range int64(20) {
		l.put("Roles", id, nil)
	}
	steps := []struct {
		name string
		full bool
		edit func()
	}{
		{"first", false, func() { l.now = l.now.Add(time.Hour) }},
		{"nothing new", false, func() { l.now = l.now.Add(time.Hour) }},
		{"edits", false, func() {
			l.now = l.now.Add(time.Hour)
			for id := range int64(600) {
				l.put("Tickets", id, map[string]any{"title": "x"})
			}
			l.source.Delete("Roles", 3)
			l.now = l.now.Add(time.Hour)
		}},
		{"a week later, the recent window again", false, func() { l.now = l.now.Add(7 * 24 * time.Hour) }},
		{"whole", true, func() { l.now = l.now.Add(time.Hour) }},
	}
	for _, step := range steps {
		step.edit()
		p := l.plan(t, step.full, names...)
		run, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find(names...), Full: step.full})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Streams {
			got := one(t, run, s.Entity)
			if s.Mode != pipeline.Mode(got.Mode) || s.Class != got.Class {
				t.Errorf("%s: %s: planned %s (%s), was %s (%s)", step.name, s.Entity, s.Mode, s.Class, got.Mode, got.Class)
			}
			// of metadata and UDFs the lab's source makes one request
			if off := s.Requests - got.Requests; off < -1 || off > 1 {
				t.Errorf("%s: %s: %d requests planned, %d spent", step.name, s.Entity, s.Requests, got.Requests)
			}
		}
	}
}

func TestPlanCostsACountAnEntityAndWritesNothing(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, nil)
	l.put("Roles", 1, nil)
	p := l.plan(t, false, "Tickets", "Roles")
	if p.Spent != 3 || p.Threshold != 10000 || len(l.sink.Runs()) != 0 {
		t.Errorf("spent %d, threshold %d, %d runs", p.Spent, p.Threshold, len(l.sink.Runs()))
	}
	l.runner.Source = nil
	if p = l.plan(t, false, "Tickets", "Roles"); !p.Offline || p.Spent != 0 || !p.Streams[0].Guessed || p.Streams[0].Rows != 100_000 {
		t.Errorf("offline: %+v", p)
	}
}

// TestPlanStopsAtARefusedLogin: one refusal, and no other request follows.
func TestPlanStopsAtARefusedLogin(t *testing.T) {
	l := newLab(t)
	l.source.LoginErr = &pipeline.Error{Class: pipeline.ClassAuth, Err: errors.New("refused")}
	_, err := l.runner.Plan(t.Context(), pipeline.Stored{}, pipeline.PlanRequest{SyncRequest: pipeline.SyncRequest{Entities: find("Tickets", "Roles")}})
	if pipeline.ClassOf(err) != pipeline.ClassAuth || len(l.source.Requests()) != 1 {
		t.Errorf("%v after %v", err, l.source.Requests())
	}
	l = newLab(t)
	l.source.OnCount = func(string, int64) (int64, error) {
		return 0, &pipeline.Error{Class: pipeline.ClassAuth, Err: errors.New("refused")}
	}
	l.runner.Streams = 1
	_, err = l.runner.Plan(t.Context(), pipeline.Stored{}, pipeline.PlanRequest{SyncRequest: pipeline.SyncRequest{Entities: find("Tickets", "Roles", "Companies")}})
	if n := len(l.source.Requests()); pipeline.ClassOf(err) != pipeline.ClassAuth || n != 2 {
		t.Errorf("%v after %d", err, n)
	}
}

// TestPlanOfChildren: parents that wait count, and so do the rows that their own read will bring.
func TestPlanOfChildren(t *testing.T) {
	l := newLab(t)
	for id := range int64(2000) {
		l.put("Tickets", id, nil)
		l.put("TicketSecondaryResources", id, map[string]any{"ticketID": id})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets", "TicketSecondaryResources"); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 7, map[string]any{"title": "x"})
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil { // the child has not followed
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 8, map[string]any{"title": "x"})
	p := l.plan(t, false, "Tickets", "TicketSecondaryResources")
	if s := p.Streams[1]; s.Mode != pipeline.ModeParent || s.Parents != 2 || s.Requests != 1 || s.ToRead != 2 {
		t.Errorf("%+v", s)
	}
	p = l.plan(t, false, "TicketSecondaryResources")
	if s := p.Streams[0]; s.Mode != pipeline.ModeFull || s.Requests != 1+5+1 {
		t.Errorf("without its parent: %+v", s)
	}
}

func TestPlanInterrupted(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	l.source.OnCount = func(string, int64) (int64, error) {
		cancel()
		return 0, ctx.Err()
	}
	_, err := l.runner.Plan(ctx, pipeline.Stored{}, pipeline.PlanRequest{SyncRequest: pipeline.SyncRequest{Entities: find("Tickets", "Roles")}})
	if pipeline.ClassOf(err) != pipeline.ClassCanceled {
		t.Errorf("%v", err)
	}
}
