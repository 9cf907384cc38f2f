package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// newDriftRig starts a rig with few entities that has been synced once.
func newDriftRig(t *testing.T, names ...string) *rig {
	t.Helper()
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, names...)
	r.mustSync()
	return r
}

// later runs a sync of the next day: metadata is read again.
func (r *rig) later(req pipeline.SyncRequest) (pipeline.Run, error) {
	r.Helper()
	s := r.open()
	defer func() {
		if err := s.Close(); err != nil {
			r.Error(err)
		}
	}()
	if req.Entities == nil {
		req.Entities = r.cfg.Entities
	}
	r.server.ResetLog()
	runner := s.runner(nil)
	runner.MetadataAge = time.Nanosecond
	return runner.Sync(r.Context(), req)
}

// mustLater fails the test unless the run is ok.
func (r *rig) mustLater() pipeline.Run {
	r.Helper()
	run, err := r.later(pipeline.SyncRequest{})
	if err != nil || run.Status != pipeline.StatusOK {
		r.Fatalf("status %s: %v", run.Status, err)
	}
	return run
}

// query returns a result of one column of the publication as text; NULL is "∅".
func (r *rig) query(query string, args ...any) []string {
	r.Helper()
	db := openPublished(r.T, r.cfg.PublishPath)
	defer func() { _ = db.Close() }() // an open file is the one that a later look would get
	rows, err := db.Query(query, args...)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := []string{}
	for rows.Next() {
		var v any
		if err := rows.Scan(&v); err != nil {
			r.Fatal(err)
		}
		if v == nil {
			v = "∅"
		}
		out = append(out, fmt.Sprint(v))
	}
	if err := rows.Err(); err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *rig) wants(query string, want ...string) {
	r.Helper()
	if d := cmp.Diff(append([]string{}, want...), r.query(query)); d != "" {
		r.Errorf("%s (-want +got):\n%s", query, d)
	}
}

// drift returns what schema diff finds of an entity, as "change column".
func (r *rig) drift(entity string) []string {
	r.Helper()
	s := r.open()
	defer func() { _ = s.Close() }()
	all, err := s.runner(nil).SchemaDiff(r.Context(), entities(r.T, entity))
	if err != nil {
		r.Fatal(err)
	}
	out := []string{}
	for _, c := range all[0].Changes {
		out = append(out, string(c.Kind)+" "+c.Column)
	}
	for _, p := range all[0].Picklists {
		out = append(out, strings.Join([]string{p.Change, p.Column, p.Value, p.Label, p.OldLabel}, " "))
	}
	return out
}

// TestFieldsComeAndGo adds and removes a field and a UDF between runs: the columns are as specified, the values equal,
// the history is kept, and schema diff names each.
func TestFieldsComeAndGo(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	ids := d.IDs("Tickets")
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Severity (1-5)", Type: "integer"})
	d.AddField("Tickets", schemas.Field{Name: "sentimentScore", Type: "decimal"})
	for i, id := range ids[:10] {
		d.UpdateQuietly("Tickets", id, autotasktest.Fields{"udf:Severity (1-5)": fmt.Sprint(i), "sentimentScore": float64(i) / 4})
	}
	added := []string{"column sentiment_score", "column udf_severity_1_5"}
	if diff := cmp.Diff(added, r.drift("Tickets")); diff != "" {
		t.Error(diff)
	}
	if run := r.mustLater(); stream(t, run, "Tickets").Mode != string(pipeline.ModeFull) || stream(t, run, "Tickets").Updated != 9+1 {
		t.Errorf("%+v", stream(t, run, "Tickets"))
	}
	r.equal()
	r.wants(`SELECT type FROM _atsync.columns WHERE column_name IN ('udf_severity_1_5', 'sentiment_score') AND partial_since IS NULL ORDER BY column_name`,
		"DECIMAL(18,4)", "BIGINT")
	if got := r.drift("Tickets"); len(got) > 0 {
		t.Errorf("differences after the sync: %v", got)
	}
	if run := r.mustLater(); stream(t, run, "Tickets").Mode != string(pipeline.ModeIncremental) {
		t.Errorf("the columns are filled again: %+v", stream(t, run, "Tickets"))
	}

	d.RemoveUDF("Tickets", "Severity (1-5)")
	d.RemoveField("Tickets", "sentimentScore")
	removed := []string{"retired sentiment_score", "retired udf_severity_1_5"}
	if diff := cmp.Diff(removed, r.drift("Tickets")); diff != "" {
		t.Error(diff)
	}
	r.clock.Advance(time.Hour)
	d.Update("Tickets", ids[5], autotasktest.Fields{"title": "edited after the field was gone"})
	r.mustLater()
	r.equal()
	r.wants(fmt.Sprintf(`SELECT udf_severity_1_5 || ' ' || sentiment_score || ' ' || title FROM tickets WHERE id = %d`, ids[5]),
		"5 1.2500 edited after the field was gone")
	r.wants(`SELECT count(udf_severity_1_5) FROM tickets`, "10")
	r.wants(`SELECT column_name FROM _atsync.columns WHERE retired_at IS NOT NULL ORDER BY 1`, "sentiment_score", "udf_severity_1_5")
	for _, want := range []int64{9, 0} { // a whole read writes each row once more at most
		run, err := r.later(pipeline.SyncRequest{Full: true})
		if err != nil || stream(t, run, "Tickets").Updated != want {
			t.Errorf("%v: %+v", err, stream(t, run, "Tickets"))
		}
	}
	r.wants(`SELECT count(udf_severity_1_5) || ' ' || count(sentiment_score) FROM tickets`, "10 10")

	// Back again, and empty: what was kept is no longer what the source says.
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Severity (1-5)", Type: "integer"})
	d.UpdateQuietly("Tickets", ids[3], autotasktest.Fields{"udf:Severity (1-5)": "3"})
	r.mustLater()
	r.equal()
	r.wants(`SELECT count(*) FROM _atsync.columns WHERE partial_since IS NOT NULL`, "0")
	r.wants(`SELECT change || ' ' || column_name FROM _atsync.schema_changes WHERE entity = 'Tickets' AND change <> 'table' AND column_name LIKE 'udf_sev%' ORDER BY load_id, change`,
		"column udf_severity_1_5", "retired udf_severity_1_5", "replaced udf_severity_1_5", "restored udf_severity_1_5")
}

