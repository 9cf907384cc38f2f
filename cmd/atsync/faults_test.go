package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// chaos changes a tenant and lets requests fail, at random.
type chaos struct {
	*rig
	r *rand.Rand
	n int // edits so far

	failed, interrupted int // runs
}

// chaosEntities has every class: activity, modified, append, parent and full.
func chaosEntities() []string {
	return []string{"Tickets", "Companies", "TimeEntries", "TicketNotes", "BillingItems", "TicketSecondaryResources",
		"Resources", "Products"}
}

func (c *chaos) text() string {
	c.n++
	return []string{"", "é 🛠 \u0000x", "plain ", "\"quoted\" \\ \n"}[c.r.IntN(4)] + fmt.Sprint(c.n)
}

// pick returns the id of any row.
func (c *chaos) pick(entity string) int64 {
	ids := c.server.Data().IDs(entity)
	return ids[c.r.IntN(len(ids))]
}

// edit makes one change that a sync must find. Rows go only where a sync looks for that without being told to:
// where an entity is read whole, and below a parent that changes. What has only a date of creation is not changed.
func (c *chaos) edit() {
	data := c.server.Data()
	switch c.r.IntN(10) {
	case 0, 1:
		data.Insert("Tickets", map[string]any{"title": c.text(), "companyID": c.pick("Companies"), "estimatedHours": float64(c.r.IntN(900)) / 100})
	case 2, 3:
		data.Update("Tickets", c.pick("Tickets"), map[string]any{"title": c.text(), "description": c.text()})
	case 4:
		entity := []string{"Companies", "TimeEntries", "Resources", "Products"}[c.r.IntN(4)]
		data.Update(entity, c.pick(entity), map[string]any{textField(entity): c.text()})
	case 5:
		data.Insert("TicketNotes", map[string]any{"ticketID": c.pick("Tickets"), "title": c.text()})
	case 6:
		data.Insert("BillingItems", map[string]any{textField("BillingItems"): c.text()})
	case 7:
		entity := []string{"Resources", "Products"}[c.r.IntN(2)]
		data.Insert(entity, map[string]any{textField(entity): c.text()})
	case 8:
		entity := []string{"Resources", "Products"}[c.r.IntN(2)]
		if data.Count(entity) > 6 { // the guard stops a sync that would empty a table
			data.Delete(entity, c.pick(entity))
		}
	case 9:
		c.link(data)
	}
}

// link adds or removes a child and touches its ticket.
func (c *chaos) link(data *autotasktest.Data) {
	ticket := c.pick("Tickets")
	links := data.Rows("TicketSecondaryResources")
	if c.r.IntN(2) == 0 && len(links) > 5 {
		link := links[c.r.IntN(len(links))]
		if _, err := fmt.Sscan(link.Raw("ticketID"), &ticket); err != nil {
			c.Fatal(err)
		}
		data.Delete("TicketSecondaryResources", link.ID)
	} else {
		data.Insert("TicketSecondaryResources", map[string]any{"ticketID": ticket, "resourceID": c.pick("Resources")})
	}
	data.Update("Tickets", ticket, map[string]any{"title": c.text()})
}

// faults sets a few faults. One of them may stop the run from outside, as Ctrl-C does.
func (c *chaos) faults(cancel context.CancelFunc) {
	for range c.r.IntN(5) {
		entity := ""
		if c.r.IntN(3) > 0 {
			names := chaosEntities()
			entity = names[c.r.IntN(len(names))]
		}
		op := []autotasktest.Op{"", "", autotasktest.OpQuery, autotasktest.OpQuery, autotasktest.OpQuery, autotasktest.OpFields}[c.r.IntN(6)]
		actions := []autotasktest.Action{
			autotasktest.Status(503), autotasktest.Status(500, "something odd"), autotasktest.HTML(200), autotasktest.EmptyBody(),
			autotasktest.Truncate(), autotasktest.InvalidJSON(), autotasktest.Reset(), autotasktest.Errors200("no"),
			autotasktest.UnorderedIDs(), autotasktest.RowWithoutID(), autotasktest.DuplicatePage(), autotasktest.Status(403),
			autotasktest.Call(func(autotasktest.Request) { cancel() }),
		}
		c.server.Fault(autotasktest.Fault{Entity: entity, Op: op, After: c.r.IntN(4), Every: 1 + c.r.IntN(2), Times: c.r.IntN(5),
			Do: actions[c.r.IntN(len(actions))]})
	}
}

