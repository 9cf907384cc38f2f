package autotasktest

// Delete removes a row and writes the log row that Autotask writes: DeletedTicketLogs for a ticket,
// DeletedTicketActivityLogs and DeletedTaskActivityLogs for notes, time entries and attachments of
// tickets and tasks (api.md §8). Rows that refer to the deleted one stay. It reports whether there was
// such a row.
func (d *Data) Delete(entity string, id int64) bool { return d.delete(entity, id, true) }

// DeleteQuietly removes a row and logs nothing, as the service does for most entities.
func (d *Data) DeleteQuietly(entity string, id int64) bool { return d.delete(entity, id, false) }

func (d *Data) delete(entity string, id int64, log bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table(entity)
	i, ok := t.find(id)
	if !ok {
		return false
	}
	gone := deletedRow{t, t.cells(i)}
	t.remove(i)
	if log {
		d.logDelete(gone)
	}
	return true
}

// The types of deleted activity. Public sources do not number them; these follow the order in which the
// documentation names them.
const (
	deletedTimeEntry  = 1
	deletedNote       = 2
	deletedAttachment = 3
)

// deletedRow gives access to the values of a row that is gone.
type deletedRow struct {
	t     *table
	cells []cell
}

func (r deletedRow) get(name string) cell {
	if slot, ok := r.t.shape.slot(name); ok {
		return r.cells[slot]
	}
	return null()
}

// first returns the first of the named values that is not null.
func (r deletedRow) first(names ...string) cell {
	for _, name := range names {
		if c := r.get(name); c.kind != kindNull {
			return c
		}
	}
	return null()
}

func (d *Data) logDelete(r deletedRow) {
	switch r.t.shape.entity.Name {
	case "Tickets":
		d.appendLog("DeletedTicketLogs", map[string]cell{
			"ticketID": r.cells[0], "ticketNumber": r.get("ticketNumber"), "ticketTitle": r.get("title"),
		})
	case "TicketNotes":
		d.logActivity(r, "ticketID", deletedNote)
	case "TicketAttachments":
		d.logActivity(r, "ticketID", deletedAttachment)
	case "TaskNotes":
		d.logActivity(r, "taskID", deletedNote)
	case "TaskAttachments":
		d.logActivity(r, "parentID", deletedAttachment)
	case "TimeEntries":
		if r.get("ticketID").kind == kindInt {
			d.logActivity(r, "ticketID", deletedTimeEntry)
		} else if r.get("taskID").kind == kindInt {
			d.logActivity(r, "taskID", deletedTimeEntry)
		}
	}
}

// logActivity writes a row that names the parent but, as in the service, not the deleted row's own id.
func (d *Data) logActivity(r deletedRow, parentKey string, typeID int64) {
	entity, log, idField, number := "Tickets", "DeletedTicketActivityLogs", "ticketID", "ticketNumber"
	if r.t.shape.entity.Name == "TaskNotes" || r.t.shape.entity.Name == "TaskAttachments" || parentKey == "taskID" {
		entity, log, idField, number = "Tasks", "DeletedTaskActivityLogs", "taskID", "taskNumber"
	}
	parent := r.get(parentKey)
	values := map[string]cell{
		"typeID": {kind: kindInt, n: typeID}, idField: parent,
		"noteOrAttachmentTitle": r.get("title"),
		"createdByResourceID":   r.first("creatorResourceID", "resourceID", "attachedByResourceID"),
		"activityDateTime":      r.first("createDateTime", "attachDate"),
		"startDateTime":         r.get("startDateTime"), "endDateTime": r.get("endDateTime"),
		"hoursWorked": r.get("hoursWorked"),
	}
	if t := d.table(entity); parent.kind == kindInt {
		if i, ok := t.find(parent.n); ok {
			values[number] = deletedRow{t, t.cells(i)}.get(number)
		}
	}
	d.appendLog(log, values)
}

func (d *Data) appendLog(entity string, values map[string]cell) {
	t := d.table(entity)
	values["deletedByResourceID"] = cell{kind: kindInt, n: builtinResource}
	values["deletedDateTime"] = cell{kind: kindTime, n: stampMillis(d.clock())}
	cells := make([]cell, t.width())
	for i := range cells {
		cells[i] = null()
	}
	for name, c := range values {
		if slot, ok := t.shape.slot(name); ok {
			cells[slot] = c
		}
	}
	cells[0] = cell{kind: kindInt, n: t.last + 1}
	t.put(cells)
}

// builtinResource is the id of Autotask's own administrator, who writes workflow notes (api.md §9).
const builtinResource = 4
