// Package pipelinetest holds what the seams of pipeline are tested with: TestSink, the conformance suite that
// every Sink must pass, and MemorySink and MemorySource, the faithful fakes that pass for the real things in
// tests of the Runner. It is for tests only and touches neither network nor disk.
package pipelinetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Harness is a fresh, empty sink with the means to look into it.
type Harness struct {
	Sink pipeline.Sink

	// Rows returns a table's rows, tombstones included, ordered by the columns named in by. NULLs are left
	// out of the maps. Texts: BIGINT 42, DECIMAL 1.5000 with all places of the type, BOOLEAN true, TIMESTAMPTZ
	// 2024-01-31T09:30:00.000001Z. Beside the entities' tables the suite asks for picklists, _atsync.rejects,
	// _atsync.runs, _atsync.loads, _atsync.tombstone_log, _atsync.schema_changes and _atsync.state_log.
	Rows func(t *testing.T, table string, by ...string) []map[string]string

	// Reopen ends the sink as a killed process would, as near as can be, and opens what is left of it. It also
	// replaces Sink.
	Reopen func(t *testing.T)

	// Kill lets a process of its own work with LoadVersions, kills it a while after it has said a line with the beginning mark, and
	// opens what is left, as Reopen does. It returns what the process said.
	Kill func(t *testing.T, mark string, delay time.Duration) (lines []string)

	// Full leaves the sink hardly any room on its disk until room is called.
	Full func(t *testing.T) (room func())

	// Clock sets the sink's clock. The suite's stands still while a batch is staged.
	Clock func(now func() time.Time)
}

// A widget is the entity that the suite loads.
func widgets() *schemas.Entity {
	return &schemas.Entity{
		Name: "Widgets", Singular: "Widget", Path: "Widgets", Queryable: true, HasUDF: true, Description: "Things for tests.",
		Class: schemas.ClassModified, Stamps: []string{"lastModifiedDate", "lastActivityDate"}, CreateStamp: "createDate",
		Fields: []schemas.Field{
			{Name: "id", Type: "integer"},
			{Name: "name", Type: "string"},
			{Name: "ownerID", Type: "integer", Reference: "Resources"},
			{Name: "lastSeenBy", Type: "integer"},
			{Name: "amount", Type: "decimal"},
			{Name: "huge", Type: "decimal", Decimal: "38,10"},
			{Name: "isActive", Type: "boolean"},
			{Name: "createDate", Type: "datetime"},
			{Name: "lastModifiedDate", Type: "datetime"},
			{Name: "lastActivityDate", Type: "datetime"},
		},
	}
}

// fixture is a sink with a table to load and a clock that moves one second with each batch.
type fixture struct {
	*testing.T
	Harness
	table *schemas.Table
	ticks atomic.Int64 // seconds that the clock has moved: a running commit may read it
}

func newFixture(t *testing.T, open func(*testing.T) Harness) *fixture {
	t.Helper()
	f := &fixture{T: t, Harness: open(t)}
	f.table = schemas.NewTable(widgets(), nil, nil)
	f.Clock(f.now)
	return f
}

func (f *fixture) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(f.ticks.Load()) * time.Second)
}

// page makes a response body of items.
func page(items ...string) string {
	return fmt.Sprintf(`{"items":[%s],"pageDetails":{"count":%d,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}}`,
		strings.Join(items, ","), len(items))
}

// widget makes an item that was modified at a minute of an hour.
func widget(id int64, name string, minute int) string {
	return fmt.Sprintf(`{"id":%d,"name":%q,"lastModifiedDate":"2026-02-01T10:%02d:00Z"}`, id, name, minute)
}

// batch decodes one body.
func (f *fixture) batch(body string) pipeline.Batch {
	f.Helper()
	d := schemas.NewDecoder(f.table)
	if _, err := d.Decode([]byte(body), nil); err != nil {
		f.Fatalf("decode %s: %v", body, err)
	}
	rec, rejects := d.Flush()
	f.ticks.Add(1)
	return pipeline.Batch{Record: rec, Rejects: rejects, ReadAt: f.now()}
}

func (f *fixture) begin(spec pipeline.LoadSpec) pipeline.Load {
	f.Helper()
	spec.RunID, spec.Class = 1, f.table.Entity.Class
	if spec.Table == nil {
		spec.Table = f.table
	}
	l, err := f.Sink.Begin(f.Context(), spec)
	if err != nil {
		f.Fatalf("begin: %v", err)
	}
	f.Cleanup(func() { _ = l.Abort() }) // after a commit it does nothing
	return l
}

func (f *fixture) stage(l pipeline.Load, batches ...pipeline.Batch) {
	f.Helper()
	for _, b := range batches {
		err := l.Stage(f.Context(), b)
		release(b.Record)
		if err != nil {
			f.Fatalf("stage: %v", err)
		}
	}
}

func release(rec arrow.RecordBatch) {
	if rec != nil {
		rec.Release()
	}
}

func (f *fixture) commit(l pipeline.Load, c pipeline.Commit) pipeline.LoadResult {
	f.Helper()
	res, err := l.Commit(f.Context(), c)
	if err != nil {
		f.Fatalf("commit: %v", err)
	}
	return res
}

// load stages each body as a batch of its own and commits.
func (f *fixture) load(bodies ...string) pipeline.LoadResult {
	f.Helper()
	l := f.begin(pipeline.LoadSpec{})
	for _, body := range bodies {
		f.stage(l, f.batch(body))
	}
	return f.commit(l, pipeline.Commit{})
}

func (f *fixture) state() pipeline.StreamState {
	f.Helper()
	st, err := f.Sink.Stream(f.Context(), f.table.Entity.Name)
	if err != nil {
		f.Fatalf("stream: %v", err)
	}
	return st
}

// rows returns the widgets with only the named columns.
func (f *fixture) rows(columns ...string) []map[string]string {
	f.Helper()
	return only(f.Rows(f.T, f.table.Name, "id"), columns...)
}

func only(rows []map[string]string, columns ...string) []map[string]string {
	out := []map[string]string{}
	for _, row := range rows {
		kept := map[string]string{}
		for _, c := range columns {
			if v, ok := row[c]; ok {
				kept[c] = v
			}
		}
		out = append(out, kept)
	}
	return out
}

// want builds expected rows from "column=value" texts.
func want(rows ...string) []map[string]string {
	out := []map[string]string{}
	for _, row := range rows {
		m := map[string]string{}
		for cell := range strings.SplitSeq(row, "|") {
			if k, v, ok := strings.Cut(cell, "="); ok {
				m[k] = v
			}
		}
		out = append(out, m)
	}
	return out
}

// meta makes live metadata from fields in Autotask's JSON.
func meta(t *testing.T, fields, udfs string) *schemas.Metadata {
	t.Helper()
	if !json.Valid([]byte(fields)) {
		t.Fatalf("fields: %s", fields)
	}
	var wire []byte
	if udfs != "" {
		wire = []byte(`{"fields":` + udfs + `}`)
	}
	m, err := schemas.ParseMetadata([]byte(`{"fields":`+fields+`}`), wire)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
