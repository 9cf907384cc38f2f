package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/schemas"
)

// pastLab is a lab with tickets created one every six hours until noon.
type pastLab struct {
	*lab
	b       *pipeline.Backfiller
	leases  int
	held    bool
	request pipeline.BackfillRequest
}

func newPastLab(t *testing.T, tickets int) *pastLab {
	t.Helper()
	l := &pastLab{lab: newLab(t)}
	l.sink = pipelinetest.NewMemorySink("acme", time.Now) // whose rows are read in real time
	l.runner.Sink, l.pub.sink = l.sink, l.sink
	for i := range tickets {
		l.source.Put("Tickets", int64(i), ticketAt(noon.Add(-time.Duration(tickets-i)*6*time.Hour), "old"))
	}
	l.b = &pipeline.Backfiller{Tenant: "acme", Source: l.source, Open: l.open}
	l.request = pipeline.BackfillRequest{Entity: find("Tickets")[0], From: noon.AddDate(0, -6, 0), To: noon.AddDate(0, 0, 1)}
	return l
}

func ticketAt(at time.Time, title string) map[string]any {
	stamp := at.Format(time.RFC3339Nano)
	return map[string]any{"title": title, "createDate": stamp, "lastActivityDate": stamp, "lastTrackedModificationDateTime": stamp}
}

func (l *pastLab) open(ctx context.Context) (pipeline.Lease, error) {
	if l.held {
		panic("the sink is borrowed twice")
	}
	l.held = true
	l.leases++
	return pipeline.Lease{Sink: l.sink, Publisher: l.pub, Release: func() error {
		l.held = false
		l.sink.Reopen()
		return ctx.Err()
	}}, nil
}

func (l *pastLab) backfill(t *testing.T) (*pipeline.BackfillPlan, pipeline.Run, error) {
	t.Helper()
	p, err := l.b.Plan(t.Context(), l.request)
	if err != nil {
		t.Fatal(err)
	}
	run, err := l.b.Run(t.Context(), p)
	return p, run, err
}

func (l *pastLab) requests() (n int64) {
	for _, m := range l.source.Requests() {
		n += m
	}
	return n
}

// TestBackfillCostsItsQuote: what a backfill spends is what it said, its reserve left over.
func TestBackfillCostsItsQuote(t *testing.T) {
	for _, size := range pipeline.ChunkSizes() {
		l := newPastLab(t, 700)
		if _, err := l.sync("Tickets"); err != nil {
			t.Fatal(err)
		}
		before := l.requests()
		for id := int64(0); id < 700; id += 7 {
			l.source.Put("Tickets", id, ticketAt(noon.Add(-time.Duration(700-id)*6*time.Hour), "new"))
		}
		l.request.Size = size
		l.b.Source = counted{l.source, before}
		p, run, err := l.backfill(t)
		if err != nil || run.Status != pipeline.StatusOK || run.Command != "backfill" {
			t.Fatalf("%s: %+v, %v", size, run, err)
		}
		polls := int64(p.Quote.Minutes / 1.5) // which the model does without
		if got := l.requests() - before; got != p.Quote.Requests-p.Quote.Reserve-polls || got != run.Requests {
			t.Errorf("%s: spent %d, run says %d, quote %+v", size, got, run.Requests, p.Quote)
		}
		for id, title := range l.live("Tickets", "title") {
			n := 0
			if _, err := fmt.Sscan(id, &n); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]string{true: "new", false: "old"}[n%7 == 0]; title != want {
				t.Errorf("%s: ticket %d is %s", size, n, title)
			}
		}
	}
}

// counted is a source that begins to count now, as that of a new process does.
type counted struct {
	*pipelinetest.MemorySource
	before int64
}

// Requests counts in one key.
func (c counted) Requests() map[string]int64 {
	n := -c.before
	for _, m := range c.MemorySource.Requests() {
		n += m
	}
	return map[string]int64{"": 1, "Tickets": n - 1}
}

func TestBackfillLeavesCheckpoints(t *testing.T) {
	l := newPastLab(t, 50)
	if _, err := l.sync("Tickets"); err != nil {
		t.Fatal(err)
	}
	before, err := l.sink.Stream(t.Context(), "Tickets")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.backfill(t); err != nil {
		t.Fatal(err)
	}
	after, err := l.sink.Stream(t.Context(), "Tickets")
	if err != nil || !cmp.Equal(after.Checkpoint, before.Checkpoint) {
		t.Errorf("%+v, then %+v, %v", before.Checkpoint, after.Checkpoint, err)
	}
}

