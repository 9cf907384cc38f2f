package schemas_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

func things() *schemas.Entity {
	return &schemas.Entity{Name: "Things", Fields: []schemas.Field{{Name: "id", Type: "long"}, {Name: "amount", Type: "integer"}}}
}

// udf is a text UDF of a definition.
func udf(name string, id int64) schemas.MetaField {
	return schemas.MetaField{Name: name, Type: "string", ID: id}
}

func udfMeta(udfs ...schemas.MetaField) *schemas.Metadata {
	return &schemas.Metadata{Fields: []schemas.MetaField{{Name: "id", DataType: "long"}, {Name: "amount", DataType: "integer"}}, UDFs: udfs}
}

// udfSources maps the columns of UDFs to their sources; a retired one's is in brackets.
func udfSources(cols []schemas.Column) map[string]string {
	out := map[string]string{}
	for _, c := range cols {
		switch {
		case c.UDF && c.Retired:
			out[c.Name] = "(" + c.Source + ")"
		case c.UDF:
			out[c.Name] = c.Source
		}
	}
	return out
}

// TestUDFsAreFollowed goes through what administrators do to UDFs, each step with the columns of the one before.
func TestUDFsAreFollowed(t *testing.T) {
	type step struct {
		udfs    []schemas.MetaField
		want    map[string]string
		changes []string
	}
	tests := map[string][]step{
		"renamed and back": {
			{[]schemas.MetaField{udf("A", 1)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("B", 1)}, map[string]string{"udf_a": "B"}, []string{"renamed udf_a"}},
			{[]schemas.MetaField{udf("A", 1)}, map[string]string{"udf_a": "A"}, []string{"renamed udf_a"}},
		},
		"two exchange their names": {
			{[]schemas.MetaField{udf("A", 1), udf("B", 2)}, map[string]string{"udf_a": "A", "udf_b": "B"}, nil},
			{[]schemas.MetaField{udf("A", 2), udf("B", 1)}, map[string]string{"udf_a": "B", "udf_b": "A"}, []string{"renamed udf_a", "renamed udf_b"}},
		},
		"a new one takes the old name of a renamed one": {
			{[]schemas.MetaField{udf("A", 1)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("A", 9), udf("B", 1)}, map[string]string{"udf_a": "B", "udf_a_559aead0": "A"}, []string{"renamed udf_a", "column udf_a_559aead0"}},
		},
		"renamed to the name of one that is gone": {
			{[]schemas.MetaField{udf("A", 1), udf("B", 2)}, map[string]string{"udf_a": "A", "udf_b": "B"}, nil},
			{[]schemas.MetaField{udf("B", 1)}, map[string]string{"udf_a": "B", "udf_b": "(B)"}, []string{"renamed udf_a", "retired udf_b"}},
			{[]schemas.MetaField{udf("B", 1)}, map[string]string{"udf_a": "B", "udf_b": "(B)"}, nil},
			{[]schemas.MetaField{udf("B", 1), udf("C", 2)}, map[string]string{"udf_a": "B", "udf_b": "C"}, []string{"renamed udf_b", "restored udf_b"}},
		},
		"removed and another made of the same name": {
			{[]schemas.MetaField{udf("A", 1)}, map[string]string{"udf_a": "A"}, nil},
			{nil, map[string]string{"udf_a": "(A)"}, []string{"retired udf_a"}},
			{[]schemas.MetaField{udf("A", 7)}, map[string]string{"udf_a": "A"}, []string{"replaced udf_a", "restored udf_a"}},
		},
		"definitions unreadable for a while": {
			{[]schemas.MetaField{udf("A", 0)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("A", 1)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("A", 0)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("B", 1)}, map[string]string{"udf_a": "B"}, []string{"renamed udf_a"}},
		},
		"by names alone a rename is a removal and an addition": {
			{[]schemas.MetaField{udf("A", 0)}, map[string]string{"udf_a": "A"}, nil},
			{[]schemas.MetaField{udf("B", 0)}, map[string]string{"udf_a": "(A)", "udf_b": "B"}, []string{"retired udf_a", "column udf_b"}},
		},
		"names that differ in case come and go": {
			{[]schemas.MetaField{udf("Rank", 1)}, map[string]string{"udf_rank": "Rank"}, nil},
			{[]schemas.MetaField{udf("rank", 2), udf("Rank", 1)}, map[string]string{"udf_rank": "Rank", "udf_rank_5a8460f6": "rank"}, []string{"column udf_rank_5a8460f6"}},
			{[]schemas.MetaField{udf("rank", 2)}, map[string]string{"udf_rank": "(Rank)", "udf_rank_5a8460f6": "rank"}, []string{"retired udf_rank"}},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var prior []schemas.Column
			for i, s := range steps {
				cols := schemas.NewTable(things(), udfMeta(s.udfs...), prior).Columns
				if d := cmp.Diff(s.want, udfSources(cols)); d != "" {
					t.Errorf("step %d (-want +got):\n%s", i, d)
				}
				var changes []string
				if prior != nil {
					for _, c := range schemas.Diff(prior, cols) {
						changes = append(changes, string(c.Kind)+" "+c.Column)
						if !strings.Contains(c.String(), c.Column) {
							t.Errorf("%q does not name the column", c)
						}
					}
				}
				if d := cmp.Diff(s.changes, changes); d != "" {
					t.Errorf("changes of step %d (-want +got):\n%s", i, d)
				}
				if again := schemas.NewTable(things(), udfMeta(s.udfs...), cols).Columns; !cmp.Equal(cols, again) {
					t.Errorf("step %d is not stable:\n%s", i, cmp.Diff(cols, again))
				}
				prior = cols
			}
		})
	}
}

