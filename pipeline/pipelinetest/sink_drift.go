package pipelinetest

import (
	"slices"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func driftTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"NewColumnIsPartialUntilComplete": testPartial,
		"RetiredColumnKeepsItsValues":     testRetired,
		"RetiredColumnStillSent":          testRetiredSent,
		"RestoredColumnIsReadAgain":       testRestored,
		"RenamedUDFKeepsItsColumn":        testRenamed,
		"FrozenIsNotedOnce":               testFrozenNoted,
		"LabelsThatWereAreKept":           testLabels,
		"OpenRejects":                     testOpenRejects,
		"AcknowledgedRejects":             testAckRejects,
	}
}

// describe sets the live metadata: an id, a name, the change stamp and the given UDFs (a list in Autotask's JSON).
func (f *fixture) describe(udfs string, ids ...int64) {
	f.Helper()
	m := meta(f.T, `[`+idField+`,{"name":"name","dataType":"string"},{"name":"lastModifiedDate","dataType":"datetime"}]`, udfs)
	for i, id := range ids {
		m.UDFs[i].ID = id
	}
	f.table = schemas.NewTable(f.table.Entity, m, f.state().Columns)
}

const rankUDF = `[{"name":"Rank","type":"string"}]`

func ranked(id, name, rank string) string {
	return `{"id":` + id + `,"name":"` + name + `","userDefinedFields":[{"name":"Rank","value":` + rank + `}]}`
}

// complete loads bodies as a read of the whole source.
func (f *fixture) complete(bodies ...string) pipeline.LoadResult {
	f.Helper()
	l := f.begin(pipeline.LoadSpec{Complete: true})
	for _, body := range bodies {
		f.stage(l, f.batch(body))
	}
	return f.commit(l, pipeline.Commit{})
}

func (f *fixture) column(name string) schemas.Column {
	f.Helper()
	cols := f.state().Columns
	i := slices.IndexFunc(cols, func(c schemas.Column) bool { return c.Name == name })
	if i < 0 {
		f.Fatalf("no column %s", name)
	}
	return cols[i]
}

// changes returns what schema_changes says since the table was made.
func (f *fixture) changes(columns ...string) []map[string]string {
	f.Helper()
	rows := f.Rows(f.T, "_atsync.schema_changes", "load_id", "change", "column_name")
	rows = slices.DeleteFunc(rows, func(r map[string]string) bool { return r["change"] == "table" })
	return only(rows, append(columns, "change", "column_name")...)
}

func testPartial(f *fixture) {
	f.describe("")
	f.complete(page(widget(1, "a", 0), widget(2, "b", 0)))
	f.describe(rankUDF)
	res := f.load(page(ranked("1", "a", `"gold"`)))
	f.equal("partial since", res.LoadID, f.column("udf_rank").PartialSince)
	f.load(page(ranked("1", "a", `"gold"`)))
	f.equal("partial since", res.LoadID, f.column("udf_rank").PartialSince)
	f.Reopen(f.T)
	f.equal("partial since", res.LoadID, f.column("udf_rank").PartialSince)
	f.describe(rankUDF)
	f.counts(pipeline.LoadResult{Fetched: 2, Updated: 1, Unchanged: 1}, f.complete(page(ranked("1", "a", `"gold"`), ranked("2", "b", `null`))))
	f.equal("partial since", int64(0), f.column("udf_rank").PartialSince)
	f.equal("rows", want("id=1|udf_rank=gold", "id=2"), f.rows("id", "udf_rank"))
}

func testRetired(f *fixture) {
	f.describe(rankUDF)
	f.complete(page(ranked("1", "a", `"gold"`), ranked("2", "b", `"tin"`), ranked("3", "c", `null`)))
	f.describe("")
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1, SchemaChanged: true}, f.load(page(`{"id":1,"name":"A"}`)))
	kept := want("id=1|name=A|udf_rank=gold", "id=2|name=b|udf_rank=tin", "id=3|name=c")
	f.equal("rows", kept, f.rows("id", "name", "udf_rank"))
	f.equal("retired", true, f.column("udf_rank").Retired)
	f.equal("changes", want("change=retired|column_name=udf_rank"), f.changes())

	// A whole read writes each row once more at most: its hash is without the value then.
	all := page(`{"id":1,"name":"A"}`, `{"id":2,"name":"b"}`, `{"id":3,"name":"c"}`)
	f.describe("")
	f.counts(pipeline.LoadResult{Fetched: 3, Updated: 1, Unchanged: 2}, f.complete(all))
	f.counts(pipeline.LoadResult{Fetched: 3, Unchanged: 3}, f.complete(all))
	f.equal("rows", kept, f.rows("id", "name", "udf_rank"))

	// So does a row that was deleted and comes back.
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{1}, Reason: "verify"})
	f.load(page(`{"id":1,"name":"back"}`), page(`{"id":4,"name":"new"}`))
	f.equal("rows", want("id=1|name=back|udf_rank=gold", "id=2|name=b|udf_rank=tin", "id=3|name=c", "id=4|name=new"), f.rows("id", "name", "udf_rank"))
}

