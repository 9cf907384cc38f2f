package schemas_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

// awkwardBodies are well-formed and broken pages that a decoder might trip over.
var awkwardBodies = []string{
	``, ` `, `{`, `{}`, `[]`, `null`, `"x"`, `<html><body>Service Unavailable</body></html>`,
	`{"items":null}`, `{"items":[]}`, ` { "items" : [ ] , "pageDetails" : { "a" : [ { } , [ ] ] } } `, "\xef\xbb\xbf{\"items\":[]}",
	`{"items":{}}`, `{"items":[null]}`, `{"items":[1]}`, `{"items":[{}]}`, `{"items":[{"id":null}]}`, `{"items":[{"id":"x"}]}`,
	`{"items":[{"id":1.5}]}`, `{"items":[{"id":true}]}`, `{"items":[{"id":5.0},{"id":"6"},{"id":7e0}]}`, `{"items":[{"id":""}]}`,
	`{"items":[{"id":1},{"id":1}]}`, `{"items":[{"id":2},{"id":1}]}`, `{"items":[{"id":-5},{"id":0}]}`,
	`{"items":[{"id":9223372036854775807}]}`, `{"items":[{"id":-9223372036854775808}]}`, `{"items":[{"id":9223372036854775808}]}`,
	`{"items":[{"id":1}]} x`, `{"items":[{"id":1}]}}`, `{"items":[{"id":1},]}`, `{"items":[{"id":1,}]}`, `{"items":[{"id":1}`, `{"items":[{"id":1]}`,
	`{"items":[],"items":[]}`, `{"Items":[{"ID":1}]}`, `{"items":[{"id":1}],"errors":["a\r\nb "]}`, `{"errors":[{"message":"m"}],"items":[]}`,
	`{"errors":[],"items":[]}`, `{"errors":null,"items":[]}`, `{"errors":"boom","items":[]}`, `{"items":[],"errors":[`,
	`{"items":[{"id":1,"s":"a\u0000b\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"}]}`,
	`{"items":[{"id":1,"s":"\ud800","x":"\udc00\ud800"},{"id":2,"s":"\ud800\u0041"},{"id":3,"s":"\ufffd\\ud800"}]}`,
	"{\"items\":[{\"id\":1,\"s\":\"a\xff\xc3\",\"x\":[\"\xff\"],\"k\xff\":1}]}", "{\"items\":[{\"id\":1,\"s\":\"a\tb\"}]}",
	`{"items":[{"id":1,"s":"\x"}]}`, `{"items":[{"id":1,"s":"\u12g4"}]}`, `{"items":[{"id":1,"s":"\`, `{"items":[{"id":1,"s":"\u00`,
	`{"items":[{"id":1,"s":5,"i":"5"},{"id":2,"s":true,"i":5.0},{"id":3,"s":{"a": [1, "\ud83d\ude00"]},"i":true},{"id":4,"s":[],"i":false}]}`,
	`{"items":[{"id":1,"s":"","i":"","d":"","b":"","t":""}]}`, `{"items":[{"id":1,"s":" ","i":" ","d":" ","b":" ","t":" "}]}`,
	`{"items":[{"id":1,"i":"05"},{"id":2,"i":"+5"},{"id":3,"i":"5x"},{"id":4,"i":5.5},{"id":5,"i":1e3},{"id":6,"i":"x"},{"id":7,"i":[1]}]}`,
	`{"items":[{"id":1,"i":99999999999999999999},{"id":2,"i":-0},{"id":3,"i":1e999999999999999999999}]}`,
	`{"items":[{"id":1,"d":3.5000},{"id":2,"d":0.0000},{"id":3,"d":-0.00001},{"id":4,"d":"12.5"},{"id":5,"d":1E+3},{"id":6,"d":1e-20}]}`,
	`{"items":[{"id":1,"d":99999999999999999999.5},{"id":2,"d":1},{"id":3,"d":123456789012345678901234567890123456789}]}`,
	`{"items":[{"id":1,"d":0.0000000000000000000000000000001},{"id":2,"d":100000000000000000000},{"id":3,"d":true},{"id":4,"d":"1,5"}]}`,
	`{"items":[{"id":1,"wide":1234567890123456789012345678.0123456789},{"id":2,"wide":-9999999999999999999999999999},{"id":3,"wide":1e28}]}`,
	`{"items":[{"id":1,"b":1},{"id":2,"b":0},{"id":3,"b":"TRUE"},{"id":4,"b":"no"},{"id":5,"b":2},{"id":6,"b":"1"},{"id":7,"b":1.0},{"id":8,"b":{}}]}`,
	`{"items":[{"id":1,"t":"2022-12-07T09:15:52.407Z"},{"id":2,"t":"2016-03-30T13:10:35.563"},{"id":3,"t":"2026-01-01"},{"id":4,"t":5}]}`,
	`{"items":[{"id":1,"t":"2022-12-07T09:15:52.1234567+05:30"},{"id":2,"t":"0001-01-01T00:00:00"},{"id":3,"t":"9999-12-31T23:59:59.999Z"}]}`,
	`{"items":[{"id":1,"t":"0001-01-01T00:00:00+01:00"},{"id":2,"t":"9999-12-31T23:59:59-01"},{"id":3,"t":"2023-02-29"},{"id":4,"t":"2024-02-29 10:00"}]}`,
	`{"items":[{"id":1,"s":"a","S":"b"},{"id":2,"d":1,"d":"x"},{"id":3,"d":"x","d":1},{"id":4,"s":"a","s":null},{"id":5,"b":true,"b":false}]}`,
	`{"items":[{"id":1,"zzz":{"b":1,"a":[[[]]]},"aaa":null,"mmm":1e999},{"s":"late id","id":2}]}`,
	`{"items":[{"id":1,"userDefinedFields":null},{"id":2,"userDefinedFields":[]},{"id":3,"userDefinedFields":{"a":1}},{"id":4,"userDefinedFields":[1,null,{},{"name":null,"value":1}]}]}`,
	`{"items":[{"id":1,"userDefinedFields":[{"name":"Text","value":"a"},{"value":5,"name":"Number"},{"name":"text","value":false},{"name":"é \"q\"","value":"7"}]},{"id":2,"userDefinedFields":[{"Name":"number","Value":"1.25"},{"name":"gone","value":"x"},{"name":"TEXT","value":"?"}]}]}`,
	`{"items":[{"id":"\u0031","i":"\u0035","d":"\u0031.5","t":"2026\u002d01-01","b":"\u0074rue"},{"id":2,"b":null,"b":"","t":1,"t":"2026-01-01"}]}`,
	`{"items":[{"id":1,"x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}]}`,
	`{"items":[{"id":1,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}]}`,
	`{"items":[{"id":1,"s":"` + strings.Repeat("lorem ipsum é ", 1000) + `"}]}`,
	`{"items":[{"id":1,"i":"` + strings.Repeat("é", 3000) + `"}]}`,
}

func TestDecoderAgreesOnAwkwardBodies(t *testing.T) {
	after := int64(0)
	for _, body := range awkwardBodies {
		agree(t, mixedTable(), []byte(body), nil)
		agree(t, mixedTable(), []byte(body), &after)
		if t.Failed() {
			t.Fatalf("body: %.300q", body)
		}
	}
}

// TestDecoderTruncation cuts a page at every byte: no beginning of a page is a page.
func TestDecoderTruncation(t *testing.T) {
	body := ticketPage(2)
	d := schemas.NewDecoder(ticketTable())
	for n := range len(body) {
		_, err := d.Decode(body[:n], nil)
		var bad *schemas.BodyError
		if !errors.As(err, &bad) || bad.Kind != schemas.NotPage || d.Rows() != 0 {
			t.Fatalf("after %d bytes: error %v, %d rows", n, err, d.Rows())
		}
	}
	if page, err := d.Decode(body, nil); err != nil || page != (schemas.Page{Rows: 2, FirstID: 1000, LastID: 1001}) {
		t.Fatalf("whole: %+v, %v", page, err)
	}
}

func TestDecoderOnRecordedPayloads(t *testing.T) {
	for file, entity := range map[string]string{"tickets-2022.json": "Tickets", "companies-2020.json": "Companies", "includefields.json": "Companies", "empty.json": "Roles"} {
		e, _ := schemas.Lookup(entity)
		table := schemas.NewTable(e, nil, nil)
		body, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		want, wantRejects, err := refDecode(table, body, nil)
		if err != nil || len(wantRejects) > 0 {
			t.Fatalf("%s: reference: %v %v", file, wantRejects, err)
		}
		d := schemas.NewDecoder(table)
		if _, err := d.Decode(body, nil); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		batch, rejects := d.Flush()
		if len(rejects) > 0 {
			t.Errorf("%s: rejects %+v", file, rejects)
		}
		if len(want) == 0 && batch == nil {
			continue
		}
		for i, row := range rowsOf(t, batch) {
			if x, ok := row["_extra"]; ok {
				t.Errorf("%s: the catalogue misses %s", file, x)
			}
			delete(row, "_row_hash")
			if diff := cmp.Diff(want[i], row); diff != "" {
				t.Errorf("%s (-reference +decoder):\n%s", file, diff)
			}
		}
		batch.Release()
	}
}

func TestBodyErrors(t *testing.T) {
	seven := int64(7)
	tests := []struct {
		body  string
		after *int64
		want  schemas.BodyError
	}{
		{"", nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1, Detail: "the body is no JSON object: it is empty"}},
		{"<html>\n\x1b[31m<b>\"Down\"</b>" + strings.Repeat("x", 200), nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1,
			Detail: `the body is no JSON object: it begins "<html>..[31m<b>.Down.</b>` + strings.Repeat("x", 55) + `…"`}},
		{`{"Message":"Gone"}`, nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1, Detail: `the body has no list "items": it begins "{.Message.:.Gone.}"`}},
		{`{"items":[{"id":8}`, nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1, Detail: `the body is truncated after 18 bytes: it begins "{.items.:[{.id.:8}"`}},
		{`{"items":[{"id":8,}]}`, nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1, Detail: `the body is no valid JSON at byte 18: it begins "{.items.:[{.id.:8,}]}"`}},
		{`{"items":[]}]`, nil, schemas.BodyError{Kind: schemas.NotPage, Item: -1, Detail: `something follows the JSON object at byte 12: it begins "{.items.:[]}]"`}},
		{`{"items":[{"id":8}],"errors":["no  right\r\n",{"message":"m"},5]}`, nil,
			schemas.BodyError{Kind: schemas.APIErrors, Item: -1, Detail: "the API reports: no right; m; 5", Errors: []string{"no right", "m", "5"}}},
		{`{"items":[{"id":8},{"id":null}]}`, nil, schemas.BodyError{Kind: schemas.NoID, Item: 1, Detail: "item 1 has no integer id"}},
		{`{"items":[{"id":8},7]}`, nil, schemas.BodyError{Kind: schemas.NoID, Item: 1, Detail: "item 1 is no object"}},
		{`{"items":[{"id":8,"id":null}]}`, nil, schemas.BodyError{Kind: schemas.NoID, Item: 0, Detail: "item 0 has no integer id"}},
		{`{"items":[{"id":8},{"id":9},{"id":9}]}`, nil, schemas.BodyError{Kind: schemas.Order, Item: 2, Detail: "item 2: id 9 does not exceed 9"}},
		{`{"items":[{"id":7}]}`, &seven, schemas.BodyError{Kind: schemas.Order, Item: 0, Detail: "item 0: id 7 does not exceed 7"}},
	}
	for _, tt := range tests {
		d := schemas.NewDecoder(mixedTable())
		_, err := d.Decode([]byte(tt.body), tt.after)
		var got *schemas.BodyError
		if !errors.As(err, &got) {
			t.Errorf("%q: error %v", tt.body, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.body, diff)
		}
		if batch, rejects := d.Flush(); batch != nil || rejects != nil {
			t.Errorf("%q: left %v %v", tt.body, batch, rejects)
		}
	}
}

