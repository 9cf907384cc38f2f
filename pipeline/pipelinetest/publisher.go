package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// PublisherHarness is a fresh, empty sink with a publisher, and the means to look at both sides.
type PublisherHarness struct {
	Sink      pipeline.Sink
	Publisher pipeline.Publisher

	// Rows reads a table of the sink and Published the same of the publication as a fresh reader does, both as
	// Harness.Rows; Published returns false if the publication has no such table.
	Rows      func(t *testing.T, table string, by ...string) []map[string]string
	Published func(t *testing.T, table string, by ...string) ([]map[string]string, bool)

	// Hold opens the current publication and returns a function that reads a table of it, however often it is
	// published meanwhile. The reader is closed when the test ends.
	Hold func(t *testing.T) func(t *testing.T, table string, by ...string) []map[string]string

	// Pass lets the grace period of old versions pass, and Versions counts those that are on the disk.
	Pass     func(t *testing.T)
	Versions func(t *testing.T) int

	// Full leaves the publisher hardly any room on its disk until room is called. What it does not write itself is not in the way.
	Full func(t *testing.T) (room func())

	// Hydrate loses the sink's own files and opens what the publication brings back. It replaces Sink, Publisher and Rows.
	Hydrate func(t *testing.T)
}

// TestPublisher runs the conformance suite of publishers: every subtest opens a sink and a publisher of its own. What
// passes keeps the promises of pipeline.Publisher.
func TestPublisher(t *testing.T, open func(t *testing.T) *PublisherHarness) {
	tests := map[string]func(*publication){
		"EqualsTheSink":          testPublishEqual,
		"FollowsEveryCommit":     testPublishFollows,
		"NothingNewIsNotMade":    testPublishIdle,
		"Pending":                testPublishPending,
		"SchemaChanges":          testPublishSchema,
		"EmptyTables":            testPublishEmpty,
		"Tombstones":             testPublishTombstones,
		"HostileNames":           testPublishHostile,
		"ReadersKeepTheirs":      testPublishHeld,
		"OldVersionsGo":          testPublishPruned,
		"Canceled":               testPublishCanceled,
		diskFull:                 testPublishFull,
		"Hydrate":                testHydrate,
		"HydrateGoesOn":          testHydrateGoesOn,
		"UncommittedIsNotShown":  testPublishUncommitted,
		"SystemTables":           testPublishSystem,
		"ManyRows":               testPublishMany,
		"ScatteredChangesInMany": testPublishScattered,
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			test := func() {
				h := open(t)
				tests[name](&publication{fixture: &fixture{
					T: t, Harness: Harness{Sink: h.Sink, Rows: h.Rows}, table: schemas.NewTable(widgets(), nil, nil),
				}, h: h})
			}
			if name == diskFull {
				inOwnProcess(t, test)
				return
			}
			test()
		})
	}
}

// publication is a sink with its publisher and a table to load.
type publication struct {
	*fixture
	h *PublisherHarness
}

func (p *publication) publish() pipeline.Publication {
	p.Helper()
	pub, err := p.h.Publisher.Publish(p.Context())
	if err != nil {
		p.Fatalf("publish: %v", err)
	}
	if _, ok := p.h.Publisher.Published(); !ok {
		p.Fatal("published, but not Published")
	}
	return pub
}

// shows compares a table of the publication with the sink's.
func (p *publication) shows(when string, tables ...string) {
	p.Helper()
	for _, table := range append([]string{p.table.Name}, tables...) {
		by := map[string][]string{"picklists": {"column_name", "value"}}[table]
		if by == nil {
			by = []string{"id"}
		}
		got, ok := p.h.Published(p.T, table, by...)
		if !ok {
			p.Errorf("%s: %s is not published", when, table)
			continue
		}
		p.equal(when+": "+table, p.h.Rows(p.T, table, by...), got)
	}
}

func (p *publication) pending(want bool, when string) {
	p.Helper()
	got, err := p.h.Publisher.Pending(p.Context())
	if err != nil || got != want {
		p.Errorf("%s: pending %v, error %v", when, got, err)
	}
}

