package pipeline

import "time"

// Priority says how much of a database's hourly requests some work may take before it waits (api.md §7).
type Priority int

// The priorities, the most urgent first.
const (
	Live     Priority = iota // what keeps the warehouse current
	Verify                   // counts and listings that prove it
	Backfill                 // history, when nobody else needs the requests
)

// String returns "live", "verify" or "backfill".
func (p Priority) String() string {
	switch p {
	case Verify:
		return "verify"
	case Backfill:
		return "backfill"
	}
	return "live"
}

// ByPriority is a number for each priority.
type ByPriority struct {
	Live     int64 `json:"live"`
	Verify   int64 `json:"verify"`
	Backfill int64 `json:"backfill"`
}

// Sum adds the numbers up.
func (b ByPriority) Sum() int64 { return b.Live + b.Verify + b.Backfill }

// QuotaUse says what a run took of the hourly requests of its Autotask database, which all integrations share
// (api.md §7).
type QuotaUse struct {
	Database   string `json:"database"`    // identity of the database
	Threshold  int64  `json:"threshold"`   // requests allowed per window; 0: the server did not tell
	WindowMins int64  `json:"window_mins"` // the window goes back so many minutes, always
	UsedBefore int64  `json:"used_before"` // in the window when the run began, by the server's count
	UsedAfter  int64  `json:"used_after"`  // when it ended: the server's last count, and what atsync sent since

	Own    ByPriority `json:"own"`    // requests of this run
	Limits ByPriority `json:"limits"` // how full the window may be before each priority waits

	WaitedSeconds  float64   `json:"waited_seconds"`  // in which some request waited for quota
	HourRefusals   int64     `json:"hour_refusals"`   // answers that the hour's requests are used up
	ThreadRefusals int64     `json:"thread_refusals"` // answers that an endpoint's threads are
	PausedUntil    time.Time `json:"paused_until,omitzero"`
}

// QuotaWait tells that requests wait for quota, or with Waiting false that none does any more.
type QuotaWait struct {
	Waiting   bool
	Priority  Priority
	Used      int64     // requests in the window, all integrations together
	Threshold int64     // allowed there
	Until     time.Time // when the wait ends at the latest if nobody else sends more; an estimate
}
