package pipeline_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
)

func TestFetch(t *testing.T) {
	l := newLab(t)
	for id := range int64(1200) {
		l.put("Tickets", id-5, map[string]any{"title": "old"})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	before, err := l.sink.Stream(t.Context(), "Tickets")
	if err != nil {
		t.Fatal(err)
	}
	l.source.Put("Tickets", -3, map[string]any{"title": "edited, no stamp moved"})
	l.put("Tickets", 5000, map[string]any{"title": "new"})
	l.source.Delete("Tickets", 10)
	spent := l.source.Requests()
	run, got, err := l.runner.Fetch(t.Context(), find("Tickets")[0], []int64{-3, 0, 10, 5000, 99999, 0})
	if err != nil {
		t.Fatal(err)
	}
	want := []pipeline.Fetched{{-3, "updated"}, {0, "unchanged"}, {10, "gone"}, {5000, "inserted"}, {99999, "unknown"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s := one(t, run, "Tickets")
	if run.Command != "fetch" || run.Status != pipeline.StatusOK || s.Inserted != 1 || s.Updated != 1 || s.Unchanged != 1 || s.Deleted != 1 {
		t.Errorf("%+v", run)
	}
	if n := run.Requests - spent[""] - spent["Tickets"]; n != 3 { // a login, the ids, a second look at the one that is gone
		t.Errorf("%d requests", n)
	}
	after, err := l.sink.Stream(t.Context(), "Tickets")
	if diff := cmp.Diff(before.Checkpoint, after.Checkpoint); err != nil || diff != "" {
		t.Errorf("the checkpoint moved: %s, %v", diff, err)
	}
	if live := l.live("Tickets", "title"); live["-3"] != "edited, no stamp moved" || live["5000"] != "new" || live["10"] != "" {
		t.Error("the rows are not what the source has")
	}
	if n := len(l.pub.times); n != 2 {
		t.Errorf("%d publications", n)
	}

	// the deleted row comes back
	l.put("Tickets", 10, map[string]any{"title": "back"})
	_, got, err = l.runner.Fetch(t.Context(), find("Tickets")[0], []int64{10})
	if err != nil || got[0].Outcome != pipeline.FetchInserted || l.live("Tickets", "title")["10"] != "back" {
		t.Errorf("%v %v", got, err)
	}
}

func TestFetchInGroups(t *testing.T) {
	l := newLab(t)
	var ids []int64
	for id := range int64(1100) {
		l.put("Tickets", id, nil)
		ids = append(ids, id)
	}
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	before := l.source.Requests()["Tickets"]
	slices.Reverse(ids)
	_, got, err := l.runner.Fetch(t.Context(), find("Tickets")[0], ids)
	if err != nil || len(got) != 1100 || got[0].ID != 1099 {
		t.Fatalf("%d, %v", len(got), err)
	}
	for _, f := range got {
		if f.Outcome != pipeline.FetchUnchanged {
			t.Fatalf("%+v", f)
		}
	}
	if n := l.source.Requests()["Tickets"] - before; n != 3+2 { // two full groups need a page more, to see that they end
		t.Errorf("%d requests", n)
	}
}

func TestFetchRefusals(t *testing.T) {
	l := newLab(t)
	for id := range int64(300) {
		l.put("Tickets", id, nil)
	}
	tickets := find("Tickets")[0]
	if _, _, err := l.runner.Fetch(t.Context(), tickets, []int64{1}); pipeline.ClassOf(err) != pipeline.ClassConfig {
		t.Errorf("never read: %v", err)
	}
	if len(l.sink.Runs()) != 0 || len(l.source.Requests()) != 0 {
		t.Error("a refused fetch left traces")
	}
	if _, _, err := l.runner.Fetch(t.Context(), find("TicketHistory")[0], []int64{1}); pipeline.ClassOf(err) != pipeline.ClassConfig {
		t.Errorf("no query by id: %v", err)
	}
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for id := range int64(60) { // a right was lost: nothing is marked deleted
		l.source.Delete("Tickets", id)
		ids = append(ids, id)
	}
	run, got, err := l.runner.Fetch(t.Context(), tickets, ids)
	if pipeline.ClassOf(err) != pipeline.ClassGuard || run.Status != pipeline.StatusFailed || got[0].Outcome != pipeline.FetchFailed {
		t.Errorf("%v %+v", err, run)
	}
	if n := len(l.live("Tickets", "id")); n != 300 {
		t.Errorf("%d rows are live", n)
	}
	l.source.LoginErr = &pipeline.Error{Class: pipeline.ClassAuth, Err: errors.New("refused")}
	if _, got, err = l.runner.Fetch(t.Context(), tickets, ids[:1]); pipeline.ClassOf(err) != pipeline.ClassAuth || got[0].Outcome != pipeline.FetchFailed {
		t.Errorf("%v %v", err, got)
	}
}

// TestResetReadsWholeAndCompares: rows stay, what is gone is found, and what is the same is not written again.
func TestResetReadsWholeAndCompares(t *testing.T) {
	l := newLab(t)
	for id := range int64(100) {
		l.put("Tickets", id, nil)
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	if err := l.sink.SetCheckpoint(t.Context(), "Tickets", nil, pipeline.StateNote{Command: "state reset"}); err != nil {
		t.Fatal(err)
	}
	l.source.Delete("Tickets", 5)
	run, err := l.sync("Tickets")
	if err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Tickets"); s.Mode != "full" || s.Unchanged != 99 || s.Deleted != 1 || s.Inserted+s.Updated != 0 {
		t.Errorf("%+v", s)
	}
}