func testPublishEqual(p *publication) {
	if _, ok := p.h.Publisher.Published(); ok {
		p.Error("published before the first time")
	}
	p.load(page(
		`{"id":-5,"name":"é 🛠 \"quoted\" \\ \n","huge":1234567890123456789012345678.0123456789,"lastModifiedDate":"2026-02-01T10:00:00.123Z"}`,
		`{"id":0,"name":"","amount":0.0001,"isActive":false,"createDate":"1999-12-31T23:59:59.999Z"}`,
		`{"id":9007199254740993,"name":null,"amount":-99999999999999.9999,"isActive":true,"odd":{"a":[1,"x"]}}`,
		`{"id":9223372036854775807,"name":"`+strings.Repeat("long ", 6000)+`","ownerID":-1}`,
	))
	pub := p.publish()
	if pub.Bytes <= 0 || pub.Path == "" {
		p.Errorf("%+v", pub)
	}
	p.shows("after the first load")
}

func testPublishFollows(p *publication) {
	for i := range 3 {
		p.load(page(widget(0, fmt.Sprint("again ", i), i+10), widget(int64(i+1), fmt.Sprint("of round ", i), i)))
		p.publish()
		p.shows(fmt.Sprint("round ", i))
	}
}

func testPublishIdle(p *publication) {
	p.load(page(widget(1, "a", 0)))
	p.publish()
	at, _ := p.h.Publisher.Published()
	p.publish()
	if again, _ := p.h.Publisher.Published(); !again.Equal(at) {
		p.Error("made again although nothing was committed")
	}
	p.shows("as before")
}

func testPublishPending(p *publication) {
	p.load(page(widget(1, "a", 0)))
	p.pending(true, "nothing published")
	p.publish()
	p.pending(false, "just published")
	p.load(page(widget(1, "a", 0)))
	p.pending(false, "read again and unchanged")
	p.load(page(widget(1, "b", 1)))
	p.pending(true, "changed")
	p.publish()
	p.pending(false, "published again")
	p.shows("at the end")
}

func testPublishSchema(p *publication) {
	p.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	p.publish()
	e := widgets()
	e.Fields = append(e.Fields, schemas.Field{Name: "colour", Type: "string"}, schemas.Field{Name: "order", Type: "integer"})
	wide := slices.IndexFunc(e.Fields, func(f schemas.Field) bool { return f.Name == "lastSeenBy" })
	e.Fields[wide].Type = "string"
	p.table = schemas.NewTable(e, nil, p.state().Columns)
	p.load(page(`{"id":2,"name":"b","colour":"red","order":3,"lastSeenBy":"someone","lastModifiedDate":"2026-02-01T10:05:00Z"}`))
	p.publish()
	p.shows("after two columns more and one of a wider type")
}

func testPublishEmpty(p *publication) {
	l := p.begin(pipeline.LoadSpec{Complete: true})
	p.commit(l, pipeline.Commit{})
	p.publish()
	p.shows("no rows")
	p.load(page(widget(1, "a", 0)))
	p.publish()
	p.shows("the first row")
}

func testPublishTombstones(p *publication) {
	p.load(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0)))
	p.publish()
	l := p.begin(pipeline.LoadSpec{})
	p.commit(l, pipeline.Commit{Tombstones: []int64{2}, Reason: "verify"})
	p.publish()
	p.shows("one deleted")
	p.load(page(widget(2, "is back", 5)))
	p.publish()
	p.shows("back again")
}

