package pipeline_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
)

// logged returns a lab with tickets, their notes and time entries, and the logs of deletions, synced.
func logged(t *testing.T) (*lab, []string) {
	t.Helper()
	names := []string{"Tickets", "TicketNotes", "TimeEntries", "TicketSecondaryResources", "DeletedTicketLogs", "DeletedTicketActivityLogs", "DeletedTaskActivityLogs"}
	l := newLab(t)
	for id := range int64(40) {
		l.put("Tickets", id, map[string]any{"title": fmt.Sprint("t", id)})
		l.put("TicketNotes", 100+id, map[string]any{"ticketID": id / 2, "title": "n"})
		l.put("TimeEntries", 200+id, map[string]any{"ticketID": id / 2})
		l.put("TimeEntries", 300+id, map[string]any{"taskID": id / 2})
		l.source.Put("TicketSecondaryResources", 400+id, map[string]any{"ticketID": id})
	}
	l.deletion("DeletedTicketLogs", map[string]any{"ticketID": int64(7)}) // of another ticket 7, long ago
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	return l, names
}

// deletion writes a row of a log.
func (l *lab) deletion(log string, fields map[string]any) {
	ids := l.source.IDs(log)
	l.put(log, int64(len(ids)+1), fields)
}

func (l *lab) reasons(table string) map[string]string {
	out := map[string]string{}
	for _, row := range l.sink.Rows(table, "id") {
		if row["_deleted_at"] != "" {
			out[row["id"]] = row["_delete_reason"]
		}
	}
	return out
}

func TestLogsOfDeletionsAreFollowedInTheSameRun(t *testing.T) {
	l, names := logged(t)
	l.source.Delete("Tickets", 3)
	l.source.Delete("TicketNotes", 106) // of ticket 3, gone with it; its other note stays
	l.source.Delete("TicketSecondaryResources", 403)
	l.deletion("DeletedTicketLogs", map[string]any{"ticketID": int64(3)})
	l.deletion("DeletedTicketLogs", map[string]any{"ticketID": int64(4)})    // it is still there
	l.deletion("DeletedTicketLogs", map[string]any{"ticketID": int64(9999)}) // never seen
	l.source.Delete("TimeEntries", 210)                                      // of ticket 5
	l.deletion("DeletedTicketActivityLogs", map[string]any{"ticketID": int64(5)})
	l.source.Delete("TimeEntries", 312) // of task 6
	l.deletion("DeletedTaskActivityLogs", map[string]any{"taskID": int64(6)})
	l.source.Delete("TimeEntries", 230) // nobody tells
	run, err := l.sync(names...)
	if err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]map[string]string{
		"tickets": {"3": "log"}, "ticket_notes": {"106": "log"}, "time_entries": {"210": "log", "312": "log"},
		"ticket_secondary_resources": {"403": "parent"},
	} {
		if diff := cmp.Diff(want, l.reasons(table)); diff != "" {
			t.Errorf("%s (-want +got): %s", table, diff)
		}
	}
	if s := one(t, run, "TimeEntries"); s.Deleted != 2 || s.Mode != "incremental" || s.Status != pipeline.StatusOK {
		t.Errorf("%+v", s)
	}

	// A log may be ahead of the rows: ticket 4 goes only now.
	l.source.Delete("Tickets", 4)
	l.now = l.now.Add(time.Minute)
	if _, err := l.sync(names...); err != nil || l.reasons("tickets")["4"] != "log" {
		t.Errorf("a deletion that came after its log entry: %v, error %v", l.reasons("tickets"), err)
	}

	// What was followed, and is no longer recent, is not followed again.
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Minute)
	for _, entity := range names {
		n := l.spent(entity, func() {
			if _, err := l.sync(names...); err != nil {
				t.Fatal(err)
			}
		})
		if n > 1 {
			t.Errorf("%s took %d requests", entity, n)
		}
		l.now = l.now.Add(time.Minute)
	}
}

