package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// everything is a rig whose simulator holds rows of every entity that can be read, and that syncs all of them.
func everything(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, autotasktest.Tiny())
	r.server.Data().FillOthers(7, 3)
	r.cfg.Entities = entities(t, "all", "TicketHistory")
	return r
}

// TestAllEntities is "entities: [all]" on a simulator that holds every entity: each table equals the source; the second
// run changes nothing and asks little.
func TestAllEntities(t *testing.T) {
	r := everything(t)
	data := r.server.Data()
	first, err := r.sync(pipeline.SyncRequest{Full: true}) // of TicketHistory nothing would be read else
	if err != nil {
		t.Fatal(err)
	}
	if n := totals(first); n.Inserted == 0 || n.Rejected != 0 {
		t.Errorf("first sync: %+v", n)
	}
	for _, e := range r.cfg.Entities {
		if data.Count(e.Name) == 0 {
			t.Errorf("the simulator holds no %s", e.Name)
		}
	}
	r.equal()

	second := r.mustSync()
	if n := totals(second); n.Inserted+n.Updated+n.Deleted != 0 {
		t.Errorf("the second sync wrote: %+v", n)
	}
	most := 1.05 * float64(len(r.cfg.Entities))
	for _, s := range second.Streams {
		if s.Class == string(schemas.ClassFull) { // what its pages need beyond the first, and their confirmation
			rows := float64(data.Count(s.Entity))
			if pages := math.Ceil(rows / 500); pages > 1 {
				most += pages - 1 + 3
			}
		}
	}
	if got := float64(r.server.RequestCount()); got > most {
		t.Errorf("the second sync of %d entities took %.0f requests, at most %.1f: %v", len(r.cfg.Entities), got, most, r.server.RequestCounts())
	}
	everyClassFindsItsChanges(t, r)
}

