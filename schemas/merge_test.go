package schemas_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

func liveTickets(t *testing.T, change func(*schemas.MetaField)) (*schemas.Entity, *schemas.Metadata) {
	t.Helper()
	e, ok := schemas.Lookup("Tickets")
	if !ok {
		t.Fatal("no Tickets")
	}
	m := &schemas.Metadata{}
	for _, f := range e.Fields {
		mf := schemas.MetaField{Name: f.Name, DataType: f.Type, IsQueryable: true}
		if change != nil {
			change(&mf)
		}
		m.Fields = append(m.Fields, mf)
	}
	return e, m
}

func TestNewTableFromCatalogue(t *testing.T) {
	e, _ := schemas.Lookup("Tickets")
	table := schemas.NewTable(e, nil, nil)
	if table.Name != "tickets" || table.Entity != e || len(table.Columns) != len(e.Fields) {
		t.Fatalf("table %s with %d columns", table.Name, len(table.Columns))
	}
	want := schemas.Column{Name: "company_id", Source: "companyID", Type: integer, Reference: "Companies", Queryable: true}
	if diff := cmp.Diff(&want, table.Column("COMPANYID")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if table.Column("nope") != nil {
		t.Error("a column that is none")
	}
	invoice, _ := schemas.Lookup("AccountInvoiceSettings") // has no id of its own
	if c := schemas.NewTable(invoice, nil, nil).Columns[0]; c.Name != "id" || c.Type != integer {
		t.Errorf("first column is %+v", c)
	}
}

func TestNewTableOrderAndOrigin(t *testing.T) {
	e := &schemas.Entity{Name: "Things", Fields: []schemas.Field{
		{Name: "beta", Type: "string"}, {Name: "id", Type: "long"}, {Name: "alphaID", Type: "integer", Reference: "Roles"},
	}}
	m := &schemas.Metadata{
		Fields: []schemas.MetaField{
			{Name: "ZNew", DataType: "string", IsQueryable: true},
			{Name: "AlphaID", DataType: "long", IsQueryable: true, IsPicklist: true, ReferenceEntity: "Company"},
			{Name: "GLCode", DataType: "string", ReferenceEntity: "Martian"},
			{Name: "Id", DataType: "string"},
			{Name: "UserDefinedFields", DataType: "string"},
		},
		UDFs: []schemas.MetaField{{Name: "Zeta", Type: "string", IsQueryable: true}, {Name: "Alpha", Type: "long"}, {Name: "Zeta", Type: "long"}},
	}
	want := []schemas.Column{
		{Name: "id", Source: "id", Type: integer, InMetadata: true},
		{Name: "beta", Source: "beta", Type: str},
		{Name: "alpha_id", Source: "alphaID", Type: integer, Reference: "Companies", Picklist: true, Queryable: true, InMetadata: true},
		{Name: "gl_code", Source: "gLCode", Type: str, InMetadata: true},
		{Name: "z_new", Source: "zNew", Type: str, Queryable: true, InMetadata: true},
		{Name: "udf_zeta", Source: "Zeta", UDF: true, Type: str, Queryable: true, InMetadata: true},
		{Name: "udf_alpha", Source: "Alpha", UDF: true, Type: integer, InMetadata: true},
	}
	table := schemas.NewTable(e, m, nil)
	if diff := cmp.Diff(want, table.Columns); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, schemas.NewTable(e, m, table.Columns).Columns); diff != "" {
		t.Errorf("second look (-want +got):\n%s", diff)
	}
}

