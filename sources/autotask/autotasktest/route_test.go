package autotasktest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestRoutes(t *testing.T) {
	s := newServer(t)
	d := s.Data()
	d.Insert("Companies", autotasktest.Fields{"id": 0, "companyName": "own"})
	d.Insert("Tickets", autotasktest.Fields{"id": 5, "companyID": 0})
	d.Insert("TicketNotes", autotasktest.Fields{"id": 50, "ticketID": 5})
	d.Insert("TicketNotes", autotasktest.Fields{"id": 51, "ticketID": 6})
	d.Insert("ExpenseReports", autotasktest.Fields{"id": 3})
	d.Insert("ExpenseItems", autotasktest.Fields{"id": 30, "expenseReportID": 3})
	d.Insert("UserDefinedFieldListItems", autotasktest.Fields{"id": 40, "udfFieldId": 4})
	d.Insert("TicketAttachments", autotasktest.Fields{"id": 60, "ticketID": 5, "parentID": 5, "title": "a.txt", "data": "aGVsbG8="})
	const none = `does not support http method`
	tests := []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/Companies/0", 200, `{"item":{"id":0,`},
		{"GET", "/companies/0/", 200, `{"item":{"id":0,`},
		{"GET", "//Companies//0", 200, `{"item":{"id":0,`},
		{"GET", s.URL + "/atservicesrest//v1.0/COMPANIES/0", 200, `{"item":{"id":0,`},
		{"POST", "/tickets/QUERY/", 200, `"count":1`},
		{"POST", "/Tickets/query/count/", 200, `{"queryCount":1}`},
		{"GET", "/Tickets/5/Notes", 200, `"items":[{"id":50,`},
		{"GET", "/Tickets/5/Notes/50", 200, `{"item":{"id":50,`},
		{"GET", "/Expenses/3/Items", 200, `"items":[{"id":30,`},
		{"GET", "/UserDefinedFields/4/ListItems", 200, `"items":[{"id":40,`},
		{"GET", "/ServiceLevelAgreements/1/Results", 200, `"items":[]`},
		{"GET", "/Companies/0/Contacts", 200, `"items":[]`},
		{"GET", "/Tickets/5/Notes/entityInformation/fields", 200, `{"fields":[{"name":"createDateTime"`},
		{"GET", "/Tickets/5/Notes/entityInformation", 200, `{"info":{"name":"TicketNote"`},
		{"POST", "/Tickets/5/Notes/query", 404, `{"Message":"No HTTP resource was found`},
		{"GET", "/TicketAttachments/60", 200, `"data":"aGVsbG8="`},
		{"GET", "/TicketAttachments/61", 200, `{"item":null}`},
		{"GET", "/TicketAttachments/entityInformation/userDefinedFields", 404, "Message"},
		{"GET", "/TicketNotes/entityInformation/userDefinedFields", 200, `{"fields":[]}`},
		{"GET", "/Tickets", 405, none},
		{"GET", "/Contacts", 404, "Message"},
		{"GET", "/Nonsense/query", 404, "Message"},
		{"GET", "/Tickets/abc", 404, "Message"},
		{"GET", s.URL + "/", 404, "Message"},
		{"GET", s.URL + "/ATServicesRest/V2.0/Tickets/5", 404, "Message"},
		{"PATCH", "/Tickets/query", 405, none},
		{"DELETE", "/Tickets/5", 405, none},
		{"POST", "/zoneInformation?user=x", 405, none},
		{"GET", "/Modules", 200, `"items":[`},
		{"GET", "/EntityInformation", 200, `{"entityDescriptions":[{"info":{"name":"`},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+strings.TrimPrefix(tt.path, s.URL), func(t *testing.T) {
			r := request(t, s, tt.method, tt.path, existID)
			if r.status != tt.status || !strings.Contains(r.body, tt.want) {
				t.Errorf("got %d %.200s, want %d with %s", r.status, r.body, tt.status, tt.want)
			}
		})
	}
	if got := query(t, s, "TicketAttachments", existID); strings.Contains(got, `"data"`) || !strings.Contains(got, `"parentType":null`) {
		t.Errorf("a query shows an attachment as %s", got)
	}
}

// Metadata is alphabetical with id among the rest, in the spelling of the service, and leaves some keys out.
func TestMetadata(t *testing.T) {
	s := newServer(t)
	names := func(entity string) (out []string) {
		var m struct{ Fields []struct{ Name string } }
		if err := json.Unmarshal([]byte(request(t, s, "GET", "/"+entity+"/entityInformation/fields", "").body), &m); err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Fields {
			out = append(out, f.Name)
		}
		return out
	}
	for _, e := range []string{"Tickets", "ExpenseItems", "TicketAttachments"} {
		got := names(e)
		if !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) || got[0] == "id" || !slices.Contains(got, "id") {
			t.Errorf("%s: %v", e, got)
		}
	}
	if got := names("ExpenseItems"); !slices.Contains(got, "gLCode") || slices.Contains(got, "glCode") {
		t.Errorf("ExpenseItems: %v", got)
	}
	if got := names("TicketAttachments"); slices.Contains(got, "parentType") || slices.Contains(got, "isTaskAttachment") {
		t.Errorf("TicketAttachments: %v", got)
	}
	tickets := request(t, s, "GET", "/Tickets/entityInformation/fields", "").body
	for _, want := range []string{
		`{"name":"assignedResourceID","dataType":"integer","length":0,"isRequired":false,"isReadOnly":false,"isQueryable":true,"isReference":true,"referenceEntityType":"Resource","isPickList":false,"picklistValues":null,"picklistParentValueField":"","isSupportedWebhookField":false}`,
		`{"value":"5","label":"Complete","isDefaultValue":false,"sortOrder":10,"parentValue":"","isActive":true,"isSystem":true}`,
		`{"value":"-1","label":"Client Portal"`,
		`{"value":"101","label":"Slow or frozen","isDefaultValue":false,"sortOrder":1,"parentValue":"10","isActive":true,"isSystem":false}`,
		`"picklistParentValueField":"IssueType"`,
		`{"name":"title","dataType":"string","length":255,"isRequired":true`,
	} {
		if !strings.Contains(tickets, want) {
			t.Errorf("Tickets metadata lacks %s", want)
		}
	}
}

// What the simulator says of itself is what the rest of the project reads: metadata parses, and a page
// of every readable entity decodes without a rejected value.
func TestMetadataMatchesRows(t *testing.T) {
	s := newServer(t, autotasktest.WithThreshold(0), autotasktest.WithoutLog())
	s.Data().FillOthers(7, 1)
	for _, e := range schemas.Catalogue() {
		if !e.Queryable || e.Name == "TicketHistory" {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			fields := request(t, s, "GET", "/"+e.Path+"/entityInformation/fields", "")
			var udfs []byte
			if e.HasUDF {
				udfs = []byte(request(t, s, "GET", "/"+e.Path+"/entityInformation/userDefinedFields", "").body)
			}
			meta, err := schemas.ParseMetadata([]byte(fields.body), udfs)
			if err != nil {
				t.Fatal(err)
			}
			d := schemas.NewDecoder(schemas.NewTable(e, meta, nil))
			page, err := d.Decode([]byte(query(t, s, e.Path, existID)), nil)
			if err != nil {
				t.Fatal(err)
			}
			rec, rejects := d.Flush()
			defer rec.Release()
			if page.Rows != 7 || len(rejects) > 0 {
				t.Errorf("%d rows, rejects %v", page.Rows, rejects)
			}
		})
	}
}
