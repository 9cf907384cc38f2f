package duckdb_test

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// testTable is a table of a few columns, with as many more as wanted.
func testTable(more ...string) *schemas.Table {
	e := &schemas.Entity{Name: "Widgets", Queryable: true, Class: schemas.ClassModified, Stamps: []string{"lastModifiedDate"},
		Fields: []schemas.Field{{Name: "id", Type: "integer"}, {Name: "name", Type: "string"}, {Name: "lastModifiedDate", Type: "datetime"}}}
	for i, typ := range more {
		e.Fields = append(e.Fields, schemas.Field{Name: fmt.Sprint("field", i), Type: typ})
	}
	return schemas.NewTable(e, nil, nil)
}

// makeBatch builds version v of the rows from, from+1 … in the decoder's schema. The caller releases the record.
func makeBatch(t *schemas.Table, from, n, v int) pipeline.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schemas.ArrowSchema(t.Columns))
	defer b.Release()
	modified := time.Date(2026, 1, 1, 0, 0, v, 0, time.UTC)
	for c, f := range b.Schema().Fields() {
		for i := range n {
			id := int64(from + i)
			switch col := b.Field(c).(type) {
			case *array.Int64Builder:
				switch {
				case f.Name == "id":
					col.Append(id)
				case f.Name == schemas.ColRowHash:
					col.Append(id*1_000_003 + int64(v))
				case (id+int64(c))%2 == 0:
					col.AppendNull()
				default:
					col.Append(id * int64(c))
				}
			case *array.StringBuilder:
				switch {
				case f.Name == "name":
					col.Append(fmt.Sprint("v", v))
				case f.Name == schemas.ColExtra, (id+int64(c))%2 == 0:
					col.AppendNull()
				default:
					col.Append(fmt.Sprintf("text number %d of column %d", id, c))
				}
			case *array.TimestampBuilder:
				col.Append(arrow.Timestamp(modified.Add(time.Duration(i%1000) * time.Second * boolInt(f.Name != "last_modified_date")).UnixMicro()))
			case *array.Decimal128Builder:
				col.Append(decimal128.FromI64(id * 12345))
			case *array.BooleanBuilder:
				col.Append(id%3 == 0)
			}
		}
	}
	return pipeline.Batch{Record: b.NewRecordBatch(), ReadAt: time.Now()}
}

func boolInt(b bool) time.Duration {
	if b {
		return 1
	}
	return 0
}