// run syncs once, with edits in the middle of it, and returns what it says of itself.
func (c *chaos) run(ctx context.Context, req pipeline.SyncRequest) (pipeline.Run, error) {
	c.Helper()
	s := c.open()
	defer func() {
		if err := s.Close(); err != nil {
			c.Error(err)
		}
	}()
	req.Entities = c.cfg.Entities
	return s.runner(nil).Sync(ctx, req)
}

// testSeed returns the seed of a random test, a new one each time unless ATSYNC_TEST_SEED gives one, and logs it.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given, ok := os.LookupEnv("ATSYNC_TEST_SEED"); ok {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ATSYNC_TEST_SEED=%d", seed)
	return seed
}

// TestAnySequenceEndsEqual applies random edits, inserts and deletes between and during syncs, some of which fail or
// are interrupted in random ways. One sync that is left alone then makes the warehouse equal to the source.
func TestAnySequenceEndsEqual(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	for i := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			t.Parallel()
			c := &chaos{rig: newRig(t, autotasktest.Tiny()), r: rand.New(rand.NewPCG(seed+i, 3))}
			c.cfg.Entities = entities(t, chaosEntities()...)
			c.limits.Attempts, c.limits.PageSize = 2, 60                      // pages enough to fail between
			for n := 0; n < 6 || c.failed+c.interrupted == 0 && n < 30; n++ { // chance may spare a few rounds
				c.round()
			}
			t.Logf("%d edits, %d runs failed, %d were interrupted", c.n, c.failed, c.interrupted)
			if c.failed+c.interrupted == 0 {
				t.Error("nothing went wrong")
			}
			c.settle()
		})
	}
}

func (c *chaos) round() {
	c.clock.Advance(time.Duration(c.r.IntN(600)) * time.Second)
	for range c.r.IntN(12) {
		c.edit()
	}
	for range 1 + c.r.IntN(2) {
		ctx, cancel := context.WithCancel(c.Context())
		c.faults(cancel)
		during := make([]func(), c.r.IntN(4))
		for i := range during {
			during[i] = c.edit
		}
		edit, stop := oneByOne(during)
		c.server.Fault(autotasktest.Fault{Op: autotasktest.OpQuery, After: c.r.IntN(10), Every: 1 + c.r.IntN(5), Times: len(during) + 1,
			Do: autotasktest.Call(edit)})
		run, err := c.run(ctx, pipeline.SyncRequest{Full: c.r.IntN(6) == 0})
		cancel()
		stop()
		c.server.ClearFaults()
		switch {
		case run.Status == pipeline.StatusInterrupted:
			c.interrupted++
		case err != nil:
			c.failed++
		}
		if (err == nil) != (run.Status == pipeline.StatusOK) {
			c.Errorf("a run is %s with the error %v", run.Status, err)
		}
		if class := pipeline.ClassOf(err); err != nil && (class == pipeline.ClassInternal || class == pipeline.ClassSink || class == pipeline.ClassAuth || class == pipeline.ClassGuard) {
			c.Errorf("class %s: %v", class, err)
		}
	}
	if c.r.IntN(3) > 0 { // else the next round begins where this one was left
		c.settle()
	}
}

// settle syncs once in peace and compares.
func (c *chaos) settle() {
	c.Helper()
	run, err := c.run(c.Context(), pipeline.SyncRequest{})
	if err != nil {
		c.Fatalf("a sync that was left alone: %v", err)
	}
	if n := totals(run); n.Rejected > 0 {
		c.Errorf("%d values are rejected", n.Rejected)
	}
	for _, d := range differences(c.cfg.PublishPath, c.server.Data(), chaosEntities()) {
		c.Errorf("%s", d)
	}
	if c.Failed() {
		c.FailNow()
	}
}

// oneByOne returns a function that calls the next of list, and nothing after the last, one at a time however many
// requests come side by side; and one that ends this, after which none is called.
func oneByOne(list []func()) (next func(autotasktest.Request), stop func()) {
	var mu sync.Mutex
	next = func(autotasktest.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(list) > 0 {
			list[0]()
			list = list[1:]
		}
	}
	return next, func() {
		mu.Lock()
		defer mu.Unlock()
		list = nil
	}
}

// TestChaosCoversEveryClass holds the list of entities to its promise.
func TestChaosCoversEveryClass(t *testing.T) {
	seen := map[schemas.Class]bool{}
	for _, e := range entities(t, chaosEntities()...) {
		seen[e.Class] = true
	}
	for _, class := range []schemas.Class{schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend, schemas.ClassParent, schemas.ClassFull} {
		if !seen[class] {
			t.Errorf("no entity of class %s", class)
		}
	}
}
