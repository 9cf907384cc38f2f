package duckdb

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// spillRejects moves the rejects held in memory to the load's temporary table.
func (l *load) spillRejects() error {
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
// direct load): a value read clean clears its reject, one that is as bad as before keeps it, and a reject of a
// version that lost to a newer one is dropped (its read time is not that of the row). It returns how many are open.
func (l *load) settleRejects(s session, source string) (int64, error) {
	entity := l.spec.Table.Entity.Name
	open, err := s.number(`SELECT count(*) FROM _atsync.rejects WHERE entity = ?`, entity)
	if err != nil || open == 0 && !l.spilled {
		return 0, err
	}
	current := tempTable(currentTable)
	err = s.exec(`CREATE TEMP TABLE ` + ident(currentTable) + ` (id BIGINT, column_name VARCHAR, field VARCHAR, raw VARCHAR, reason VARCHAR)`)
	if err != nil {
		return 0, err
	}
	var n int64
	if l.spilled {
		n, err = s.count(`INSERT INTO ` + current + ` SELECT r.id, r.column_name, any_value(r.field), any_value(r.raw), any_value(r.reason)
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
	return n, s.exec(`INSERT INTO _atsync.rejects SELECT ?, ?, n.id, n.column_name, n.field, n.raw, n.reason, ?, ?::TIMESTAMPTZ
		FROM `+current+` n WHERE NOT EXISTS (SELECT 1 FROM _atsync.rejects o WHERE o.entity = ? AND `+equal+`)`,
		entity, l.spec.Table.Name, l.loadID, l.w.now().Truncate(time.Microsecond), entity)
}
