package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// lab is a Runner over the models of source and sink.
type lab struct {
	source *pipelinetest.MemorySource
	sink   *pipelinetest.MemorySink
	runner *pipeline.Runner
	pub    *publisher
	now    time.Time
}

func newLab(tb interface{ Helper() }) *lab {
	tb.Helper()
	l := &lab{now: noon, pub: &publisher{}}
	l.source = pipelinetest.NewMemorySource(noon)
	l.source.Clock = func() time.Time { return l.now }
	l.sink = pipelinetest.NewMemorySink("acme", func() time.Time { return l.now })
	l.pub.now, l.pub.sink = func() time.Time { return l.now }, l.sink
	l.runner = &pipeline.Runner{
		Tenant: "acme", Source: l.source, Sink: l.sink, Publisher: l.pub, Overlap: 5 * time.Minute,
		Now: func() time.Time { return l.now },
	}
	return l
}

func (l *lab) sync(names ...string) (pipeline.Run, error) {
	return l.runner.Sync(context.Background(), pipeline.SyncRequest{Entities: find(names...)})
}

func find(names ...string) []*schemas.Entity {
	var out []*schemas.Entity
	for _, name := range names {
		e, ok := schemas.Lookup(name)
		if !ok {
			panic(name)
		}
		out = append(out, e)
	}
	return out
}

// put stores a row stamped with the lab's time, as an edit in Autotask would.
func (l *lab) put(entity string, id int64, fields map[string]any) {
	e := find(entity)[0]
	row := maps.Clone(fields)
	if row == nil {
		row = map[string]any{}
	}
	for _, stamp := range e.Stamps {
		row[stamp] = l.now.Format(time.RFC3339Nano)
	}
	l.source.Put(entity, id, row)
}

// live returns the column values by id of the rows that are not tombstoned.
func (l *lab) live(entity, column string) map[string]string {
	out := map[string]string{}
	for _, row := range l.sink.Rows(schemas.TableName(entity), "id") {
		if row["_deleted_at"] == "" {
			out[row["id"]] = row[column]
		}
	}
	return out
}

func one(t *testing.T, run pipeline.Run, entity string) pipeline.StreamReport {
	t.Helper()
	for _, s := range run.Streams {
		if s.Entity == entity {
			return s
		}
	}
	t.Fatalf("no report of %s", entity)
	return pipeline.StreamReport{}
}

// publisher counts publications.
type publisher struct {
	mu    sync.Mutex
	times []time.Time
	now   func() time.Time
	sink  *pipelinetest.MemorySink
	seen  int64 // changes of the sink that are published
	err   error
}

// changes counts what readers see of a sink.
func (p *publisher) changes() (n int64) {
	for _, run := range p.sink.Runs() {
		for _, s := range run.Streams {
			n += s.Inserted + s.Updated + s.Deleted
		}
	}
	return n
}

func (p *publisher) Pending(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes() != p.seen, nil
}

func (p *publisher) Publish(context.Context) (pipeline.Publication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return pipeline.Publication{}, p.err
	}
	p.times, p.seen = append(p.times, p.now()), p.changes()
	return pipeline.Publication{}, nil
}

func (p *publisher) Published() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.times) == 0 {
		return time.Time{}, false
	}
	return p.times[len(p.times)-1], true
}

func TestSyncReadsAllThenOnlyWhatChanged(t *testing.T) {
	l := newLab(t)
	for id := range int64(1200) { // id 0 is a row like any other, and all stamps tie
		l.put("Tickets", id, map[string]any{"title": fmt.Sprint("t", id)})
	}
	l.now = l.now.Add(time.Hour)
	run, err := l.sync("Tickets")
	if err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Tickets"); s.Inserted != 1200 || s.Mode != "first" || s.Status != pipeline.StatusOK {
		t.Errorf("first: %+v", s)
	}

	l.now = l.now.Add(time.Hour)
	before := l.source.Requests()["Tickets"]
	run, err = l.sync("Tickets")
	if err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Tickets"); s.Inserted+s.Updated+s.Fetched != 0 || s.Mode != "incremental" {
		t.Errorf("nothing changed: %+v", s)
	}
	if n := l.source.Requests()["Tickets"] - before; n != 1 {
		t.Errorf("nothing changed cost %d requests", n)
	}

	l.put("Tickets", 7, map[string]any{"title": "edited"})
	l.put("Tickets", 5000, map[string]any{"title": "new"})
	l.source.Put("Tickets", 5001, map[string]any{"title": "new, without any stamp"})
	l.now = l.now.Add(time.Minute)
	if run, err = l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Tickets"); s.Inserted != 2 || s.Updated != 1 {
		t.Errorf("one edited, two new: %+v", s)
	}
	if got := l.live("Tickets", "title")["5001"]; got != "new, without any stamp" {
		t.Errorf("row without stamps: %q", got)
	}
}

