package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// queries counts the pages of an entity that were asked for.
func queries(server *autotasktest.Server, entity string) (n int) {
	for _, r := range server.Requests() {
		if r.Entity == entity && strings.HasSuffix(strings.ToLower(r.Path), "/query") {
			n++
		}
	}
	return n
}

// TestKillFirstLoad kills the first load of a large entity again and again, with edits going on. It goes on where it
// was each time, readers see nothing of it before it is complete, and in the end the warehouse has every row.
func TestKillFirstLoad(t *testing.T) {
	t.Parallel()
	const tickets, size, workers = 24_000, 500, 4
	server := autotasktest.NewServer(autotasktest.WithClock(simulatedNow), autotasktest.WithGenerated(autotasktest.Scaled(tickets), 7),
		autotasktest.WithLatency(100*time.Millisecond))
	v := newVictimOf(t, server, "Tickets")
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 3))
	data := v.server.Data()
	var edits atomic.Int64
	edit := func() {
		ids := data.IDs("Tickets")
		for range 3 {
			data.Update("Tickets", ids[r.IntN(len(ids))], map[string]any{"title": fmt.Sprintf("edit %d", edits.Add(1))})
		}
		data.Insert("Tickets", map[string]any{"title": fmt.Sprintf("new %d", edits.Add(1))})
	}
	killed, stored := 0, int64(0)
	for i := range 5 {
		more := 4 + r.IntN(16) // pages after which it is killed
		if i == 4 && stored == 0 {
			more = 30 // a second's worth: something is stored by then
		}
		from := queries(v.server, "Tickets")
		alive := v.killed(func(ended <-chan struct{}) {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for queries(v.server, "Tickets") < from+more {
				select {
				case <-tick.C:
				case <-ended:
					return
				}
			}
		})
		if !alive {
			break
		}
		killed++
		edit()
		if n := v.stored("Tickets"); n < stored {
			t.Errorf("%d rows were stored, now %d are", stored, n)
		} else {
			stored = n
		}
		if _, err := os.Stat(v.published()); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("something was published: %v", err)
		}
	}
	if stored == 0 {
		t.Error("none of the killed loads had stored anything")
	}
	from := queries(v.server, "Tickets")
	v.sync()
	// what was stored is not asked for again; each of the ranges that were left ends with a page that is not full
	pages := (len(data.IDs("Tickets")) - int(stored) + size - 1) / size
	if n, most := queries(v.server, "Tickets")-from, pages*102/100+10+workers; n > most {
		t.Errorf("%d queries for the last %d pages, want at most %d", n, pages, most)
	}
	t.Logf("%d queries for %d rows, %d kills", from, stored, killed)
	if killed == 0 {
		t.Error("none was killed")
	}
	v.consistent("when it was complete")
	edit()
	v.sync() // brings the edits that were made to rows that had been read
	for _, difference := range differences(v.published(), data, []string{"Tickets"}) {
		t.Error(difference)
	}
	statuses := v.statuses()
	if len(statuses) < 2 || slices.Contains(statuses, "running") {
		t.Errorf("loads: %v", statuses)
	}
}

// stored returns how many rows a killed sync has left in the warehouse.
func (v *victim) stored(entity string) int64 {
	v.Helper()
	w, err := duckdb.Open(v.Context(), duckdb.Options{Path: filepath.Join(v.dir, "data", "work", "acme.duckdb"), Tenant: "acme"})
	if err != nil {
		v.Fatal(err)
	}
	defer w.Close()
	st, err := w.Stream(v.Context(), entity)
	if err != nil {
		v.Fatal(err)
	}
	return st.LiveRows
}

// statuses returns those of the loads in the publication, the oldest first.
func (v *victim) statuses() (out []string) {
	v.Helper()
	rows, err := openPublished(v.T, v.published()).Query(`SELECT status FROM _atsync.loads ORDER BY load_id`)
	if err != nil {
		v.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var status string
		if err := rows.Scan(&status); err != nil {
			v.Fatal(err)
		}
		out = append(out, status)
	}
	if err := rows.Err(); err != nil {
		v.Fatal(err)
	}
	return out
}
