package autotasktest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// querySet is a server with a few tickets whose values the filters below pick apart.
func querySet(t *testing.T) *autotasktest.Server {
	s := newServer(t)
	d := s.Data()
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Root Cause"})
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Seats", Type: "integer"})
	add := func(id int, f autotasktest.Fields) {
		f["id"] = id
		for _, stamp := range []string{"createDate", "lastActivityDate", "lastTrackedModificationDateTime"} {
			if _, ok := f[stamp]; !ok {
				f[stamp] = nil
			}
		}
		d.Insert("Tickets", f)
	}
	add(-3, autotasktest.Fields{"title": "negative", "status": 1})
	add(0, autotasktest.Fields{"title": "Zero", "status": 5, "companyID": 0, "isVisibleToComanaged": true})
	add(7, autotasktest.Fields{"title": "Printer \"A\" – ü", "status": 5, "companyID": 10, "estimatedHours": 1.5, "isVisibleToComanaged": false, "createDate": "2026-01-10T08:00:00Z"})
	add(8, autotasktest.Fields{"title": "printer b ", "status": 8, "companyID": 20, "estimatedHours": 2.25, "udf:Root Cause": "Hardware", "udf:Seats": "9", "createDate": "2026-01-11T00:00:00.123Z"})
	add(9, autotasktest.Fields{"title": "", "status": 8, "companyID": 30, "estimatedHours": -1, "udf:Root Cause": "", "udf:Seats": "10", "lastActivityDate": "2026-01-12T23:59:59.997Z"})
	return s
}

func TestFilters(t *testing.T) {
	s := querySet(t)
	const all = "-3,0,7,8,9"
	tests := []struct{ filter, want string }{
		{`{"op":"exist","field":"id"}`, all},
		{`{"op":"notExist","field":"id"}`, ""},
		{`{"op":"gt","field":"id","value":0}`, "7,8,9"},
		{`{"op":"gte","field":"id","value":0},{"op":"lt","field":"id","value":9}`, "0,7,8"},
		{`{"op":"lte","field":"ID","value":"7"}`, "-3,0,7"}, // numeric text is coerced
		{`{"op":"eq","field":"id","value":-3}`, "-3"},
		{`{"op":"noteq","field":"id","value":7}`, "-3,0,8,9"},
		{`{"op":"in","field":"id","value":[9,7,7,12345,-3]}`, "-3,7,9"},
		{`{"op":"in","field":"id","value":[9,7]},{"op":"gt","field":"id","value":7}`, "9"},
		{`{"op":"in","field":"id","value":[]}`, ""},
		{`{"op":"notIn","field":"id","value":[9,7]}`, "-3,0,8"},
		{`{"op":"eq","field":"status","value":5}`, "0,7"},
		{`{"op":"eq","field":"STATUS","value":"8"}`, "8,9"},
		{`{"op":"eq","field":"status","value":true}`, ""}, // a boolean against an integer matches nothing
		{`{"op":"in","field":"companyID","value":[10,"30"]}`, "7,9"},
		{`{"op":"notIn","field":"companyID","value":[10]}`, "0,8,9"}, // null is in neither
		{`{"op":"noteq","field":"companyID","value":10}`, "0,8,9"},
		{`{"op":"exist","field":"companyID"}`, "0,7,8,9"},
		{`{"op":"notExist","field":"companyID"}`, "-3"},
		{`{"op":"eq","field":"companyID","value":null}`, ""}, // not a test for null
		{`{"op":"gt","field":"estimatedHours","value":"1.5"}`, "8"},
		{`{"op":"gte","field":"estimatedHours","value":1.50}`, "7,8"},
		{`{"op":"lt","field":"estimatedHours","value":0}`, "9"},
		{`{"op":"in","field":"estimatedHours","value":["2.25",7]}`, "8"},
		{`{"op":"eq","field":"isVisibleToComanaged","value":true}`, "0"},
		{`{"op":"noteq","field":"isVisibleToComanaged","value":true}`, "7"},
		{`{"op":"eq","field":"title","value":"PRINTER B    "}`, "8"}, // case and trailing spaces do not count
		{`{"op":"contains","field":"title","value":"PRINTER"}`, "7,8"},
		{`{"op":"contains","field":"title","value":"\"a\" – Ü"}`, "7"},
		{`{"op":"beginsWith","field":"title","value":"z"}`, "0"},
		{`{"op":"endsWith","field":"title","value":"tive"}`, "-3"},
		{`{"op":"beginsWith","field":"companyID","value":"1"}`, "7"},
		{`{"op":"eq","field":"title","value":""}`, "9"},
		{`{"op":"gt","field":"title","value":"printer b"}`, "0"},
		{`{"op":"in","field":"title","value":["zero","negative"]}`, "-3,0"},
		{`{"op":"gte","field":"createDate","value":"2026-01-11"}`, "8"},
		{`{"op":"gte","field":"createDate","value":"2026-01-10T08:00:00"}`, "7,8"},
		{`{"op":"gt","field":"createDate","value":"2026-01-10T08:00:00.000Z"}`, "8"},
		{`{"op":"lt","field":"createDate","value":"2026-01-11T01:00:00.122+01:00"}`, "7"},
		{`{"op":"eq","field":"createDate","value":"2026-01-11T00:00:00.123"}`, "8"},
		{`{"op":"or","items":[{"op":"gte","field":"createDate","value":"2026-01-11"},{"op":"gte","field":"lastActivityDate","value":"2026-01-12"}]}`, "8,9"},
		{`{"op":"and","items":[{"op":"eq","field":"status","value":8},{"op":"or","items":[{"op":"eq","field":"id","value":9},{"op":"eq","field":"id","value":7}]}]}`, "9"},
		{`{"op":"eq","field":"Root Cause","udf":true,"value":"hardware"}`, "8"},
		{`{"op":"exist","field":"root cause","udf":true}`, "8,9"},
		{`{"op":"gt","field":"Seats","udf":true,"value":9}`, "9"}, // a number, not text
		// An operator that the service does not know is dropped, and the rest runs.
		{`{"op":"ne","field":"id","value":7}`, all},
		{`{"op":"noteExist","field":"companyID"},{"op":"eq","field":"status","value":1}`, "-3"},
		{`{"op":"Eq","field":"id","value":7}`, all},
		{`{"op":"or","items":[{"op":"like","field":"nonsense","value":1}]}`, all},
		{`{"field":"id","value":7}`, all},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			if got := ids(t, s, "Tickets", tt.filter); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			n := 0
			if tt.want != "" {
				n = strings.Count(tt.want, ",") + 1
			}
			count := request(t, s, "POST", "/Tickets/query/count", `{"filter":[`+tt.filter+`]}`)
			if want := fmt.Sprintf(`{"queryCount":%d}`, n); count.body != want {
				t.Errorf("count %s, want %s", count.body, want)
			}
		})
	}
}