// TestLogIsFollowedAfterAKill: the rows of the log are stored, the tombstones are not.
func TestLogIsFollowedAfterAKill(t *testing.T) {
	l, names := logged(t)
	l.source.Delete("Tickets", 3)
	l.source.Delete("TicketNotes", 109)
	l.deletion("DeletedTicketLogs", map[string]any{"ticketID": int64(3)})
	l.deletion("DeletedTicketActivityLogs", map[string]any{"ticketID": int64(4)})
	commits := map[string]int{}
	l.runner.Streams = 1
	l.sink.OnCommit = func(entity string) error {
		if commits[entity]++; commits[entity] == 2 && (entity == "Tickets" || entity == "TicketNotes") {
			return errors.New("killed") // the first commit is that of the read
		}
		return nil
	}
	if _, err := l.sync(names...); err == nil {
		t.Fatal("nothing failed")
	}
	l.sink.OnCommit = nil
	l.sink.Reopen()
	l.now = l.now.Add(time.Minute)
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	if got := l.reasons("tickets")["3"] + l.reasons("ticket_notes")["109"]; got != "loglog" {
		t.Errorf("reasons %q", got)
	}
}

// TestLogNamesManyTickets: what a log names and the second look confirms needs no guard.
func TestLogNamesManyTickets(t *testing.T) {
	l := newLab(t)
	for id := range int64(1300) {
		l.put("Tickets", id, map[string]any{"title": "t"})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets", "DeletedTicketLogs"); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	for id := range int64(1100) {
		l.source.Delete("Tickets", id)
		l.deletion("DeletedTicketLogs", map[string]any{"ticketID": id})
	}
	if run, err := l.sync("Tickets", "DeletedTicketLogs"); err != nil || one(t, run, "Tickets").Deleted != 1100 {
		t.Errorf("%+v, error %v", one(t, run, "Tickets"), err)
	}
	if n := len(l.live("Tickets", "title")); n != 200 {
		t.Errorf("%d rows left", n)
	}
}

// TestLogsThatCannotBeReadHurtNobody: the rights to them are an administrator's.
func TestLogsThatCannotBeReadHurtNobody(t *testing.T) {
	l, names := logged(t)
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "DeletedTicketLogs" {
			return &pipeline.Error{Class: pipeline.ClassRights, Err: errors.New("no right")}
		}
		return nil
	}
	run, err := l.sync(names...)
	if pipeline.ClassOf(err) != pipeline.ClassPartial {
		t.Errorf("error %v", err)
	}
	for _, s := range run.Streams {
		if want := map[bool]pipeline.Status{true: pipeline.StatusFailed, false: pipeline.StatusOK}[s.Entity == "DeletedTicketLogs"]; s.Status != want {
			t.Errorf("%s is %s", s.Entity, s.Status)
		}
	}
}

