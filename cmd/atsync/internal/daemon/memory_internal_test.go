package daemon

import (
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// TestVerificationsStay: frequent syncs do not push them out, and neither kind grows without end.
func TestVerificationsStay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var m memory
	for id := range int64(10_000) {
		run := pipeline.Run{ID: id, Command: "sync", StartedAt: at.Add(time.Duration(id) * time.Minute)}
		if id%500 == 0 {
			run.Command = "verify"
		}
		m.learn(Facts{Runs: []pipeline.Run{run}})
	}
	var s TenantState
	m.state(&s)
	count := map[string]int{}
	for i, run := range s.Runs {
		count[run.Command]++
		if i > 0 && !run.StartedAt.Before(s.Runs[i-1].StartedAt) {
			t.Errorf("run %d comes after run %d", run.ID, s.Runs[i-1].ID)
		}
	}
	if count["sync"] != MostRuns || count["verify"] != MostVerified || s.Runs[0].ID != 9_999 {
		t.Errorf("%v, first %d", count, s.Runs[0].ID)
	}
}
