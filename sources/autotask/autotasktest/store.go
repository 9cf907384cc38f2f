package autotasktest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Data is the database of one Autotask tenant: rows, user-defined fields, picklists and schema.
// Several servers may answer from the same Data. It is safe for concurrent use.
type Data struct {
	mu     sync.RWMutex
	tables map[string]*table // by lower-case entity name; made on first use
	clock  func() time.Time
	noZone bool
}

// NewData returns a tenant without rows. Its picklists are the service's usual ones.
func NewData() *Data {
	return &Data{tables: map[string]*table{}, clock: time.Now}
}

// SetClock sets the clock that stamps changed rows. A server that is given the data sets its own.
func (d *Data) SetClock(now func() time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = now
}

// table returns the table of an entity. The caller holds d.mu for writing, or knows that it exists.
func (d *Data) table(entity string) *table {
	key := strings.ToLower(entity)
	if t := d.tables[key]; t != nil {
		return t
	}
	e, ok := schemas.Lookup(entity)
	if !ok {
		panic(fmt.Sprintf("autotasktest: there is no entity %q", entity))
	}
	key = strings.ToLower(e.Name)
	t := d.tables[key]
	if t == nil {
		t = newTable(newShape(e))
		d.tables[key] = t
	}
	return t
}

// read runs f with the entity's table, locked against changes.
func (d *Data) read(entity string, f func(t *table)) {
	d.make(entity)
	d.mu.RLock()
	defer d.mu.RUnlock()
	f(d.table(entity))
}

// make sees to it that the entity's table exists.
func (d *Data) make(entity string) {
	d.mu.RLock()
	_, ok := d.tables[strings.ToLower(entity)]
	d.mu.RUnlock()
	if ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table(entity)
}

// Insert adds a row and returns its id: f's "id", or the highest so far plus one. Create and change
// stamps that f does not name are set to now (name them as nil to keep them null); a note or time entry
// moves the activity stamp of its ticket, task or project. An id that is taken is a panic.
func (d *Data) Insert(entity string, f Fields) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table(entity)
	id := t.last + 1
	cells := make([]cell, t.width())
	for i := range cells {
		cells[i] = null()
	}
	given := t.fill(cells, f)
	if cells[0].kind == kindInt {
		id = cells[0].n
	}
	if _, taken := t.find(id); taken {
		panic(fmt.Sprintf("autotasktest: %s %d exists already", entity, id))
	}
	cells[0] = cell{kind: kindInt, n: id}
	e := t.shape.entity
	for _, name := range append(slices.Clone(e.Stamps), e.CreateStamp) {
		if slot, ok := t.shape.slot(name); ok && !given[slot] && !lateStamp(name) {
			cells[slot] = cell{kind: kindTime, n: stampMillis(d.clock())}
		}
	}
	t.put(cells)
	d.touchParents(t, cells)
	return id
}

// lateStamp reports whether a date belongs to an event later than the row's creation.
func lateStamp(name string) bool {
	switch name {
	case "webServiceDate", "paidDate", "completeDate", "approveAndPostDate", "statusLastModifiedDate":
		return true
	}
	return false
}

// fill sets the cells that f names and reports which slots those are.
func (t *table) fill(cells []cell, f Fields) map[int]bool {
	given := make(map[int]bool, len(f))
	for name, v := range f {
		slot, k := t.target(name)
		cells[slot] = cellOf(v, k, t.shape.entity.Name+"."+name)
		given[slot] = true
	}
	return given
}

// target resolves a key of Fields.
func (t *table) target(name string) (slot int, k kind) {
	if udf, ok := strings.CutPrefix(name, udfPrefix); ok {
		i, ok := t.shape.udfSlot(udf)
		if !ok {
			panic(fmt.Sprintf("autotasktest: %s has no user-defined field %q: add it with AddUDF", t.shape.entity.Name, udf))
		}
		return len(t.shape.fields) + i, kindString
	}
	slot, ok := t.shape.slot(name)
	if !ok {
		panic(fmt.Sprintf("autotasktest: %s has no field %q; it has %s", t.shape.entity.Name, name, t.shape.names()))
	}
	return slot, t.shape.fields[slot].kind()
}

// Update changes a row as an edit in Autotask does: the entity's change stamps move to now, as does
// statusLastModifiedDate of a charge whose status is set. Entities that have only a create or event date
// keep it, as in the service. It reports whether the row exists.
func (d *Data) Update(entity string, id int64, f Fields) bool { return d.update(entity, id, f, true) }

// UpdateQuietly changes a row and leaves its stamps alone, as some edits do (api.md §8): an incremental
// read does not see it.
func (d *Data) UpdateQuietly(entity string, id int64, f Fields) bool {
	return d.update(entity, id, f, false)
}

func (d *Data) update(entity string, id int64, f Fields, stamp bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table(entity)
	i, ok := t.find(id)
	if !ok {
		return false
	}
	cells := t.cells(i)
	given := t.fill(cells, f)
	if cells[0].n != id {
		panic(fmt.Sprintf("autotasktest: the id of %s %d cannot be changed", entity, id))
	}
	if stamp {
		now := cell{kind: kindTime, n: stampMillis(d.clock())}
		for _, name := range t.shape.changeStamps(f) {
			if slot, ok := t.shape.slot(name); ok && !given[slot] {
				cells[slot] = now
			}
		}
	}
	t.put(cells)
	if stamp {
		d.touchParents(t, cells)
	}
	return true
}

// changeStamps names the fields that an edit of f moves.
func (s *shape) changeStamps(f Fields) []string {
	switch s.entity.Class {
	case schemas.ClassModified, schemas.ClassActivity:
		out := []string{}
		for _, name := range s.entity.Stamps {
			if name != s.entity.CreateStamp && !lateStamp(name) {
				out = append(out, name)
			}
		}
		return out
	}
	for name := range f {
		if strings.EqualFold(name, "status") {
			return []string{"statusLastModifiedDate"}
		}
	}
	return nil
}

// activity says whose activity stamp a new or changed row moves (api.md §8).
func activity(entity string) (links [][3]string) {
	switch entity {
	case "TicketNotes", "TicketAttachments", "TicketCharges":
		return [][3]string{{"ticketID", "Tickets", "lastActivityDate"}}
	case "TimeEntries":
		return [][3]string{{"ticketID", "Tickets", "lastActivityDate"}, {"taskID", "Tasks", "lastActivityDateTime"}}
	case "TaskNotes":
		return [][3]string{{"taskID", "Tasks", "lastActivityDateTime"}}
	case "ProjectNotes":
		return [][3]string{{"projectID", "Projects", "lastActivityDateTime"}}
	case "CompanyNotes", "CompanyToDos":
		return [][3]string{{"companyID", "Companies", "lastActivityDate"}}
	case "Contacts":
		return [][3]string{{"companyID", "Companies", "lastActivityDate"}}
	}
	return nil
}

func (d *Data) touchParents(t *table, cells []cell) {
	for _, link := range activity(t.shape.entity.Name) {
		slot, ok := t.shape.slot(link[0])
		if !ok || cells[slot].kind != kindInt {
			continue
		}
		parent := d.table(link[1])
		i, found := parent.find(cells[slot].n)
		at, ok := parent.shape.slot(link[2])
		if !found || !ok {
			continue
		}
		row := parent.cells(i)
		row[at] = cell{kind: kindTime, n: stampMillis(d.clock())}
		parent.put(row)
	}
}