func TestWholeReadComesRoundByItself(t *testing.T) {
	l := newLab(t)
	l.runner.FullEvery = 7 * 24 * time.Hour
	for id := range int64(200) {
		l.put("Tickets", id, map[string]any{"title": "t"})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	edited := l.source.Row("Tickets", 5)
	edited["title"] = "edited, stamp still"
	l.source.Put("Tickets", 5, edited)
	l.source.Delete("Tickets", 6)
	l.now = l.now.Add(5 * 24 * time.Hour)
	if run, err := l.sync("Tickets"); err != nil || one(t, run, "Tickets").Mode != "incremental" {
		t.Fatalf("%+v, %v", one(t, run, "Tickets"), err)
	}
	l.put("Tickets", 7, map[string]any{"title": "edited, stamped"})
	l.now = l.now.Add(2*24*time.Hour + time.Minute)
	run, err := l.sync("Tickets")
	if s := one(t, run, "Tickets"); err != nil || s.Mode != "full" || s.Updated != 2 || s.Deleted != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	rows := l.sink.Rows("_atsync.stamp_misses")
	if len(rows) != 1 || rows[0]["entity"] != "Tickets" || rows[0]["compared"] != "199" || rows[0]["missed"] != "1" || rows[0]["example_ids"] != "[5]" {
		t.Errorf("stamp_misses: %v", rows)
	}
	l.now = l.now.Add(time.Hour)
	if run, err := l.sync("Tickets"); err != nil || one(t, run, "Tickets").Mode != "incremental" {
		t.Errorf("%+v, %v", one(t, run, "Tickets"), err)
	}
	if rows := l.sink.Rows("_atsync.stamp_misses"); len(rows) != 1 {
		t.Errorf("an incremental read wrote %v", rows)
	}
}

// TestGuardOfADueWholeReadLetsNewRowsThrough: until a person has looked, the stream fails, but it does not stand still.
func TestGuardOfADueWholeReadLetsNewRowsThrough(t *testing.T) {
	for name, n := range map[string]int64{"a page": 300, "some pages": 1300} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.runner.FullEvery = 24 * time.Hour
			for id := range n {
				l.put("Tickets", id, map[string]any{"title": "t"})
			}
			l.now = l.now.Add(time.Hour)
			if _, err := l.sync("Tickets"); err != nil {
				t.Fatal(err)
			}
			l.now = l.now.Add(25 * time.Hour)
			for id := int64(50); id < 150; id++ {
				l.source.Delete("Tickets", id)
			}
			l.put("Tickets", 9000, map[string]any{"title": "new"})
			run, err := l.sync("Tickets")
			if s := one(t, run, "Tickets"); pipeline.ClassOf(err) != pipeline.ClassGuard || s.Inserted != 1 || s.Deleted != 0 {
				t.Errorf("%+v, error %v", s, err)
			}
			if run, err = l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find("Tickets"), AllowDeletes: true}); err != nil || one(t, run, "Tickets").Deleted != 100 {
				t.Errorf("%+v, error %v", one(t, run, "Tickets"), err)
			}
		})
	}
}

// TestPartsGoneRunByRun: a right that is silently lost shows up in a few rows at a time, where only what changed is looked
// at. None of them becomes a tombstone.
func TestPartsGoneRunByRun(t *testing.T) {
	l := newLab(t)
	names := []string{"Tickets", "TicketNotes", "TicketSecondaryResources", "DeletedTicketActivityLogs"}
	for id := range int64(60) {
		l.put("Tickets", id, map[string]any{"title": "t"})
		l.put("TicketNotes", 100+id, map[string]any{"ticketID": id, "title": "n"})
		l.source.Put("TicketSecondaryResources", 400+id, map[string]any{"ticketID": id})
	}
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	for id := range int64(60) {
		l.source.Delete("TicketNotes", 100+id)
		l.source.Delete("TicketSecondaryResources", 400+id)
	}
	for round := range int64(3) {
		l.now = l.now.Add(time.Hour)
		for id := round * 4; id < round*4+4; id++ {
			l.put("Tickets", id, map[string]any{"title": fmt.Sprint("changed in round ", round)})
			l.deletion("DeletedTicketActivityLogs", map[string]any{"ticketID": id})
		}
		run, err := l.sync(names...)
		if pipeline.ClassOf(err) != pipeline.ClassGuard {
			t.Errorf("round %d: %v", round, err)
		}
		for _, entity := range names[1:3] {
			if s := one(t, run, entity); s.ErrorClass != pipeline.ClassGuard || s.Deleted != 0 || len(l.live(entity, "ticket_id")) != 60 {
				t.Errorf("round %d: %+v, %d rows left", round, s, len(l.live(entity, "ticket_id")))
			}
		}
	}
	if run, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find(names...), AllowDeletes: true}); err != nil {
		t.Errorf("allowed: %v, %+v", err, run)
	}
}