func TestRowEditedBehindTheReadComesWithTheNextRun(t *testing.T) {
	l := newLab(t)
	for id := range int64(1500) {
		l.put("Tickets", id, map[string]any{"title": "old"})
	}
	l.source.OnPage = func(_ string, page int) error {
		if page == 3 { // rows of page 1, already served, change now
			l.now = l.now.Add(10 * time.Second)
			l.put("Tickets", 3, map[string]any{"title": "edited meanwhile"})
			l.put("Tickets", 9000, map[string]any{"title": "created meanwhile"})
		}
		return nil
	}
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	l.source.OnPage = nil
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	got := l.live("Tickets", "title")
	if got["3"] != "edited meanwhile" || got["9000"] != "created meanwhile" {
		t.Errorf("3: %q, 9000: %q", got["3"], got["9000"])
	}
}

func TestCheckpointStaysWhenTheCountDisagrees(t *testing.T) {
	l := newLab(t)
	for id := range int64(600) {
		l.put("Tickets", id, nil)
	}
	l.now = l.now.Add(time.Hour)
	asked := 0
	l.source.OnCount = func(_ string, n int64) (int64, error) {
		if asked++; asked <= 3 { // before and after the read, and of a part; the count of late changes is honest
			n++
		}
		return n, nil
	}
	run, err := l.sync("Tickets")
	if pipeline.ClassOf(err) != pipeline.ClassSource {
		t.Fatalf("error %v", err)
	}
	if s := one(t, run, "Tickets"); s.Status != pipeline.StatusFailed {
		t.Errorf("status %s", s.Status)
	}
	if state, _ := l.sink.Stream(t.Context(), "Tickets"); !state.Checkpoint.CompleteThrough.IsZero() || state.LiveRows != 0 {
		t.Errorf("something was stored: %+v", state)
	}
}

// TestReadThatEndsEarlyIsNoCompleteRead: the count before the read promised more rows than came.
func TestReadThatEndsEarlyIsNoCompleteRead(t *testing.T) {
	l := newLab(t)
	for id := range int64(100) {
		l.put("Tickets", id, nil)
	}
	l.now = l.now.Add(time.Hour)
	asked := 0
	l.source.OnCount = func(_ string, n int64) (int64, error) {
		if asked++; asked <= 3 {
			n += 1100
		}
		return n, nil
	}
	if run, err := l.sync("Tickets"); pipeline.ClassOf(err) != pipeline.ClassSource || one(t, run, "Tickets").Status != pipeline.StatusFailed {
		t.Errorf("error %v", err)
	}
}

func TestFullReadTombstonesWhatIsGone(t *testing.T) {
	l := newLab(t)
	for id := range int64(20) {
		l.put("Roles", id, map[string]any{"name": "r"})
	}
	if _, err := l.sync("Roles"); err != nil {
		t.Fatal(err)
	}
	l.source.Delete("Roles", 4)
	l.now = l.now.Add(time.Hour)
	run, err := l.sync("Roles")
	if err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Roles"); s.Deleted != 1 || s.Mode != "full" {
		t.Errorf("%+v", s)
	}
	if got := l.live("Roles", "name"); len(got) != 19 || got["4"] != "" {
		t.Errorf("live rows %v", got)
	}
	l.put("Roles", 4, map[string]any{"name": "back"})
	if _, err := l.sync("Roles"); err != nil {
		t.Fatal(err)
	}
	if got := l.live("Roles", "name")["4"]; got != "back" {
		t.Errorf("a row that came back is %q", got)
	}
}

