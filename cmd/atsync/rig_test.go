package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// rig is a tenant of the simulator wired to a warehouse and a publication in a temporary folder.
type rig struct {
	*testing.T
	server *autotasktest.Server
	clock  *autotasktest.Clock
	cfg    config.TenantConfig
	limits autotask.Limits
	trace  *pipeline.Trace // of the source; may be nil
	secret string
}

// newRig starts a simulator whose clock stands at noon of a fixed day.
func newRig(t *testing.T, size autotasktest.Size, opts ...autotasktest.Option) *rig {
	t.Helper()
	clock := autotasktest.NewClock(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	opts = append([]autotasktest.Option{autotasktest.WithClock(clock.Now), autotasktest.WithGenerated(size, 7)}, opts...)
	server := autotasktest.NewServer(opts...)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	return &rig{
		T: t, server: server, clock: clock, secret: server.Secret,
		limits: autotask.Limits{ThreadsPerEntity: 2, Backoff: time.Millisecond},
		cfg: config.TenantConfig{
			Name: "acme", URL: server.BaseURL(), Entities: entities(t, "core"), Overlap: 5 * time.Minute, Threads: 2,
			WorkPath: filepath.Join(dir, "work", "acme.duckdb"), PublishPath: filepath.Join(dir, "acme.duckdb"),
		},
	}
}

func entities(t *testing.T, patterns ...string) []*schemas.Entity {
	t.Helper()
	out, err := schemas.Select(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// open wires the site as the commands do, with the simulator's credentials.
func (r *rig) open() *site {
	r.Helper()
	warehouse, err := duckdb.Open(r.Context(), duckdb.Options{Path: r.cfg.WorkPath, Tenant: r.cfg.Name, From: r.cfg.PublishPath})
	if err != nil {
		r.Fatal(err)
	}
	hold, err := warehouse.Hold(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	moved, err := recallZone(r.Context(), warehouse)
	if err != nil {
		r.Fatal(err)
	}
	source, err := autotask.New(autotask.Config{
		Tenant: r.cfg.Name, Zone: r.cfg.URL, Limits: r.limits, Trace: r.trace, Hold: hold, OnHold: warehouse.SetHold, Moved: moved,
		OnMove: func(ctx context.Context, m autotask.Move) error {
			return warehouse.Remember(ctx, "zone", m.From+" "+m.To)
		},
		Credentials: autotask.NewCredentials(r.server.Username, r.server.IntegrationCode, r.secret),
	})
	if err != nil {
		r.Fatal(err)
	}
	return &site{cfg: r.cfg, source: source, warehouse: warehouse, sink: warehouse, publisher: duckdb.NewPublisher(warehouse, r.cfg.PublishPath)}
}

// sync runs one sync from a fresh start, as a process of its own would.
func (r *rig) sync(req pipeline.SyncRequest) (pipeline.Run, error) {
	r.Helper()
	s := r.open()
	defer func() {
		if err := s.Close(); err != nil {
			r.Error(err)
		}
	}()
	if req.Entities == nil {
		req.Entities = r.cfg.Entities
	}
	r.server.ResetLog()
	return s.runner(nil).Sync(r.Context(), req)
}

// mustSync fails the test unless the run is ok.
func (r *rig) mustSync() pipeline.Run {
	r.Helper()
	run, err := r.sync(pipeline.SyncRequest{})
	if err != nil {
		r.Fatal(err)
	}
	if run.Status != pipeline.StatusOK {
		r.Fatalf("status %s", run.Status)
	}
	return run
}

// equal compares the publication with the simulator for all entities of the rig.
func (r *rig) equal() {
	r.Helper()
	var names []string
	for _, e := range r.cfg.Entities {
		names = append(names, e.Name)
	}
	equal(r.T, r.cfg.PublishPath, r.server.Data(), names)
}

// totals adds up a run's streams.
func totals(run pipeline.Run) (t pipeline.StreamReport) {
	for _, s := range run.Streams {
		t.Fetched += s.Fetched
		t.Inserted += s.Inserted
		t.Updated += s.Updated
		t.Unchanged += s.Unchanged
		t.Deleted += s.Deleted
		t.Rejected += s.Rejected
		t.Requests += s.Requests
	}
	return t
}

func stream(t *testing.T, run pipeline.Run, entity string) pipeline.StreamReport {
	t.Helper()
	for _, s := range run.Streams {
		if s.Entity == entity {
			return s
		}
	}
	t.Fatalf("no report of %s", entity)
	return pipeline.StreamReport{}
}