// testRetiredSent: rows may carry what the metadata does not name. Then they count, NULL included.
func testRetiredSent(f *fixture) {
	f.describe(rankUDF)
	f.complete(page(ranked("1", "a", `"gold"`), ranked("2", "b", `"tin"`)))
	f.describe("")
	f.load(page(ranked("1", "A", `"silver"`), ranked("2", "B", `null`)))
	f.equal("rows", want("id=1|udf_rank=silver", "id=2"), f.rows("id", "udf_rank"))
	f.load(page(`{"id":1,"name":"x"}`), page(ranked("2", "y", `"zinc"`)))
	f.equal("rows of two batches", want("id=1|name=x|udf_rank=silver", "id=2|name=y|udf_rank=zinc"), f.rows("id", "name", "udf_rank"))
}

// testRestored: what a column holds from before its field was gone says nothing of now.
func testRestored(f *fixture) {
	f.describe(rankUDF, 1)
	f.complete(page(ranked("1", "a", `"gold"`), ranked("2", "b", `"tin"`)))
	f.describe("")
	f.load(page(`{"id":1,"name":"a"}`)) // written once more, without the value in its hash
	f.describe(rankUDF, 1)
	res := f.load(page(ranked("2", "b", `"tin"`)))
	f.equal("partial since", res.LoadID, f.column("udf_rank").PartialSince)
	f.equal("retired", false, f.column("udf_rank").Retired)
	f.describe(rankUDF, 1)
	f.counts(pipeline.LoadResult{Fetched: 2, Updated: 1, Unchanged: 1}, f.complete(page(ranked("1", "a", `null`), ranked("2", "b", `"tin"`))))
	f.equal("rows", want("id=1", "id=2|udf_rank=tin"), f.rows("id", "udf_rank"))
	f.equal("changes", want("change=retired|column_name=udf_rank", "change=restored|column_name=udf_rank"), f.changes())

	// Another UDF that takes over the name is not the one that was.
	f.describe(rankUDF, 2)
	f.counts(pipeline.LoadResult{Fetched: 2, Updated: 1, Unchanged: 1, SchemaChanged: true}, f.complete(page(ranked("1", "a", `null`), ranked("2", "b", `null`))))
	f.equal("rows", want("id=1", "id=2"), f.rows("id", "udf_rank"))
	f.equal("definition", int64(2), f.column("udf_rank").UDFID)
}

func testRenamed(f *fixture) {
	f.describe(rankUDF, 7)
	f.complete(page(ranked("1", "a", `"gold"`), ranked("2", "b", `"tin"`)))
	f.Reopen(f.T)
	f.describe(`[{"name":"Level \"x\"","type":"string"}]`, 7)
	level := func(id, name, value string) string {
		return `{"id":` + id + `,"name":"` + name + `","userDefinedFields":[{"name":"Level \"x\"","value":"` + value + `"}]}`
	}
	res := f.load(page(level("1", "a", "silver")))
	f.equal("schema changed", true, res.SchemaChanged)
	f.equal("rows", want("id=1|udf_rank=silver", "id=2|udf_rank=tin"), f.rows("id", "udf_rank"))
	f.equal("changes", want(`change=renamed|column_name=udf_rank|old_name=Rank|new_name=Level "x"`), f.changes("old_name", "new_name"))
	f.equal("source", `Level "x"`, f.column("udf_rank").Source)
	f.equal("partial since", int64(0), f.column("udf_rank").PartialSince)
	f.describe(`[{"name":"Level \"x\"","type":"string"}]`, 7)
	f.complete(page(level("1", "a", "silver"), level("2", "b", "tin")))
	f.equal("rows", want("id=1|udf_rank=silver", "id=2|udf_rank=tin"), f.rows("id", "udf_rank"))
}