func TestRefusedQueries(t *testing.T) {
	s := querySet(t)
	exist := func(rest string) string { return `{"filter":[{"op":"exist","field":"id"}]` + rest + `}` }
	filter := func(f string) string { return `{"filter":[` + f + `]}` }
	many := strings.Repeat(`{"op":"eq","field":"id","value":1},`, 500) + `{"op":"eq","field":"id","value":1}`
	tests := []struct{ name, entity, body, want string }{
		{"no body", "Tickets", ``, `Value cannot be null.\r\nParameter name: filters`},
		{"no filter", "Tickets", `{"MaxRecords":1}`, `Value cannot be null.\r\nParameter name: filters`},
		{"empty filter", "Tickets", `{"filter":[]}`, `At least one filter is required.`},
		{"not JSON", "Tickets", `{"filter":`, `Unable to parse the query`},
		{"MaxRecords 0", "Tickets", exist(`,"MaxRecords":0`), `maxCountOfRecordsToReturn must be between 1 and 500`},
		{"MaxRecords 501", "Tickets", exist(`,"maxrecords":501`), `maxCountOfRecordsToReturn must be between 1 and 500`},
		{"MaxRecords text", "Tickets", exist(`,"MaxRecords":"many"`), `maxCountOfRecordsToReturn must be between 1 and 500`},
		{"unknown field", "TimeEntries", filter(`{"op":"eq","field":"projectID","value":1}`), `Unable to find projectID in the TimeEntry Entity.`},
		{"unknown field in a group", "Companies", filter(`{"op":"or","items":[{"op":"exist","field":"Xyz"}]}`), `Unable to find Xyz in the Company Entity.`},
		{"unknown include", "Tickets", exist(`,"IncludeFields":["id","nope"]`), `Unable to find nope in the Ticket Entity.`},
		{"unknown UDF", "Tickets", filter(`{"op":"eq","field":"title","udf":true,"value":"x"}`), `Unable to find title in the Ticket Entity.`},
		{"two UDFs", "Tickets", filter(`{"op":"exist","field":"Root Cause","udf":true},{"op":"exist","field":"Seats","udf":true}`), `Only one user-defined field`},
		{"not queryable", "Tickets", filter(`{"op":"eq","field":"creatorType","value":1}`), `The field creatorType in the Ticket Entity is not queryable.`},
		{"bytes", "TicketAttachments", filter(`{"op":"exist","field":"data"}`), `Unable to find data`},
		{"text for int", "Tickets", filter(`{"op":"eq","field":"status","value":"material"}`), `Conversion failed when converting the varchar value 'material' to data type int.`},
		{"text for id", "Tickets", filter(`{"op":"gt","field":"id","value":"x"}`), `'x' to data type bigint.`},
		{"text in a list", "Tickets", filter(`{"op":"in","field":"status","value":[1,"x"]}`), `'x' to data type int.`},
		{"text for decimal", "Tickets", filter(`{"op":"eq","field":"estimatedHours","value":"x"}`), `'x' to data type numeric.`},
		{"text for date", "Tickets", filter(`{"op":"gt","field":"createDate","value":"soon"}`), `Conversion failed when converting date and/or time from character string.`},
		{"number for boolean", "Tickets", filter(`{"op":"eq","field":"isVisibleToComanaged","value":1}`), `'1' to data type bit.`},
		{"null for boolean", "Tickets", filter(`{"op":"eq","field":"isVisibleToComanaged","value":null}`), `data type bit.`},
		{"501 conditions", "Tickets", filter(`{"op":"or","items":[` + many + `]}`), `Queries are limited to 500 or fewer 'OR' conditions.`},
		{"501 in a list", "Tickets", filter(`{"op":"in","field":"id","value":[` + strings.Repeat("1,", 500) + `1]}`), `Queries are limited to 500 or fewer 'OR' conditions.`},
		{"501 in two lists", "Tickets", filter(`{"op":"in","field":"id","value":[` + strings.Repeat("1,", 250) + `1]},{"op":"in","field":"status","value":[` + strings.Repeat("1,", 249) + `1]}`), `Queries are limited to 500`},
		{"history by id", "TicketHistory", existID, `TicketHistory can only be queried by a single ticketID`},
		{"history with two", "TicketHistory", filter(`{"op":"eq","field":"ticketID","value":7},{"op":"gt","field":"id","value":0}`), `TicketHistory can only be queried by a single ticketID`},
		{"history with in", "TicketHistory", filter(`{"op":"in","field":"ticketID","value":[7]}`), `TicketHistory can only be queried by a single ticketID`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, s, "POST", "/"+tt.entity+"/query", tt.body)
			if r.status != 500 || !strings.HasPrefix(r.body, `{"errors":["`) || !strings.Contains(r.body, tt.want) {
				t.Errorf("got %d %s, want 500 with %s", r.status, r.body, tt.want)
			}
		})
	}
}

