package pipeline

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/atsync/atsync/schemas"
)

// lane is a way from a log of deletions to rows that may be gone (api.md §8).
type lane struct {
	log   string // entity of the log
	named string // its field that names what was deleted, or the parent of what was deleted
	key   string // field of the rows that holds the same
}

// The logs. The first names tickets; the others name the ticket or task whose note, time entry or attachment was
// deleted, but not the row.
const (
	deletedTickets        = "DeletedTicketLogs"
	deletedTicketActivity = "DeletedTicketActivityLogs"
	deletedTaskActivity   = "DeletedTaskActivityLogs"
)

// lanes returns the logs that an entity follows. Entities that are read whole, or with their parents, find
// deletions by themselves.
func lanes(e *schemas.Entity) []lane {
	if e.Name == "Tickets" {
		return []lane{{deletedTickets, "ticketID", "id"}}
	}
	if slices.Contains([]string{deletedTickets, deletedTicketActivity, deletedTaskActivity}, e.Name) {
		return nil
	}
	switch e.Class {
	case schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend:
	default:
		return nil
	}
	var out []lane
	activity := slices.Contains([]string{"TicketNotes", "TicketAttachments", "TicketNoteAttachments", "TaskNotes", "TaskAttachments",
		"TaskNoteAttachments", "TimeEntries", "TimeEntryAttachments", "AttachmentInfo"}, e.Name)
	for _, f := range e.Fields {
		switch {
		case f.Name == "ticketID":
			out = append(out, lane{deletedTickets, f.Name, f.Name})
			if activity {
				out = append(out, lane{deletedTicketActivity, f.Name, f.Name})
			}
		case f.Name == "taskID" && activity:
			out = append(out, lane{deletedTaskActivity, f.Name, f.Name})
		}
	}
	return out
}

// followLogs tombstones what new rows of the logs say is gone, after looking for it at the source. How far each
// log was followed is part of the entity's checkpoint: it moves with the commit of the last tombstones, so that a
// killed run does the rest again. A log may tell of a deletion before the row is gone, so what is newer than the overlap was
// at the run before is looked for once more. cp is the checkpoint as the run's read has left it, before what was stored
// until then.
func (s *run) followLogs(ctx context.Context, t *schemas.Table, cp Checkpoint, before StreamState, report *StreamReport) error {
	next := cp
	next.LogLoads = maps.Clone(cp.LogLoads)
	named := map[string][]int64{} // by key
	for _, l := range lanes(t.Entity) {
		if c := t.Column(l.key); c == nil || l.key != "id" && !c.Queryable {
			continue
		}
		ids, newest, err := s.Sink.Named(ctx, s.logFeed(l, cp, before.Checkpoint.CompleteThrough))
		if err != nil {
			return err
		}
		if newest > 0 {
			if next.LogLoads == nil {
				next.LogLoads = map[string]int64{}
			}
			next.LogLoads[l.log] = newest
		}
		named[l.key] = append(named[l.key], ids...)
	}
	var groups []Window
	for _, key := range slices.Sorted(maps.Keys(named)) {
		slices.Sort(named[key])
		for group := range slices.Chunk(slices.Compact(named[key]), pageSize) {
			w := Window{InField: key, In: group}
			stored, err := s.stored(ctx, t, w)
			if err != nil {
				return err
			}
			if len(stored) > 0 {
				groups = append(groups, w)
			}
		}
	}
	for i, w := range groups {
		at := cp
		if i == len(groups)-1 {
			at = next
		}
		if err := s.relist(ctx, t, w, at, before.LiveRows, report); err != nil {
			return err
		}
	}
	return nil
}

// logFeed selects the rows of a log that have come since it was followed last. Those of deletions before the
// entity was last read whole have nothing to say.
func (s *run) logFeed(l lane, cp Checkpoint, through time.Time) Feed {
	e, _ := schemas.Lookup(l.log) // a catalogue test knows them
	t := schemas.NewTable(e, nil, nil)
	return Feed{
		Table: t.Name, Column: t.Column(l.named).Name, After: cp.LogLoads[l.log],
		Stamp: t.Column("deletedDateTime").Name, Since: cp.FullAt.Add(-Settle - s.Overlap), Recent: through.Add(-s.Overlap),
	}
}

// stored returns the live rows of a window that the warehouse has: if there are none, nobody has to be asked.
func (s *run) stored(ctx context.Context, t *schemas.Table, w Window) ([]int64, error) {
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: t.Reads().Class, Window: w, Mode: ModeLog})
	if err != nil {
		return nil, err
	}
	defer l.load.Abort() //nolint:errcheck // nothing is staged
	return l.load.Absent(ctx)
}

// relist reads the rows of a window again and tombstones those that are gone.
func (s *run) relist(ctx context.Context, t *schemas.Table, w Window, next Checkpoint, live int64, report *StreamReport) error {
	l, err := s.begin(ctx, LoadSpec{Table: t, Class: t.Reads().Class, Window: w, Mode: ModeLog})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	if err := s.Source.Read(ctx, Slice{Table: t, Window: w}, l.stage(ctx)); err != nil {
		return err
	}
	c := Commit{Checkpoint: next, Reason: string(ModeLog)}
	missing, err := l.load.Absent(ctx)
	if err != nil {
		return err
	}
	if c.Tombstones, err = s.secondLook(ctx, l, t, missing); err != nil {
		return err
	}
	if w.InField != "id" { // rows that a log names are known to be deleted
		if err := s.guardPart(ctx, t, report.Deleted+int64(len(c.Tombstones)), live); err != nil {
			return err
		}
	}
	return l.commit(ctx, c, report)
}
