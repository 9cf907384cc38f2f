package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// verify runs one verify from a fresh start, as a process of its own would.
func (r *rig) verify(req pipeline.VerifyRequest) (pipeline.Run, error) {
	r.Helper()
	s := r.open()
	defer func() {
		if err := s.Close(); err != nil {
			r.Error(err)
		}
	}()
	req.Entities = r.cfg.Entities
	r.server.ResetLog()
	return s.runner(nil).Verify(r.Context(), req)
}

// deleted returns the ids of a published table's tombstones with their reasons.
func (r *rig) deleted(table string) map[int64]string {
	r.Helper()
	db, err := sql.Open("duckdb", r.cfg.PublishPath+"?access_mode=READ_ONLY")
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = db.Close() }() // or the next one would be this one
	rows, err := db.Query(`SELECT id, _delete_reason FROM "` + table + `" WHERE _deleted_at IS NOT NULL`)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[int64]string{}
	for rows.Next() {
		var id int64
		var reason string
		if err := rows.Scan(&id, &reason); err != nil {
			r.Fatal(err)
		}
		out[id] = reason
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	return out
}

// manyTickets starts a rig with tickets and nothing else, synced. ATSYNC_TEST_TICKETS=1000000 makes it that many.
func manyTickets(t *testing.T) (r *rig, tickets int) {
	t.Helper()
	tickets = 11_000
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_TICKETS")); err == nil {
		tickets = n
	}
	data := autotasktest.NewData()
	data.SetClock(func() time.Time { return simulatedNow().Add(-24 * time.Hour) }) // of the stamps
	for i := range tickets {
		data.Insert("Tickets", map[string]any{"id": int64(i * 3), "title": strconv.Itoa(i)})
	}
	r = newRig(t, autotasktest.Tiny(), autotasktest.WithData(data), autotasktest.WithoutLog())
	r.server.SetThreshold(0)
	r.cfg.Entities = entities(t, "Tickets", "Roles")
	r.clock.Advance(time.Hour)
	r.mustSync()
	r.clock.Advance(time.Hour)
	return r, tickets
}

// TestVerifyManyTickets is the promise of verify in figures.
func TestVerifyManyTickets(t *testing.T) {
	t.Parallel()
	r, n := manyTickets(t)
	r.findsOneDeleted(n)
	r.clock.Advance(time.Hour)
	r.stopsAtFivePercent(n - 1)
}

// findsOneDeleted holds that no deletion costs one request per entity, and one 30 at most.
func (r *rig) findsOneDeleted(n int) {
	t := r.T
	run, err := r.verify(pipeline.VerifyRequest{})
	if v := stream(t, run, "Tickets").Verify; err != nil || v.Verdict != pipeline.VerdictEqual || v.SourceRows != int64(n) {
		t.Fatalf("%+v, error %v", v, err)
	}
	for entity, requests := range r.server.RequestCounts() {
		if requests > 1 {
			t.Errorf("equal: %d requests for %q", requests, entity)
		}
	}

	gone := r.server.Data().IDs("Tickets")[n*2/3]
	r.server.Data().DeleteQuietly("Tickets", gone)
	if run, err = r.verify(pipeline.VerifyRequest{}); pipeline.ClassOf(err) != pipeline.ClassPartial || stream(t, run, "Tickets").Verify.Gone != 1 {
		t.Errorf("report: %+v, error %v", stream(t, run, "Tickets").Verify, err)
	}
	if len(r.deleted("tickets")) != 0 {
		t.Error("a report has changed rows")
	}
	r.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpQuery, After: 1, Do: autotasktest.DuplicatePage()})
	run, err = r.verify(pipeline.VerifyRequest{Repair: true})
	if s := stream(t, run, "Tickets"); s.ErrorClass != pipeline.ClassSource || len(r.deleted("tickets")) != 0 {
		t.Errorf("a page of other ids than were asked for: %+v, error %v", s, err)
	}
	r.server.ClearFaults()
	run, err = r.verify(pipeline.VerifyRequest{Repair: true})
	if v := stream(t, run, "Tickets").Verify; err != nil || v.Verdict != pipeline.VerdictRepaired || v.Repaired != 1 || v.GoneIDs[0] != gone {
		t.Errorf("%+v, error %v", v, err)
	}
	requests := r.server.RequestCounts()["Tickets"]
	t.Logf("one of %d found with %d requests", n, requests)
	if requests > 30 {
		t.Errorf("%d requests", requests)
	}
	if got := r.deleted("tickets"); len(got) != 1 || got[gone] != "verify" {
		t.Errorf("tombstones %v", got)
	}
	r.equal()
}