func TestAcceptedQueries(t *testing.T) {
	s := querySet(t)
	s.Data().Insert("TicketHistory", autotasktest.Fields{"ticketID": 7, "action": "Status", "detail": "New → Complete"})
	s.Data().Insert("TicketHistory", autotasktest.Fields{"ticketID": 8})
	many := strings.Repeat(`{"op":"eq","field":"id","value":7},`, 499) + `{"op":"eq","field":"id","value":8}`
	tests := []struct {
		name, entity, body string
		want               int
	}{
		{"500 conditions", "Tickets", `{"filter":[{"op":"or","items":[` + many + `]}]}`, 2},
		{"500 in a list", "Tickets", `{"filter":[{"op":"in","field":"id","value":[` + strings.Repeat("8,", 499) + `9]}]}`, 2},
		{"unknown keys", "Tickets", `{"sort":"title","page":3,"filter":[{"op":"exist","field":"id"}]}`, 5},
		{"any case", "Tickets", `{"FILTER":[{"OP":"exist","Field":"Id"}],"MAXRECORDS":"2"}`, 2},
		{"single quotes", "Tickets", `{'filter':[{'op':'eq','field':'title','value':'Printer "A" – ü'}]}`, 1},
		{"history of a ticket", "TicketHistory", `{"filter":[{"op":"eq","field":"ticketID","value":7}]}`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := len(parsePage(t, query(t, s, tt.entity, tt.body)).Items); got != tt.want {
				t.Errorf("%d rows, want %d", got, tt.want)
			}
		})
	}
}

func TestIncludeFields(t *testing.T) {
	s := querySet(t)
	got := query(t, s, "Tickets", `{"IncludeFields":["title","ID","root cause"],"filter":[{"op":"eq","field":"id","value":8}]}`)
	want := `{"items":[{"id":8,"title":"printer b ","userDefinedFields":[{"name":"Root Cause","value":"Hardware"}]}],` +
		`"pageDetails":{"count":1,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = query(t, s, "Tickets", `{"IncludeFields":["status"],"filter":[{"op":"eq","field":"id","value":8}]}`)
	if !strings.HasPrefix(got, `{"items":[{"status":8,"userDefinedFields":[]}]`) {
		t.Errorf("without id: %s", got)
	}
}

func TestUserDefinedFields(t *testing.T) {
	s := querySet(t)
	got := query(t, s, "Tickets", `{"filter":[{"op":"eq","field":"id","value":9}]}`)
	if want := `"userDefinedFields":[{"name":"Root Cause","value":""},{"name":"Seats","value":"10"}]`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := query(t, s, "Roles", existID); strings.Contains(got, "userDefinedFields") {
		t.Errorf("an entity without UDFs: %s", got)
	}
	omit := newServer(t, autotasktest.WithoutEmptyUDFs(), autotasktest.WithData(s.Data()))
	if got := query(t, omit, "Tickets", `{"filter":[{"op":"eq","field":"id","value":7}]}`); strings.Contains(got, "userDefinedFields") {
		t.Errorf("no row has a value, but got %s", got)
	}
	if got := query(t, omit, "Tickets", `{"filter":[{"op":"gte","field":"id","value":7}]}`); strings.Count(got, "userDefinedFields") != 3 {
		t.Errorf("one row has a value, so all carry the key: %s", got)
	}
}
