package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// finish fills in the run's record from what happened to its streams.
func (s *run) finish(ctx context.Context, runErr error) {
	s.rec.EndedAt = s.now()
	for _, n := range s.Source.Requests() {
		s.rec.Requests += n
	}
	if use := s.Source.Quota(); use != (QuotaUse{}) {
		s.rec.Quota = &use
	}
	good := 0
	for _, e := range s.req.Entities {
		report, ran := s.reports[e.Name]
		if !ran {
			report = StreamReport{Entity: e.Name, Status: StatusSkipped, Class: string(e.Class)}
		}
		if report.Status == StatusOK || report.Status == StatusAbsent {
			good++
		}
		s.rec.Streams = append(s.rec.Streams, report)
	}
	err := s.outcome(runErr)
	switch {
	case err == nil:
		s.rec.Status = StatusOK
		return
	case ctx.Err() != nil:
		s.rec.Status = StatusInterrupted
	case good > 0 || s.anyStatus(StatusPartial):
		s.rec.Status = StatusPartial
	default:
		s.rec.Status = StatusFailed
	}
	s.rec.Error, s.rec.ErrorClass = err.Error(), ClassOf(err)
}

// outcome turns what happened into the one error that a caller acts on.
func (s *run) outcome(runErr error) error {
	switch {
	case runErr != nil && errors.Is(runErr, context.Canceled):
		return &Error{Class: ClassCanceled, Tenant: s.Tenant, Op: s.rec.Command, Err: errors.New("interrupted"),
			Remedy: "what was committed is kept; the next run goes on from there"}
	case runErr != nil:
		return s.locate(runErr, "", s.rec.Command)
	}
	var failed, rejected, holes []string
	classes := map[Class]int{}
	var first error
	for _, e := range s.req.Entities {
		switch r := s.reports[e.Name]; r.Status {
		case StatusFailed, StatusInterrupted, "": // "": never filed
			failed = append(failed, e.Name)
			classes[r.ErrorClass]++
			if first == nil {
				first = s.errs[e.Name]
			}
		case StatusPartial:
			if v := r.Verify; v != nil && v.Verdict == VerdictHoles {
				holes = append(holes, fmt.Sprintf("%s (%d)", e.Name, v.Holes))
				continue
			}
			rejected = append(rejected, fmt.Sprintf("%s (%d)", e.Name, max(r.OpenRejects, r.Rejected)))
		}
	}
	switch {
	case len(failed) == 0 && len(rejected) == 0 && len(holes) == 0:
		return nil
	case len(failed) == 1 && len(s.req.Entities) == 1, len(failed) == len(s.req.Entities) && len(classes) == 1:
		return first
	case classes[ClassGuard] > 0 && classes[ClassGuard] == len(failed):
		return first
	}
	var parts []string
	if len(failed) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d entities failed: %s", len(failed), len(s.req.Entities), strings.Join(failed, ", ")))
	}
	if len(rejected) > 0 {
		parts = append(parts, "values that do not fit their columns in: "+strings.Join(rejected, ", ")+"; atsync rejects lists them")
	}
	remedy := "the others are up to date"
	if len(holes) > 0 {
		parts = append(parts, "rows missing here or gone at the source: "+strings.Join(holes, ", "))
		remedy = "run: atsync verify --repair"
	}
	if first != nil {
		remedy = "first cause: " + first.Error()
	}
	return &Error{Class: ClassPartial, Tenant: s.Tenant, Op: s.rec.Command, Err: errors.New(strings.Join(parts, "; ")), Remedy: remedy}
}

func (s *run) anyStatus(want Status) bool {
	for _, r := range s.reports {
		if r.Status == want {
			return true
		}
	}
	return false
}
