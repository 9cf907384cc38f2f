package pipeline

import (
	"fmt"
	"time"
)

// ChunkSize says how a backfill's span is cut into chunks.
type ChunkSize string

// The sizes of chunks. All but ChunkAuto are those of the calendar in the tenant's time zone; weeks begin on Monday.
const (
	ChunkDay   ChunkSize = "day"
	ChunkWeek  ChunkSize = "week"
	ChunkMonth ChunkSize = "month"
	ChunkYear  ChunkSize = "year"
	ChunkAuto  ChunkSize = "auto" // halved until a chunk has at most 20 pages
)

// ChunkSizes lists all sizes.
func ChunkSizes() []ChunkSize {
	return []ChunkSize{ChunkDay, ChunkWeek, ChunkMonth, ChunkYear, ChunkAuto}
}

// ChunkStatus is how far a chunk of a backfill has come.
type ChunkStatus string

// The states of a chunk.
const (
	ChunkPending ChunkStatus = "pending" // nothing of it is read
	ChunkRunning ChunkStatus = "running" // rows up to LastID are stored
	ChunkDone    ChunkStatus = "done"
	ChunkFailed  ChunkStatus = "failed" // the next run goes on behind LastID
)

// Chunk is a part of a backfill: the rows whose stamp By lies in [From, To).
type Chunk struct {
	Backfill  int64       `json:"backfill_id"`
	Number    int         `json:"chunk"` // from 1
	Entity    string      `json:"entity"`
	By        string      `json:"by_field"`
	Size      ChunkSize   `json:"chunk_size"`
	From      time.Time   `json:"from_at"`
	To        time.Time   `json:"to_at"`
	Status    ChunkStatus `json:"status"`
	Counted   int64       `json:"rows_counted"` // -1: not yet
	Read      int64       `json:"rows_read"`    // and stored
	Requests  int64       `json:"requests"`     // spent on what is stored, the count included
	LastID    *int64      `json:"last_id,omitempty"`
	LoadID    int64       `json:"load_id,omitempty"` // the last load that stored rows of it; set by the sink
	StartedAt time.Time   `json:"started_at,omitzero"`
	EndedAt   time.Time   `json:"ended_at,omitzero"`
	Error     string      `json:"error,omitempty"`
}

// mostChunks bounds what a backfill spends on counting.
const mostChunks = 4000

// autoRows is how many rows a chunk of ChunkAuto may have: 20 pages.
const autoRows = 20 * pageSize

// cut divides [from, to) at the calendar's boundaries in loc. Behind the instant last nothing is divided any
// more (zero: everything is): there is nothing yet. Auto is one chunk, to be halved.
func cut(from, to time.Time, size ChunkSize, loc *time.Location, last time.Time) ([]Chunk, error) {
	var chunks []Chunk
	for at := from; at.Before(to); {
		end := to
		if size != ChunkAuto && (last.IsZero() || at.Before(last)) {
			if next := boundary(at, size, loc); next.Before(to) {
				end = next
			}
		}
		if len(chunks) == mostChunks {
			return nil, fmt.Errorf("the span has more than %d chunks of a %s, and each costs a count", mostChunks, size)
		}
		chunks = append(chunks, Chunk{Number: len(chunks) + 1, Size: size, From: at.UTC(), To: end.UTC(), Status: ChunkPending, Counted: -1})
		at = end
	}
	return chunks, nil
}

// boundary returns the first beginning of a day, week, month or year after t. Where a day has no midnight, since
// the clocks go forward then, it is the instant that time.Date makes of it.
func boundary(t time.Time, size ChunkSize, loc *time.Location) time.Time {
	y, m, d := t.In(loc).Date()
	for i := 1; ; i++ {
		var next time.Time
		switch size {
		case ChunkDay:
			next = time.Date(y, m, d+i, 0, 0, 0, 0, loc)
		case ChunkWeek:
			sinceMonday := (int(t.In(loc).Weekday()) + 6) % 7
			next = time.Date(y, m, d-sinceMonday+7*i, 0, 0, 0, 0, loc)
		case ChunkYear:
			next = time.Date(y+i, time.January, 1, 0, 0, 0, 0, loc)
		default:
			next = time.Date(y, m+time.Month(i), 1, 0, 0, 0, 0, loc)
		}
		if next.After(t) {
			return next
		}
	}
}

// halve returns an instant that divides [from, to): midnight in loc if there is one near the middle, else a whole
// second. false: the span is too short.
func halve(from, to time.Time, loc *time.Location) (time.Time, bool) {
	middle := from.Add(to.Sub(from) / 2)
	y, m, d := middle.In(loc).Date()
	for _, at := range []time.Time{time.Date(y, m, d, 0, 0, 0, 0, loc), middle.Truncate(time.Second)} {
		if at.After(from) && at.Before(to) {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// left returns how many pages of a counted chunk are still to be read.
func (c Chunk) left() int64 {
	switch {
	case c.Status == ChunkDone || c.Counted < 0:
		return 0
	case c.Counted == 0:
		return 0
	}
	return max(1, chunkReads(c.Counted-c.Read))
}

// window returns what the chunk reads.
func (c Chunk) window() Window {
	return Window{Stamps: []string{c.By}, Since: c.From, Before: c.To}
}

// chunkReads returns how many pages a chunk of n rows takes: none that is empty is asked for.
func chunkReads(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return reads(n)
}