func TestRowMissedByTheListingIsSavedByTheSecondLook(t *testing.T) {
	l := newLab(t)
	for id := range int64(10) {
		l.put("Roles", id, map[string]any{"name": "r"})
	}
	if _, err := l.sync("Roles"); err != nil {
		t.Fatal(err)
	}
	row := l.source.Row("Roles", 4)
	l.source.Delete("Roles", 4)
	served := 0
	l.source.OnPage = func(string, int) error {
		if served++; served == 2 { // the listing is over; the look by id finds it
			l.source.Put("Roles", 4, row)
		}
		return nil
	}
	run, err := l.sync("Roles")
	if err != nil {
		t.Fatal(err)
	}
	if s := one(t, run, "Roles"); s.Deleted != 0 || len(l.live("Roles", "name")) != 10 {
		t.Errorf("%+v", s)
	}
}

func TestGuardStopsMassDeletion(t *testing.T) {
	for name, keep := range map[string]int64{"emptied": 0, "more than fifty gone": 30} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			for id := range int64(100) {
				l.put("Roles", id, map[string]any{"name": "r"})
			}
			if _, err := l.sync("Roles"); err != nil {
				t.Fatal(err)
			}
			for id := keep; id < 100; id++ {
				l.source.Delete("Roles", id)
			}
			if _, err := l.sync("Roles"); pipeline.ClassOf(err) != pipeline.ClassGuard {
				t.Fatalf("error %v", err)
			}
			if n := len(l.live("Roles", "name")); n != 100 {
				t.Errorf("%d rows left", n)
			}
			_, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find("Roles"), AllowDeletes: true})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(l.live("Roles", "name")); n != int(keep) {
				t.Errorf("%d rows left after leave was given", n)
			}
		})
	}
}

func TestChildrenFollowTheirParents(t *testing.T) {
	l := newLab(t)
	for id := range int64(5) {
		l.put("Tickets", id, map[string]any{"title": "t"})
		l.source.Put("TicketSecondaryResources", 100+id, map[string]any{"ticketID": id, "resourceID": 1})
	}
	names := []string{"TicketSecondaryResources", "Tickets"}
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	// A child goes, one comes and one changes; none has a date, but the tickets' stamps move.
	l.now = l.now.Add(time.Hour)
	l.source.Delete("TicketSecondaryResources", 101)
	l.source.Put("TicketSecondaryResources", 200, map[string]any{"ticketID": 2, "resourceID": 9})
	l.source.Put("TicketSecondaryResources", 103, map[string]any{"ticketID": 3, "resourceID": 8})
	for _, id := range []int64{1, 2, 3} {
		l.put("Tickets", id, map[string]any{"title": "touched"})
	}
	l.now = l.now.Add(time.Minute)
	run, err := l.sync(names...)
	if err != nil {
		t.Fatal(err)
	}
	s := one(t, run, "TicketSecondaryResources")
	if s.Mode != "parent" || s.Inserted != 1 || s.Updated != 1 || s.Deleted != 1 {
		t.Errorf("%+v", s)
	}
	want := map[string]string{"100": "1", "102": "1", "103": "8", "104": "1", "200": "9"}
	if got := l.live("TicketSecondaryResources", "resource_id"); !maps.Equal(got, want) {
		t.Errorf("children %v", got)
	}
	before := l.source.Requests()["TicketSecondaryResources"]
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	if n := l.source.Requests()["TicketSecondaryResources"] - before; n != 0 {
		t.Errorf("no parent changed, yet %d requests", n)
	}
}