func testPublishHostile(p *publication) {
	m := meta(p.T, `[{"name":"id","dataType":"long","isQueryable":true},{"name":"name","dataType":"string"}]`,
		`[{"name":"\"; DROP TABLE x; --","type":"string"},{"name":"../../etc/passwd","type":"string"},{"name":"Name","type":"string"},`+
			`{"name":"name","type":"string"},{"name":"é\n🛠","type":"integer"},{"name":"'","type":"string"}]`)
	p.table = schemas.NewTable(widgets(), m, nil)
	p.load(page(`{"id":1,"name":"a","userDefinedFields":[{"name":"\"; DROP TABLE x; --","value":"1"},{"name":"../../etc/passwd","value":"2"},` +
		`{"name":"Name","value":"3"},{"name":"name","value":"4"},{"name":"é\n🛠","value":"5"},{"name":"'","value":"6"}]}`))
	p.publish()
	p.shows("with hostile names")
}

// testPublishHeld: readers hold every version, and each keeps its own.
func testPublishHeld(p *publication) {
	var held []func()
	for i := range 3 {
		p.load(page(widget(1, fmt.Sprint("version ", i), i+1), widget(int64(i+2), "more", 0)))
		p.publish()
		read := p.h.Hold(p.T)
		before := read(p.T, p.table.Name, "id")
		held = append(held, func() {
			p.equal(fmt.Sprint("what a reader of version ", i, " has open"), before, read(p.T, p.table.Name, "id"))
		})
		for _, same := range held {
			same()
		}
	}
	p.shows("to a fresh reader")
}

// testPublishPruned: what nobody needs any more goes, at the latest when it is asked for.
func testPublishPruned(p *publication) {
	for i := range 3 {
		p.load(page(widget(1, fmt.Sprint("version ", i), i)))
		p.publish()
	}
	p.h.Pass(p.T)
	p.load(page(widget(1, "the last", 5)))
	p.publish()
	if n := p.h.Versions(p.T); n > 2 {
		p.Errorf("%d versions are left by a publication after the grace period", n)
	}
	if pruner, ok := p.h.Publisher.(interface {
		Prune(ctx context.Context, grace time.Duration) (int, error)
	}); ok {
		if _, err := pruner.Prune(p.Context(), 0); err != nil {
			p.Error(err)
		}
	}
	if n := p.h.Versions(p.T); n != 1 {
		p.Errorf("%d versions are left", n)
	}
	p.shows("after pruning")
	p.pending(false, "after pruning")
}

func testPublishCanceled(p *publication) {
	p.load(page(widget(1, "a", 0)))
	p.publish()
	p.load(page(widget(1, "b", 1)))
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	if _, err := p.h.Publisher.Publish(ctx); pipeline.ClassOf(err) != pipeline.ClassCanceled {
		p.Errorf("canceled: %v", err)
	}
	rows, _ := p.h.Published(p.T, p.table.Name, "id")
	p.equal("what is published", want("name=a"), only(rows, "name"))
	p.pending(true, "canceled")
	p.publish()
	p.shows("after the next")
}

// testPublishFull: a disk that fills in the middle leaves the old version, and the next publication makes the new one.
func testPublishFull(p *publication) {
	p.many(3000, 0, func(i int) int64 { return int64(i) })
	p.publish()
	before, _ := p.h.Published(p.T, p.table.Name, "id")
	p.many(3000, 1, func(i int) int64 { return int64(i) })
	room := p.h.Full(p.T)
	_, err := p.h.Publisher.Publish(p.Context())
	room()
	if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Class != pipeline.ClassSink || !strings.Contains(e.Remedy, "space") {
		p.Errorf("on a full disk: %v", err)
	}
	after, _ := p.h.Published(p.T, p.table.Name, "id")
	p.equal("what is published", before, after)
	p.pending(true, "on a full disk")
	p.publish()
	p.shows("with room")
}

func testPublishUncommitted(p *publication) {
	p.load(page(widget(1, "a", 0)))
	l := p.begin(pipeline.LoadSpec{})
	p.stage(l, p.batch(page(widget(1, "staged", 5), widget(2, "staged", 5))))
	p.publish()
	p.shows("beside a load")
	p.commit(l, pipeline.Commit{})
	p.publish()
	p.shows("after its commit")
}