func TestNewTableKeepsPrior(t *testing.T) {
	e := &schemas.Entity{Name: "Things", Fields: []schemas.Field{{Name: "id", Type: "long"}, {Name: "amount", Type: "decimal"}, {Name: "flag", Type: "boolean"}}}
	prior := []schemas.Column{
		{Name: "id", Source: "id", Type: integer},
		{Name: "old_name", Source: "flag", Type: str},
		{Name: "gone", Source: "gone", Type: timestamp, Queryable: true, InMetadata: true},
		{Name: "udf_gone", Source: "Gone", UDF: true, Type: integer, InMetadata: true},
		{Name: "amount", Source: "amount", Type: dec(24, 8)},
		{Name: "_synced_at", Source: "x", Type: timestamp},
		{Name: "gone", Source: "again", Type: str},
		{Name: "other", Source: "GONE", Type: str},
	}
	m := &schemas.Metadata{
		Fields: []schemas.MetaField{{Name: "amount", DataType: "decimal"}, {Name: "flag", DataType: "boolean", IsQueryable: true}, {Name: "oldName", DataType: "string"}},
		UDFs:   []schemas.MetaField{{Name: "gone!", Type: "string"}},
	}
	want := []schemas.Column{
		{Name: "id", Source: "id", Type: integer},
		{Name: "old_name", Source: "flag", Type: str, Queryable: true, InMetadata: true},
		{Name: "gone", Source: "gone", Type: timestamp, Retired: true},
		{Name: "udf_gone", Source: "Gone", UDF: true, Type: integer, Retired: true},
		{Name: "amount", Source: "amount", Type: dec(24, 8), InMetadata: true},
	}
	got := schemas.NewTable(e, m, prior).Columns
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, prefix := range []string{"old_name_", "udf_gone_"} {
		if c := got[len(want)+i]; !strings.HasPrefix(c.Name, prefix) {
			t.Errorf("%q is called %q, want %s and a suffix", c.Source, c.Name, prefix)
		}
	}
}