func TestChildrenOfAParentThatFailedAreNotForgotten(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, nil)
	l.source.Put("TicketSecondaryResources", 100, map[string]any{"ticketID": 1, "resourceID": 1})
	names := []string{"Tickets", "TicketSecondaryResources"}
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 1, map[string]any{"title": "touched"})
	l.source.Put("TicketSecondaryResources", 100, map[string]any{"ticketID": 1, "resourceID": 2})
	l.now = l.now.Add(time.Minute)
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "TicketSecondaryResources" {
			return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
		}
		return nil
	}
	if _, err := l.sync(names...); pipeline.ClassOf(err) != pipeline.ClassPartial {
		t.Fatalf("error %v", err)
	}
	l.source.OnPage = nil
	l.now = l.now.Add(time.Hour) // the ticket itself does not change again
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	if got := l.live("TicketSecondaryResources", "resource_id")["100"]; got != "2" {
		t.Errorf("resource %s", got)
	}
}

// TestIncrementalReadThatEndsEarly: the second page of a window comes short, and nothing says that there is more.
func TestIncrementalReadThatEndsEarly(t *testing.T) {
	l := newLab(t)
	for id := range int64(900) {
		l.put("Tickets", id, map[string]any{"title": "old"})
	}
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	for id := range int64(900) {
		l.put("Tickets", id, map[string]any{"title": "edited"})
	}
	kept := map[int64]map[string]any{}
	l.source.OnPage = func(_ string, page int) error {
		if page == 2 { // the server leaves out the last rows of this page
			for id := int64(600); id < 900; id++ {
				kept[id] = l.source.Row("Tickets", id)
				l.source.Delete("Tickets", id)
			}
		}
		return nil
	}
	l.source.OnCount = func(_ string, n int64) (int64, error) { // … but counts them
		for id, row := range kept {
			l.source.Put("Tickets", id, row)
			n++
		}
		clear(kept)
		return n, nil
	}
	l.now = l.now.Add(time.Hour)
	run, err := l.sync("Tickets")
	if pipeline.ClassOf(err) != pipeline.ClassSource {
		t.Fatalf("error %v, %+v", err, one(t, run, "Tickets"))
	}
	l.source.OnPage, l.source.OnCount = nil, nil
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	for id, title := range l.live("Tickets", "title") {
		if title != "edited" {
			t.Fatalf("%s is %s", id, title)
		}
	}
}

// TestGuardStopsMassDeletionOfChildren: a right that is lost hides rows without an error.
func TestGuardStopsMassDeletionOfChildren(t *testing.T) {
	l := newLab(t)
	for id := range int64(400) {
		l.put("Tickets", id, map[string]any{"title": "t"})
		l.source.Put("TicketSecondaryResources", 1000+id, map[string]any{"ticketID": id, "resourceID": 1})
	}
	names := []string{"Tickets", "TicketSecondaryResources"}
	if _, err := l.sync(names...); err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Hour)
	for id := range int64(400) {
		l.put("Tickets", id, map[string]any{"title": "touched"})
		l.source.Delete("TicketSecondaryResources", 1000+id)
	}
	l.now = l.now.Add(time.Minute)
	if _, err := l.sync(names...); pipeline.ClassOf(err) != pipeline.ClassGuard {
		t.Fatalf("error %v", err)
	}
	if n := len(l.live("TicketSecondaryResources", "id")); n != 400 {
		t.Errorf("%d children left", n)
	}
}

// TestChildrenWithoutTheirParentAreReadWhole: nobody says which parents have changed.
func TestChildrenWithoutTheirParentAreReadWhole(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, nil)
	l.source.Put("TicketSecondaryResources", 100, map[string]any{"ticketID": 1, "resourceID": 1})
	if _, err := l.sync("Tickets", "TicketSecondaryResources"); err != nil {
		t.Fatal(err)
	}
	l.source.Put("TicketSecondaryResources", 100, map[string]any{"ticketID": 1, "resourceID": 2})
	l.now = l.now.Add(time.Hour)
	if _, err := l.sync("TicketSecondaryResources"); err != nil {
		t.Fatal(err)
	}
	if got := l.live("TicketSecondaryResources", "resource_id")["100"]; got != "2" {
		t.Errorf("resource %s", got)
	}
}

