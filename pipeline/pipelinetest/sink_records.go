package pipelinetest

import (
	"encoding/json"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func deleteTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"TombstoneAndResurrection": testTombstone,
		"TombstoneUnknown":         testTombstoneUnknown,
		"AbsentComplete":           testAbsentComplete,
		"AbsentScoped":             testAbsentScoped,
		"AbsentWithoutScope":       testAbsentNoScope,
	}
}

func testTombstone(f *fixture) {
	f.load(page(widget(1, "a", 0), widget(2, "b", 0)))
	res := f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{2}, Reason: "full"})
	f.counts(pipeline.LoadResult{Deleted: 1}, res)
	f.equal("rows", want("id=1", "id=2|_delete_reason=full"), f.rows("id", schemas.ColDeleteReason))
	f.equal("live rows", int64(1), f.state().LiveRows)
	f.equal("greatest id", int64(2), *f.state().MaxID)
	if rows := f.rows(schemas.ColDeletedAt); rows[1][schemas.ColDeletedAt] == "" {
		f.Error("a tombstone without its time")
	}
	again := f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{2}, Reason: "verify"})
	f.counts(pipeline.LoadResult{}, again)
	// the row comes back exactly as it was: its hash is unchanged, and yet it must be live again
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1}, f.load(page(widget(2, "b", 0))))
	f.equal("rows", want("id=1", "id=2"), f.rows("id", schemas.ColDeleteReason, schemas.ColDeletedAt))
	f.equal("log", want("id=2|event=deleted|reason=full", "id=2|event=restored"),
		only(f.Rows(f.T, "_atsync.tombstone_log", "load_id"), "id", "event", "reason"))
}

func testTombstoneUnknown(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, f.batch(page(widget(2, "b", 0))))
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1, Deleted: 1}, f.commit(l, pipeline.Commit{Tombstones: []int64{77, 1, 1}, Reason: "log"}))
	f.equal("rows", want("id=1|_delete_reason=log", "id=2"), f.rows("id", schemas.ColDeleteReason))
}

func (f *fixture) absent(l pipeline.Load) []int64 {
	f.Helper()
	ids, err := l.Absent(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return append([]int64{}, ids...)
}

func testAbsentComplete(f *fixture) {
	l := f.begin(pipeline.LoadSpec{Complete: true})
	f.stage(l, f.batch(page(widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0), widget(4, "d", 0))))
	f.equal("in a first load", []int64{}, f.absent(l))
	f.commit(l, pipeline.Commit{})
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{4}, Reason: "log"})

	l = f.begin(pipeline.LoadSpec{Complete: true})
	f.equal("before any batch", []int64{1, 2, 3}, f.absent(l))
	f.stage(l, f.batch(page(widget(2, "b", 0))))
	f.equal("after one", []int64{1, 3}, f.absent(l))
	f.stage(l, f.batch(page(widget(3, "c", 0))))
	f.equal("after a second look", []int64{1}, f.absent(l))
	f.counts(pipeline.LoadResult{Fetched: 2, Unchanged: 2, Deleted: 1}, f.commit(l, pipeline.Commit{Tombstones: []int64{1}, Reason: "full"}))
}

func testAbsentScoped(f *fixture) {
	f.load(page(`{"id":1,"ownerID":10}`, `{"id":2,"ownerID":10}`, `{"id":3,"ownerID":20}`, `{"id":4,"ownerID":30}`, `{"id":5}`))
	l := f.begin(pipeline.LoadSpec{Window: pipeline.Window{InField: "ownerID", In: []int64{10, 20, 99}}})
	f.stage(l, f.batch(page(`{"id":1,"ownerID":10}`)))
	f.equal("absent", []int64{2, 3}, f.absent(l))
}

func testAbsentNoScope(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	l := f.begin(pipeline.LoadSpec{Window: pipeline.Window{Stamps: []string{"lastModifiedDate"}, Since: f.now()}})
	f.equal("absent", []int64{}, f.absent(l))
}

func recordTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"Metadata":          testMetadata,
		"PicklistsOverTime": testPicklists,
		"Holds":             testHolds,
		"Runs":              testRuns,
		"RunsQuota":         testRunsQuota,
		"RunsKilled":        testRunsKilled,
		"LoadsOfFailures":   testFailures,
	}
}

