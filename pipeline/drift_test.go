package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// retype makes the source describe a field of Tickets with another type.
func (l *lab) retype(field, dataType string) {
	l.source.OnDescribe = func(entity string, m *schemas.Metadata) {
		for i := range m.Fields {
			if entity == "Tickets" && m.Fields[i].Name == field {
				m.Fields[i].DataType = dataType
			}
		}
	}
}

// addUDF makes the source describe a UDF of Tickets.
func (l *lab) addUDF(name string) {
	l.source.OnDescribe = func(_ string, m *schemas.Metadata) {
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: name, Type: "string"})
	}
}

// reported syncs Tickets and returns the report.
func (l *lab) reported(t *testing.T, want pipeline.Status) pipeline.StreamReport {
	t.Helper()
	l.now = l.now.Add(time.Hour)
	run, err := l.sync("Tickets")
	if run.Status != want || (err == nil) != (want == pipeline.StatusOK) {
		t.Fatalf("%s: %v", run.Status, err)
	}
	return run.Streams[0]
}

// TestMisfitReadsMetadataAgain: what no longer fits may have another type by now.
func TestMisfitReadsMetadataAgain(t *testing.T) {
	l := newLab(t)
	for id := range int64(3) {
		l.put("Tickets", id, map[string]any{"queueID": id})
	}
	l.reported(t, pipeline.StatusOK)
	l.retype("queueID", "string")
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 1, map[string]any{"queueID": "Level 2"})
	before := l.source.Requests()["Tickets"]
	if r := l.reported(t, pipeline.StatusOK); r.Updated != 1 || r.Rejected != 0 {
		t.Errorf("%+v", r)
	}
	if n := l.source.Requests()["Tickets"] - before; n != 3 {
		t.Errorf("%d requests, want the read, the metadata and the read again", n)
	}
	if got := l.live("Tickets", "queue_id")["1"]; got != "Level 2" {
		t.Errorf("queue %q", got)
	}

	// Metadata that does not explain it is asked for once, not in each run.
	l.put("Tickets", 2, map[string]any{"contactID": "nobody"})
	before = l.source.Requests()["Tickets"]
	for i, want := range []int64{2, 2, 2} {
		if r := l.reported(t, pipeline.StatusPartial); r.OpenRejects != 1 {
			t.Errorf("%+v", r)
		}
		if n := l.source.Requests()["Tickets"] - before; n != want {
			t.Errorf("run %d: %d requests, want %d: the read and the metadata, then the read and the row again", i, n, want)
		}
		before = l.source.Requests()["Tickets"]
	}
	l.retype("contactID", "string") // as the next reading of the metadata says
	l.now = l.now.Add(24 * time.Hour)
	l.reported(t, pipeline.StatusOK)
	if got := l.live("Tickets", "contact_id")["2"]; got != "nobody" {
		t.Errorf("contact %q", got)
	}
}

// TestMisfitOfMetadataThatKeepsChanging ends.
func TestMisfitOfMetadataThatKeepsChanging(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, map[string]any{"queueID": 1})
	l.reported(t, pipeline.StatusOK)
	n := 0
	l.source.OnDescribe = func(_ string, m *schemas.Metadata) {
		n++
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: strings.Repeat("x", n), Type: "string"})
	}
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 1, map[string]any{"queueID": "text"})
	if r := l.reported(t, pipeline.StatusPartial); n != 1 || r.OpenRejects != 1 {
		t.Errorf("%d readings of the metadata, %+v", n, r)
	}
}