// TestStreamThatGaveUpIsNotOK: a source may give up by itself, with nobody interrupting the run.
func TestStreamThatGaveUpIsNotOK(t *testing.T) {
	l := newLab(t)
	l.put("Companies", 1, nil)
	l.source.DescribeErr = func(entity string) error {
		if entity == "Contacts" {
			return context.DeadlineExceeded
		}
		return nil
	}
	if run, err := l.sync("Companies", "Contacts"); pipeline.ClassOf(err) != pipeline.ClassPartial || run.Status != pipeline.StatusPartial {
		t.Errorf("%s %v", run.Status, err)
	}
}

func TestOneEntityFailsTheOthersGoOn(t *testing.T) {
	tests := []struct {
		class  pipeline.Class
		want   pipeline.Class
		status pipeline.Status
	}{
		{pipeline.ClassRights, pipeline.ClassPartial, pipeline.StatusFailed},
		{pipeline.ClassSource, pipeline.ClassPartial, pipeline.StatusFailed},
		{pipeline.ClassAbsent, "", pipeline.StatusAbsent},
	}
	for _, tt := range tests {
		t.Run(string(tt.class), func(t *testing.T) {
			l := newLab(t)
			l.put("Companies", 1, map[string]any{"companyName": "c"})
			l.source.DescribeErr = func(entity string) error {
				if entity == "Contacts" {
					return &pipeline.Error{Class: tt.class, Err: errors.New("no")}
				}
				return nil
			}
			run, err := l.sync("Companies", "Contacts")
			if err == nil != (tt.want == "") || err != nil && pipeline.ClassOf(err) != tt.want {
				t.Errorf("error %v", err)
			}
			if s := one(t, run, "Contacts"); s.Status != tt.status {
				t.Errorf("Contacts: %+v", s)
			}
			if len(l.live("Companies", "company_name")) != 1 {
				t.Error("the other entity was not synced")
			}
		})
	}
}

func TestRefusedLoginEndsTheRun(t *testing.T) {
	l := newLab(t)
	l.source.LoginErr = &pipeline.Error{Class: pipeline.ClassAuth, Op: "login", Err: errors.New("refused")}
	run, err := l.sync("Companies", "Contacts")
	if pipeline.ClassOf(err) != pipeline.ClassAuth || run.Status != pipeline.StatusFailed {
		t.Errorf("%s %v", run.Status, err)
	}
	if s := one(t, run, "Contacts"); s.Status != pipeline.StatusSkipped {
		t.Errorf("%+v", s)
	}
	if len(l.pub.times) != 0 {
		t.Error("an empty warehouse was published")
	}
	if runs := l.sink.Runs(); len(runs) != 1 || runs[0].Status != pipeline.StatusFailed {
		t.Errorf("recorded: %+v", runs)
	}
}

func TestLoginLostInMidRunSkipsTheRest(t *testing.T) {
	l := newLab(t)
	l.runner.Streams = 1
	l.source.DescribeErr = func(string) error {
		return &pipeline.Error{Class: pipeline.ClassAuth, Err: errors.New("refused")}
	}
	run, err := l.sync("Companies", "Contacts", "Roles")
	if pipeline.ClassOf(err) != pipeline.ClassAuth {
		t.Fatal(err)
	}
	skipped := 0
	for _, s := range run.Streams {
		if s.Status == pipeline.StatusSkipped {
			skipped++
		}
	}
	if skipped != 2 {
		t.Errorf("%d of the other two were skipped: %+v", skipped, run.Streams)
	}
}

func TestPanicInOneStreamIsItsOwn(t *testing.T) {
	l := newLab(t)
	l.put("Companies", 1, nil)
	l.source.DescribeErr = func(entity string) error {
		if entity == "Contacts" {
			panic("boom")
		}
		return nil
	}
	run, err := l.sync("Companies", "Contacts")
	if pipeline.ClassOf(err) != pipeline.ClassPartial {
		t.Errorf("error %v", err)
	}
	if s := one(t, run, "Contacts"); s.ErrorClass != pipeline.ClassInternal {
		t.Errorf("%+v", s)
	}
	if len(l.live("Companies", "id")) != 1 {
		t.Error("the other entity was not synced")
	}
}

