package parquet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// items is the table that these tests load.
func items() *schemas.Entity {
	return &schemas.Entity{
		Name: "Items", Queryable: true, HasUDF: true, Class: schemas.ClassModified, Stamps: []string{"lastModifiedDate"},
		Fields: []schemas.Field{
			{Name: "id", Type: "integer"}, {Name: "title", Type: "string"}, {Name: "amount", Type: "decimal"},
			{Name: "huge", Type: "decimal", Decimal: "38,10"}, {Name: "isActive", Type: "boolean"},
			{Name: "createDate", Type: "datetime"}, {Name: "lastModifiedDate", Type: "datetime"},
		},
	}
}

// load commits version v of some items.
func load(ctx context.Context, sink pipeline.Sink, v int, ids ...int64) error {
	rows := make([]string, len(ids))
	for i, id := range ids {
		rows[i] = fmt.Sprintf(`{"id":%d,"title":"item %d, version %d","lastModifiedDate":"2026-01-01T00:%02d:%02dZ"}`, id, id, v, v/60, v%60)
	}
	return loadRows(ctx, sink, items(), v, rows...)
}

// loadRows commits items given as JSON; the checkpoint names the version.
func loadRows(ctx context.Context, sink pipeline.Sink, e *schemas.Entity, v int, rows ...string) error {
	state, err := sink.Stream(ctx, e.Name)
	if err != nil {
		return err
	}
	table := schemas.NewTable(e, nil, state.Columns)
	d := schemas.NewDecoder(table)
	if _, err := d.Decode([]byte(`{"items":[`+strings.Join(rows, ",")+`]}`), nil); err != nil {
		return err
	}
	rec, rejects := d.Flush()
	defer rec.Release()
	l, err := sink.Begin(ctx, pipeline.LoadSpec{RunID: 1, Table: table, Class: e.Class})
	if err != nil {
		return err
	}
	defer func() { _ = l.Abort() }() // after a commit it does nothing
	if err := l.Stage(ctx, pipeline.Batch{Record: rec, Rejects: rejects, ReadAt: time.Now()}); err != nil {
		return err
	}
	_, err = l.Commit(ctx, pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: int64(v)}})
	return err
}

// upTo returns the ids from from, and less than to.
func upTo(from, to int64) (ids []int64) {
	for id := from; id < to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// batch decodes rows of a table that the warehouse does not know yet.
func batch(t *testing.T, e *schemas.Entity, rows ...string) (arrow.RecordBatch, *schemas.Table) {
	t.Helper()
	table := schemas.NewTable(e, nil, nil)
	d := schemas.NewDecoder(table)
	if _, err := d.Decode([]byte(`{"items":[`+strings.Join(rows, ",")+`]}`), nil); err != nil {
		t.Fatal(err)
	}
	rec, _ := d.Flush()
	return rec, table
}