// TestNULInName: a warehouse has U+FFFD in its place, and the column is found all the same.
func TestNULInName(t *testing.T) {
	m := udfMeta(udf("a\x00b", 0))
	prior := schemas.NewTable(things(), m, nil).Columns
	prior[len(prior)-1].Source = "a\uFFFDb"
	again := schemas.NewTable(things(), m, prior).Columns
	if len(again) != len(prior) || again[len(again)-1].Source != "a\x00b" || len(schemas.Diff(prior, again)) > 0 {
		t.Errorf("%+v", again)
	}
}

func TestFrozen(t *testing.T) {
	prior := schemas.NewTable(things(), udfMeta(udf("A", 1)), nil).Columns
	m := udfMeta(udf("B", 1), udf("New", 2))
	m.Fields[1].DataType = "string"
	live := schemas.NewTable(things(), m, prior)
	frozen, left := live.Frozen(prior)
	if !frozen.Fixed || len(frozen.Columns) != len(prior) {
		t.Errorf("frozen: %+v", frozen)
	}
	for i, c := range frozen.Columns {
		if c.Name != prior[i].Name || c.Type != prior[i].Type {
			t.Errorf("%+v, was %+v", c, prior[i])
		}
	}
	var kinds []string
	for _, c := range left {
		kinds = append(kinds, string(c.Kind)+" "+c.Column)
	}
	if d := cmp.Diff([]string{"type amount", "column udf_new"}, kinds); d != "" {
		t.Error(d)
	}
	if first, left := live.Frozen(nil); first != live || left != nil {
		t.Error("a first table is frozen")
	}
	rec, rejects := decodeAll(t, frozen, `{"id":1,"amount":"text","userDefinedFields":[{"name":"B","value":"b"},{"name":"New","value":"n"}]}`)
	defer rec.Release()
	if len(rejects) != 1 || !rejects[0].Misfit() {
		t.Errorf("rejects %+v", rejects)
	}
	if rec.NumCols() != int64(len(prior))+2 {
		t.Errorf("columns %v", rec.Schema())
	}
}

// TestFixedDecimal: a frozen decimal does not widen.
func TestFixedDecimal(t *testing.T) {
	table := schemas.NewTable(&schemas.Entity{Name: "Things", Fields: []schemas.Field{{Name: "id", Type: "long"}, {Name: "d", Type: "decimal"}}}, nil, nil)
	table.Fixed = true
	rec, rejects := decodeAll(t, table, `{"id":1,"d":1.23456},{"id":2,"d":1.2345}`)
	defer rec.Release()
	want := []schemas.Reject{{ID: 1, Column: "d", Field: "d", Raw: "1.23456", Reason: "needs DECIMAL(19,5), and the schema is frozen"}}
	if d := cmp.Diff(want, rejects); d != "" {
		t.Error(d)
	}
}

// TestRetiredColumns: a column that no row names is not in the batch; one that rows still carry is.
func TestRetiredColumns(t *testing.T) {
	prior := schemas.NewTable(things(), udfMeta(udf("A", 1), udf("B", 2)), nil).Columns
	table := schemas.NewTable(things(), &schemas.Metadata{Fields: []schemas.MetaField{{Name: "id", DataType: "long"}}}, prior)
	d := schemas.NewDecoder(table)
	flush := func(items string) []string {
		if _, err := d.Decode([]byte(`{"items":[`+items+`]}`), nil); err != nil {
			t.Fatal(err)
		}
		rec, _ := d.Flush()
		defer rec.Release()
		var names []string
		for i, f := range rec.Schema().Fields() {
			names = append(names, f.Name)
			if rec.Column(i).Len() != int(rec.NumRows()) {
				t.Errorf("%s has %d rows", f.Name, rec.Column(i).Len())
			}
		}
		slices.Sort(names)
		return names
	}
	for _, step := range []struct {
		items string
		want  []string
	}{
		{`{"id":1,"userDefinedFields":[]}`, []string{"_extra", "_row_hash", "id"}},
		{`{"id":2,"amount":null}`, []string{"_extra", "_row_hash", "amount", "id"}},
		{`{"id":3,"userDefinedFields":[{"name":"B","value":"x"}]}`, []string{"_extra", "_row_hash", "amount", "id", "udf_b"}},
	} {
		if d := cmp.Diff(step.want, flush(step.items)); d != "" {
			t.Errorf("%s: %s", step.items, d)
		}
	}
}