// TestRefillIsNotForgotten: the read that fills a new column fails. The next run makes it again, though it no longer
// reads the metadata.
func TestRefillIsNotForgotten(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Late"})
	d.UpdateQuietly("Tickets", d.IDs("Tickets")[0], autotasktest.Fields{"udf:Late": "x"})
	r.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.Status(500, "Unable to find it in the Ticket Entity.")})
	if run, err := r.later(pipeline.SyncRequest{}); err == nil || run.Status != pipeline.StatusFailed {
		t.Fatalf("%s: %v", run.Status, err)
	}
	r.server.ClearFaults()
	if run := r.mustSync(); stream(t, run, "Tickets").Mode != string(pipeline.ModeFull) {
		t.Errorf("%+v", stream(t, run, "Tickets"))
	}
	r.equal()
}

// TestIntegerBecomesText: rows carry text before the metadata, which is up to a day old, says so. The misfit makes the
// run read the metadata again, and nothing is lost.
func TestIntegerBecomesText(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	d.SetFieldType("Tickets", "queueID", "string")
	r.clock.Advance(time.Hour)
	id := d.IDs("Tickets")[7]
	d.Update("Tickets", id, autotasktest.Fields{"queueID": "Level 2 / Köln"})
	run := r.mustSync()
	if s := stream(t, run, "Tickets"); s.Mode != string(pipeline.ModeIncremental) || s.Rejected != 0 {
		t.Errorf("%+v", s)
	}
	r.equal()
	r.wants(fmt.Sprintf(`SELECT queue_id FROM tickets WHERE id = %d`, id), "Level 2 / Köln")
	r.wants(`SELECT old_type || ' ' || new_type FROM _atsync.schema_changes WHERE change = 'type'`, "BIGINT VARCHAR")

	// It never becomes narrower again.
	d.Update("Tickets", id, autotasktest.Fields{"queueID": "5"})
	d.SetFieldType("Tickets", "queueID", "integer")
	r.mustLater()
	r.wants(`SELECT type FROM _atsync.columns WHERE column_name = 'queue_id'`, "VARCHAR")
	r.wants(fmt.Sprintf(`SELECT queue_id FROM tickets WHERE id = %d`, id), "5")
}

