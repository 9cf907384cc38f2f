// Package alert tells people when something is wrong with a tenant, and when it is right again: jobs that fail in a row, data
// older than wanted (also where a run never started), the quota, drift, a guard that stopped a run, a login on hold.
//
// A [Watcher] looks at the daemon from time to time, as a page does, so that what does not happen is noticed, too. It promises
// that each alert is told once to each target, and again only every so often while it lasts; that who was told of it
// is told of its end; that this holds across restarts; that a target which can't be reached is tried again, and keeps neither
// the others nor the daemon waiting; and that nothing is taken for right just because nothing is known of it.
//
// A [Sender] delivers to a webhook, Slack, Teams or a mailbox. No address of a target, which is a secret, is in an error, a log
// or the file that is kept. The package never asks Autotask, and never opens a warehouse.
package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
)

// Kind says what an alert is about.
type Kind string

// The kinds of alert, as the configuration names them.
const (
	Failure Kind = "failure" // a tenant's jobs failed, so many in a row
	Stale   Kind = "stale"   // a table is older than its objective, or was never read
	Quota   Kind = "quota"   // little is left of a database's requests an hour
	Drift   Kind = "drift"   // fields have changed, or verify found rows that should not differ
	Guard   Kind = "guard"   // a run stopped because it would have deleted too much
	Hold    Kind = "hold"    // Autotask refuses the login; nothing is asked any more

	Test Kind = "test" // atsync alert test
)

// State says what has become of an alert.
type State string

// The states of a notice.
const (
	Firing   State = "firing"   // it is wrong, and is told for the first time
	Reminder State = "reminder" // it still is
	Resolved State = "resolved" // it is right again
	Event    State = "event"    // it has happened, and has no end
)

// Notice is what a target is told of one alert. Its JSON is a contract: docs/alerts.md.
type Notice struct {
	State   State     `json:"state"`
	Kind    Kind      `json:"kind"`
	Tenant  string    `json:"tenant,omitempty"` // empty for what concerns several
	Summary string    `json:"summary"`
	Remedy  string    `json:"remedy,omitempty"`
	Since   time.Time `json:"since"`             // UTC
	EndedAt time.Time `json:"ended_at,omitzero"` // UTC; only of what is resolved
}

// line is a notice as a line of text, without the remedy.
func (n Notice) line() string {
	switch n.State {
	case Resolved:
		return fmt.Sprintf("Resolved after %s: %s", n.EndedAt.Sub(n.Since).Round(time.Minute), n.Summary)
	case Reminder:
		return fmt.Sprintf("Still, since %s UTC: %s", n.Since.UTC().Format("2 Jan 15:04"), n.Summary)
	}
	return n.Summary
}

// title is a short text on all notices of a message.
func title(notices []Notice) string {
	if len(notices) == 1 {
		return "atsync: " + cut(console.Clean(notices[0].line()), 120)
	}
	ended := 0
	for _, n := range notices {
		if n.State == Resolved {
			ended++
		}
	}
	switch rest := len(notices) - ended; {
	case ended == 0:
		return fmt.Sprintf("atsync: %d alerts", rest)
	case rest == 0:
		return fmt.Sprintf("atsync: %d resolved", ended)
	default:
		return fmt.Sprintf("atsync: %d alerts, %d resolved", rest, ended)
	}
}

// mostLines is how many notices are told in full by one message for people.
const mostLines = 25

// lines is the text of a message, what is wrong before what is right again.
func lines(notices []Notice) []string {
	sorted := slices.Clone(notices)
	slices.SortStableFunc(sorted, func(a, b Notice) int {
		if (a.State == Resolved) != (b.State == Resolved) {
			if a.State == Resolved {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Tenant, b.Tenant)
	})
	var out []string
	for i, n := range sorted {
		if i == mostLines {
			return append(out, fmt.Sprintf("… and %d more: atsync status", len(sorted)-i))
		}
		out = append(out, console.Clean(n.line()))
		if n.Remedy != "" && n.State != Resolved {
			out = append(out, "→ "+console.Clean(n.Remedy))
		}
	}
	return out
}

// cut makes a text of at most so many characters.
func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
