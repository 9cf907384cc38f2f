package schemas_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

var (
	str       = schemas.Type{Kind: schemas.String}
	integer   = schemas.Type{Kind: schemas.Int}
	boolean   = schemas.Type{Kind: schemas.Bool}
	timestamp = schemas.Type{Kind: schemas.Timestamp}
	jsonText  = schemas.Type{Kind: schemas.JSON}
)

func dec(p, s int) schemas.Type { return schemas.Type{Kind: schemas.Decimal, Precision: p, Scale: s} }

func TestSQL(t *testing.T) {
	for want, typ := range map[string]schemas.Type{
		"VARCHAR": str, "BIGINT": integer, "BOOLEAN": boolean, "TIMESTAMP WITH TIME ZONE": timestamp, "JSON": jsonText,
		"DECIMAL(18,4)": schemas.DefaultDecimal(), "DECIMAL(38,38)": dec(38, 38), "DECIMAL(5,0)": dec(5, 0),
	} {
		if got := typ.SQL(); got != want {
			t.Errorf("%+v: %s, want %s", typ, got, want)
		}
		back, err := schemas.ParseSQLType(want)
		if err != nil || back != typ {
			t.Errorf("ParseSQLType(%q) = %+v, %v", want, back, err)
		}
	}
	for in, want := range map[string]schemas.Type{"timestamptz": timestamp, " decimal( 28 , 10 ) ": dec(28, 10), "varchar": str} {
		if got, err := schemas.ParseSQLType(in); err != nil || got != want {
			t.Errorf("ParseSQLType(%q) = %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "DOUBLE", "DECIMAL", "DECIMAL(39,1)", "DECIMAL(5,6)", "DECIMAL(0,0)", "DECIMAL(5,-1)", "DECIMAL(a,b)", "TIMESTAMP", "INTEGER[]"} {
		if got, err := schemas.ParseSQLType(in); err == nil {
			t.Errorf("ParseSQLType(%q) = %+v", in, got)
		}
	}
}

func TestWiden(t *testing.T) {
	tests := []struct{ a, b, want schemas.Type }{
		{integer, integer, integer},
		{integer, dec(18, 4), dec(23, 4)},
		{integer, dec(30, 4), dec(30, 4)},
		{integer, dec(38, 20), str},
		{dec(18, 4), dec(10, 6), dec(20, 6)},
		{dec(38, 0), dec(2, 1), str},
		{dec(38, 10), dec(38, 10), dec(38, 10)},
		{boolean, integer, str},
		{timestamp, str, str},
		{jsonText, timestamp, str},
		{jsonText, jsonText, jsonText},
		{schemas.Type{}, boolean, boolean},
	}
	for _, tt := range tests {
		if got := tt.a.Widen(tt.b); got != tt.want {
			t.Errorf("%s + %s = %s, want %s", tt.a.SQL(), tt.b.SQL(), got.SQL(), tt.want.SQL())
		}
		if got := tt.b.Widen(tt.a); got != tt.want {
			t.Errorf("%s + %s = %s, want %s", tt.b.SQL(), tt.a.SQL(), got.SQL(), tt.want.SQL())
		}
	}
}

func TestTypesOfMetadata(t *testing.T) {
	e := &schemas.Entity{Name: "Things", Fields: []schemas.Field{{Name: "id", Type: "long"}, {Name: "rate", Type: "decimal", Decimal: "28,10"}}}
	fields := map[string]schemas.Type{"string": str, "integer": integer, "long": integer, "short": integer, "decimal": dec(18, 4),
		"double": dec(18, 4), "boolean": boolean, "datetime": timestamp, "byte[]": str, "somethingNew": str, "": str, "DateTime": timestamp}
	udfs := map[string]schemas.Type{"string": str, "number": dec(18, 4), "decimal": dec(18, 4), "integer": integer, "long": integer,
		"double": dec(18, 4), "date": timestamp, "datetime": timestamp, "boolean": boolean, "list": str}
	m := &schemas.Metadata{Fields: []schemas.MetaField{{Name: "Rate", DataType: "double"}},
		UDFs: []schemas.MetaField{{Name: "Choice", Type: "integer", IsPicklist: true}}}
	want := map[string]schemas.Type{"id": integer, "rate": dec(28, 10), "Choice": str}
	for word, typ := range fields {
		m.Fields = append(m.Fields, schemas.MetaField{Name: "f" + word + "X", DataType: word})
		want["f"+word+"X"] = typ
	}
	for word, typ := range udfs {
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: "udf " + word, Type: word})
		want["udf "+word] = typ
	}
	delete(want, "fDateTimeX") // the same field as fdatetimeX
	got := map[string]schemas.Type{}
	for _, c := range schemas.NewTable(e, m, nil).Columns {
		got[c.Source] = c.Type
	}
	delete(got, "fDateTimeX")
	got["fdatetimeX"] = timestamp
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestArrowSchema(t *testing.T) {
	cols := []schemas.Column{{Name: "id", Type: integer}, {Name: "s", Type: str}, {Name: "d", Type: dec(20, 6)},
		{Name: "b", Type: boolean}, {Name: "t", Type: timestamp}, {Name: "j", Type: jsonText}}
	var got []string
	for _, f := range schemas.ArrowSchema(cols).Fields() {
		got = append(got, f.Name+" "+f.Type.String())
	}
	want := []string{"id int64", "s utf8", "d decimal(20, 6)", "b bool", "t timestamp[us, tz=UTC]", "j utf8", "_extra utf8", "_row_hash int64"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimestamps(t *testing.T) {
	for in, want := range map[string]string{
		"1970-01-01T00:00:00Z":          "0",
		"2022-12-07T09:15:52.407Z":      "1670404552407000",
		"2016-03-30T13:10:35.563":       "1459343435563000",
		"2018-11-13T17:32:34":           "1542130354000000",
		"2022-12-07T09:15:45.2Z":        "1670404545200000",
		"2022-12-07T09:15:45.1234567Z":  "1670404545123456",
		"2022-12-07T09:15:45.123456789": "1670404545123456",
		"2022-12-07T10:15:45+01:00":     "1670404545000000",
		"2022-12-07T04:45:45.5-0430":    "1670404545500000",
		"2022-12-07T11:15:45+02":        "1670404545000000",
		"2022-12-07 09:15":              "1670404500000000",
		"2026-01-01":                    "1767225600000000",
		"2000-02-29":                    "951782400000000",
		"1969-12-31T23:59:59.999999Z":   "-1",
		"0001-01-01T00:00:00":           "-62135596800000000",
		"9999-12-31T23:59:59.9999999Z":  "253402300799999999",
		"":                              "",
		"0000-12-31":                    "reject",
		"0001-01-01T00:00:00+00:01":     "reject",
		"9999-12-31T23:59:59-00:01":     "reject",
		"1900-02-29":                    "reject",
		"2023-04-31":                    "reject",
		"2023-13-01":                    "reject",
		"2023-00-01":                    "reject",
		"2023-01-00":                    "reject",
		"2023-01-01T24:00:00":           "reject",
		"2023-01-01T23:60:00":           "reject",
		"2023-01-01T23:59:60":           "reject",
		"2023-01-01T23:59:59.":          "reject",
		"2023-01-01T":                   "reject",
		"2023-01-01Z":                   "reject",
		"2023-01-01T23:59:59 +01:00":    "reject",
		"2023-01-01T23:59:59+1":         "reject",
		"2023-01-01T23:59:59+24:00":     "reject",
		"2023-1-1":                      "reject",
		"20230101":                      "reject",
		"01/02/2024":                    "reject",
		" 2023-01-01":                   "reject",
		"2023-01-01T23:59:59,5Z":        "reject",
		"2023-01-01T23:59:59Zx":         "reject",
		"Wednesday, December 7, 2022":   "reject",
	} {
		batch, rejects := decodeAll(t, mixedTable(), `{"id":1,"t":"`+in+`"}`)
		got := rowsOf(t, batch)[0]["t"]
		batch.Release()
		if len(rejects) > 0 {
			got = "reject"
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