func TestInterruptedRunKeepsWhatIsCommitted(t *testing.T) {
	l := newLab(t)
	l.runner.Streams = 1
	ctx, cancel := context.WithCancel(t.Context())
	l.put("Tickets", 1, nil)
	l.put("Roles", 1, nil)
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "Roles" {
			cancel()
		}
		return nil
	}
	run, err := l.runner.Sync(ctx, pipeline.SyncRequest{Entities: find("Tickets", "Roles")})
	if pipeline.ClassOf(err) != pipeline.ClassCanceled || run.Status != pipeline.StatusInterrupted {
		t.Errorf("%s %v", run.Status, err)
	}
	if len(l.live("Tickets", "id")) != 1 {
		t.Error("the committed entity is gone")
	}
	if runs := l.sink.Runs(); len(runs) != 1 || runs[0].Status != pipeline.StatusInterrupted {
		t.Errorf("recorded: %+v", runs)
	}
	if len(l.pub.times) != 1 {
		t.Errorf("what was committed was published %d times", len(l.pub.times))
	}
}

func TestRejectsMakeTheRunPartial(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, map[string]any{"title": "t", "estimatedHours": "many"})
	run, err := l.sync("Tickets")
	if pipeline.ClassOf(err) != pipeline.ClassPartial || run.Status != pipeline.StatusPartial {
		t.Errorf("%s %v", run.Status, err)
	}
	if s := one(t, run, "Tickets"); s.Rejected != 1 || s.Inserted != 1 || s.Status != pipeline.StatusPartial {
		t.Errorf("%+v", s)
	}
}

func TestPublicationWaitsForItsTurn(t *testing.T) {
	l := newLab(t)
	l.runner.PublishEvery = 30 * time.Minute
	for i, want := range []int{1, 1, 1, 2, 2} { // at 0, 12, 24, 36 and 48 minutes
		l.put("Roles", 1, map[string]any{"name": fmt.Sprint(i)})
		if _, err := l.sync("Roles"); err != nil {
			t.Fatal(err)
		}
		if len(l.pub.times) != want {
			t.Errorf("run %d: %d publications, want %d", i, len(l.pub.times), want)
		}
		l.now = l.now.Add(12 * time.Minute)
	}
}

func TestPublicationFollowsChanges(t *testing.T) {
	l := newLab(t)
	l.put("Roles", 1, map[string]any{"name": "r"})
	steps := []struct {
		name string
		do   func()
		want int // publications so far
	}{
		{"first run", func() {}, 1},
		{"nothing changed", func() {}, 1},
		{"a row changed", func() { l.put("Roles", 1, map[string]any{"name": "s"}) }, 2},
		{"nothing changed for two hours: freshness moves", func() { l.now = l.now.Add(2 * time.Hour) }, 3},
	}
	for _, step := range steps {
		l.now = l.now.Add(time.Minute)
		step.do()
		if _, err := l.sync("Roles"); err != nil {
			t.Fatal(err)
		}
		if len(l.pub.times) != step.want {
			t.Errorf("%s: %d publications, want %d", step.name, len(l.pub.times), step.want)
		}
	}
	l.pub.err = &pipeline.Error{Class: pipeline.ClassSink, Err: errors.New("disk full")}
	l.put("Roles", 1, map[string]any{"name": "u"})
	run, err := l.sync("Roles")
	if pipeline.ClassOf(err) != pipeline.ClassSink || run.Status != pipeline.StatusPartial || run.ErrorClass != pipeline.ClassSink {
		t.Errorf("%s, error %v", run.Status, err)
	}
	if runs := l.sink.Runs(); runs[len(runs)-1].Status != pipeline.StatusPartial || len(runs[len(runs)-1].Streams) != 1 {
		t.Errorf("recorded: %+v", runs[len(runs)-1])
	}
	l.pub.err = nil
	if _, err := l.sync("Roles"); err != nil {
		t.Fatal(err)
	}
	if len(l.pub.times) != 4 {
		t.Errorf("what could not be published then was published %d times", len(l.pub.times)-3)
	}
}

