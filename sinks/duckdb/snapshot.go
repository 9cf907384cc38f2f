package duckdb

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/atsync/atsync/pipeline"
)

// Snapshot reads what a warehouse or its publication knows, as the warehouse itself would, and changes nothing.
// It is a pipeline.State. It is safe for concurrent use.
type Snapshot struct{ w *Warehouse }

var _ pipeline.State = (*Snapshot)(nil)

// NewSnapshot returns the state held in a database opened with OpenReader. A file of another tenant is refused, and one
// that an older or newer atsync has written.
func NewSnapshot(ctx context.Context, db *sql.DB, tenant, path string) (*Snapshot, error) {
	s := &Snapshot{&Warehouse{opts: Options{Path: path, Tenant: tenant}, db: db}} // enough of one for reading
	version, err := s.w.format(ctx)
	if err == nil && version < formatVersion() {
		err = &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: "read state",
			Err:    fmt.Errorf("%s has format %d, this atsync works with %d", path, version, formatVersion()),
			Remedy: "run atsync sync once: it brings the file up to date"}
	}
	if err != nil {
		return nil, s.w.fail("", "read state", err)
	}
	return s, nil
}

// Stream implements pipeline.State.
func (s *Snapshot) Stream(ctx context.Context, entity string) (pipeline.StreamState, error) {
	return s.w.Stream(ctx, entity)
}

// Changed implements pipeline.State.
func (s *Snapshot) Changed(ctx context.Context, table string, after int64) ([]int64, int64, error) {
	return s.w.Changed(ctx, table, after)
}

// Hold returns the tenant's auth hold, or nil.
func (s *Snapshot) Hold(ctx context.Context) (*pipeline.Hold, error) { return s.w.Hold(ctx) }

// Recall returns a value that Warehouse.Remember keeps, or "".
func (s *Snapshot) Recall(ctx context.Context, key string) (string, error) {
	return s.w.Recall(ctx, key)
}