func TestReads(t *testing.T) {
	only := func(queryable ...string) func(*schemas.MetaField) {
		return func(f *schemas.MetaField) { f.IsQueryable = slices.Contains(queryable, f.Name) }
	}
	e, all := liveTickets(t, func(f *schemas.MetaField) { f.Name = strings.ToUpper(f.Name[:1]) + f.Name[1:] })
	_, tracked := liveTickets(t, only("lastTrackedModificationDateTime"))
	_, created := liveTickets(t, only("createDate"))
	_, nothing := liveTickets(t, only())
	parent, _ := schemas.Lookup("QuoteItems")
	history, _ := schemas.Lookup("SurveyResults")
	quoteID := &schemas.Metadata{Fields: []schemas.MetaField{{Name: "QuoteID", DataType: "long", IsQueryable: true}}}
	noKey := &schemas.Metadata{Fields: []schemas.MetaField{{Name: "QuoteID", DataType: "long"}}}
	answered := &schemas.Metadata{Fields: []schemas.MetaField{{Name: "completeDate", DataType: "datetime", IsQueryable: true}}}
	roles, _ := schemas.Lookup("Roles")
	tests := []struct {
		name string
		e    *schemas.Entity
		m    *schemas.Metadata
		want schemas.Reads
	}{
		{"all queryable", e, all, schemas.Reads{Class: schemas.ClassActivity, Create: "createDate",
			Stamps: []string{"lastActivityDate", "lastTrackedModificationDateTime", "createDate"}}},
		{"one stamp", e, tracked, schemas.Reads{Class: schemas.ClassActivity, Stamps: []string{"lastTrackedModificationDateTime"}}},
		{"create stamp only", e, created, schemas.Reads{Class: schemas.ClassAppend, Create: "createDate", Stamps: []string{"createDate"}}},
		{"nothing", e, nothing, schemas.Reads{Class: schemas.ClassFull}},
		{"parent", parent, quoteID, schemas.Reads{Class: schemas.ClassParent, ParentKey: "quoteID"}},
		{"parent key not queryable", parent, noKey, schemas.Reads{Class: schemas.ClassFull}},
		{"append, one of two", history, answered, schemas.Reads{Class: schemas.ClassAppend, Stamps: []string{"completeDate"}}},
		{"full", roles, nil, schemas.Reads{Class: schemas.ClassFull}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, schemas.NewTable(tt.e, tt.m, nil).Reads()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRecordedMetadata(t *testing.T) {
	m, err := schemas.ParseMetadata(read(t, "fields-companytodos.json"), read(t, "udf-info.json"))
	if err != nil {
		t.Fatal(err)
	}
	action := schemas.MetaField{Name: "ActionType", DataType: "integer", Length: "0", IsRequired: true, IsQueryable: true, IsPicklist: true,
		PicklistValues: []schemas.PicklistValue{
			{Value: "0", Label: "Opportunity Update", IsActive: true, IsSystem: true},
			{Value: "29682776", Label: "Email", IsActive: true},
		}}
	if diff := cmp.Diff(action, m.Fields[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	udf := []schemas.MetaField{{Name: "Test UDF", Label: "Test UDF", Type: "string", Length: "8000", IsQueryable: true, IsPicklist: true,
		PicklistValues: []schemas.PicklistValue{{Value: "1", Label: "One", IsActive: true}}}}
	if diff := cmp.Diff(udf, m.UDFs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e, _ := schemas.Lookup("CompanyToDos")
	table := schemas.NewTable(e, m, nil)
	if c := table.Column("assignedToResourceID"); c.Name != "assigned_to_resource_id" || c.Source != "assignedToResourceID" || c.Reference != "Resources" {
		t.Errorf("column %+v", c)
	}
	if m, err = schemas.ParseMetadata(read(t, "fields-resource-licensetype.json"), nil); err != nil || m.UDFs != nil {
		t.Errorf("without UDFs: %+v, %v", m, err)
	}
}

func TestParseMetadataIsLenient(t *testing.T) {
	m, err := schemas.ParseMetadata([]byte("\xef\xbb\xbf"+` {"fields":[null,{},{"name":"a","dataType":null,"length":null,"isQueryable":1,"isRequired":"TRUE","isReadOnly":"0",
		"isReference":null,"isPickList":"1","referenceEntityType":null,"picklistParentValueField":null,"new":{"x":[1]},
		"picklistValues":[{"value":5,"label":null,"parentValue":null,"sortOrder":"3","isActive":"true"},{"value":"x","parentValue":7,"sortOrder":2.0,"isActive":0},{"value":-1}]},
		{"name":"b","length":"20","picklistValues":"","isQueryable":"yes"}],"errors":[]}`), []byte(`{"fields":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &schemas.Metadata{
		Fields: []schemas.MetaField{
			{Name: "a", IsQueryable: true, IsRequired: true, IsPicklist: true, PicklistValues: []schemas.PicklistValue{
				{Value: "5", SortOrder: 3, IsActive: true}, {Value: "x", ParentValue: "7", SortOrder: 2}, {Value: "-1"}}},
			{Name: "b", Length: "20"},
		},
		UDFs: []schemas.MetaField{},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMetadataErrors(t *testing.T) {
	good := `{"fields":[{"name":"id"}]}`
	tests := []struct{ fields, udfs, want string }{
		{"", "", "it is empty"},
		{"<html>\x00", "", `no JSON object: it begins "<html>."`},
		{`{"errors":["no right\r\n"]}`, "", "the API reports: no right"},
		{`{"Message":"nope"}`, "", `no list "fields"`},
		{`{"fields":null}`, "", `no list "fields"`},
		{`{"fields":[]}`, "", "empty"},
		{`{"fields":[{"name":"id"}`, "", "can't be read"},
		{`{"fields":["id"]}`, "", "can't be read"},
		{good, "<html>", "user-defined"},
	}
	for _, tt := range tests {
		udfs := []byte(nil)
		if tt.udfs != "" {
			udfs = []byte(tt.udfs)
		}
		if _, err := schemas.ParseMetadata([]byte(tt.fields), udfs); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.fields, err, tt.want)
		}
	}
}
