package pipeline

import (
	"slices"
	"time"

	"github.com/atsync/atsync/schemas"
)

// A workload is one stream's read as its requests depend on it.
type workload struct {
	entity  *schemas.Entity
	mode    Mode
	rows    int64 // that the read brings
	live    int64 // in the table before
	parents int64 // ModeParent: whose children are read
}

// requests estimates what a read costs, its metadata left out. It follows the reads of stream.go: a page more
// than there are full ones, one count ahead of a large whole read, a count that confirms what takes more than a
// page unless the first one did, and a second look at what a whole read no longer shows.
func (w workload) requests() int64 {
	if w.mode == ModeParent {
		if w.parents == 0 || w.entity.PerParent() {
			return w.parents
		}
		groups := pages(w.parents)
		return groups * reads(w.rows/groups)
	}
	if w.entity.PerParent() {
		return w.parents
	}
	n := reads(w.rows)
	large := slices.Contains([]string{"medium", "large", "huge"}, w.entity.Size)
	ahead := w.mode == ModeFirst && (large || w.live > 0) || w.mode == ModeFull && w.live > pageSize
	if ahead {
		n++
	}
	if w.rows > pageSize && (!ahead || !countedOnce(w.entity.Class)) {
		n++
	}
	if w.mode == ModeFull {
		n += pages(max(0, w.live-w.rows))
	}
	return n
}

// reads is how many pages a read of so many rows asks for: it ends with one that is not full.
func reads(rows int64) int64 { return rows/pageSize + 1 }

// describes is what an entity's live metadata costs (api.md §6).
func describes(e *schemas.Entity) int64 {
	if e.HasUDF {
		return 2
	}
	return 1
}

// Where nobody has measured yet, a hundredth of the rows is taken to change in a day, and an append entity's
// recent window to hold a twentieth of its rows: 35 days of about two years.
const (
	guessedDailyShare  = 100
	guessedWindowShare = 20
)

// churn estimates how many rows change within a time: by the rate at which rows came into the window, or by
// the guess where there is no window yet.
func churn(rows, seen int64, over, within time.Duration) int64 {
	if over <= 0 {
		return int64(float64(rows) / guessedDailyShare * within.Hours() / 24)
	}
	return int64(float64(seen) * within.Seconds() / over.Seconds())
}
