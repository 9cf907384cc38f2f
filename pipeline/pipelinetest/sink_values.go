package pipelinetest

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func valueTests() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"Null":            testNull,
		"Text":            testText,
		"Integers":        testIntegers,
		"Decimals":        testDecimals,
		"Timestamps":      testTimestamps,
		"Booleans":        testBooleans,
		"ExtraProperties": testExtra,
		"SyncedAt":        testSyncedAt,
		"NotUTF8":         testNotUTF8,
		"WideRows":        testWide,
	}
}

// twice loads items, and loads them again with another name, so that both the first load and the merge carry
// them; it returns the rows after each.
func (f *fixture) twice(columns []string, items ...string) [2][]map[string]string {
	f.Helper()
	var out [2][]map[string]string
	f.load(page(items...))
	out[0] = f.rows(columns...)
	for i, item := range items {
		items[i] = strings.Replace(item, `{`, `{"ownerID":7,`, 1)
	}
	if res := f.load(page(items...)); res.Updated != int64(len(items)) {
		f.Errorf("second load: %+v", res)
	}
	out[1] = f.rows(columns...)
	return out
}

func (f *fixture) carries(column string, values, texts []string) {
	f.Helper()
	var items, rows []string
	for i, v := range values {
		items = append(items, fmt.Sprintf(`{"id":%d,%q:%s}`, i, f.source(column), v))
		rows = append(rows, fmt.Sprintf("id=%d|%s=%s", i, column, texts[i]))
	}
	for _, got := range f.twice([]string{"id", column}, items...) {
		f.equal(column, want(rows...), got)
	}
}

func (f *fixture) source(column string) string {
	for _, c := range f.table.Columns {
		if c.Name == column {
			return c.Source
		}
	}
	f.Fatalf("no column %s", column)
	return ""
}

func testNull(f *fixture) {
	for _, got := range f.twice([]string{"id", "name", "amount", "huge", "is_active", "create_date", schemas.ColExtra, schemas.ColDeletedAt},
		`{"id":1,"name":null,"amount":null,"huge":null,"isActive":null,"createDate":null}`, `{"id":2}`) {
		f.equal("rows", want("id=1", "id=2"), got)
	}
}

func testText(f *fixture) {
	values := []string{`""`, `"twelve bytes"`, `"thirteen byte"`, `"äöü € 漢字 🦆"`, `"line\nbreak\ttab"`, `"'; DROP TABLE widgets; --"`, `"a\u0000b"`}
	texts := []string{"", "twelve bytes", "thirteen byte", "äöü € 漢字 🦆", "line\nbreak\ttab", "'; DROP TABLE widgets; --", "a\x00b"}
	long := strings.Repeat("long text ", 40_000)
	f.carries("name", append(values, `"`+long+`"`), append(texts, long))
}

func testIntegers(f *fixture) {
	values := []string{"0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808"}
	f.carries("last_seen_by", values, values)
}

func testDecimals(f *fixture) {
	values := []string{"0", "-0.0001", "12345678901234.5678", "-99999999999999.9999", "1234567890123.1234"}
	f.carries("amount", values, []string{"0.0000", "-0.0001", "12345678901234.5678", "-99999999999999.9999", "1234567890123.1234"})
	f.Reopen(f.T)
	long := "1234567890123456789012345678.0123456789"
	f.load(page(`{"id":10,"huge":`+long+`}`, `{"id":11,"huge":-`+long+`}`, `{"id":12,"huge":-0.0000000001}`))
	f.equal("huge", want("id=10|huge="+long, "id=11|huge=-"+long, "id=12|huge=-0.0000000001"), f.rows("id", "huge")[len(values):])
}

func testTimestamps(f *fixture) {
	values := []string{`"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`, `"1969-12-31T23:59:59.999999Z"`, `"2026-03-01T12:00:00.000001Z"`,
		`"2026-03-01T14:00:00+02:00"`}
	f.carries("create_date", values, []string{"0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z",
		"2026-03-01T12:00:00.000001Z", "2026-03-01T12:00:00.000000Z"})
}

func testBooleans(f *fixture) {
	f.carries("is_active", []string{"true", "false"}, []string{"true", "false"})
}

func testExtra(f *fixture) {
	f.load(page(`{"id":1,"brandNew":{"a":[1,2.50]}}`))
	f.equal("rows", want(`id=1|_extra={"brandNew":{"a":[1,2.50]}}`), f.rows("id", schemas.ColExtra))
}

func testSyncedAt(f *fixture) {
	first := f.load(page(widget(1, "a", 0)), page(widget(2, "b", 0)))
	second := f.load(page(widget(2, "B", 1)))
	f.equal("rows", want(
		fmt.Sprintf("id=1|_synced_at=2026-03-01T12:00:01.000000Z|_load_id=%d", first.LoadID),
		fmt.Sprintf("id=2|_synced_at=2026-03-01T12:00:03.000000Z|_load_id=%d", second.LoadID),
	), f.rows("id", schemas.ColSyncedAt, schemas.ColLoadID))
}

// brokenText makes a batch as no decoder does.
func brokenText(f *fixture) pipeline.Batch {
	return f.textBatch(memory.DefaultAllocator, "broken \xff text")
}

// testNotUTF8: such text must never become NULL quietly. From the wire it arrives with U+FFFD and a reject.
func testNotUTF8(f *fixture) {
	b := f.batch(page("{\"id\":1,\"name\":\"broken \xff text\"}"))
	l := f.begin(pipeline.LoadSpec{})
	f.stage(l, b)
	if res := f.commit(l, pipeline.Commit{}); res.Rejected != 1 {
		f.Errorf("result %+v", res)
	}
	f.equal("rows", want("id=1|name=broken \uFFFD text"), f.rows("id", "name"))

	l = f.begin(pipeline.LoadSpec{})
	bad := brokenText(f)
	err := l.Stage(f.Context(), bad)
	release(bad.Record)
	if err == nil {
		_, err = l.Commit(f.Context(), pipeline.Commit{})
	}
	if err == nil {
		f.Error("a batch with broken text was committed")
	}
}

func testWide(f *fixture) {
	e := widgets()
	const columns = 400
	items := make([]string, 2)
	for i := range columns {
		e.Fields = append(e.Fields, schemas.Field{Name: fmt.Sprintf("field%d", i), Type: []string{"string", "integer", "decimal", "boolean", "datetime"}[i%5]})
	}
	values := []string{`"v"`, "42", "1.5", "true", `"2026-01-01T00:00:00Z"`}
	texts := []string{"v", "42", "1.5000", "true", "2026-01-01T00:00:00.000000Z"}
	f.table = schemas.NewTable(e, nil, nil)
	wanted := map[string]string{"id": "2"}
	var names []string
	items[1] = `{"id":2`
	for i := range columns {
		name := schemas.ColumnName(fmt.Sprintf("field%d", i))
		names = append(names, name)
		wanted[name] = texts[i%5]
		items[1] += fmt.Sprintf(`,"field%d":%s`, i, values[i%5])
	}
	items[1] += "}"
	items[0] = `{"id":1}`
	for _, got := range f.twice(append(names, "id"), items...) {
		f.equal("rows", []map[string]string{{"id": "1"}, wanted}, got)
	}
}