// TestWarehouseEqualsSource edits rows at random before and during runs, lets reads fail at random, and at the
// end wants one clean run to leave nothing missing, stale or doubled.
func TestWarehouseEqualsSource(t *testing.T) {
	names := []string{"Tickets", "Roles", "TicketSecondaryResources"}
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(rt)
		l.source.PageSize = 500
		next := int64(1)
		edit := func(label string) {
			switch rapid.IntRange(0, 5).Draw(rt, label) {
			case 0, 1:
				l.put("Tickets", next, map[string]any{"title": fmt.Sprint("new ", next)})
				next++
			case 2:
				if ids := l.source.IDs("Tickets"); len(ids) > 0 {
					id := rapid.SampledFrom(ids).Draw(rt, "ticket")
					l.put("Tickets", id, map[string]any{"title": fmt.Sprint("edit ", next)})
					l.source.Put("TicketSecondaryResources", next, map[string]any{"ticketID": id, "resourceID": next})
					next++
				}
			case 3:
				l.put("Roles", rapid.Int64Range(0, 20).Draw(rt, "role"), map[string]any{"name": fmt.Sprint(next)})
			case 4:
				l.source.Delete("Roles", rapid.Int64Range(0, 20).Draw(rt, "role"))
			case 5:
				if ids := l.source.IDs("TicketSecondaryResources"); len(ids) > 0 {
					id := rapid.SampledFrom(ids).Draw(rt, "link")
					parent, _ := l.source.Row("TicketSecondaryResources", id)["ticketID"].(int64)
					l.source.Delete("TicketSecondaryResources", id)
					l.put("Tickets", parent, map[string]any{"title": "link gone"})
				}
			}
		}
		l.runner.Streams = 1 // draws must come in one order
		l.source.OnPage = func(string, int) error {
			l.now = l.now.Add(time.Second)
			if rapid.IntRange(0, 2).Draw(rt, "during") == 0 {
				edit("edit during")
			}
			if rapid.IntRange(0, 4).Draw(rt, "fail") == 0 {
				return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
			}
			return nil
		}
		for range rapid.IntRange(1, 6).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 12).Draw(rt, "edits") {
				edit("edit")
			}
			l.now = l.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(rt, "pause")) * time.Second)
			_, _ = l.runner.Sync(context.Background(), pipeline.SyncRequest{Entities: find(names...), AllowDeletes: true}) // may fail: that is the point
		}
		l.source.OnPage = nil
		l.now = l.now.Add(time.Minute)
		if _, err := l.runner.Sync(context.Background(), pipeline.SyncRequest{Entities: find(names...), AllowDeletes: true}); err != nil {
			rt.Fatal(err)
		}
		for entity, column := range map[string][2]string{"Tickets": {"title", "title"}, "Roles": {"name", "name"}, "TicketSecondaryResources": {"resource_id", "resourceID"}} {
			got := l.live(entity, column[0])
			ids := l.source.IDs(entity)
			if len(got) != len(ids) {
				rt.Fatalf("%s: %d rows, source has %d", entity, len(got), len(ids))
			}
			for _, id := range ids {
				if want := fmt.Sprint(l.source.Row(entity, id)[column[1]]); got[fmt.Sprint(id)] != want {
					rt.Fatalf("%s %d: %q, source has %q", entity, id, got[fmt.Sprint(id)], want)
				}
			}
		}
	})
}

func TestErrorNamesWhereAndWhat(t *testing.T) {
	err := &pipeline.Error{Class: pipeline.ClassRights, Tenant: "acme", Entity: "Tickets", Op: "query", Err: errors.New("no right"), Remedy: "ask for it"}
	if got, want := err.Error(), "acme/Tickets: query: no right (ask for it)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := pipeline.ClassOf(fmt.Errorf("outer: %w", err)); got != pipeline.ClassRights {
		t.Errorf("class %s", got)
	}
	if got := pipeline.ClassOf(errors.New("anything")); got != pipeline.ClassInternal {
		t.Errorf("class %s", got)
	}
	if got := slices.Contains([]pipeline.Class{pipeline.ClassInternal}, pipeline.ClassOf(nil)); !got {
		t.Error("nil has no class of its own")
	}
}
