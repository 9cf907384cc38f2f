package pipeline

import (
	"hash/fnv"
	"time"

	"github.com/atsync/atsync/schemas"
)

// Settle is subtracted from the server's clock to get the time through which a read is complete: a
// change that was stamped just before may become visible just after.
const Settle = 30 * time.Second

// rereadEvery is how often the recent window of an append entity is read again, and rereadWindow how far
// it reaches back: edits there move no stamp.
const (
	rereadEvery  = 24 * time.Hour
	rereadWindow = 35 * 24 * time.Hour
)

// pageSize is Autotask's largest page (api.md §3).
const pageSize = 500

// metadataAge is how long live metadata is trusted unless the Runner says otherwise.
const metadataAge = 24 * time.Hour

// Mode says how a stream is read in one run.
type Mode string

// The modes of a read.
const (
	ModeFirst       Mode = "first"       // nothing is stored yet: every row
	ModeIncremental Mode = "incremental" // rows changed since the checkpoint
	ModeParent      Mode = "parent"      // children of parents that changed
	ModeFull        Mode = "full"        // every row, compared by hash; absent ones become tombstones
	ModeBackfill    Mode = "backfill"    // a span of history
	ModeLog         Mode = "log"         // rows that a log of deletions names, or whose parents it names
	ModeVerify      Mode = "verify"      // rows that counts and listings have shown to be missing or gone
)

// Plan says what one stream's read will do and where the checkpoint goes when it is complete.
type Plan struct {
	Mode    Mode
	Class   schemas.Class
	Window  Window     // first, incremental and full: one read
	Parents []int64    // parent: children of these are read, in groups
	Key     string     // parent: field that holds the parent's id
	Refill  bool       // full: to fill columns that stored rows lack values of, not for the sake of deletions
	Next    Checkpoint // after the last commit
	Left    []Range    // first: ids to be read; all of them, or what an interrupted first load has left

	resumed bool      // first: an interrupted load goes on
	started time.Time // what has changed before is read; the server's clock

	Due         bool      // full, because the last one is long ago
	MissedSince time.Time // full: what incremental reads had brought up to now has stamps from before this
}

// planInput is what planStream decides from.
type planInput struct {
	table      *schemas.Table
	state      StreamState
	serverTime time.Time
	overlap    time.Duration
	full       bool          // asked for by a person
	fullEvery  time.Duration // how long stamps are trusted until everything is read again; 0: for ever
	catchUp    bool          // only what is new, whatever else may be due
	// parent class only:
	parents    []int64 // changed since state.Checkpoint.ParentLoad
	parentLoad int64   // newest load of the parent's table; 0: the parent is not in the warehouse
	parentRead bool    // the parent is read in this run, before its children

	parentThrough time.Time // through which the parent is complete
}

// planStream chooses the cheapest read that misses nothing. It asks nobody.
func planStream(in planInput) Plan {
	reads := in.table.Reads()
	cp := in.state.Checkpoint
	next := cp
	next.Progress = nil
	next.CompleteThrough = in.serverTime.Add(-Settle)
	next.ParentLoad = in.parentLoad

	whole := func(mode Mode) Plan {
		next.FullAt, next.RereadAt = in.serverTime, in.serverTime
		plan := Plan{Mode: mode, Class: reads.Class, Next: next, Left: []Range{{}}, started: in.serverTime}
		if mode == ModeFull && (reads.Class == schemas.ClassModified || reads.Class == schemas.ClassActivity) && !cp.CompleteThrough.IsZero() {
			plan.MissedSince = cp.CompleteThrough.Add(-in.overlap)
		}
		return plan
	}
	if done := cp.Progress; done != nil {
		if in.full || done.Again || done.Rows != in.state.LiveRows { // or somebody else has written to the table
			return whole(ModeFull)
		}
		in.serverTime, next.ParentLoad = done.StartedAt, done.ParentLoad
		next.CompleteThrough = done.StartedAt.Add(-Settle)
		p := whole(ModeFirst)
		p.Left, p.resumed = done.Left, true
		return p
	}
	switch {
	case cp.CompleteThrough.IsZero() && in.state.MaxID == nil:
		return whole(ModeFirst)
	case cp.CompleteThrough.IsZero():
		return whole(ModeFull) // a person has reset it: what is stored is compared
	case in.full:
		return whole(ModeFull)
	case cp.CompleteThrough.After(in.serverTime.Add(in.overlap)):
		// The server's clock has gone back by more than the overlap makes up for: the checkpoint was wrong,
		// and nobody knows by how much.
		return whole(ModeFull)
	case refills(in) && in.state.LiveRows <= refillRows:
		p := whole(ModeFull)
		p.Refill = reads.Class != schemas.ClassFull
		p.MissedSince = time.Time{} // rows differ by the new values
		return p
	case reads.Class != schemas.ClassFull && in.rereadDue():
		plan := whole(ModeFull)
		plan.Due = true
		return plan
	}
	switch reads.Class {
	case schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend:
		since := cp.CompleteThrough.Add(-in.overlap)
		if reads.Class == schemas.ClassAppend && !in.catchUp && in.serverTime.Sub(cp.RereadAt) >= rereadEvery {
			since = minTime(since, in.serverTime.Add(-rereadWindow))
			next.RereadAt = in.serverTime
		}
		w := Window{Stamps: reads.Stamps, Since: since, NewerID: in.state.MaxID}
		return Plan{Mode: ModeIncremental, Class: reads.Class, Window: w, Next: next, Left: []Range{{}}, started: in.serverTime}
	case schemas.ClassParent:
		// A parent that nobody reads says nothing of its children; and a whole read is cheaper than naming most
		// of the parents.
		if in.parentLoad == 0 || !in.parentRead || pages(int64(len(in.parents))) > pages(in.state.LiveRows) {
			return whole(ModeFull)
		}
		next.CompleteThrough = minTime(next.CompleteThrough, in.parentThrough) // its read may have failed
		return Plan{Mode: ModeParent, Class: reads.Class, Parents: in.parents, Key: reads.ParentKey, Next: next}
	default:
		return whole(ModeFull)
	}
}

// rereadDue reports whether the last whole read is so long ago that another is due. Each entity is due up to a
// quarter of the time earlier, by its name, so that not all are in the same run.
func (in planInput) rereadDue() bool {
	if in.fullEvery <= 0 || in.catchUp {
		return false
	}
	name := fnv.New32a()
	_, _ = name.Write([]byte(in.table.Entity.Name)) // never fails
	early := in.fullEvery / 4 / 1000 * time.Duration(name.Sum32()%1000)
	return in.serverTime.Sub(in.state.Checkpoint.FullAt) >= in.fullEvery-early
}

func pages(rows int64) int64 { return (rows + pageSize - 1) / pageSize }

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
