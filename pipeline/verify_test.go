package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/atsync/atsync/pipeline"
)

func (l *lab) verify(req pipeline.VerifyRequest, names ...string) (pipeline.Run, error) {
	req.Entities = find(names...)
	return l.runner.Verify(context.Background(), req)
}

// filled returns a lab whose entity has n rows, synced.
func filled(t *testing.T, entity string, n int64) *lab {
	t.Helper()
	l := newLab(t)
	for id := range n {
		l.put(entity, id, map[string]any{"title": fmt.Sprint("t", id)})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync(entity); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	return l
}

// spent returns how many requests f costs an entity.
func (l *lab) spent(entity string, f func()) int64 {
	before := l.source.Requests()[entity]
	f()
	return l.source.Requests()[entity] - before
}

func TestVerifyOfEqualsCostsOneRequestEach(t *testing.T) {
	l := filled(t, "Tickets", 1200)
	var run pipeline.Run
	var err error
	if n := l.spent("Tickets", func() { run, err = l.verify(pipeline.VerifyRequest{}, "Tickets", "Companies", "TicketHistory") }); n != 1 || err != nil {
		t.Errorf("%d requests, error %v", n, err)
	}
	v := one(t, run, "Tickets").Verify
	if v.Verdict != pipeline.VerdictEqual || v.SourceRows != 1200 || v.WarehouseRows != 1200 || v.Holes != 0 || v.Duplicates != 0 {
		t.Errorf("%+v", v)
	}
	for entity, reason := range map[string]string{"Companies": "it has not been loaded yet", "TicketHistory": "the API has no count of it"} {
		s := one(t, run, entity)
		if s.Status != pipeline.StatusSkipped || s.Verify.Verdict != pipeline.VerdictSkipped || s.Verify.Reason != reason || s.Requests != 0 {
			t.Errorf("%s: %+v, %+v", entity, s, s.Verify)
		}
	}
	if run.Command != "verify" || run.Status != pipeline.StatusOK || l.sink.Runs()[1].Command != "verify" {
		t.Errorf("%+v", run)
	}
}

func TestVerifyReportsHolesAndRepairsThem(t *testing.T) {
	l := filled(t, "Tickets", 12_000)
	l.source.Delete("Tickets", 9_000)
	l.source.Put("Tickets", -9, map[string]any{"title": "below all", "createDate": "2020-01-01T00:00:00Z"}) // no read by stamps sees it
	l.source.Put("Tickets", 40_000, map[string]any{"title": "new"})
	l.source.Delete("Tickets", 7_000)
	l.source.Delete("Tickets", 11_000)
	before := l.live("Tickets", "title")

	run, err := l.verify(pipeline.VerifyRequest{}, "Tickets")
	if pipeline.ClassOf(err) != pipeline.ClassPartial || run.Status != pipeline.StatusPartial {
		t.Errorf("%s, error %v", run.Status, err)
	}
	v := one(t, run, "Tickets").Verify
	want := &pipeline.Verification{SourceRows: 11_999, WarehouseRows: 12_001, Holes: 4, Missing: 1, Gone: 3,
		MissingIDs: []int64{-9}, GoneIDs: []int64{7_000, 9_000, 11_000}, Verdict: pipeline.VerdictHoles}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("report (-want +got): %s", diff)
	}
	before["40000"] = "new" // it was brought up to date
	if diff := cmp.Diff(before, l.live("Tickets", "title")); diff != "" {
		t.Errorf("rows were changed: %s", diff)
	}

	state, _ := l.sink.Stream(t.Context(), "Tickets")
	n := l.spent("Tickets", func() { run, err = l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets") })
	s := one(t, run, "Tickets")
	if err != nil || s.Verify.Verdict != pipeline.VerdictRepaired || s.Verify.Repaired != 4 || s.Deleted != 3 || s.Inserted != 1 || s.Status != pipeline.StatusOK {
		t.Errorf("%+v, %+v, error %v", s, s.Verify, err)
	}
	if n > 30 {
		t.Errorf("%d requests", n)
	}
	delete(before, "9000")
	delete(before, "7000")
	delete(before, "11000")
	before["-9"] = "below all"
	if diff := cmp.Diff(before, l.live("Tickets", "title")); diff != "" {
		t.Errorf("after the repair: %s", diff)
	}
	for _, row := range l.sink.Rows("tickets", "id") {
		if row["id"] == "9000" && row["_delete_reason"] != "verify" {
			t.Errorf("the tombstone says %q", row["_delete_reason"])
		}
	}
	if after, _ := l.sink.Stream(t.Context(), "Tickets"); !after.Checkpoint.FullAt.Equal(state.Checkpoint.FullAt) {
		t.Error("the repair moved the time of the last whole read")
	}
	if run, err = l.verify(pipeline.VerifyRequest{}, "Tickets"); err != nil || one(t, run, "Tickets").Requests != 1 {
		t.Errorf("after the repair: %+v, error %v", one(t, run, "Tickets"), err)
	}
}

func TestVerifyRestoresTombstonesThatAreThere(t *testing.T) {
	l := filled(t, "Tickets", 100)
	row := l.source.Row("Tickets", 5)
	l.source.Delete("Tickets", 5)
	if _, err := l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets"); err != nil || l.live("Tickets", "title")["5"] != "" {
		t.Fatalf("%v, %v", l.live("Tickets", "title")["5"], err)
	}
	l.source.Put("Tickets", 5, row) // back, with its old stamps
	if _, err := l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets"); err != nil || l.live("Tickets", "title")["5"] != "t5" {
		t.Errorf("%v, %v", l.live("Tickets", "title")["5"], err)
	}
}