// TestBackfillBeforeFirstSync: the rows are there at once, and the first sync still reads everything.
func TestBackfillBeforeFirstSync(t *testing.T) {
	l := newPastLab(t, 50)
	l.request.From = noon.AddDate(0, 0, -5)
	p, _, err := l.backfill(t)
	if err != nil || p.Synced || len(l.live("Tickets", "title")) != 20 {
		t.Fatalf("%d rows, synced %v, %v", len(l.live("Tickets", "title")), p.Synced, err)
	}
	run, err := l.sync("Tickets")
	if s := one(t, run, "Tickets"); err != nil || s.Mode != "full" || s.Inserted != 30 || s.Unchanged != 20 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBackfillResumes(t *testing.T) {
	l := newPastLab(t, 700)
	l.source.PageSize = 20
	broken := errors.New("the process is killed")
	pages := 0
	l.source.OnPage = func(string, int) error {
		if pages++; pages == 9 {
			return &pipeline.Error{Class: pipeline.ClassQuota, Err: broken}
		}
		return nil
	}
	first, run, err := l.backfill(t)
	if !errors.Is(err, broken) || run.Status != pipeline.StatusPartial {
		t.Fatalf("%+v, %v", run, err)
	}
	stored := len(l.live("Tickets", "title"))
	if stored < 7*20 {
		t.Errorf("%d rows of 8 pages are stored", stored)
	}
	counts := l.requests()
	second, run, err := l.backfill(t)
	if err != nil || !second.Resumed || second.ID != first.ID || run.Streams[0].Fetched+int64(stored) != 700 {
		t.Fatalf("resumed %v, %+v, %v after %d rows", second.Resumed, run, err, stored)
	}
	if n := l.requests() - counts; n > int64(len(second.Chunks)+(700-stored)/20+3) {
		t.Errorf("%d requests for %d rows", n, 700-stored)
	}

	before := l.requests()
	third, err := l.b.Plan(t.Context(), l.request)
	if err != nil || !third.Finished || l.requests() != before {
		t.Errorf("finished %v after %d requests, %v", third.Finished, l.requests()-before, err)
	}
	l.request.Restart = true
	if p, _, err := l.backfill(t); err != nil || p.Resumed || p.ID != first.ID+1 {
		t.Errorf("restarted: %+v, %v", p.Resumed, err)
	}
}

// TestBackfillFailedChunk: the others are read, and the next run reads that one alone.
func TestBackfillFailedChunk(t *testing.T) {
	l := newPastLab(t, 500)
	pages := 0
	l.source.OnPage = func(string, int) error {
		if pages++; pages == 3 {
			return &pipeline.Error{Class: pipeline.ClassSource, Err: errors.New("it is HTML")}
		}
		return nil
	}
	p, run, err := l.backfill(t)
	if pipeline.ClassOf(err) != pipeline.ClassPartial || run.Status != pipeline.StatusPartial || !strings.Contains(err.Error(), "it is HTML") {
		t.Fatalf("%+v, %v", run, err)
	}
	var failed []pipeline.Chunk
	for _, c := range p.Chunks {
		if c.Status != pipeline.ChunkDone {
			failed = append(failed, c)
		}
	}
	if len(failed) != 1 || failed[0].Status != pipeline.ChunkFailed || failed[0].Error == "" {
		t.Fatalf("%+v", failed)
	}
	pages = 3
	_, run, err = l.backfill(t)
	if err != nil || run.Streams[0].Fetched != failed[0].Counted || len(l.live("Tickets", "title")) != 500 {
		t.Errorf("%+v, %v", run, err)
	}
}

// TestBackfillMissingRows: a read that brings fewer rows than are there is found out, and mended by the next run.
func TestBackfillMissingRows(t *testing.T) {
	l := newPastLab(t, 300)
	rows := map[int64]map[string]any{}
	hidden := false
	l.source.OnPage = func(string, int) error {
		if !hidden { // between the count and the read
			hidden = true
			for id := int64(10); id < 20; id++ {
				rows[id] = l.source.Row("Tickets", id)
				l.source.Delete("Tickets", id)
			}
		}
		return nil
	}
	l.source.OnCount = func(_ string, n int64) (int64, error) {
		if hidden {
			for id, row := range rows {
				l.source.Put("Tickets", id, row)
				delete(rows, id)
				n = -1
			}
		}
		if n < 0 {
			n = 300
		}
		return n, nil
	}
	_, _, err := l.backfill(t)
	if pipeline.ClassOf(err) != pipeline.ClassPartial {
		t.Fatalf("%v", err)
	}
	if _, _, err = l.backfill(t); err != nil || len(l.live("Tickets", "title")) != 300 {
		t.Errorf("%d rows, %v", len(l.live("Tickets", "title")), err)
	}
}

func TestBackfillDryRunStoresNothing(t *testing.T) {
	l := newPastLab(t, 300)
	l.request.DryRun = true
	p, err := l.b.Plan(t.Context(), l.request)
	if err != nil || p.Quote.Rows != 300 || p.ID != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	chunks, err := l.sink.Chunks(t.Context())
	st, err2 := l.sink.Stream(t.Context(), "Tickets")
	if err != nil || err2 != nil || len(chunks) != 0 || st.Metadata != nil || len(l.sink.Runs()) != 0 {
		t.Errorf("%d chunks, %v %v", len(chunks), err, err2)
	}
}

func TestBackfillRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*pipeline.BackfillRequest)
		want   string
	}{
		"backwards":               {func(r *pipeline.BackfillRequest) { r.From, r.To = r.To, r.From }, "is empty"},
		"nothing between":         {func(r *pipeline.BackfillRequest) { r.To = r.From }, "is empty"},
		"in the future":           {func(r *pipeline.BackfillRequest) { r.From, r.To = noon.AddDate(1, 0, 0), noon.AddDate(2, 0, 0) }, "in the future"},
		"too long ago":            {func(r *pipeline.BackfillRequest) { r.From = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) }, "no date"},
		"too fine":                {func(r *pipeline.BackfillRequest) { r.From, r.Size = noon.AddDate(-20, 0, 0), pipeline.ChunkDay }, "--chunk month"},
		"an unknown size":         {func(r *pipeline.BackfillRequest) { r.Size = "hour" }, `"hour" (write day`},
		"an unknown field":        {func(r *pipeline.BackfillRequest) { r.By = "createdOn" }, `no field "createdOn" (--by takes one of: `},
		"a text":                  {func(r *pipeline.BackfillRequest) { r.By = "title" }, "Tickets.title is no date"},
		"a field not for queries": {func(r *pipeline.BackfillRequest) { r.By = "createdByContactID" }, "is no date"},
		"no date at all":          {func(r *pipeline.BackfillRequest) { r.Entity = find("Roles")[0] }, "sync --full --entity Roles"},
		"no rows to read":         {func(r *pipeline.BackfillRequest) { r.Entity = unreadable(t) }, "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newPastLab(t, 10)
			test.change(&l.request)
			_, err := l.b.Plan(t.Context(), l.request)
			if pipeline.ClassOf(err) != pipeline.ClassConfig || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%v", err)
			}
			if chunks, _ := l.sink.Chunks(t.Context()); len(chunks) != 0 {
				t.Errorf("%d chunks are stored", len(chunks))
			}
		})
	}
}

func unreadable(t *testing.T) *schemas.Entity {
	t.Helper()
	for _, e := range schemas.Catalogue() {
		if e.Unreadable() != "" {
			return e
		}
	}
	t.Fatal("every entity can be read")
	return nil
}

// TestBackfillStamps: words for stamps, and stamps by name.
func TestBackfillStamps(t *testing.T) {
	for _, test := range []struct{ entity, by, want string }{
		{"Tickets", "", "createDate"},
		{"Tickets", "create", "createDate"},
		{"Tickets", "activity", "lastActivityDate"},
		{"Tickets", "modified", "lastTrackedModificationDateTime"},
		{"Tickets", "DUEDATETIME", "dueDateTime"},
		{"Contracts", "", "lastModifiedDateTime"},
		{"BillingItems", "", "postedDate"},
		{"TimeEntries", "dateWorked", "dateWorked"},
	} {
		l := newPastLab(t, 1)
		l.request.Entity, l.request.By, l.request.DryRun = find(test.entity)[0], test.by, true
		p, err := l.b.Plan(t.Context(), l.request)
		if err != nil || p.By != test.want {
			t.Errorf("%s by %q: %+v, %v", test.entity, test.by, p, err)
		}
	}
}
