package pipelinetest

import (
	"slices"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func shapeTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"NewColumn":              testNewColumn,
		"HostileNames":           testHostile,
		"WidenedBetweenBatches":  testWidenedBatch,
		"WidenedInFirstLoad":     testWidenedFirst,
		"WidenedBetweenLoads":    testWidenedLoad,
		"StoredTypeStaysWider":   testStaysWider,
		"BecomesText":            testBecomesText,
		"RejectsAppearAndClear":  testRejects,
		"RejectsOfLostVersions":  testRejectsLost,
		"RejectsInFirstLoad":     testRejectsFirst,
		"RejectsOfUnchangedStay": testRejectsStay,
		"RejectsOfDeletedVanish": testRejectsDeleted,
		"RejectsInGreatNumber":   testRejectsMany,
	}
}

const idField = `{"name":"id","dataType":"integer","isQueryable":true}`

func testNewColumn(f *fixture) {
	f.load(page(widget(1, "a", 0)))
	m := meta(f.T, `[`+idField+`,{"name":"color","dataType":"string","isQueryable":true}]`, `[{"name":"Customer Ranking","type":"string","isQueryable":false}]`)
	f.table = schemas.NewTable(f.table.Entity, m, f.state().Columns)
	res := f.load(page(`{"id":1,"name":"a","color":"red","userDefinedFields":[{"name":"Customer Ranking","value":"gold"}]}`))
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1, SchemaChanged: true}, res)
	f.equal("rows", want("id=1|color=red|udf_customer_ranking=gold"), f.rows("id", "color", "udf_customer_ranking"))
	columns := slices.Clone(f.table.Columns)
	for i := range columns {
		if columns[i].InMetadata && i > 0 {
			columns[i].PartialSince = 2 // rows that were not read lack them
		}
	}
	f.equal("columns", columns, f.state().Columns)
	changes := only(f.Rows(f.T, "_atsync.schema_changes", "load_id", "column_name"), "change", "column_name", "new_type")
	f.equal("schema changes", want("change=table", "change=column|column_name=color|new_type=VARCHAR",
		"change=column|column_name=udf_customer_ranking|new_type=VARCHAR"), changes)
}

// testHostile: names of user-defined fields are other people's text.
func testHostile(f *fixture) {
	m := meta(f.T, `[`+idField+`]`, `[{"name":"x\"; DROP TABLE widgets; --","type":"string"},{"name":"'","type":"string"},{"name":"ключ\u0000","type":"string"}]`)
	f.table = schemas.NewTable(f.table.Entity, m, nil)
	for _, value := range []string{"1", "2"} {
		f.load(page(`{"id":1,"userDefinedFields":[{"name":"x\"; DROP TABLE widgets; --","value":"` + value + `"},{"name":"'","value":"b"}]}`))
	}
	f.equal("live rows", int64(1), f.state().LiveRows)
	for i, c := range f.state().Columns {
		f.equal("name", f.table.Columns[i].Name, c.Name)
	}
	for _, c := range f.table.Columns {
		if c.UDF && c.Source[0] == 'x' {
			f.equal("value", want("id=1|"+c.Name+"=2"), f.rows("id", c.Name))
		}
	}
}

const wide = "123456789012345678.123456" // more than DECIMAL(18,4) holds

func testWidenedBatch(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	f.counts(pipeline.LoadResult{Fetched: 3, Inserted: 3, SchemaChanged: true},
		f.load(page(`{"id":1,"amount":1.5}`), page(`{"id":2,"amount":`+wide+`}`), page(`{"id":3,"amount":-2.25}`)))
	f.equal("rows", want("id=1|amount=1.500000", "id=2|amount="+wide, "id=3|amount=-2.250000", "id=9"), f.rows("id", "amount"))
	changes := f.Rows(f.T, "_atsync.schema_changes", "load_id")
	f.equal("schema change", want("change=type|column_name=amount|old_type=DECIMAL(18,4)|new_type=DECIMAL(24,6)"),
		only(changes[len(changes)-1:], "change", "column_name", "old_type", "new_type"))
}

func testWidenedFirst(f *fixture) {
	f.counts(pipeline.LoadResult{Fetched: 3, Inserted: 3, SchemaChanged: true},
		f.load(page(`{"id":1,"amount":1.5}`), page(`{"id":2,"amount":`+wide+`}`), page(`{"id":3,"amount":-2.25}`)))
	f.equal("rows", want("id=1|amount=1.500000", "id=2|amount="+wide, "id=3|amount=-2.250000"), f.rows("id", "amount"))
}

func testWidenedLoad(f *fixture) {
	f.load(page(`{"id":1,"amount":1.5}`))
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1, SchemaChanged: true}, f.load(page(`{"id":2,"amount":`+wide+`}`)))
	f.equal("rows", want("id=1|amount=1.500000", "id=2|amount="+wide), f.rows("id", "amount"))
	for _, c := range f.state().Columns {
		if c.Name == "amount" {
			f.equal("type", "DECIMAL(24,6)", c.Type.SQL())
		}
	}
}