func testPublishSystem(p *publication) {
	fields := `[{"name":"id","dataType":"long","isQueryable":true},{"name":"status","dataType":"integer","isPickList":true,"picklistValues":[` +
		`{"value":"1","label":"New","isActive":true},{"value":"5","label":"Complete","isActive":true}]}]`
	if _, err := p.Sink.SaveMetadata(p.Context(), p.table.Entity.Name, meta(p.T, fields, ""), p.now()); err != nil {
		p.Fatal(err)
	}
	p.load(page(widget(1, "a", 0)))
	p.publish()
	p.shows("the labels", "picklists")
	for table, by := range map[string]string{"_atsync.loads": "load_id", "_atsync.columns": "ordinal", "_atsync.checkpoints": "entity"} {
		got, ok := p.h.Published(p.T, table, by)
		if !ok || len(got) == 0 {
			p.Errorf("%s is not published", table)
			continue
		}
		p.equal(table, p.h.Rows(p.T, table, by), got)
	}
}

// many loads n widgets in pages.
func (p *publication) many(n, minute int, id func(i int) int64) {
	p.Helper()
	var pages []string
	for from := 0; from < n; from += 500 {
		var items []string
		for i := from; i < min(from+500, n); i++ {
			items = append(items, widget(id(i), fmt.Sprintf("version %d of %d", minute, i), minute))
		}
		pages = append(pages, page(items...))
	}
	p.load(pages...)
}

func testPublishMany(p *publication) {
	spread := func(i int) int64 { return int64(i) * int64(i) }
	p.many(4000, 0, spread)
	p.publish()
	p.shows("4,000 rows")
	p.many(300, 1, func(i int) int64 { return spread(i + 3700) })
	p.publish()
	p.shows("the newest changed")
}

func testPublishScattered(p *publication) {
	p.many(4000, 0, func(i int) int64 { return int64(i) * 100 })
	p.publish()
	p.many(40, 1, func(i int) int64 { return int64(i) * 10_000 })
	p.publish()
	p.shows("changes everywhere")
}

// testHydrate loses the sink: what the publication brings back is the same, checkpoints and metadata included.
func testHydrate(p *publication) {
	fields := `[{"name":"id","dataType":"long","isQueryable":true},{"name":"name","dataType":"string","isQueryable":true}]`
	if _, err := p.Sink.SaveMetadata(p.Context(), p.table.Entity.Name, meta(p.T, fields, ""), p.now()); err != nil {
		p.Fatal(err)
	}
	p.load(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0)))
	l := p.begin(pipeline.LoadSpec{})
	p.stage(l, p.batch(page(widget(2, "B", 7))))
	cp := pipeline.Checkpoint{CompleteThrough: p.now().Add(-time.Minute), FullAt: p.now().Add(-time.Hour), RereadAt: p.now().Add(-time.Hour), ParentLoad: 7}
	p.commit(l, pipeline.Commit{Checkpoint: cp, Tombstones: []int64{3}, Reason: "full"})
	p.publish()
	rows, state := p.h.Rows(p.T, p.table.Name, "id"), p.state()

	p.h.Hydrate(p.T)
	p.Sink, p.Rows = p.h.Sink, p.h.Rows
	p.equal("rows", rows, p.h.Rows(p.T, p.table.Name, "id"))
	p.equal("state", state, p.state())
}

// testHydrateGoesOn: a hydrated sink gives out new load ids, merges and publishes as the lost one would have.
func testHydrateGoesOn(p *publication) {
	first := p.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	p.publish()
	p.h.Hydrate(p.T)
	p.Sink, p.Rows = p.h.Sink, p.h.Rows
	res := p.load(page(widget(1, "a", 0), widget(2, "B", 3), widget(3, "c", 3)))
	if res.LoadID <= first.LoadID {
		p.Errorf("load %d comes after %d", res.LoadID, first.LoadID)
	}
	p.counts(pipeline.LoadResult{Fetched: 3, Inserted: 1, Updated: 1, Unchanged: 1}, res)
	p.pending(true, "after the hydrated sink's first load")
	p.publish()
	p.shows("from a hydrated sink")
}