func (f *fixture) saveMetadata(m *schemas.Metadata) int64 {
	f.Helper()
	f.ticks.Add(24 * 60 * 60)
	n, err := f.Sink.SaveMetadata(f.Context(), f.table.Entity.Name, m, f.now())
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func testMetadata(f *fixture) {
	m := meta(f.T, `[`+idField+`,{"name":"name","dataType":"string","length":100,"isQueryable":true}]`, `[{"name":"Rank","type":"string"}]`)
	f.saveMetadata(m)
	f.equal("metadata", m, f.state().Metadata)
	f.equal("time", f.now(), f.state().MetadataAt)
	f.saveMetadata(m)
	f.equal("time of the second reading", f.now(), f.state().MetadataAt)
	f.Reopen(f.T)
	f.equal("metadata", m, f.state().Metadata)
}

func testPicklists(f *fixture) {
	list := func(values string) *schemas.Metadata {
		return meta(f.T, `[`+idField+`,{"name":"status","dataType":"integer","isPickList":true,"isQueryable":true,"picklistValues":[`+values+`]}]`, "")
	}
	value := func(v, label string) string {
		return `{"value":"` + v + `","label":"` + label + `","isActive":true,"sortOrder":1,"parentValue":"","isDefaultValue":false,"isSystem":false}`
	}
	shown := func() []map[string]string {
		return only(f.Rows(f.T, "picklists", "value"), "field", "column_name", "value", "label", "is_active", "first_seen", "last_seen")
	}
	const one, day2, day3, day4 = "2026-03-02T12:00:00.000000Z", "2026-03-03T12:00:00.000000Z", "2026-03-04T12:00:00.000000Z", "2026-03-05T12:00:00.000000Z"
	row := "field=status|column_name=status|value="
	f.equal("changed", int64(2), f.saveMetadata(list(value("1", "New")+","+value("5", "Done"))))
	first := want(row+"1|label=New|is_active=true|first_seen="+one+"|last_seen="+one, row+"5|label=Done|is_active=true|first_seen="+one+"|last_seen="+one)
	f.equal("picklists", first, shown())
	f.equal("changed", int64(0), f.saveMetadata(list(value("1", "New")+","+value("5", "Done"))))
	f.equal("picklists", first, shown())
	f.equal("changed", int64(2), f.saveMetadata(list(value("1", "Open"))))
	f.equal("picklists", want(row+"1|label=Open|is_active=true|first_seen="+one+"|last_seen="+day3,
		row+"5|label=Done|is_active=false|first_seen="+one+"|last_seen="+day2), shown())
	f.equal("changed", int64(1), f.saveMetadata(list(value("5", "Done")+","+value("1", "Open"))))
	f.equal("picklists", want(row+"1|label=Open|is_active=true|first_seen="+one+"|last_seen="+day3,
		row+"5|label=Done|is_active=true|first_seen="+one+"|last_seen="+day4), shown())
}

func (f *fixture) hold() *pipeline.Hold {
	f.Helper()
	h, err := f.Sink.Hold(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return h
}

func testHolds(f *fixture) {
	f.equal("at first", (*pipeline.Hold)(nil), f.hold())
	h := &pipeline.Hold{Since: f.now(), Reason: "refused: it's locked", Fingerprint: "abc"}
	f.equal("set", nil, f.Sink.SetHold(f.Context(), &pipeline.Hold{Since: f.now(), Reason: "x"}))
	f.equal("set again", nil, f.Sink.SetHold(f.Context(), h))
	f.equal("hold", h, f.hold())
	f.Reopen(f.T)
	f.equal("after a restart", h, f.hold())
	f.equal("lift", nil, f.Sink.SetHold(f.Context(), nil))
	f.equal("lifted", (*pipeline.Hold)(nil), f.hold())
}

func (f *fixture) beginRun(command string) int64 {
	f.Helper()
	id, err := f.Sink.BeginRun(f.Context(), pipeline.Run{Command: command, StartedAt: f.now()})
	if err != nil {
		f.Fatal(err)
	}
	return id
}

func (f *fixture) runs() []map[string]string {
	f.Helper()
	return only(f.Rows(f.T, "_atsync.runs", "run_id"), "command", "status", "requests", "error_class")
}

func testRuns(f *fixture) {
	first, second := f.beginRun("sync"), f.beginRun("verify")
	if first <= 0 || second <= first {
		f.Fatalf("runs %d, %d", first, second)
	}
	f.equal("runs", want("command=sync|status=running|requests=0", "command=verify|status=running|requests=0"), f.runs())
	end := pipeline.Run{ID: first, EndedAt: f.now(), Status: pipeline.StatusPartial, Requests: 7, Error: "it's \"bad\"", ErrorClass: pipeline.ClassQuota}
	f.equal("end", nil, f.Sink.EndRun(f.Context(), end))
	f.equal("runs", want("command=sync|status=partial|requests=7|error_class=quota", "command=verify|status=running|requests=0"), f.runs())
	end.ID = 9999
	if err := f.Sink.EndRun(f.Context(), end); err == nil {
		f.Error("an unknown run ended")
	}
}

// testRunsQuota: what a run took of the quota is kept, also when its outcome is recorded a second time without it.
func testRunsQuota(f *fixture) {
	end := pipeline.Run{ID: f.beginRun("sync"), EndedAt: f.now(), Status: pipeline.StatusOK, Quota: &pipeline.QuotaUse{
		Database: "host/1", Threshold: 10000, WindowMins: 60, UsedBefore: 7400, UsedAfter: 7412, Own: pipeline.ByPriority{Live: 12, Backfill: 3},
		Limits: pipeline.ByPriority{Live: 7500, Verify: 4000, Backfill: 4000}, WaitedSeconds: 1.5, HourRefusals: 2, PausedUntil: f.now()}}
	for _, again := range []bool{false, true} {
		if again {
			end.Quota, end.Status = nil, pipeline.StatusPartial
		}
		f.equal("end", nil, f.Sink.EndRun(f.Context(), end))
		got := f.Rows(f.T, "_atsync.runs", "run_id")[0]["quota"]
		var kept pipeline.QuotaUse
		if err := json.Unmarshal([]byte(got), &kept); err != nil {
			f.Fatalf("quota %q: %v", got, err)
		}
		f.equal("quota", pipeline.QuotaUse{
			Database: "host/1", Threshold: 10000, WindowMins: 60, UsedBefore: 7400, UsedAfter: 7412, Own: pipeline.ByPriority{Live: 12, Backfill: 3},
			Limits: pipeline.ByPriority{Live: 7500, Verify: 4000, Backfill: 4000}, WaitedSeconds: 1.5, HourRefusals: 2, PausedUntil: f.now()}, kept)
	}
	f.beginRun("sync")
	f.equal("quota of a run that has not ended", "", f.Rows(f.T, "_atsync.runs", "run_id")[1]["quota"])
}

func testRunsKilled(f *fixture) {
	first := f.beginRun("sync")
	f.Reopen(f.T)
	if second := f.beginRun("sync"); second <= first {
		f.Errorf("run %d follows run %d", second, first)
	}
	f.equal("runs", want("command=sync|status=interrupted|requests=0|error_class=canceled", "command=sync|status=running|requests=0"), f.runs())
}

// testFailures: analysts see a stream that stored nothing, and it does not look like a load of rows.
func testFailures(f *fixture) {
	run := f.beginRun("sync")
	ok := f.load(page(widget(1, "a", 0)))
	report := func(entity string, s pipeline.Status) pipeline.StreamReport {
		return pipeline.StreamReport{Entity: entity, Table: schemas.TableName(entity), Mode: "incremental", Class: "modified", Status: s, Requests: 3, Seconds: 1}
	}
	failed := report("Tickets", pipeline.StatusFailed)
	failed.Error, failed.ErrorClass = "500: the field is not there", pipeline.ClassSource
	good := report("Widgets", pipeline.StatusOK)
	good.LoadID = ok.LoadID
	f.equal("end", nil, f.Sink.EndRun(f.Context(), pipeline.Run{ID: run, EndedAt: f.now(), Status: pipeline.StatusPartial,
		Streams: []pipeline.StreamReport{good, failed, report("Roles", pipeline.StatusAbsent)}}))
	f.equal("loads", want("entity=Tickets|status=failed|mode=incremental|requests=3|error_class=source", "entity=Widgets|status=ok|mode=incremental|requests=3"),
		only(f.Rows(f.T, "_atsync.loads", "entity"), "entity", "status", "mode", "requests", "error_class"))
	if next := f.load(page(widget(1, "b", 1))); next.LoadID <= ok.LoadID+1 {
		f.Errorf("load %d after %d and a failed one", next.LoadID, ok.LoadID)
	}
}