// TestMetadataDisagreesWithRows: the value is kept beside the row, every run says so, and when it is mended without a
// trace the next run takes it over.
func TestMetadataDisagreesWithRows(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	id := d.IDs("Tickets")[3]
	r.clock.Advance(time.Hour)
	d.Update("Tickets", id, autotasktest.Fields{"queueID": json.RawMessage(`"Level (2)"`)})
	reject := fmt.Sprintf(`%d queueID "Level (2)" not an integer`, id)
	var counts []int
	for i := range 3 {
		run, err := r.sync(pipeline.SyncRequest{})
		s := stream(t, run, "Tickets")
		if pipeline.ClassOf(err) != pipeline.ClassPartial || s.Status != pipeline.StatusPartial || s.OpenRejects != 1 {
			t.Fatalf("run %d: %v %+v", i, err, s)
		}
		for _, part := range []string{"1 value", fmt.Sprint("id ", id), "queueID", `"Level (2)"`, "not an integer", "atsync rejects ack --tenant acme --entity Tickets"} {
			if !strings.Contains(s.Error, part) {
				t.Errorf("%q has no %q", s.Error, part)
			}
		}
		counts = append(counts, r.server.RequestCount())
		r.clock.Advance(time.Hour)
	}
	// login and read; the metadata twice and once the definitions; then login, read, and the row again
	if want := []int{5, 3, 3}; !slices.Equal(counts, want) {
		t.Errorf("requests %v, want %v", counts, want)
	}
	r.wants(`SELECT id || ' ' || field || ' ' || raw || ' ' || reason FROM _atsync.rejects WHERE tenant = 'acme'`, reject)
	r.wants(fmt.Sprintf(`SELECT queue_id FROM tickets WHERE id = %d`, id), "∅")
	d.UpdateQuietly("Tickets", id, autotasktest.Fields{"queueID": 5})
	r.mustSync()
	r.equal()
	r.wants(`SELECT count(*) FROM _atsync.rejects`, "0")
}

func TestAcknowledgedRejects(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	id := d.IDs("Tickets")[3]
	spoil := func(raw string) {
		r.clock.Advance(time.Hour)
		d.Update("Tickets", id, autotasktest.Fields{"queueID": json.RawMessage(raw)})
		if run, err := r.sync(pipeline.SyncRequest{}); run.Status != pipeline.StatusPartial {
			t.Fatalf("%s: %v", run.Status, err)
		}
	}
	ack := func() {
		s := r.open()
		defer func() { _ = s.Close() }()
		if n, err := s.warehouse.AckRejects(t.Context(), pipeline.RejectSelection{Entity: "Tickets", ID: &id}, "as it is"); err != nil || n != 1 {
			t.Fatalf("%d acknowledged: %v", n, err)
		}
	}
	spoil(`"x"`)
	ack()
	r.mustSync()
	r.clock.Advance(time.Hour)
	d.Update("Tickets", id, autotasktest.Fields{"title": "the bad value stays"})
	r.mustSync()
	spoil(`"y"`)
	ack()
	r.mustLater()
	r.wants(`SELECT raw || ' ' || acknowledged_by FROM _atsync.rejects`, `"y" as it is`)
}

// TestSchemaModes: warn tells what evolve does in silence; freeze leaves tables as they are and loses nothing.
func TestSchemaModes(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	ids := d.IDs("Tickets")
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Evolved"})
	if s := stream(t, r.mustLater(), "Tickets"); len(s.Warnings) != 0 || len(s.Changes) != 1 || !strings.Contains(s.Changes[0], "udf_evolved") {
		t.Errorf("warnings %q, changes %q", s.Warnings, s.Changes)
	}
	if s := stream(t, r.mustLater(), "Tickets"); len(s.Changes) != 0 {
		t.Errorf("changes again: %q", s.Changes)
	}
	r.cfg.Schema = "warn"
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Warned"})
	if got := stream(t, r.mustLater(), "Tickets").Warnings; len(got) != 1 || !strings.Contains(got[0], "udf_warned") {
		t.Errorf("warnings %q", got)
	}
	if got := stream(t, r.mustLater(), "Tickets").Warnings; len(got) != 0 {
		t.Errorf("warnings again: %q", got)
	}

	r.cfg.Schema = "freeze"
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Frozen"})
	d.SetFieldType("Tickets", "queueID", "string")
	d.RenameUDF("Tickets", "Warned", "Renamed")
	r.clock.Advance(time.Hour)
	d.Update("Tickets", ids[0], autotasktest.Fields{"udf:Frozen": "ice", "udf:Renamed": "r", "estimatedHours": json.RawMessage("1.23456")})
	d.Update("Tickets", ids[1], autotasktest.Fields{"queueID": "text"})
	before := r.query(`SELECT column_name || ' ' || data_type FROM duckdb_columns() WHERE table_name = 'tickets' AND schema_name = 'main' ORDER BY 1`)
	for range 2 {
		run, _ := r.later(pipeline.SyncRequest{})
		if s := stream(t, run, "Tickets"); s.Status != pipeline.StatusPartial || s.OpenRejects != 2 || len(s.Warnings) != 2 {
			t.Errorf("%+v", s)
		}
	}
	after := r.query(`SELECT column_name || ' ' || data_type FROM duckdb_columns() WHERE table_name = 'tickets' AND schema_name = 'main' ORDER BY 1`)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	r.wants(fmt.Sprintf(`SELECT udf_warned || ' ' || (_extra->'userDefinedFields'->>'Frozen') FROM tickets WHERE id = %d`, ids[0]), "r ice")
	r.wants(`SELECT raw FROM _atsync.rejects ORDER BY id`, "1.23456", `"text"`)
	r.wants(`SELECT column_name FROM _atsync.schema_changes WHERE change = 'frozen' ORDER BY 1`, "queue_id", "udf_frozen")

	r.cfg.Schema = "evolve"
	r.mustLater()
	r.equal()
	r.wants(`SELECT count(*) FROM _atsync.rejects`, "0")
}

