package main

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	for range c.r.IntN(4) {
		entity := ""
		if c.r.IntN(3) > 0 {
			names := chaosEntities()
			entity = names[c.r.IntN(len(names))]
		}
		op := []autotasktest.Op{"", autotasktest.OpQuery, autotasktest.OpQuery, autotasktest.OpCount, autotasktest.OpFields}[c.r.IntN(5)]
		actions := []autotasktest.Action{
			autotasktest.Status(503), autotasktest.Status(500, "something odd"), autotasktest.HTML(200), autotasktest.EmptyBody(),
			autotasktest.Truncate(), autotasktest.InvalidJSON(), autotasktest.Reset(), autotasktest.Errors200("no"),
			autotasktest.UnorderedIDs(), autotasktest.RowWithoutID(), autotasktest.DuplicatePage(), autotasktest.Status(403),
			autotasktest.Call(func(autotasktest.Request) { cancel() }),
		}
		c.server.Fault(autotasktest.Fault{Entity: entity, Op: op, After: c.r.IntN(4), Every: 1 + c.r.IntN(3), Times: c.r.IntN(8),
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

// TestAnySequenceEndsEqual applies random edits, inserts and deletes between and during syncs, some of which fail or
// are interrupted in random ways. One sync that is left alone then makes the warehouse equal to the source.
func TestAnySequenceEndsEqual(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	for i := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			t.Parallel()
			c := &chaos{rig: newRig(t, autotasktest.Tiny()), r: rand.New(rand.NewPCG(seed+i, 3))}
			c.cfg.Entities = entities(t, chaosEntities()...)
			c.limits.Attempts, c.limits.PageSize = 3, 37 // pages enough to fail between
			for range 8 {
				c.round()
			}
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
		c.server.Fault(autotasktest.Fault{Op: autotasktest.OpQuery, After: c.r.IntN(10), Every: 1 + c.r.IntN(5), Times: len(during),
			Do: autotasktest.Call(c.oneByOne(during))})
		run, err := c.run(ctx, pipeline.SyncRequest{Full: c.r.IntN(6) == 0})
		cancel()
		c.server.ClearFaults()
		if (err == nil) != (run.Status == pipeline.StatusOK) {
			c.Errorf("a run is %s with the error %v", run.Status, err)
		}
		if class := pipeline.ClassOf(err); err != nil && (class == pipeline.ClassInternal || class == pipeline.ClassSink || class == pipeline.ClassAuth || class == pipeline.ClassGuard) {
			c.Errorf("class %s: %v", class, err)
		}
	}
	if c.r.IntN(3) == 0 {
		return // the next round begins where this one was left
	}
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

// oneByOne returns a function that calls the next of list, and does nothing after the last. Requests may come
// side by side; the edits are made one at a time.
func (c *chaos) oneByOne(list []func()) func(autotasktest.Request) {
	todo := make(chan func(), len(list)+1)
	for _, f := range list {
		todo <- f
	}
	turn := make(chan struct{}, 1)
	return func(autotasktest.Request) {
		turn <- struct{}{}
		defer func() { <-turn }()
		select {
		case f := <-todo:
			f()
		default:
		}
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
