package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// OpenRejects are the rejects of an entity that nobody has acknowledged. While there are any, the entity's stream
// is partial.
type OpenRejects struct {
	Count int64
	IDs   []int64         // of their rows, ascending; at most 500
	First *schemas.Reject // an example, the one with the lowest id; nil: there is none
}

// RejectSelection says which rejects are meant: those that fit every field that is set. The zero value is all.
type RejectSelection struct {
	Entity string
	ID     *int64 // of the row
	Field  string // Autotask's name, or the column's
}

// mostReread is how many rows with open rejects a run reads again: one request (api.md §3).
const mostReread = pageSize

// settle looks after rows with open rejects, and completes the report.
func (s *run) settle(ctx context.Context, o *outline, report *StreamReport) error {
	after, err := s.Sink.Stream(ctx, report.Entity)
	if err != nil {
		return err
	}
	var ids []int64
	if mode := Mode(report.Mode); (mode == ModeIncremental || mode == ModeParent) && !o.table.Entity.PerParent() {
		ids = slices.DeleteFunc(slices.Clone(o.state.OpenRejects.IDs), func(id int64) bool { return !slices.Contains(after.OpenRejects.IDs, id) })
	}
	if len(ids) > 0 {
		if err := s.readRejected(ctx, o, ids[:min(len(ids), mostReread)], after.Checkpoint, report); err != nil {
			return err
		}
		if after, err = s.Sink.Stream(ctx, report.Entity); err != nil {
			return err
		}
	}
	s.takeStock(o, after, report)
	return nil
}

// readRejected reads again rows of which a value was rejected before this run: what was at fault may be mended
// without the row having changed. It is a load of its own, after the stream's, and moves no checkpoint.
func (s *run) readRejected(ctx context.Context, o *outline, ids []int64, at Checkpoint, report *StreamReport) error {
	w := Window{InField: "id", In: ids}
	l, err := s.begin(ctx, LoadSpec{Table: o.table, Class: schemas.Class(report.Class), Window: w, Mode: Mode(report.Mode)})
	if err != nil {
		return err
	}
	defer l.load.Abort() //nolint:errcheck // after a commit it does nothing, before one the first error counts
	if err := s.Source.Read(ctx, Slice{Table: o.table, Window: w}, l.stage(ctx)); err != nil {
		return err
	}
	return l.commit(ctx, Commit{Checkpoint: at}, report)
}

// rejectsText says what is open of an entity, and what to do.
func rejectsText(tenant, entity string, open OpenRejects) string {
	what := fmt.Sprintf("%d values do not fit their columns and are NULL there", open.Count)
	if open.Count == 1 {
		what = "1 value does not fit its column and is NULL there"
	}
	if r := open.First; r != nil {
		what += fmt.Sprintf("; id %d, field %q, sent as %s: %s", r.ID, r.Field, shortened(r.Raw), r.Reason)
	}
	return fmt.Sprintf("%s (atsync rejects lists them; correct them in Autotask, or accept them: atsync rejects ack --tenant %s --entity %s)", what, tenant, entity)
}

// shortened cuts a value for a message.
func shortened(raw string) string {
	const most = 40
	raw = strings.Join(strings.Fields(raw), " ")
	if r := []rune(raw); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return raw
}