func testStaysWider(f *fixture) {
	f.load(page(`{"id":1,"amount":` + wide + `}`))
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1}, f.load(page(`{"id":2,"amount":1.5}`)))
	f.equal("rows", want("id=1|amount="+wide, "id=2|amount=1.500000"), f.rows("id", "amount"))
}

func testBecomesText(f *fixture) {
	f.load(page(`{"id":1,"lastSeenBy":9007199254740993}`))
	m := meta(f.T, `[`+idField+`,{"name":"lastSeenBy","dataType":"string","isQueryable":true}]`, "")
	f.table = schemas.NewTable(f.table.Entity, m, f.state().Columns)
	f.counts(pipeline.LoadResult{Fetched: 1, Inserted: 1, SchemaChanged: true}, f.load(page(`{"id":2,"lastSeenBy":"nobody"}`)))
	f.equal("rows", want("id=1|last_seen_by=9007199254740993", "id=2|last_seen_by=nobody"), f.rows("id", "last_seen_by"))
}

func (f *fixture) rejects() []map[string]string {
	f.Helper()
	return only(f.Rows(f.T, "_atsync.rejects", "id", "column_name"), "id", "column_name", "field", "raw", "load_id")
}

func badOwner(id, raw, name string) string {
	return `{"id":` + id + `,"ownerID":"` + raw + `","name":"` + name + `"}`
}

func testRejects(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	res := f.load(page(badOwner("1", "bob", "a"), badOwner("2", "eve", "b")))
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 2, Rejected: 2}, res)
	open := only(f.rejects(), "id", "column_name", "field", "raw")
	f.equal("rejects", want(`id=1|column_name=owner_id|field=ownerID|raw="bob"`, `id=2|column_name=owner_id|field=ownerID|raw="eve"`), open)
	f.equal("rows", want("id=1|name=a", "id=2|name=b", "id=9|name=other"), f.rows("id", "name", "owner_id"))
	f.counts(pipeline.LoadResult{Fetched: 1, Updated: 1}, f.load(page(`{"id":1,"ownerID":5,"name":"a"}`)))
	f.equal("rejects", open[1:], only(f.rejects(), "id", "column_name", "field", "raw"))
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1}, f.load(page(widget(9, "other", 0))))
	f.equal("rejects", open[1:], only(f.rejects(), "id", "column_name", "field", "raw"))
}

// testRejectsLost: of two versions in one load only the kept one's rejects count.
func testRejectsLost(f *fixture) {
	f.load(page(widget(9, "other", 0)))
	bad := `{"id":1,"ownerID":"bob","lastModifiedDate":"2026-02-01T10:05:00Z"}`
	good := `{"id":1,"ownerID":5,"lastModifiedDate":"2026-02-01T10:30:00Z"}`
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 1}, f.load(page(good), page(bad)))
	f.equal("rejects", want(), f.rejects())
	late := f.batch(page(bad))
	f.load(page(`{"id":1,"ownerID":6,"lastModifiedDate":"2026-02-01T10:40:00Z"}`))
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, late)
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1}, f.commit(l, pipeline.Commit{}))
	f.equal("rejects", want(), f.rejects())
}

func testRejectsFirst(f *fixture) {
	f.counts(pipeline.LoadResult{Fetched: 2, Inserted: 2, Rejected: 1, SchemaChanged: true}, f.load(page(badOwner("1", "bob", "a"), widget(2, "b", 0))))
	f.equal("rejects", want(`id=1|column_name=owner_id|raw="bob"`), only(f.rejects(), "id", "column_name", "raw"))
}

func testRejectsStay(f *fixture) {
	f.load(page(badOwner("1", "bob", "a")))
	open := f.rejects()
	f.counts(pipeline.LoadResult{Fetched: 1, Unchanged: 1, Rejected: 1}, f.load(page(badOwner("1", "bob", "a"))))
	f.equal("rejects", open, f.rejects())
}

func testRejectsDeleted(f *fixture) {
	f.load(page(badOwner("1", "bob", "a")))
	f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{1}, Reason: "verify"})
	f.equal("rejects", want(), f.rejects())
}

// testRejectsMany has more rejects than a sink should hold in memory.
func testRejectsMany(f *fixture) {
	for range 2 {
		l := f.begin(pipeline.LoadSpec{})
		b := f.batch(page(badOwner("1", "bob", "a")))
		for range 6000 {
			b.Rejects = append(b.Rejects, b.Rejects[0])
		}
		f.stage(l, b, f.batch(page(badOwner("2", "eve", "b"))))
		if res := f.commit(l, pipeline.Commit{}); res.Rejected != 2 {
			f.Errorf("result %+v", res)
		}
	}
	f.equal("rejects", want(`id=1|raw="bob"`, `id=2|raw="eve"`), only(f.rejects(), "id", "raw"))
}