// decodeAll decodes items, given as the text between the brackets of the list.
func decodeAll(t *testing.T, table *schemas.Table, items ...string) (arrow.RecordBatch, []schemas.Reject) {
	t.Helper()
	d := schemas.NewDecoder(table)
	for _, i := range items {
		if _, err := d.Decode([]byte(`{"items":[`+i+`]}`), nil); err != nil {
			t.Fatal(err)
		}
	}
	return d.Flush()
}

func TestRejects(t *testing.T) {
	long := strings.Repeat("é", 3000)
	_, got := decodeAll(t, mixedTable(), `{"b":"no","i":5.5,"id":1,"d":[1],"t":"01/02/2024","s":"\ud800"}`,
		`{"id":2,"i":99999999999999999999,"d":1e99,"q":"\udc00","userDefinedFields":[{"name":"Number","value":"1,5"}]},{"id":3,"i":"`+long+`"}`)
	want := []schemas.Reject{
		{ID: 1, Column: "b", Field: "b", Raw: `"no"`, Reason: "not true or false"},
		{ID: 1, Column: "i", Field: "i", Raw: `5.5`, Reason: "not an integer"},
		{ID: 1, Column: "d", Field: "d", Raw: `[1]`, Reason: "not a number"},
		{ID: 1, Column: "t", Field: "t", Raw: `"01/02/2024"`, Reason: "not a timestamp of the years 0001 to 9999"},
		{ID: 1, Column: "s", Field: "s", Raw: `"\ud800"`, Reason: "not valid Unicode: kept with U+FFFD in place of the damage"},
		{ID: 2, Column: "i", Field: "i", Raw: `99999999999999999999`, Reason: "not within 64 bits"},
		{ID: 2, Column: "d", Field: "d", Raw: `1e99`, Reason: "a number of more digits than a column can hold (38)"},
		{ID: 2, Column: "udf_number", Field: "Number", Raw: `"1,5"`, Reason: "not a number"},
		{ID: 2, Column: "_extra", Field: "_extra", Raw: `{"q":"\ufffd"}`, Reason: "not valid Unicode: kept with U+FFFD in place of the damage"},
		{ID: 3, Column: "i", Field: "i", Raw: `"` + strings.Repeat("é", 2047), Reason: "not an integer"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExtra(t *testing.T) {
	batch, _ := decodeAll(t, mixedTable(), `
		{"id":1,"zeta":{"b": 1, "a":["\ud83d\ude00"]},"alpha":"x","nothing":null,"zeta2":1e999},
		{"id":2,"userDefinedFields":[{"name":"New \"one\"","value":"v"},{"name":"Null","value":null},{"name":"A\u0001","value":[1]}]},
		{"id":3,"k":1,"k":2,"gone":1,"gone":null},
		{"id":4,"userDefinedFields":{"odd":true}},
		{"id":5,"userDefinedFields":[]},
		{"id":6,"userDefinedFields":[{"name":"tExT","value":"which?"},{"name":null,"value":1}],"vvv":0}`)
	defer batch.Release()
	want := []string{
		`{"alpha":"x","zeta":{"b": 1, "a":["\ud83d\ude00"]},"zeta2":1e999}`,
		`{"userDefinedFields":{"A\u0001":[1],"New \"one\"":"v"}}`,
		`{"k":2}`,
		`{"userDefinedFields":{"odd":true}}`,
		"",
		`{"userDefinedFields":{"":1,"tExT":"which?"},"vvv":0}`,
	}
	var got []string
	for _, row := range rowsOf(t, batch) {
		got = append(got, row["_extra"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecimalWidens(t *testing.T) {
	d := schemas.NewDecoder(mixedTable())
	steps := []struct{ items, typ, first string }{
		{`{"id":1,"d":1.5}`, "decimal(18, 4)", "3/2"},
		{`{"id":2,"d":0.00001}`, "decimal(19, 5)", "3/2"},
		{`{"id":3,"d":123456789012345678.5}`, "decimal(23, 5)", "3/2"},
		{`{"id":4,"d":"-1E-10"}`, "decimal(28, 10)", "3/2"},
		{`{"id":5,"d":12345678901234567890123456789}`, "decimal(28, 10)", "3/2"}, // would need 39 digits: rejected
		{`{"id":6,"d":1234567890123456789012345678}`, "decimal(38, 10)", "3/2"},
	}
	for _, s := range steps {
		if _, err := d.Decode([]byte(`{"items":[`+s.items+`]}`), nil); err != nil {
			t.Fatal(err)
		}
		// A page that is refused takes its widening back.
		if _, err := d.Decode([]byte(`{"items":[{"id":1,"d":0.000000000001},{"id":1}]}`), nil); err == nil {
			t.Fatal("a page out of order is taken")
		}
	}
	batch, rejects := d.Flush()
	defer batch.Release()
	field, _ := batch.Schema().FieldsByName("d")
	if got := field[0].Type.String(); got != "decimal(38, 10)" {
		t.Errorf("type is %s", got)
	}
	if len(rejects) != 1 || rejects[0].ID != 5 {
		t.Errorf("rejects %+v", rejects)
	}
	want := []string{"3/2", "1/100000", "246913578024691357/2", "-1/10000000000", "", "1234567890123456789012345678"}
	for i, row := range rowsOf(t, batch) {
		if row["d"] != want[i] {
			t.Errorf("row %d: %s, want %s", i, row["d"], want[i])
		}
	}
	if _, err := d.Decode([]byte(`{"items":[{"id":7,"d":2}]}`), nil); err != nil {
		t.Fatal(err)
	}
	next, _ := d.Flush()
	defer next.Release()
	if !next.Schema().Equal(batch.Schema()) {
		t.Errorf("the next batch has %s", next.Schema())
	}
}

func hashes(t *testing.T, table *schemas.Table, items string) []string {
	t.Helper()
	batch, _ := decodeAll(t, table, items)
	defer batch.Release()
	var out []string
	for _, row := range rowsOf(t, batch) {
		out = append(out, row["_row_hash"])
	}
	return out
}

func TestRowHash(t *testing.T) {
	table := mixedTable()
	base := `{"id":1,"s":"x","d":1.5,"i":7,"b":true,"t":"2022-12-07T09:15:52.4Z","userDefinedFields":[{"name":"Text","value":"u"}],"new":1}`
	h := hashes(t, table, base)[0]
	if h != "-7148124041717355585" {
		t.Errorf("hash is %s: if that is meant, raise RowHashVersion", h)
	}
	for _, same := range []string{
		`{"new":1,"userDefinedFields":[{"value":"u","name":"Text"},{"name":"gone","value":null}],"t":"2022-12-07T10:15:52.400+01:00","b":1,"i":"7","d":1.5000,"s":"\u0078","id":1,"wide":null}`,
		`{"ID":1,"S":"x","D":"15e-1","I":7.0,"B":"True","T":"2022-12-07 09:15:52.4000000","s":"y","s":"x","userDefinedFields":[{"name":"Text","value":"u"}],"new":1,"wide":""}`,
	} {
		if got := hashes(t, table, same)[0]; got != h {
			t.Errorf("%s: hash differs", same)
		}
	}
	seen := map[string]string{h: base}
	for _, other := range []string{
		strings.Replace(base, `"x"`, `""`, 1), strings.Replace(base, `"x"`, `null`, 1), strings.Replace(base, `1.5`, `-1.5`, 1),
		strings.Replace(base, `1.5`, `0.15`, 1), strings.Replace(base, `7`, `8`, 1), strings.Replace(base, `true`, `false`, 1),
		strings.Replace(base, `52.4`, `52.401`, 1), strings.Replace(base, `"u"`, `"v"`, 1), strings.Replace(base, `"Text"`, `"text"`, 1),
		strings.Replace(base, `"new":1`, `"new":2`, 1), strings.Replace(base, `"new"`, `"old"`, 1), strings.Replace(base, `7`, `"bad"`, 1),
		strings.Replace(base, `7`, `"worse"`, 1), strings.Replace(base, `1.5`, `1e99`, 1), strings.Replace(base, `"id":1`, `"id":2`, 1),
		strings.Replace(base, `"d":1.5`, `"wide":1.5`, 1),
	} {
		got := hashes(t, table, other)[0]
		if first, taken := seen[got]; taken {
			t.Errorf("%s\nhas the hash of\n%s", other, first)
		}
		seen[got] = other
	}
	// Neither a wider type, nor another name, nor another order, nor more columns change it.
	prior := []schemas.Column{{Name: "id", Source: "id", Type: integer}, {Name: "renamed", Source: "S", Type: str},
		{Name: "d", Source: "d", Type: dec(30, 12)}, {Name: "more", Source: "more", Type: boolean}, {Name: "i", Source: "i", Type: dec(23, 4)}}
	m := &schemas.Metadata{UDFs: []schemas.MetaField{{Name: "text"}, {Name: "Text"}}}
	if got := hashes(t, schemas.NewTable(table.Entity, m, prior), base)[0]; got != h {
		t.Error("the shape of the table changes the hash")
	}
}

func TestRowsAndFlush(t *testing.T) {
	d := schemas.NewDecoder(mixedTable())
	if batch, rejects := d.Flush(); batch != nil || rejects != nil {
		t.Error("an empty decoder gives a batch")
	}
	var want []cells
	for page := range 40 {
		var items []string
		for i := range 7 {
			id := page*7 + i
			items = append(items, fmt.Sprintf(`{"id":%d,"s":"row %d","b":%v}`, id, id, id%3 == 0))
			want = append(want, cells{"id": fmt.Sprint(id), "s": fmt.Sprintf("row %d", id), "b": fmt.Sprint(id%3 == 0)})
		}
		body := []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
		if _, err := d.Decode(body, nil); err != nil {
			t.Fatal(err)
		}
		clear(body) // the decoder must not hold on to it
		if page%13 != 12 && page != 39 {
			continue
		}
		rows := d.Rows()
		batch, _ := d.Flush()
		if int(batch.NumRows()) != rows || d.Rows() != 0 {
			t.Fatalf("%d rows, flushed %d, left %d", rows, batch.NumRows(), d.Rows())
		}
		if _, err := d.Decode([]byte(`{"items":[{"id":0,"s":"overwrite"},{"id":0}]}`), nil); err == nil {
			t.Fatal("a page out of order is taken")
		}
		if diff := cmp.Diff(want, plain(t, rowsOf(t, batch))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		batch.Release()
		want = nil
	}
}

// TestDecodeAllocates makes sure that no allocation is made for each row.
func TestDecodeAllocates(t *testing.T) {
	d := schemas.NewDecoder(ticketTable())
	count := func(page []byte) float64 {
		return testing.AllocsPerRun(20, func() {
			if _, err := d.Decode(page, nil); err != nil {
				t.Fatal(err)
			}
			batch, _ := d.Flush()
			batch.Release()
		})
	}
	many := count(ticketPage(400))
	if few := count(ticketPage(100)); many-few > 150 {
		t.Errorf("%.0f allocations for 100 rows, %.0f for 400", few, many)
	}
}
