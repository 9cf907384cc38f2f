package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

// reader reads what is stored of a tenant, without a source.
type reader struct {
	db   *sql.DB
	from string // the file
}

// openReader opens the private warehouse, which is the newest, or its publication while a process works on
// the warehouse.
func openReader(ctx context.Context, t config.TenantConfig) (*reader, error) {
	if r, err := openFile(ctx, t.WorkPath, t.Name); err == nil {
		return r, nil
	}
	return openFile(ctx, t.PublishPath, t.Name)
}

// openPrivate opens the private warehouse; its publication only where that is all there is. What is to be changed is
// looked at here: a publication may be older than what it is made of.
func openPrivate(ctx context.Context, t config.TenantConfig) (*reader, error) {
	if _, err := os.Stat(t.WorkPath); errors.Is(err, os.ErrNotExist) {
		return openFile(ctx, t.PublishPath, t.Name)
	}
	return openFile(ctx, t.WorkPath, t.Name)
}

func openFile(ctx context.Context, path, tenant string) (*reader, error) {
	db, err := duckdb.OpenReader(ctx, path)
	return &reader{db, path}, located(err, tenant)
}

// recall copies what is stored of some entities, and what a visitor has to know. A tenant that never synced has
// nothing.
func (w wiring) recall(ctx context.Context, cfg config.TenantConfig, entities []*schemas.Entity) (stored pipeline.Stored, v *visitor, err error) {
	v = &visitor{w: w, cfg: cfg}
	r, err := openReader(ctx, cfg)
	if errors.Is(err, os.ErrNotExist) {
		if _, missing := os.Stat(cfg.WorkPath); missing != nil {
			return stored, v, nil
		}
		r, err = openFile(ctx, cfg.WorkPath, cfg.Name) // says who holds it during the first sync
	}
	if err != nil {
		return stored, v, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := duckdb.NewSnapshot(ctx, r.db, cfg.Name, r.from)
	if err != nil {
		return stored, v, err
	}
	if v.hold, err = s.Hold(ctx); err != nil {
		return stored, v, err
	}
	if v.zone, err = s.Recall(ctx, "zone"); err != nil {
		return stored, v, err
	}
	stored, err = pipeline.ReadStored(ctx, s, entities)
	return stored, v, err
}

// tenantTable returns an entity's table as the tenant has it; nil if it has none.
func tenantTable(ctx context.Context, cfg config.TenantConfig, entity *schemas.Entity) (t *schemas.Table, err error) {
	r, err := openReader(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := duckdb.NewSnapshot(ctx, r.db, cfg.Name, r.from)
	if err != nil {
		return nil, err
	}
	st, err := s.Stream(ctx, entity.Name)
	if err != nil || st.Columns == nil {
		return nil, err
	}
	return schemas.NewTable(entity, st.Metadata, st.Columns), nil
}

func (r *reader) runs(ctx context.Context, limit int) ([]pipeline.Run, error) {
	return duckdb.Runs(ctx, r.db, limit)
}

func (r *reader) verifications(ctx context.Context, limit int) ([]pipeline.Run, error) {
	return duckdb.Verifications(ctx, r.db, limit)
}

func (r *reader) hold(ctx context.Context) (*pipeline.Hold, error) { return duckdb.ReadHold(ctx, r.db) }

func (r *reader) freshness(ctx context.Context) ([]freshness, error) {
	return duckdb.ReadFreshness(ctx, r.db)
}

func (r *reader) states(ctx context.Context) ([]state, error) { return duckdb.ReadStates(ctx, r.db) }
func (r *reader) chunks(ctx context.Context) ([]pipeline.Chunk, error) {
	return duckdb.ReadChunks(ctx, r.db)
}

func (r *reader) liveRows(ctx context.Context, table string) (int64, error) {
	return duckdb.LiveRows(ctx, r.db, table)
}

func (r *reader) rejects(ctx context.Context, which pipeline.RejectSelection) ([]rejectRow, error) {
	return duckdb.ReadRejects(ctx, r.db, which)
}

func (r *reader) lastRuns(ctx context.Context) (map[string]time.Time, error) {
	return duckdb.LastRuns(ctx, r.db)
}

func (r *reader) summaries(ctx context.Context, since time.Time) ([]pipeline.TableSummary, error) {
	return duckdb.ReadSummaries(ctx, r.db, since)
}

func (r *reader) history(ctx context.Context, entity string, since time.Time) (*pipeline.History, error) {
	return duckdb.ReadHistory(ctx, r.db, entity, since)
}

func (r *reader) run(ctx context.Context, id int64) (*pipeline.Run, error) {
	return duckdb.ReadRun(ctx, r.db, id)
}

func (r *reader) loads(ctx context.Context, run int64) ([]pipeline.LoadRecord, error) {
	return duckdb.ReadLoads(ctx, r.db, run)
}

// Close closes the file.
func (r *reader) Close() error { return r.db.Close() }
