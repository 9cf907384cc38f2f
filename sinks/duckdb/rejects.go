package duckdb

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// spillRejects moves the rejects held in memory to the load's temporary table.
func (l *load) spillRejects() error {
	if err := l.unhold(l.ctx); err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	return l.flushRejects(l.session())
}

func (l *load) flushRejects(s session) error {
	if len(l.rejects) == 0 {
		return nil
	}
	if !l.spilled {
		err := s.exec(`CREATE TEMP TABLE ` + ident(rejectTable) + ` (id BIGINT, column_name VARCHAR, field VARCHAR, raw VARCHAR,
			reason VARCHAR, read_at TIMESTAMPTZ)`)
		if err != nil {
			return err
		}
		l.spilled = true
	}
	rec := rejectRecord(l.rejects)
	defer rec.Release()
	l.rejects = nil
	return l.w.feeds.bulk(s, tempTable(rejectTable), []string{"id", "column_name", "field", "raw", "reason", "read_at"}, rec)
}

func rejectRecord(rejects []stagedReject) arrow.RecordBatch {
	str := func(name string) arrow.Field { return arrow.Field{Name: name, Type: arrow.BinaryTypes.String} }
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, str("column_name"), str("field"), str("raw"), str("reason"),
		{Name: "read_at", Type: arrow.FixedWidthTypes.Timestamp_us},
	}, nil))
	defer b.Release()
	for _, r := range rejects {
		b.Field(0).(*array.Int64Builder).Append(r.ID)
		for i, v := range []string{r.Column, r.Field, r.Raw, r.Reason} {
			b.Field(1 + i).(*array.StringBuilder).Append(clean(v))
		}
		b.Field(5).(*array.TimestampBuilder).Append(arrow.Timestamp(r.readAt.UnixMicro()))
	}
	return b.NewRecordBatch()
}

// settleRejects makes _atsync.rejects say what is open of the rows in source (the stage, or the table of a
// direct load): a value read clean clears its reject, one that is as bad as before keeps it with its acknowledgement,
// and a reject of a version that lost to a newer one is dropped (its read time is not that of the row). It returns
// how many are open.
func (l *load) settleRejects(s session, source string) (int64, error) {
	if l.rejected == 0 && !l.spilled {
		return 0, nil
	}
	entity, current := l.spec.Table.Entity.Name, tempTable(currentTable)
	err := s.exec(`CREATE TEMP TABLE ` + ident(currentTable) + ` (id BIGINT, column_name VARCHAR, field VARCHAR, raw VARCHAR, reason VARCHAR)`)
	if err != nil {
		return 0, err
	}
	if l.spilled {
		err = s.exec(`INSERT INTO ` + current + ` SELECT r.id, r.column_name, any_value(r.field), any_value(r.raw), any_value(r.reason)
			FROM ` + tempTable(rejectTable) + ` r JOIN ` + source + ` s ON s.id = r.id AND s._synced_at = r.read_at
			GROUP BY r.id, r.column_name`)
		if err != nil {
			return 0, err
		}
	}
	const equal = `o.id = n.id AND o.column_name = n.column_name AND o.raw = n.raw AND o.reason = n.reason`
	err = s.exec(`DELETE FROM _atsync.rejects AS o WHERE o.entity = ? AND o.id IN (SELECT id FROM `+source+`)
		AND NOT EXISTS (SELECT 1 FROM `+current+` n WHERE `+equal+`)`, entity)
	if err != nil {
		return 0, err
	}
	err = s.exec(`INSERT INTO _atsync.rejects (entity, table_name, id, column_name, field, raw, reason, load_id, found_at, tenant)
		SELECT ?, ?, n.id, n.column_name, n.field, n.raw, n.reason, ?, ?::TIMESTAMPTZ, ?
		FROM `+current+` n WHERE NOT EXISTS (SELECT 1 FROM _atsync.rejects o WHERE o.entity = ? AND `+equal+`)`,
		entity, l.spec.Table.Name, l.loadID, l.w.now().Truncate(time.Microsecond), l.w.opts.Tenant, entity)
	if err != nil {
		return 0, err
	}
	return s.number(`SELECT count(*) FROM `+current+` n JOIN _atsync.rejects o ON o.entity = ? AND `+equal+` AND o.acknowledged_at IS NULL`, entity)
}