// TestRefillDoesNotDelete: a read that fills a column finds more gone than it may delete. It fills, and says so.
func TestRefillDoesNotDelete(t *testing.T) {
	l := newLab(t)
	for id := range int64(200) {
		l.put("Tickets", id, nil)
	}
	l.reported(t, pipeline.StatusOK)
	fullAt := l.state(t).Checkpoint.FullAt
	for id := range int64(100) {
		l.source.Delete("Tickets", id)
	}
	l.addUDF("Rank")
	l.runner.MetadataAge = time.Nanosecond
	r := l.reported(t, pipeline.StatusOK)
	if r.Mode != string(pipeline.ModeFull) || r.Deleted != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "100 of 200") {
		t.Errorf("%+v", r)
	}
	st := l.state(t)
	if !st.Checkpoint.FullAt.Equal(fullAt) || st.LiveRows != 200 {
		t.Errorf("%+v", st.Checkpoint)
	}
	for _, c := range st.Columns {
		if c.PartialSince != 0 {
			t.Errorf("%s is partial", c.Name)
		}
	}
	if r := l.reported(t, pipeline.StatusOK); r.Mode != string(pipeline.ModeIncremental) {
		t.Errorf("%+v", r)
	}
}

func (l *lab) state(t *testing.T) pipeline.StreamState {
	t.Helper()
	st, err := l.sink.Stream(t.Context(), "Tickets")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestFreezeKeepsWhatItLeavesOut holds the mode to losing nothing.
func TestFreezeKeepsWhatItLeavesOut(t *testing.T) {
	l := newLab(t)
	l.runner.Schema, l.runner.MetadataAge = pipeline.SchemaFreeze, time.Nanosecond
	l.put("Tickets", 1, map[string]any{"queueID": 1})
	if r := l.reported(t, pipeline.StatusOK); r.Mode != string(pipeline.ModeFirst) || len(r.Warnings) > 0 {
		t.Errorf("a first table is not frozen: %+v", r)
	}
	columns := len(l.state(t).Columns)
	l.addUDF("Rank")
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 1, map[string]any{"userDefinedFields": []any{map[string]any{"name": "Rank", "value": "gold"}}})
	if r := l.reported(t, pipeline.StatusOK); r.Mode != string(pipeline.ModeIncremental) || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
	if n := len(l.state(t).Columns); n != columns {
		t.Errorf("%d columns, %d before", n, columns)
	}
	if got := l.live("Tickets", "_extra")["1"]; !strings.Contains(got, "gold") {
		t.Errorf("extra %q", got)
	}
	l.runner.Schema = pipeline.SchemaEvolve
	if r := l.reported(t, pipeline.StatusOK); r.Mode != string(pipeline.ModeFull) {
		t.Errorf("%+v", r)
	}
	if got := l.live("Tickets", "udf_rank")["1"]; got != "gold" {
		t.Errorf("rank %q", got)
	}
}

// TestRefreshAndDiff read metadata and no rows.
func TestRefreshAndDiff(t *testing.T) {
	l := newLab(t)
	l.put("Tickets", 1, nil)
	l.reported(t, pipeline.StatusOK)
	l.addUDF("Rank")
	diff := func() pipeline.SchemaDrift {
		all, err := l.runner.SchemaDiff(t.Context(), find("Tickets", "Countries"))
		if err != nil || len(all) != 2 || all[1].Known {
			t.Fatalf("%v %+v", err, all)
		}
		return all[0]
	}
	if d := diff(); !d.Different() || len(d.Changes) != 1 || d.Changes[0].Column != "udf_rank" {
		t.Errorf("%+v", d)
	}
	if l.state(t).Metadata.UDFs != nil {
		t.Error("the comparison has stored something")
	}
	run, err := l.runner.Refresh(context.Background(), find("Tickets"))
	if err != nil || run.Streams[0].Mode != string(pipeline.ModeMetadata) || len(l.state(t).Metadata.UDFs) != 1 {
		t.Errorf("%v %+v", err, run)
	}
	if d := diff(); len(d.Changes) != 1 {
		t.Errorf("the table is as it was: %+v", d)
	}
	l.reported(t, pipeline.StatusOK)
	if d := diff(); d.Different() {
		t.Errorf("after the sync: %+v", d)
	}
	l.source.DescribeErr = func(string) error { return &pipeline.Error{Class: pipeline.ClassAbsent} }
	if d := diff(); !d.Absent {
		t.Errorf("%+v", d)
	}
}
