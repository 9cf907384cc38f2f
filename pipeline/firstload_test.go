package pipeline_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// TestFirstLoadGoesOn ends a first load at random moments, with edits going on. Each page comes once over all
// attempts, those excepted that were under way when one ended.
func TestFirstLoadGoesOn(t *testing.T) {
	const rows, size, workers = 5000, 50, 4
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			l := newLargeLab(t, spread(rows))
			var first time.Time // when the load began of which something is stored
			var mu sync.Mutex
			attempts, until := 0, 0
			l.source.OnPage = func(_ string, page int) error {
				mu.Lock()
				defer mu.Unlock()
				l.now = l.now.Add(time.Second)
				ids := l.source.IDs("Tickets")
				l.put("Tickets", ids[r.IntN(len(ids))], map[string]any{"title": fmt.Sprint("edited on page ", page)})
				if page > until {
					return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
				}
				return nil
			}
			for {
				if attempts++; attempts > 12 {
					l.source.OnPage = nil
				}
				until = r.IntN(40)
				run, err := l.sync("Tickets")
				if err == nil {
					break
				}
				state, stateErr := l.sink.Stream(t.Context(), "Tickets")
				if stateErr != nil || !state.Checkpoint.CompleteThrough.IsZero() {
					t.Fatalf("after attempt %d: %+v %v", attempts, state.Checkpoint, stateErr)
				}
				p := state.Checkpoint.Progress
				if p != nil && first.IsZero() {
					first = p.StartedAt
				}
				if p != nil && !p.StartedAt.Equal(first) || p == nil && (state.LiveRows > 0 || !first.IsZero()) {
					t.Fatalf("after attempt %d: progress %+v, %d rows", attempts, p, state.LiveRows)
				}
				if len(l.pub.times) > 0 || one(t, run, "Tickets").LoadID != 0 {
					t.Fatal("an unfinished load was published")
				}
				l.sink.Reopen()
				l.now = l.now.Add(time.Hour)
			}
			state, err := l.sink.Stream(t.Context(), "Tickets")
			if err != nil || state.Checkpoint.Progress != nil || !state.Checkpoint.CompleteThrough.Equal(first.Add(-pipeline.Settle)) {
				t.Errorf("complete: %+v %v", state.Checkpoint, err)
			}
			// a page and a segment's last one are lost with each worker, beside metadata, counts and steals
			if n, most := l.source.Requests()["Tickets"], int64(rows/size+(2*workers+4)*attempts+10); n > most {
				t.Errorf("%d requests in %d attempts, want at most %d", n, attempts, most)
			}
			l.source.OnPage = nil
			l.now = l.now.Add(time.Hour)
			if _, err := l.sync("Tickets"); err != nil {
				t.Fatal(err)
			}
			l.equal(t)
		})
	}
}

// TestUnconfirmedFirstLoadIsReadAgain: a page that came short cannot be told from the end of a segment, but by the count.
func TestUnconfirmedFirstLoadIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLab(t, spread(5000))
		hidden := map[int64]map[string]any{}
		l.source.OnPage = func(_ string, page int) error {
			if page == 1 {
				ids := l.source.IDs("Tickets")
				for _, id := range ids[len(ids)-100:] {
					hidden[id] = l.source.Row("Tickets", id)
					l.source.Delete("Tickets", id)
				}
			}
			return nil
		}
		l.source.OnCount = func(_ string, n int64) (int64, error) {
			if n > 1000 { // not the count of late changes, nor that of what lies behind
				n += int64(len(hidden))
			}
			return n, nil
		}
		if _, err := l.sync("Tickets"); pipeline.ClassOf(err) != pipeline.ClassSource {
			t.Fatalf("error %v", err)
		}
		state, err := l.sink.Stream(t.Context(), "Tickets")
		if err != nil || state.Checkpoint.Progress == nil || !state.Checkpoint.Progress.Again {
			t.Fatalf("%+v %v", state.Checkpoint, err)
		}
		for id, row := range hidden {
			l.source.Put("Tickets", id, row)
		}
		l.source.OnPage, l.source.OnCount = nil, nil
		run, err := l.sync("Tickets")
		if err != nil {
			t.Fatal(err)
		}
		if s := one(t, run, "Tickets"); s.Mode != string(pipeline.ModeFull) || s.Inserted != 100 {
			t.Errorf("%+v", s)
		}
		l.equal(t)
	})
}

// TestTableThatSomebodyElseWroteTo: a first load goes on only where nothing but its own rows is stored.
func TestTableThatSomebodyElseWroteTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLab(t, spread(5000))
		l.source.OnPage = func(_ string, page int) error {
			if page == 60 {
				return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
			}
			return nil
		}
		if _, err := l.sync("Tickets"); err == nil {
			t.Fatal("no error")
		}
		state, err := l.sink.Stream(t.Context(), "Tickets")
		if err != nil || state.Checkpoint.Progress == nil {
			t.Fatalf("%+v %v", state, err)
		}
		table := schemas.NewTable(find("Tickets")[0], state.Metadata, state.Columns)
		load, err := l.sink.Begin(t.Context(), pipeline.LoadSpec{Table: table, Class: table.Entity.Class})
		if err != nil {
			t.Fatal(err)
		}
		last := l.source.IDs("Tickets")[4998] // the last row of all
		err = l.source.Read(t.Context(), pipeline.Slice{Table: table, After: &last}, func(b pipeline.Batch) error { return load.Stage(t.Context(), b) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load.Commit(t.Context(), pipeline.Commit{Checkpoint: state.Checkpoint}); err != nil {
			t.Fatal(err)
		}
		l.source.OnPage = nil
		run, err := l.sync("Tickets")
		if err != nil {
			t.Fatal(err)
		}
		if s := one(t, run, "Tickets"); s.Mode != string(pipeline.ModeFull) || s.Unchanged == 0 {
			t.Errorf("%+v", s)
		}
		l.equal(t)
	})
}

// TestChildrenOfAnUnfinishedParent: they are read whole, and again once the parent is complete.
func TestChildrenOfAnUnfinishedParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := spread(5000)
		l := newLargeLab(t, ids)
		for _, id := range ids[:10] {
			l.source.Put("TicketSecondaryResources", 1000+id, map[string]any{"ticketID": id, "resourceID": 1})
		}
		if _, err := l.sync("TicketSecondaryResources"); err != nil {
			t.Fatal(err)
		}
		l.source.OnPage = func(entity string, page int) error {
			if entity == "Tickets" && page == 60 {
				return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
			}
			return nil
		}
		names := []string{"Tickets", "TicketSecondaryResources"}
		if _, err := l.sync(names...); pipeline.ClassOf(err) != pipeline.ClassPartial {
			t.Fatal(err)
		}
		state, err := l.sink.Stream(t.Context(), "TicketSecondaryResources")
		if err != nil || state.Checkpoint.CompleteThrough.IsZero() || state.Checkpoint.ParentLoad != 0 {
			t.Errorf("%+v %v", state.Checkpoint, err)
		}
		l.source.OnPage = nil
		l.now = l.now.Add(time.Hour)
		l.source.Put("TicketSecondaryResources", 1000+ids[3], map[string]any{"ticketID": ids[3], "resourceID": 2})
		if _, err := l.sync(names...); err != nil {
			t.Fatal(err)
		}
		if got := l.live("TicketSecondaryResources", "resource_id")[fmt.Sprint(1000+ids[3])]; got != "2" {
			t.Errorf("resource %s", got)
		}
		l.equal(t)
	})
}
