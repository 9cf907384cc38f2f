package daemon

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/pipeline"
)

// command is what a job's run is called in the tables of the warehouse.
func command(k app.Kind) string { return string(k) }

// skippedRun is the record of a job that was not started.
func skippedRun(s app.Skip) pipeline.Run {
	what := s.Reason
	if s.Job.Group != "" {
		what = "group " + s.Job.Group + ": " + what
	}
	return pipeline.Run{Tenant: s.Job.Tenant, Command: command(s.Job.Kind), StartedAt: s.Due.UTC(), EndedAt: s.Due.UTC(),
		Status: pipeline.StatusSkipped, Error: what}
}

// failedRun is the record of a job that could not begin.
func failedRun(s app.Start, began, ended time.Time, err error) pipeline.Run {
	return pipeline.Run{Tenant: s.Job.Tenant, Command: command(s.Job.Kind), StartedAt: began, EndedAt: ended,
		Status: pipeline.StatusFailed, Error: err.Error(), ErrorClass: pipeline.ClassOf(err)}
}

// The words that count records which say the same.
const (
	timesOpen = " (so "
	timesWord = " times in a row)"
)

// counted adds one to the number of times that a record's text tells.
func counted(text string) string {
	n := 1
	if head, rest, ok := strings.Cut(text, timesOpen); ok {
		if k, err := strconv.Atoi(strings.TrimSuffix(rest, timesWord)); err == nil {
			text, n = head, k
		}
	}
	return fmt.Sprintf("%s%s%d%s", text, timesOpen, n+1, timesWord)
}

// bare is a record's text without what differs from one time to the next: the count, and since when something runs.
func bare(text string) string {
	text, _, _ = strings.Cut(text, timesOpen)
	text, _, _ = strings.Cut(text, ", since ")
	return text
}

// record writes what is owed into the warehouse. What can't be written is owed again.
func record(ctx context.Context, m *memory, sink pipeline.Sink) error {
	owed := m.owed()
	for i, run := range owed {
		id, err := sink.BeginRun(ctx, run)
		if err == nil {
			run.ID = id
			err = sink.EndRun(ctx, run)
		}
		if err != nil {
			for _, rest := range owed[i:] {
				m.owe(rest)
			}
			return err
		}
	}
	return nil
}
