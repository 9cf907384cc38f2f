package pipelinetest

import (
	"cmp"
	"context"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// AckRejects implements pipeline.Sink.
func (s *MemorySink) AckRejects(ctx context.Context, which pipeline.RejectSelection, note string) (n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return 0, s.fail("", "acknowledge rejects", err)
	}
	for _, t := range s.tables {
		if which.Entity != "" && !strings.EqualFold(t.entity, which.Entity) {
			continue
		}
		for key, r := range t.rejects {
			if r.acked || which.ID != nil && r.ID != *which.ID || which.Field != "" && !strings.EqualFold(r.Field, which.Field) && r.Column != which.Field {
				continue
			}
			r.acked, r.note = true, note
			t.rejects[key] = r
			n++
		}
	}
	return n, nil
}

// compareRejects orders by id, then column.
func compareRejects(a, b [2]string) int {
	x, _ := strconv.ParseInt(a[0], 10, 64)
	y, _ := strconv.ParseInt(b[0], 10, 64)
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(a[1], b[1]))
}

// settleRejects replaces a row's open rejects by those of the version read at the given time.
func (l *memoryLoad) settleRejects(t *memoryTable, id int64, readAt time.Time) (open int64) {
	current := map[[2]string]memoryReject{}
	for _, r := range l.rejects {
		if r.ID == id && r.readAt.Equal(readAt) {
			current[[2]string{number(id), r.Column}] = memoryReject{Reject: r.Reject, loadID: l.id}
		}
	}
	for key, r := range t.rejects {
		if r.ID != id {
			continue
		}
		if now, ok := current[key]; ok && now.Raw == r.Raw && now.Reason == r.Reason {
			current[key] = r
		}
		delete(t.rejects, key)
	}
	maps.Copy(t.rejects, current)
	for _, r := range current {
		if !r.acked {
			open++
		}
	}
	return open
}
