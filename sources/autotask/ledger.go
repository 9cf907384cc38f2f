package autotask

import (
	"time"

	"github.com/atsync/atsync/pipeline"
)

// ledger counts requests by the minute in which they ended. Minutes are counted on the monotonic clock, so that a
// step of the wall clock forgets nothing.
type ledger struct {
	start   time.Time
	minutes map[int64]*[priorities]int64
}

func newLedger() ledger { return ledger{start: time.Now(), minutes: map[int64]*[priorities]int64{}} }

func (l *ledger) minute(now time.Time) int64 { return int64(now.Sub(l.start) / time.Minute) }

// add counts a request that ended now, and forgets what is older than mins minutes.
func (l *ledger) add(now time.Time, p pipeline.Priority, mins int64) {
	m := l.minute(now)
	if l.minutes[m] == nil {
		l.minutes[m] = &[priorities]int64{}
		for old := range l.minutes {
			if old < m-mins {
				delete(l.minutes, old)
			}
		}
	}
	l.minutes[m][p]++
}

// within counts the requests that ended in this minute or one of the mins before it. All of those that ended in the
// last mins minutes are among them, and with mins-1 none that is older.
func (l *ledger) within(now time.Time, mins int64) (n int64) {
	first := l.minute(now) - mins
	for m, counts := range l.minutes {
		if m < first {
			continue
		}
		for _, k := range counts {
			n += k
		}
	}
	return n
}

// expires tells how long it takes until within counts fewer; 0: it counts none.
func (l *ledger) expires(now time.Time, mins int64) time.Duration {
	var wait time.Duration
	for m := range l.minutes {
		d := l.start.Add(time.Duration(m+mins+1) * time.Minute).Sub(now)
		if d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	return wait
}
