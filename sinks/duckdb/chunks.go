package duckdb

import (
	"context"
	"database/sql"
	"errors"

	"github.com/atsync/atsync/pipeline"
)

// chunksTable is where backfills keep how far they have come.
func chunksTable() systemTable {
	return systemTable{"_atsync.chunks", "The chunks of every backfill: status is pending, running, done or failed; rows up to last_id are in.",
		`backfill_id BIGINT, entity VARCHAR, by_field VARCHAR, chunk BIGINT, chunk_size VARCHAR, from_at TIMESTAMPTZ, to_at TIMESTAMPTZ,
		status VARCHAR, rows_counted BIGINT, rows_read BIGINT, requests BIGINT, last_id BIGINT, load_id BIGINT, started_at TIMESTAMPTZ,
		ended_at TIMESTAMPTZ, error VARCHAR`}
}

// Chunks returns the chunks of all backfills, by backfill and number.
func (w *Warehouse) Chunks(ctx context.Context) ([]pipeline.Chunk, error) {
	chunks, err := readChunks(ctx, w.db)
	return chunks, w.fail("", "read backfills", err)
}

// ReadChunks returns the chunks of all backfills, by backfill and number, from a database opened with OpenReader.
func ReadChunks(ctx context.Context, db Queryer) ([]pipeline.Chunk, error) {
	chunks, err := readChunks(ctx, db)
	if err != nil {
		return nil, readError("", "", err)
	}
	return chunks, nil
}

func readChunks(ctx context.Context, db Queryer) (out []pipeline.Chunk, err error) {
	if there, err := hasChunks(ctx, db); err != nil || !there {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT backfill_id, entity, by_field, chunk, chunk_size, from_at, to_at, status, coalesce(rows_counted, -1),
		rows_read, requests, last_id, coalesce(load_id, 0), started_at, ended_at, coalesce(error, '')
		FROM _atsync.chunks ORDER BY backfill_id, chunk`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var c pipeline.Chunk
		var last sql.NullInt64
		err := rows.Scan(&c.Backfill, &c.Entity, &c.By, &c.Number, &c.Size, when(&c.From), when(&c.To), &c.Status, &c.Counted,
			&c.Read, &c.Requests, &last, &c.LoadID, when(&c.StartedAt), when(&c.EndedAt), &c.Error)
		if err != nil {
			return nil, err
		}
		if last.Valid {
			c.LastID = &last.Int64
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// hasChunks reports whether there is such a table: a publication of an older atsync has none.
func hasChunks(ctx context.Context, db Queryer) (bool, error) {
	rows, err := db.QueryContext(ctx, `SELECT 1 FROM duckdb_tables() WHERE schema_name = '_atsync' AND table_name = 'chunks' LIMIT 1`)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	there := rows.Next()
	return there, rows.Err()
}

// SaveChunks replaces the chunks of one backfill and returns its id.
func (w *Warehouse) SaveChunks(ctx context.Context, chunks []pipeline.Chunk) (id int64, err error) {
	if len(chunks) == 0 {
		return 0, w.fail("", "save backfill", errors.New("a backfill without chunks"))
	}
	id = chunks[0].Backfill
	err = w.write(ctx, func(s session) error {
		if id == 0 {
			if id, err = s.number(`SELECT coalesce(max(backfill_id), 0) + 1 FROM _atsync.chunks`); err != nil {
				return err
			}
		} else if err := s.exec(`DELETE FROM _atsync.chunks WHERE backfill_id = ?`, id); err != nil {
			return err
		}
		for _, c := range chunks {
			c.Backfill = id
			if err := insertChunk(s, c); err != nil {
				return err
			}
		}
		return nil
	})
	return id, w.fail(chunks[0].Entity, "save backfill", err)
}

func insertChunk(s session, c pipeline.Chunk) error {
	var counted, last, load any
	if c.Counted >= 0 {
		counted = c.Counted
	}
	if c.LastID != nil {
		last = *c.LastID
	}
	if c.LoadID != 0 {
		load = c.LoadID
	}
	return s.exec(`INSERT INTO _atsync.chunks (backfill_id, entity, by_field, chunk, chunk_size, from_at, to_at, status, rows_counted, rows_read,
		requests, last_id, load_id, started_at, ended_at, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Backfill, clean(c.Entity), clean(c.By), c.Number, string(c.Size), instant(c.From), instant(c.To), string(c.Status), counted, c.Read,
		c.Requests, last, load, instant(c.StartedAt), instant(c.EndedAt), text(c.Error))
}

// saveProgress writes how far a backfill has come, in the load's transaction.
func (l *load) saveProgress(s session, chunks []pipeline.Chunk) error {
	for _, c := range chunks {
		c.LoadID = l.loadID
		n, err := s.count(`DELETE FROM _atsync.chunks WHERE backfill_id = ? AND chunk = ?`, c.Backfill, c.Number)
		if err == nil && n != 1 {
			err = errors.New("the backfill's chunk is not stored: it was begun anew by another process")
		}
		if err == nil {
			err = insertChunk(s, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