func testFrozenNoted(f *fixture) {
	f.describe("")
	f.complete(page(widget(1, "a", 0)))
	f.describe(rankUDF)
	var left []schemas.Change
	f.table, left = f.table.Frozen(f.state().Columns)
	for range 2 {
		l := f.begin(pipeline.LoadSpec{Frozen: left})
		f.stage(l, f.batch(page(ranked("1", "a", `"gold"`))))
		f.commit(l, pipeline.Commit{})
	}
	f.equal("changes", want("change=frozen|column_name=udf_rank|new_type=VARCHAR"), f.changes("new_type"))
	f.equal("rows", want(`id=1|_extra={"userDefinedFields":{"Rank":"gold"}}`), f.rows("id", "_extra", "udf_rank"))
	f.describe(rankUDF)
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1, SchemaChanged: true}, f.complete(page(ranked("1", "a", `"gold"`))))
	f.equal("rows", want("id=1|udf_rank=gold"), f.rows("id", "_extra", "udf_rank"))
}

func testLabels(f *fixture) {
	save := func(label string) {
		m := meta(f.T, `[`+idField+`,{"name":"lastSeenBy","dataType":"integer","isPickList":true,"picklistValues":[{"value":"3","label":"`+label+`","isActive":true}]}]`, "")
		f.ticks.Add(24 * 60 * 60)
		if _, err := f.Sink.SaveMetadata(f.Context(), f.table.Entity.Name, m, f.now()); err != nil {
			f.Fatal(err)
		}
	}
	save("Waiting")
	first := only(f.Rows(f.T, "picklists", "value"), "first_seen")
	save("Parts ordered")
	f.equal("picklists", want("value=3|label=Parts ordered|is_active=true"), only(f.Rows(f.T, "picklists", "value"), "value", "label", "is_active"))
	f.equal("first seen", first, only(f.Rows(f.T, "picklists", "value"), "first_seen"))
	f.equal("changes", want("change=label|column_name=last_seen_by|value=3|old_name=Waiting|new_name=Parts ordered"), f.changes("value", "old_name", "new_name"))
}

func testOpenRejects(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	f.equal("none", pipeline.OpenRejects{}, f.state().OpenRejects)
	f.load(page(badOwner("2", "eve", "b"), `{"id":10,"ownerID":"x","lastSeenBy":"y"}`))
	f.equal("open", pipeline.OpenRejects{Count: 3, IDs: []int64{2, 10},
		First: &schemas.Reject{ID: 2, Column: "owner_id", Field: "ownerID", Raw: `"eve"`, Reason: "not an integer"}}, f.state().OpenRejects)
	for _, r := range f.Rows(f.T, "_atsync.rejects", "id") {
		if r["tenant"] == "" {
			f.Errorf("reject without tenant: %v", r)
		}
	}
}

func testAckRejects(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	bad := page(badOwner("1", "bob", "a"), badOwner("2", "eve", "b"), `{"id":3,"lastSeenBy":"z"}`)
	f.load(bad)
	ack := func(n int64, which pipeline.RejectSelection) {
		f.Helper()
		got, err := f.Sink.AckRejects(f.Context(), which, "known")
		if err != nil {
			f.Fatal(err)
		}
		f.equal("acknowledged", n, got)
	}
	one, entity := int64(1), f.table.Entity.Name
	ack(0, pipeline.RejectSelection{Entity: "Others"})
	ack(1, pipeline.RejectSelection{Entity: entity, ID: &one})
	ack(0, pipeline.RejectSelection{Entity: entity, ID: &one})
	f.equal("open", []int64{2, 3}, f.state().OpenRejects.IDs)
	ack(1, pipeline.RejectSelection{Field: "lastseenby"})
	f.equal("open", []int64{2}, f.state().OpenRejects.IDs)
	f.Reopen(f.T)

	// The same bad value stays acknowledged, another one does not.
	f.counts(pipeline.LoadResult{Fetched: 3, Unchanged: 3, Rejected: 1}, f.load(bad))
	f.equal("notes", want("id=1|acknowledged_by=known", "id=2", "id=3|acknowledged_by=known"), only(f.Rows(f.T, "_atsync.rejects", "id"), "id", "acknowledged_by"))
	f.load(page(badOwner("1", "mallory", "a")))
	f.equal("open", []int64{1, 2}, f.state().OpenRejects.IDs)
	ack(2, pipeline.RejectSelection{})
	f.equal("open", pipeline.OpenRejects{}, f.state().OpenRejects)
}