func TestVerifyDeepFindsWhatCancelsOut(t *testing.T) {
	l := filled(t, "Tickets", 2500)
	l.source.Delete("Tickets", 10)
	l.source.Put("Tickets", -10, map[string]any{"title": "old"})
	if run, err := l.verify(pipeline.VerifyRequest{}, "Tickets"); err != nil || one(t, run, "Tickets").Verify.Verdict != pipeline.VerdictEqual {
		t.Errorf("counts: %+v, %v", one(t, run, "Tickets").Verify, err)
	}
	var run pipeline.Run
	n := l.spent("Tickets", func() { run, _ = l.verify(pipeline.VerifyRequest{Deep: true, Repair: true}, "Tickets") })
	v := one(t, run, "Tickets").Verify
	if v.Verdict != pipeline.VerdictRepaired || !slices.Equal(v.GoneIDs, []int64{10}) || !slices.Equal(v.MissingIDs, []int64{-10}) || !v.Deep {
		t.Errorf("%+v", v)
	}
	if n > 6+6 { // pages of the list, and: two counts, what is new, the second look, the last count
		t.Errorf("%d requests", n)
	}
}

func TestVerifyStopsAtTheGuard(t *testing.T) {
	for name, test := range map[string]struct{ rows, keep int64 }{
		"five percent of a large table": {6000, 5700}, "half of a small one": {120, 60}, "emptied": {40, 0}, "emptied, some pages": {1100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := filled(t, "Tickets", test.rows)
			for id := test.keep; id < test.rows; id++ {
				l.source.Delete("Tickets", (id*7)%test.rows)
			}
			left := int64(len(l.source.IDs("Tickets")))
			before := l.live("Tickets", "title")
			for _, repair := range []bool{false, true} {
				n := l.spent("Tickets", func() {
					run, err := l.verify(pipeline.VerifyRequest{Repair: repair}, "Tickets")
					if pipeline.ClassOf(err) != pipeline.ClassGuard || one(t, run, "Tickets").Status != pipeline.StatusFailed {
						t.Errorf("error %v", err)
					}
				})
				if n != 2 { // a count, and whether the user may still read it
					t.Errorf("%d requests", n)
				}
			}
			if diff := cmp.Diff(before, l.live("Tickets", "title")); diff != "" {
				t.Errorf("something was changed: %s", diff)
			}
			run, err := l.verify(pipeline.VerifyRequest{Repair: true, AllowDeletes: true}, "Tickets")
			if v := one(t, run, "Tickets").Verify; err != nil || v.Gone != test.rows-left || v.Repaired != v.Gone || int64(len(v.GoneIDs)) > 20 {
				t.Errorf("%+v, error %v", v, err)
			}
			if n := int64(len(l.live("Tickets", "title"))); n != left {
				t.Errorf("%d rows live, %d at the source", n, left)
			}
		})
	}
}

// TestVerifyStopsAtTheGuardWhateverTheCountSays: rows that are missing here hide rows that are gone.
func TestVerifyStopsAtTheGuardWhateverTheCountSays(t *testing.T) {
	l := filled(t, "Tickets", 1000)
	for id := range int64(200) {
		l.source.Delete("Tickets", id)
		l.source.Put("Tickets", -1-id, map[string]any{"title": "old"})
	}
	l.source.Delete("Tickets", 500)
	if _, err := l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets"); pipeline.ClassOf(err) != pipeline.ClassGuard {
		t.Errorf("error %v", err)
	}
	if n := len(l.live("Tickets", "title")); n != 1000 {
		t.Errorf("%d rows left", n)
	}
}