// stopsAtFivePercent holds that verify changes nothing then, and finds them all if it may.
func (r *rig) stopsAtFivePercent(n int) {
	t, deleted, already := r.T, 0, len(r.deleted("tickets"))
	for i, id := range r.server.Data().IDs("Tickets") {
		if i%20 == 7 {
			r.server.Data().DeleteQuietly("Tickets", id)
			deleted++
		}
	}
	run, err := r.verify(pipeline.VerifyRequest{Repair: true})
	if s := stream(t, run, "Tickets"); pipeline.ClassOf(err) != pipeline.ClassGuard || s.Requests != 2 { // a count, and whether the user may read them
		t.Errorf("%d requests, error %v", s.Requests, err)
	}
	if len(r.deleted("tickets")) != already {
		t.Error("something was changed")
	}
	run, err = r.verify(pipeline.VerifyRequest{Repair: true, AllowDeletes: true})
	s := stream(t, run, "Tickets")
	if err != nil || s.Verify.Gone != int64(deleted) || s.Verify.Repaired != s.Verify.Gone {
		t.Errorf("%+v, error %v", s.Verify, err)
	}
	if most := int64(float64(n)/500*1.2) + 10; s.Requests > most {
		t.Errorf("%d requests, at most %d are needed", s.Requests, most)
	}
	r.equal()
}

// TestOneSyncAndOneVerifyMakeEqual: random edits, and deletions that no stamp shows, some of them logged.
func TestOneSyncAndOneVerifyMakeEqual(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	c := &chaos{rig: newRig(t, autotasktest.Tiny()), r: rand.New(rand.NewPCG(seed, 5))}
	names := append(chaosEntities(), "DeletedTicketLogs", "DeletedTicketActivityLogs", "DeletedTaskActivityLogs")
	c.cfg.Entities = entities(t, names...)
	if _, err := c.sync(pipeline.SyncRequest{}); err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		c.clock.Advance(time.Duration(60+c.r.IntN(600)) * time.Second)
		for range c.r.IntN(12) {
			c.edit()
		}
		data := c.server.Data()
		for range c.r.IntN(5) {
			entity := []string{"Tickets", "TicketNotes", "TimeEntries", "TicketSecondaryResources", "Companies"}[c.r.IntN(5)]
			if data.Count(entity) < 10 {
				continue
			}
			if c.r.IntN(2) == 0 {
				data.Delete(entity, c.pick(entity))
			} else {
				data.DeleteQuietly(entity, c.pick(entity))
			}
		}
		if _, err := c.sync(pipeline.SyncRequest{}); err != nil {
			t.Fatalf("round %d: sync: %v", round, err)
		}
		if _, err := c.verify(pipeline.VerifyRequest{Repair: true}); err != nil {
			t.Fatalf("round %d: verify: %v", round, err)
		}
		for _, d := range differences(c.cfg.PublishPath, data, names) {
			t.Errorf("round %d: %s", round, d)
		}
		if t.Failed() {
			return
		}
	}
}

// TestWholeReadsComeRoundInTheWarehouse: what moved no stamp is found after a week, and counted.
func TestWholeReadsComeRoundInTheWarehouse(t *testing.T) {
	t.Parallel()
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities, r.cfg.FullEvery = entities(t, "Tickets", "Companies", "TicketNotes", "BillingItems"), 168*time.Hour
	r.mustSync()
	data := r.server.Data()
	id := data.IDs("Tickets")[3]
	data.Update("Tickets", id, map[string]any{"title": "nobody stamped this", "lastActivityDate": "2026-01-05T00:00:00Z", "lastTrackedModificationDateTime": "2026-01-05T00:00:00Z"})
	r.clock.Advance(100 * time.Hour)
	if s := stream(t, r.mustSync(), "Tickets"); s.Mode != "incremental" || s.Updated != 0 {
		t.Errorf("%+v", s)
	}
	r.clock.Advance(68 * time.Hour)
	for _, s := range r.mustSync().Streams {
		if s.Mode != "full" {
			t.Errorf("%s was read %s", s.Entity, s.Mode)
		}
	}
	r.equal()
	rows, err := openPublished(t, r.cfg.PublishPath).Query(`SELECT entity || ' ' || missed || ' ' || example_ids::VARCHAR FROM _atsync.stamp_misses WHERE compared > 0 ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	if want := fmt.Sprintf("[Companies 0 [] TicketNotes 0 [] Tickets 1 [%d]]", id); rows.Err() != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, want %s, error %v", got, want, rows.Err())
	}
}