// TestOddValues: each is stored right, or rejected with the row kept.
func TestOddValues(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Tickets")
	d := r.server.Data()
	ids := d.IDs("Tickets")
	long := strings.Repeat("30 KB of text, “quoted” ", 1250)
	tests := []struct{ field, column, raw, want, reason string }{
		{"description", "description", quote(long), long, ""},
		{"queueID", "queue_id", `99999999999999999999`, "∅", "not within 64 bits"},
		{"queueID", "queue_id", `9223372036854775807`, "9223372036854775807", ""},
		{"queueID", "queue_id", `-9223372036854775809`, "∅", "not within 64 bits"},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05"`, "1767323045000000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05Z"`, "1767323045000000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.1"`, "1767323045100000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.12Z"`, "1767323045120000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.123"`, "1767323045123000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.1234Z"`, "1767323045123400", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.12345"`, "1767323045123450", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.123456Z"`, "1767323045123456", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-01-02T03:04:05.1234567"`, "1767323045123456", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"0001-01-01T00:00:00"`, "-62135596800000000", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"9999-12-31T23:59:59.9999999Z"`, "253402300799999999", ""},
		{"dueDateTime", "epoch_us(due_date_time)", `"0000-12-31T23:59:59Z"`, "∅", "not a timestamp of the years 0001 to 9999"},
		{"dueDateTime", "epoch_us(due_date_time)", `"10000-01-01T00:00:00Z"`, "∅", "not a timestamp of the years 0001 to 9999"},
		{"dueDateTime", "epoch_us(due_date_time)", `"2026-02-30T00:00:00Z"`, "∅", "not a timestamp of the years 0001 to 9999"},
	}
	for i, tt := range tests {
		d.UpdateQuietly("Tickets", ids[i], autotasktest.Fields{tt.field: json.RawMessage(tt.raw)})
	}
	if run, _ := r.sync(pipeline.SyncRequest{}); run.Status != pipeline.StatusPartial || totals(run).Inserted != int64(len(ids)) {
		t.Fatalf("%s, %d rows", run.Status, totals(run).Inserted)
	}
	for i, tt := range tests {
		r.wants(fmt.Sprintf(`SELECT %s::VARCHAR FROM tickets WHERE id = %d`, tt.column, ids[i]), tt.want)
		reasons := []string{}
		if tt.reason != "" {
			reasons = append(reasons, tt.reason)
		}
		r.wants(fmt.Sprintf(`SELECT reason FROM _atsync.rejects WHERE id = %d`, ids[i]), reasons...)
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain text
	}
	return string(b)
}

// TestPicklistValueIsReused: the label is that of now; what it was is in schema_changes.
func TestPicklistValueIsReused(t *testing.T) {
	r := newDriftRig(t, "Tickets")
	d := r.server.Data()
	d.RenameLabel("Tickets", "status", "8", "Working on it")
	choices := d.Picklist("Tickets", "status")
	gone := choices[len(choices)-1]
	d.SetPicklist("Tickets", "status", choices[:len(choices)-1])
	got := r.drift("Tickets")
	if want := []string{"removed status " + gone.Value + " " + gone.Label + " ", "label status 8 Working on it In Progress"}; len(got) != 2 ||
		!slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("%q, want %q", got, want)
	}
	s := r.open()
	run, err := s.runner(nil).Refresh(t.Context(), r.cfg.Entities)
	if err != nil || run.Status != pipeline.StatusOK || run.Command != "schema refresh" {
		t.Errorf("%s %s: %v", run.Command, run.Status, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.wants(`SELECT label FROM picklists WHERE entity = 'Tickets' AND column_name = 'status' AND value = '8'`, "Working on it")
	r.wants(`SELECT is_active FROM picklists WHERE entity = 'Tickets' AND column_name = 'status' AND value = '`+gone.Value+`'`, "false")
	r.wants(`SELECT value || ': ' || old_name || ' -> ' || new_name FROM _atsync.schema_changes WHERE change = 'label'`, "8: In Progress -> Working on it")
	if got := r.drift("Tickets"); len(got) > 0 {
		t.Errorf("after the refresh: %q", got)
	}
}