// TestRightLostMidVerifyLeavesNoTombstone: from the second count on, the source shows only some of its rows, without
// an error, or refuses.
func TestRightLostMidVerifyLeavesNoTombstone(t *testing.T) {
	for name, lose := range map[string]func(l *lab) error{
		"an error": func(*lab) error {
			return &pipeline.Error{Class: pipeline.ClassRights, Err: errors.New("no right")}
		},
		"rows hidden": func(l *lab) error {
			for _, id := range l.source.IDs("Tickets") {
				if id%40 == 0 { // in the range that is listed and beyond it
					l.source.Delete("Tickets", id)
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := filled(t, "Tickets", 11_000)
			l.source.Delete("Tickets", 3)
			pages := 0
			l.source.OnPage = func(string, int) error {
				if pages++; pages == 2 { // the first brings what is new, the second lists
					return lose(l)
				}
				return nil
			}
			run, err := l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets")
			if err == nil || one(t, run, "Tickets").Status != pipeline.StatusFailed {
				t.Errorf("%+v", one(t, run, "Tickets"))
			}
			if n := len(l.live("Tickets", "title")); n != 11_000 {
				t.Errorf("%d rows left after %v", n, err)
			}
		})
	}
}

func TestVerifyDoesNotBelieveACountThatTheListContradicts(t *testing.T) {
	l := filled(t, "Roles", 30)
	for _, lie := range []int64{1, -1} {
		l.source.OnCount = func(_ string, n int64) (int64, error) { return n + lie, nil }
		run, err := l.verify(pipeline.VerifyRequest{Repair: true}, "Roles")
		if s := one(t, run, "Roles"); pipeline.ClassOf(err) != pipeline.ClassSource || s.Verify.Verdict != pipeline.VerdictUnknown {
			t.Errorf("lie of %d: %+v, error %v", lie, s.Verify, err)
		}
		if n := len(l.live("Roles", "id")); n != 30 {
			t.Errorf("lie of %d: %d rows left", lie, n)
		}
	}
}

// TestSourceThatChangesDuringVerify: rows that come and go meanwhile are neither lost nor buried.
func TestSourceThatChangesDuringVerify(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(rt)
		for id := range int64(600) {
			l.put("Tickets", id*3, map[string]any{"title": fmt.Sprint("t", id)})
		}
		l.now = l.now.Add(time.Hour)
		if _, err := l.sync("Tickets"); err != nil {
			rt.Fatal(err)
		}
		next := int64(10_000)
		edit := func() {
			l.now = l.now.Add(time.Second)
			ids := l.source.IDs("Tickets")
			switch rapid.IntRange(0, 3).Draw(rt, "edit") {
			case 0:
				l.source.Delete("Tickets", rapid.SampledFrom(ids).Draw(rt, "gone"))
			case 1:
				l.put("Tickets", next, map[string]any{"title": "new"})
				next++
			case 2: // seen late, with an old stamp
				l.source.Put("Tickets", rapid.SampledFrom(ids).Draw(rt, "near")+1, map[string]any{"title": "late"})
			}
		}
		for range rapid.IntRange(0, 10).Draw(rt, "before") {
			edit()
		}
		busy := func(string, int) error {
			if rapid.IntRange(0, 2).Draw(rt, "during") == 0 {
				edit()
			}
			return nil
		}
		l.source.OnPage = busy
		_, _ = l.verify(pipeline.VerifyRequest{Repair: true}, "Tickets") // may say that it could not finish
		l.source.OnPage = nil
		for id := range l.tombstones(rt, "tickets") {
			if l.source.Row("Tickets", id) != nil {
				rt.Fatalf("row %d is a tombstone and at the source", id)
			}
		}
		l.now = l.now.Add(time.Minute)
		if _, err := l.verify(pipeline.VerifyRequest{Repair: true, Deep: true}, "Tickets"); err != nil {
			rt.Fatal(err)
		}
		if got, want := len(l.live("Tickets", "title")), len(l.source.IDs("Tickets")); got != want {
			rt.Fatalf("%d rows, the source has %d", got, want)
		}
	})
}

// tombstones returns the ids of a table's tombstones.
func (l *lab) tombstones(tb interface{ Fatal(args ...any) }, table string) map[int64]bool {
	out := map[int64]bool{}
	for _, row := range l.sink.Rows(table, "id") {
		var id int64
		if _, err := fmt.Sscan(row["id"], &id); err != nil {
			tb.Fatal(err)
		}
		if row["_deleted_at"] != "" {
			out[id] = true
		}
	}
	return out
}
