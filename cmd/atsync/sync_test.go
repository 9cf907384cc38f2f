package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestSyncEqualsSourceAndThenWritesNothing runs on a small tenant. ATSYNC_TEST_TICKETS=20000 makes it a large one,
// with twice as many notes and time entries.
func TestSyncEqualsSourceAndThenWritesNothing(t *testing.T) {
	size := autotasktest.Small()
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_TICKETS")); err == nil {
		size = autotasktest.Scaled(n)
	}
	r := newRig(t, size)
	first := r.mustSync()
	if n := totals(first); n.Inserted == 0 || n.Rejected != 0 {
		t.Fatalf("first sync: %+v", n)
	}
	r.equal()
	t.Logf("first: %d rows, %d requests", totals(first).Inserted, r.server.RequestCount())

	second := r.mustSync()
	if n := totals(second); n.Inserted+n.Updated+n.Deleted != 0 {
		t.Errorf("the second sync wrote: %+v", n)
	}
	if got, most := r.server.RequestCount(), len(r.cfg.Entities)+5; got > most {
		t.Errorf("the second sync of %d entities took %d requests, at most %d are needed: %v", len(r.cfg.Entities), got, most, r.server.RequestCounts())
	}
	r.equal()
}

func TestSyncBringsExactlyWhatChanged(t *testing.T) {
	r := newRig(t, autotasktest.Scaled(1500))
	r.cfg.Entities = entities(t, "Tickets", "TimeEntries", "Companies")
	r.mustSync()
	data := r.server.Data()

	// 500 edits with one and the same stamp, so that ties straddle the boundary of a page; 50 inserts.
	r.clock.Advance(20 * time.Minute)
	ids := data.IDs("Tickets")
	for i := range 500 {
		data.Update("Tickets", ids[i*2], map[string]any{"title": fmt.Sprintf("edited %d 🛠", i)})
	}
	for i := range 50 {
		data.Insert("Tickets", map[string]any{"title": fmt.Sprintf("new %d", i), "companyID": 0, "status": 1, "priority": 2})
	}
	r.clock.Advance(10 * time.Minute)
	run := r.mustSync()
	if s := stream(t, run, "Tickets"); s.Updated != 500 || s.Inserted != 50 {
		t.Errorf("500 edits and 50 inserts became %+v", s)
	}
	r.equal()
}

func TestLostWarehouseIsMadeFromItsPublication(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Tickets", "TicketNotes", "Roles")
	r.mustSync()
	gone := r.server.Data().IDs("Roles")[0]
	r.server.Data().DeleteQuietly("Roles", gone)
	r.clock.Advance(time.Hour)
	r.mustSync()
	if err := os.RemoveAll(filepath.Dir(r.cfg.WorkPath)); err != nil {
		t.Fatal(err)
	}

	r.clock.Advance(time.Hour)
	run := r.mustSync()
	if s := stream(t, run, "Tickets"); s.Mode != "incremental" || s.Inserted != 0 {
		t.Errorf("tickets were loaded again: %+v", s)
	}
	r.equal()
	var tombstones int
	db := openPublished(t, r.cfg.PublishPath)
	if err := db.QueryRow(`SELECT count(*) FROM roles WHERE _deleted_at IS NOT NULL AND id = ?`, gone).Scan(&tombstones); err != nil || tombstones != 1 {
		t.Errorf("%d tombstones, error %v", tombstones, err)
	}
}

// TestWrongZoneIsRefusedOnce: the zone that was found in place of the configured one is kept for later processes.
func TestWrongZoneIsRefusedOnce(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Roles")
	elsewhere := autotasktest.NewServer(autotasktest.WithClock(r.clock.Now), autotasktest.WithData(r.server.Data()))
	t.Cleanup(elsewhere.Close)
	r.server.MoveTo(elsewhere)
	for range 5 {
		r.mustSync()
		r.clock.Advance(time.Hour)
	}
	if n := r.server.FailedLogins(); n != 1 {
		t.Errorf("%d failed logins in five syncs", n)
	}
	r.equal()
}
