package pipeline_test

import (
	"context"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/atsync/atsync/pipeline"
)

// TestRunsAreForgotten: a run's context may be a daemon's, which lives for years. Nothing that hangs on it keeps a run that has
// ended, or what the run worked with.
func TestRunsAreForgotten(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := func() weak.Pointer[pipeline.Runner] {
		l := newLab(t)
		l.runner.StopWithin = time.Minute
		l.put("Roles", 1, map[string]any{"name": "one"})
		req := pipeline.SyncRequest{Entities: find("Roles")}
		if _, err := l.runner.Sync(ctx, req); err != nil {
			t.Fatal(err)
		}
		if _, err := l.runner.Verify(ctx, pipeline.VerifyRequest{Entities: req.Entities}); err != nil {
			t.Fatal(err)
		}
		return weak.Make(l.runner)
	}
	kept := run()
	for range 3 {
		runtime.GC()
	}
	if kept.Value() != nil {
		t.Error("the context keeps what a run worked with")
	}
}