// mostOpenIDs bounds OpenRejects.IDs.
const mostOpenIDs = 500

// openRejects returns what is open of an entity that has open rejects.
func openRejects(ctx context.Context, q querier, entity string) (pipeline.OpenRejects, error) {
	var open pipeline.OpenRejects
	const where = ` FROM _atsync.rejects WHERE entity = ? AND acknowledged_at IS NULL`
	err := q.QueryRowContext(ctx, `SELECT count(*)`+where, entity).Scan(&open.Count)
	if err != nil {
		return open, err
	}
	open.IDs, err = queryIDs(ctx, q, `SELECT DISTINCT id`+where+` ORDER BY id LIMIT ?`, entity, mostOpenIDs)
	if err != nil {
		return open, err
	}
	open.First = new(schemas.Reject)
	err = q.QueryRowContext(ctx, `SELECT id, column_name, field, raw, reason`+where+` ORDER BY id, column_name LIMIT 1`, entity).
		Scan(&open.First.ID, &open.First.Column, &open.First.Field, &open.First.Raw, &open.First.Reason)
	return open, err
}

// AckRejects acknowledges open rejects.
func (w *Warehouse) AckRejects(ctx context.Context, which pipeline.RejectSelection, note string) (int64, error) {
	where, args := selectRejects(which)
	var n int64
	err := w.write(ctx, func(s session) (err error) {
		n, err = s.count(`UPDATE _atsync.rejects SET acknowledged_at = ?, acknowledged_by = ? WHERE acknowledged_at IS NULL AND `+where,
			append([]any{w.now(), text(note)}, args...)...)
		return err
	})
	return n, w.fail("", "acknowledge rejects", err)
}

// selectRejects returns a selection as a condition.
func selectRejects(which pipeline.RejectSelection) (where string, args []any) {
	where = "true"
	add := func(condition string, values ...any) { where, args = where+" AND "+condition, append(args, values...) }
	if which.Entity != "" {
		add("lower(entity) = lower(?)", which.Entity)
	}
	if which.ID != nil {
		add("id = ?", *which.ID)
	}
	if which.Field != "" {
		add("(lower(field) = lower(?) OR column_name = ?)", which.Field, which.Field)
	}
	return where, args
}

// RejectRow is one row of _atsync.rejects.
type RejectRow struct {
	Tenant         string    `json:"tenant"`
	Entity         string    `json:"entity"`
	Table          string    `json:"table"`
	ID             int64     `json:"id"`
	Column         string    `json:"column"`
	Field          string    `json:"field"`
	Raw            string    `json:"raw"` // as sent, at most 4 KiB
	Reason         string    `json:"reason"`
	LoadID         int64     `json:"load_id"`
	FoundAt        time.Time `json:"found_at"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"` // zero: open
	Note           string    `json:"note,omitempty"`           // of the acknowledgement
}

// ReadRejects returns rejects by entity, id and column, from a database opened with OpenReader.
func ReadRejects(ctx context.Context, db Queryer, which pipeline.RejectSelection) ([]RejectRow, error) {
	out, err := readRejects(ctx, db, which)
	if err != nil {
		return nil, readError("", "", err)
	}
	return out, nil
}

func readRejects(ctx context.Context, db Queryer, which pipeline.RejectSelection) (out []RejectRow, err error) {
	where, args := selectRejects(which)
	rows, err := db.QueryContext(ctx, `SELECT coalesce(tenant, ''), entity, table_name, id, column_name, field, raw, reason, load_id, found_at,
		acknowledged_at, coalesce(acknowledged_by, '') FROM _atsync.rejects WHERE `+where+` ORDER BY entity, id, column_name`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var r RejectRow
		err := rows.Scan(&r.Tenant, &r.Entity, &r.Table, &r.ID, &r.Column, &r.Field, &r.Raw, &r.Reason, &r.LoadID, when(&r.FoundAt),
			when(&r.AcknowledgedAt), &r.Note)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
