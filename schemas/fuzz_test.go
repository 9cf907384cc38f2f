package schemas_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atsync/atsync/schemas"
)

// mixedTable has a column of each kind, and two UDFs whose names differ by case alone.
func mixedTable() *schemas.Table {
	e := &schemas.Entity{Name: "Things", Path: "Things", Queryable: true, Class: schemas.ClassFull, Fields: []schemas.Field{
		{Name: "id", Type: "long"},
		{Name: "s", Type: "string"},
		{Name: "i", Type: "integer"},
		{Name: "d", Type: "decimal"},
		{Name: "wide", Type: "decimal", Decimal: "38,10"},
		{Name: "b", Type: "boolean"},
		{Name: "t", Type: "datetime"},
	}}
	m := &schemas.Metadata{UDFs: []schemas.MetaField{
		{Name: "Text", Type: "string"}, {Name: "text", Type: "string"},
		{Name: "Number", Type: "decimal"}, {Name: "é \"q\"", Type: "integer"},
	}}
	for _, f := range e.Fields {
		m.Fields = append(m.Fields, schemas.MetaField{Name: f.Name, DataType: f.Type, IsQueryable: true})
	}
	return schemas.NewTable(e, m, nil)
}

// agree decodes with both decoders and compares.
func agree(t *testing.T, table *schemas.Table, body []byte, after *int64) {
	t.Helper()
	want, wantRejects, refErr := refDecode(table, body, after)
	d := schemas.NewDecoder(table)
	// Rows of a page before must not be touched by this one.
	if _, err := d.Decode([]byte(`{"items":[{"id":-99,"d":1.5,"wide":2,"s":"x","b":true}]}`), nil); err != nil {
		t.Fatal(err)
	}
	page, err := d.Decode(body, after)
	batch, rejects := d.Flush()
	defer batch.Release()
	got := plain(t, rowsOf(t, batch))
	if first := (cells{"id": "-99", "d": "3/2", "wide": "2", "s": "x", "b": "true"}); !cmp.Equal(first, pick(got[0], first)) {
		t.Errorf("the page before has changed: %v", got[0])
	}
	got = got[1:]
	if (err == nil) != (refErr == nil) {
		t.Fatalf("decoder says %v, reference says %v", err, refErr)
	}
	if err != nil {
		var bad *schemas.BodyError
		if !errors.As(err, &bad) || bad.Kind < schemas.NotPage || bad.Kind > schemas.Order {
			t.Fatalf("error is %#v", err)
		}
		if len(got) > 0 || len(rejects) > 0 {
			t.Fatalf("a refused page left %v %v", got, rejects)
		}
		return
	}
	if page.Rows != len(want) {
		t.Fatalf("page has %d rows, want %d", page.Rows, len(want))
	}
	var gotRejects []string
	for _, r := range rejects {
		if !utf8.ValidString(r.Raw) || len(r.Raw) > 4096 || r.Reason == "" {
			t.Errorf("bad reject %+v", r)
		}
		if r.Column != schemas.ColExtra {
			gotRejects = append(gotRejects, fmt.Sprintf("%d/%s", r.ID, r.Column))
		}
	}
	slices.Sort(gotRejects)
	// A decimal whose column is too narrow together with its neighbours is rejected although it would fit alone.
	for i := range want {
		for name, v := range want[i] {
			if v == "?" {
				want[i][name] = got[i][name]
			}
			if _, ok := got[i][name]; !ok && slices.Contains(gotRejects, want[i]["id"]+"/"+name) && tooWide(rejects, name) {
				delete(want[i], name)
				wantRejects = append(wantRejects, want[i]["id"]+"/"+name)
			}
		}
	}
	slices.Sort(wantRejects)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rows (-reference +decoder):\n%s", diff)
	}
	if diff := cmp.Diff(wantRejects, gotRejects, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rejects (-reference +decoder):\n%s", diff)
	}
}

func tooWide(rejects []schemas.Reject, column string) bool {
	return slices.ContainsFunc(rejects, func(r schemas.Reject) bool {
		return r.Column == column && strings.Contains(r.Reason, "38")
	})
}

func pick(from, keys cells) cells {
	out := cells{}
	for k := range keys {
		out[k] = from[k]
	}
	return out
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"tickets-2022.json", "companies-2020.json", "includefields.json", "empty.json"} {
		body, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, s := range awkwardBodies {
		f.Add([]byte(s))
	}
	table := mixedTable()
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, table, body, nil) })
}

func FuzzParseMetadata(f *testing.F) {
	for _, name := range []string{"fields-companytodos.json", "udf-info.json"} {
		body, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"fields":[{"name":"é","dataType":null,"length":"x","isQueryable":"1","picklistValues":[{"value":5,"sortOrder":1e99}]}]}`))
	e, _ := schemas.Lookup("Tickets")
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := schemas.ParseMetadata(body, body)
		if err != nil {
			if !printableText(err.Error()) {
				t.Errorf("error is not printable: %q", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("metadata from a body that is not JSON")
		}
		table := schemas.NewTable(e, m, nil)
		checkColumns(t, table)
		again := schemas.NewTable(e, m, table.Columns)
		if diff := cmp.Diff(names(table), names(again)); diff != "" {
			t.Errorf("names change on the second look:\n%s", diff)
		}
	})
}

func printableText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
}

var columnForm = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

// checkColumns asserts what the names of any table promise.
func checkColumns(t testing.TB, table *schemas.Table) {
	t.Helper()
	seen := map[string]bool{}
	for i, c := range table.Columns {
		switch {
		case !columnForm.MatchString(c.Name):
			t.Errorf("column %q of %q is not in form", c.Name, c.Source)
		case len(c.Name) > 140:
			t.Errorf("column %q is too long", c.Name)
		case seen[c.Name]:
			t.Errorf("column %q is there twice", c.Name)
		case i == 0 && (c.Name != "id" || c.Type.Kind != schemas.Int):
			t.Errorf("first column is %+v", c)
		case c.UDF && !strings.HasPrefix(c.Name, "udf_"):
			t.Errorf("UDF column is called %q", c.Name)
		}
		seen[c.Name] = true
	}
}

func names(t *schemas.Table) map[string]string {
	out := map[string]string{}
	for _, c := range t.Columns {
		out[fmt.Sprint(c.UDF, c.Source)] = c.Name
	}
	return out
}

func FuzzColumnName(f *testing.F) {
	for _, s := range []string{"companyID", "gLCode", "", "_id", "é", "A1B2", strings.Repeat("aB", 5000), "a\x00b", `"; DROP TABLE`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		name := schemas.ColumnName(field)
		if !columnForm.MatchString(name) || len(name) > 100 {
			t.Fatalf("ColumnName(%q) = %q", field, name)
		}
		if again := schemas.ColumnName(name); again != name {
			t.Errorf("ColumnName(%q) = %q, and of that %q", field, name, again)
		}
	})
}
