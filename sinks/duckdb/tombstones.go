package duckdb

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/pipeline"
)

// bury marks rows deleted and returns how many were live.
func (l *load) bury(s session, c pipeline.Commit, now time.Time) (int64, error) {
	if len(c.Tombstones) == 0 {
		return 0, nil
	}
	if err := s.exec(`CREATE TEMP TABLE ` + ident(tombTable) + ` (id BIGINT)`); err != nil {
		return 0, err
	}
	rec := idRecord(c.Tombstones)
	defer rec.Release()
	tombs, table, entity := tempTable(tombTable), mainTable(l.spec.Table.Name), l.spec.Table.Entity.Name
	if err := l.w.feeds.bulk(s, tombs, []string{"id"}, rec); err != nil {
		return 0, err
	}
	err := s.exec(`INSERT INTO _atsync.tombstone_log SELECT ?, ?, t.id, 'deleted', ?, ?, ? FROM `+table+` t
		WHERE t._deleted_at IS NULL AND t.id IN (SELECT id FROM `+tombs+`)`, entity, l.spec.Table.Name, text(c.Reason), l.loadID, now)
	if err != nil {
		return 0, err
	}
	n, err := s.count(`UPDATE `+table+` SET _deleted_at = ?, _delete_reason = ?, _load_id = ?
		WHERE _deleted_at IS NULL AND id IN (SELECT id FROM `+tombs+`)`, now, text(c.Reason), l.loadID)
	if err != nil {
		return 0, err
	}
	return n, s.exec(`DELETE FROM _atsync.rejects WHERE entity = ? AND id IN (SELECT id FROM `+tombs+`)`, entity)
}

func idRecord(ids []int64) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(ids, nil)
	col := b.NewArray()
	defer col.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{col}, int64(len(ids)))
}
