package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// TestRecalledVerifications: a daemon that starts knows of verifications that lie behind many syncs, and of each run once.
func TestRecalledVerifications(t *testing.T) {
	t.Parallel()
	cfg := config.TenantConfig{Name: "acme", SinkType: config.SinkDuckDB, WorkPath: filepath.Join(t.TempDir(), "work.duckdb"), PublishPath: filepath.Join(t.TempDir(), "acme.duckdb")}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: cfg.WorkPath, Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for _, command := range []string{"verify", "sync", "sync", "sync", "verify", "sync"} {
		run := pipeline.Run{Command: command, StartedAt: time.Now(), Status: pipeline.StatusOK}
		if run.ID, err = w.BeginRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		run.EndedAt = run.StartedAt
		if err := w.EndRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := duckdb.NewPublisher(w, cfg.PublishPath).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	var facts daemon.Facts
	if facts, err = recallFacts(t.Context(), cfg, 3); err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, run := range facts.Runs {
		ids = append(ids, run.ID)
	}
	if len(ids) != 4 || ids[0] != 6 || ids[1] != 5 || ids[2] != 4 || ids[3] != 1 {
		t.Errorf("recalled runs %v, want 6 5 4 1", ids)
	}
}