// TestTicketHistoryIsNotReadUnasked: of a large table of tickets only the changed ones are asked for.
func TestTicketHistoryIsNotReadUnasked(t *testing.T) {
	r := everything(t)
	r.cfg.Entities = entities(t, "Tickets", "TicketHistory")
	if s := stream(t, r.mustSync(), "TicketHistory"); s.Fetched != 0 || s.Requests != 1 {
		t.Errorf("first run: %+v", s)
	}
	r.clock.Advance(time.Hour)
	data := r.server.Data()
	ticket := data.IDs("Tickets")[17]
	data.Update("Tickets", ticket, autotasktest.Fields{"title": "edited"})
	id := data.Insert("TicketHistory", autotasktest.Fields{"ticketID": ticket, "detail": "title"})
	r.clock.Advance(time.Minute)
	if s := stream(t, r.mustSync(), "TicketHistory"); s.Requests != 1 || s.Inserted == 0 {
		t.Errorf("one ticket changed: %+v", s)
	}
	var n int
	db := openPublished(t, r.cfg.PublishPath)
	if err := db.QueryRow(`SELECT count(*) FROM ticket_history WHERE ticket_id = ? AND id = ?`, ticket, id).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// everyClassFindsItsChanges edits, adds and deletes a row in entities of every class, as far as its class can tell, and wants
// the next run to bring all of it.
func everyClassFindsItsChanges(t *testing.T, r *rig) {
	data := r.server.Data()
	ed := &editor{T: t, data: data}
	parents := map[string]bool{}
	for _, e := range r.cfg.Entities {
		parents[e.Follows()] = true
	}
	// Everything that has to do with parents, and of the rest some of each class: one is read like the other.
	i := 0
	r.cfg.Entities = slices.DeleteFunc(r.cfg.Entities, func(e *schemas.Entity) bool {
		i++
		return e.Follows() == "" && !parents[e.Name] && i%8 != 0
	})
	r.clock.Advance(25 * time.Hour)
	deleted := int64(0)
	for _, e := range r.cfg.Entities {
		ids := data.IDs(e.Name)
		switch e.Class {
		case schemas.ClassModified, schemas.ClassActivity:
			ed.touch(e, ids[0])
			data.Insert(e.Name, nil)
		case schemas.ClassFull:
			ed.touch(e, ids[0])
			data.Insert(e.Name, nil)
			if !parents[e.Name] {
				data.DeleteQuietly(e.Name, ids[len(ids)-1])
				deleted++
			}
		case schemas.ClassAppend: // rows of the last weeks are read again once a day, for edits that move no stamp
			if recent(r, e, ids[len(ids)-1]) {
				ed.touch(e, ids[len(ids)-1])
			}
			data.Insert(e.Name, nil)
		}
	}
	deleted += ed.children(r.cfg.Entities)
	r.clock.Advance(5 * time.Minute)
	if n := totals(r.mustSync()); n.Deleted != deleted {
		t.Errorf("%d rows were tombstoned, want %d", n.Deleted, deleted)
	}
	r.equal()
}

// recent reports whether a row of class append came into being in the last four weeks.
func recent(r *rig, e *schemas.Entity, id int64) bool {
	row, _ := r.server.Data().Row(e.Name, id)
	at, err := parseStamp(strings.Trim(row.Raw(e.Stamps[0]), `"`))
	return err == nil && r.clock.Now().Sub(at) < 28*24*time.Hour
}

// editor edits rows of a simulator, each time to another value.
type editor struct {
	*testing.T
	data *autotasktest.Data
	n    int
}

// touch edits a text or number of a row that is neither stamp nor reference.
func (ed *editor) touch(e *schemas.Entity, id int64) {
	ed.Helper()
	ed.n++
	for _, f := range e.Fields {
		if f.Name == "id" || f.Name == e.ParentKey || f.Reference != "" || f.Picklist != nil && *f.Picklist || f.MaxLength > 0 && f.MaxLength < 6 {
			continue
		}
		var value any
		switch f.Type {
		case "string":
			value = fmt.Sprint("t", ed.n)
		case "integer", "long":
			value = 1000 + ed.n
		case "decimal":
			value = float64(ed.n) + 0.25
		case "boolean":
			row, _ := ed.data.Row(e.Name, id)
			value = row.Raw(f.Name) != "true"
		default:
			continue
		}
		if !ed.data.Update(e.Name, id, autotasktest.Fields{f.Name: value}) {
			ed.Errorf("%s %d is not there", e.Name, id)
		}
		return
	}
}

// children edits a child of one parent and deletes one of another, in each entity that follows a parent, and touches
// the parents. It returns how many rows it deleted.
func (ed *editor) children(all []*schemas.Entity) (deleted int64) {
	ed.Helper()
	for _, e := range all {
		if e.Follows() == "" {
			continue
		}
		for i, id := range ed.data.IDs(e.Name)[:2] {
			ed.touchAbove(e, id)
			if i == 0 {
				ed.touch(e, id)
			} else {
				ed.data.DeleteQuietly(e.Name, id)
				deleted++
			}
		}
	}
	return deleted
}

// touchAbove edits what a row belongs to, and what that belongs to, as long as there is something.
func (ed *editor) touchAbove(e *schemas.Entity, id int64) {
	ed.Helper()
	for e.Follows() != "" {
		row, _ := ed.data.Row(e.Name, id)
		if _, err := fmt.Sscan(row.Raw(e.ParentKey), &id); err != nil {
			ed.Fatalf("%s %d: %v", e.Name, id, err)
		}
		e, _ = schemas.Lookup(e.Follows())
		if !slices.Contains(ed.data.IDs(e.Name), id) {
			return // it is deleted by now, which is a change too
		}
		ed.touch(e, id)
	}
}

// TestRightLostInMidLife: whatever the API answers to a user without the right, rows stay.
func TestRightLostInMidLife(t *testing.T) {
	names := []string{"Roles", "Tickets", "TicketNotes", "TicketSecondaryResources", "Resources", "ResourceTimeOffBalances"}
	ways := map[string]func(r *rig, entity string){
		"401":    func(r *rig, e string) { r.server.Deny(e, autotasktest.Denied401) },
		"403":    func(r *rig, e string) { r.server.Deny(e, autotasktest.Denied403) },
		"500":    func(r *rig, e string) { r.server.Deny(e, autotasktest.Denied500) },
		"absent": func(r *rig, e string) { r.server.RemoveEntity(e) },
		"silent": func(r *rig, e string) { r.server.Restrict(e, nil) },
		"partly": func(r *rig, e string) {
			r.server.Restrict(e, func(row autotasktest.Row) bool { return row.ID%2 == 0 })
		},
	}
	r := everything(t)
	r.cfg.Entities = entities(t, names...)
	r.mustSync()
	buried := func(entity string) (n int) {
		db := openPublished(t, r.cfg.PublishPath)
		defer func() { _ = db.Close() }()
		if err := db.QueryRow(`SELECT count(*) FROM ` + schemas.TableName(entity) + ` WHERE _deleted_at IS NOT NULL`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	edits := 0
	for way, remove := range ways {
		for _, entity := range []string{"Roles", "TicketSecondaryResources", "ResourceTimeOffBalances"} {
			t.Run(way+" "+entity, func(t *testing.T) {
				e, _ := schemas.Lookup(entity)
				if way == "partly" && entity != "Roles" {
					return // some rows of a parent that are gone are deletions, as far as anybody can tell
				}
				for _, id := range r.server.Data().IDs("Tickets") {
					r.server.Data().Update("Tickets", id, autotasktest.Fields{"title": way + entity})
				}
				edits++
				for _, id := range r.server.Data().IDs("Resources") {
					r.server.Data().Update("Resources", id, autotasktest.Fields{"title": fmt.Sprint(edits)})
				}
				before := buried(entity) // what another way has hidden
				remove(r, entity)
				defer func() {
					r.server.Deny(entity, autotasktest.DeniedNot)
					r.server.RestoreEntity(entity)
					r.server.Unrestrict(entity)
				}()
				r.clock.Advance(time.Hour)
				run, err := r.sync(pipeline.SyncRequest{})
				s := stream(t, run, entity)
				switch {
				case way == "absent" && (err != nil || s.Status != pipeline.StatusAbsent):
					t.Errorf("%+v, %v", s, err)
				case way == "silent" && e.Class == schemas.ClassChild || way == "partly": // no right can be asked for, or there still is one
					if s.ErrorClass != pipeline.ClassGuard && s.Deleted > 50 {
						t.Errorf("%+v", s)
					}
				case way != "absent" && (err == nil || s.ErrorClass != pipeline.ClassRights):
					t.Errorf("%+v, %v", s, err)
				}
				if n := buried(entity); n > before && way != "partly" {
					t.Errorf("%d tombstones, there were %d", n, before)
				}
			})
		}
	}
	r.clock.Advance(time.Hour)
	r.mustSync()
	r.equal()
}
