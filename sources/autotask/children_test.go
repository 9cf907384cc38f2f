package autotask_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func entityTable(t *testing.T, name string) *schemas.Table {
	t.Helper()
	e, ok := schemas.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return schemas.NewTable(e, nil, nil)
}

// childSlice names parents.
func childSlice(t *testing.T, entity string, parents ...int64) pipeline.Slice {
	t.Helper()
	table := entityTable(t, entity)
	return pipeline.Slice{Table: table, Window: pipeline.Window{InField: table.Entity.ParentKey, In: parents}}
}

// readRows returns each row as JSON.
func readRows(t *testing.T, c *autotask.Client, s pipeline.Slice) (rows []map[string]any, err error) {
	t.Helper()
	err = c.Read(t.Context(), s, func(b pipeline.Batch) error {
		raw, err := b.Record.MarshalJSON()
		if err != nil {
			return err
		}
		var more []map[string]any
		if err := json.Unmarshal(raw, &more); err != nil {
			return err
		}
		rows = append(rows, more...)
		return nil
	})
	return rows, err
}

// TestHistoryOfATicket: one filter and nothing else, and next pages by the address that the answer names.
func TestHistoryOfATicket(t *testing.T) {
	s := simulator(t)
	data := s.Data()
	tickets := data.IDs("Tickets")[:3]
	for i := range 1203 {
		data.Insert("TicketHistory", autotasktest.Fields{"ticketID": tickets[1], "action": "Edit", "detail": fmt.Sprint(i)})
	}
	data.Insert("TicketHistory", autotasktest.Fields{"ticketID": tickets[2]})
	c, _ := simulated(t, s, nil)
	if _, err := c.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ResetLog()
	rows, err := readRows(t, c, childSlice(t, "TicketHistory", tickets...))
	if err != nil || len(rows) != 1204 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	counts := map[string]int{}
	for _, r := range s.Requests() {
		if r.Status != 200 || r.Method != http.MethodPost || strings.Count(r.Body, `"op"`) != 1 || strings.Contains(r.Body, `"id"`) {
			t.Errorf("%s %s %s: %d", r.Method, r.Path, r.Body, r.Status)
		}
		counts[string(r.Op)]++
	}
	if d := cmp.Diff(map[string]int{"query": 3, "next": 2}, counts); d != "" {
		t.Errorf("requests: %s", d)
	}
	if n := s.PeakConcurrency("TicketHistory"); n > 2 {
		t.Errorf("%d requests at a time", n)
	}
}

func historyPage(next string, ids ...int64) string {
	var items []string
	for _, id := range ids {
		items = append(items, fmt.Sprintf(`{"id":%d,"ticketID":7}`, id))
	}
	return fmt.Sprintf(`{"items":[%s],"pageDetails":{"count":%d,"requestCount":500,"prevPageUrl":null,"nextPageUrl":%s}}`, strings.Join(items, ","), len(ids), next)
}

// TestNextPageOfAParent: addresses are followed on the tenant's own zone only, and only forwards.
func TestNextPageOfAParent(t *testing.T) {
	const root = "http://127.0.0.1:8080/ATServicesRest/V1.0/"
	tests := map[string]struct {
		next  []string // of each page
		pages [][]int64
		want  []int64
		err   string
	}{
		"three pages":             {next: []string{root + "TicketHistory/query/next?paging=1", strings.ToUpper(root[:7]) + "127.0.0.1:8080/atservicesrest/v1.0/tickethistory/query/next?paging=2"}, pages: [][]int64{{1, 2}, {3}, {9}}, want: []int64{1, 2, 3, 9}},
		"another host":            {next: []string{"http://evil.example/ATServicesRest/V1.0/TicketHistory/query/next?paging=1"}, pages: [][]int64{{1}}, err: "evil.example"},
		"another port":            {next: []string{"http://127.0.0.1:8081/ATServicesRest/V1.0/TicketHistory/query/next"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"another scheme":          {next: []string{"https://127.0.0.1:8080/ATServicesRest/V1.0/TicketHistory/query/next"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"another user":            {next: []string{"http://u@127.0.0.1:8080/ATServicesRest/V1.0/TicketHistory/query/next"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"another root":            {next: []string{"http://127.0.0.1:8080/other/TicketHistory/query/next"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"out of the root":         {next: []string{root + "../../TicketHistory/query/next"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"out of the root, hidden": {next: []string{root + "%2e%2e/TicketHistory"}, pages: [][]int64{{1}}, err: "credentials go to"},
		"no address":              {next: []string{"http://[::1"}, pages: [][]int64{{1}}, err: "can't be read"},
		"the same page again":     {next: []string{root + "TicketHistory/query/next?paging=1", root + "TicketHistory/query/next?paging=1"}, pages: [][]int64{{1}, {2}}, err: "read already"},
		"ids that start again":    {next: []string{root + "TicketHistory/query/next?paging=1"}, pages: [][]int64{{1, 2}, {2}, {2}, {2}}, err: "does not exceed"},
		"an empty page with next": {next: []string{root + "TicketHistory/query/next?paging=1"}, pages: [][]int64{{}}, err: "an empty page"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			n := 0
			f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
				if !strings.HasPrefix(strings.ToLower(op), "tickethistory/query") {
					return false
				}
				if r.Host != "127.0.0.1:8080" || r.Method != http.MethodPost {
					t.Errorf("%s %s%s", r.Method, r.Host, r.URL)
				}
				i := min(n, len(tt.pages)-1)
				next := "null"
				if i < len(tt.next) {
					next = fmt.Sprintf("%q", tt.next[i])
				}
				n++
				return text(w, 200, historyPage(next, tt.pages[i]...))
			}
			c, _ := memoryClient(t, f, nil)
			ids, _, err := readIDs(t.Context(), c, childSlice(t, "TicketHistory", 7))
			if tt.err != "" {
				wantError(t, err, pipeline.ClassSource, tt.err)
			} else if err != nil || !slices.Equal(ids, tt.want) {
				t.Errorf("%v, %v", ids, err)
			}
		})
	}
}

// TestRowsOfAnotherParent: an answer to another question than was asked is not believed.
func TestRowsOfAnotherParent(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return op == "TicketHistory/query" && text(w, 200, historyPage("null", 1))
	}
	c, _ := memoryClient(t, f, nil)
	_, err := readRows(t, c, childSlice(t, "TicketHistory", 8))
	wantError(t, err, pipeline.ClassSource, "ticketID is none of those")
}

// TestChildPaths: the shapes in which a child path may answer.
func TestChildPaths(t *testing.T) {
	type row = map[string]any
	tests := map[string]struct {
		entity string
		bodies map[string]string // by parent; none: 404
		want   []row
		class  pipeline.Class
	}{
		"an item without an id": {entity: "AccountInvoiceSettings", bodies: map[string]string{"0": `{"item":{"taxId":"A"}}`, "5": `{"item":{"taxId":"B"}}`},
			want: []row{{"id": 0.0, "tax_id": "A"}, {"id": 5.0, "tax_id": "B"}}},
		"an object":      {entity: "AccountInvoiceSettings", bodies: map[string]string{"0": `{"taxId":"A","taxExempt":true}`, "5": `{"item":null}`}, want: []row{{"id": 0.0, "tax_id": "A"}}},
		"a null id":      {entity: "AccountInvoiceSettings", bodies: map[string]string{"0": `{"item":{"ID":null,"taxId":"A"}}`}, want: []row{{"id": 0.0, "tax_id": "A"}}},
		"some without":   {entity: "AccountInvoiceSettings", bodies: map[string]string{"5": `{"item":{"taxId":"B"}}`}, want: []row{{"id": 5.0, "tax_id": "B"}}},
		"none has any":   {entity: "AccountInvoiceSettings", bodies: map[string]string{"0": "-", "5": "-"}},
		"no such route":  {entity: "AccountInvoiceSettings", class: pipeline.ClassAbsent},
		"no such entity": {entity: "ResourceTimeOffBalances", class: pipeline.ClassAbsent},
		"a list, unordered": {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"items":[{"id":9,"resourceID":0},{"id":4}],"pageDetails":null}`, "5": `{"items":[]}`},
			want: []row{{"id": 4.0, "resource_id": 0.0}, {"id": 9.0, "resource_id": 0.0}}},
		"a list without ids":   {entity: "ResourceTimeOffBalances", bodies: map[string]string{"5": `{"items":[{"year":1},{"year":2}]}`}, class: pipeline.ClassSource},
		"something else":       {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"hello":1}`}, class: pipeline.ClassSource},
		"an error in a 200":    {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"errors":["adequate permissions are missing"]}`}, class: pipeline.ClassRights},
		"another's row":        {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"items":[{"id":1,"resourceID":77}]}`}, class: pipeline.ClassSource},
		"a row that is none":   {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"items":[null]}`}, class: pipeline.ClassSource},
		"an id that is a word": {entity: "ResourceTimeOffBalances", bodies: map[string]string{"0": `{"items":[{"id":"x"}]}`}, class: pipeline.ClassSource},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
				if strings.Contains(op, "entityInformation") {
					http.NotFound(w, r)
					return true
				}
				part := strings.Split(op, "/")
				if len(part) != 3 {
					return false
				}
				switch body := tt.bodies[part[1]]; body {
				case "":
					return text(w, 404, `{"Message":"No HTTP resource was found that matches the request URI."}`)
				case "-":
					return text(w, 404, "")
				default:
					return text(w, 200, body)
				}
			}
			c, _ := memoryClient(t, f, nil)
			slice := childSlice(t, tt.entity, 0, 5)
			rows, err := readRows(t, c, slice)
			if tt.class != "" {
				wantError(t, err, tt.class)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range rows {
				for key := range row {
					if i < len(tt.want) && tt.want[i][key] == nil {
						delete(row, key)
					}
				}
			}
			if d := cmp.Diff(tt.want, rows); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestChildrenOfTheSimulator reads what it holds of each entity that has no query, page by page.
func TestChildrenOfTheSimulator(t *testing.T) {
	s := simulator(t)
	data := s.Data()
	data.FillOthers(12, 1)
	resource := data.IDs("Resources")[0]
	for range 700 {
		data.Insert("ResourceTimeOffBalances", autotasktest.Fields{"resourceID": resource, "year": 2026})
	}
	c, _ := simulated(t, s, nil)
	for _, e := range schemas.Catalogue() {
		if e.Class != schemas.ClassChild {
			continue
		}
		if _, err := c.Describe(t.Context(), e); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		ids, _, err := readIDs(t.Context(), c, childSlice(t, e.Name, data.IDs(e.Parent)...))
		slices.Sort(ids)
		if d := cmp.Diff(data.IDs(e.Name), ids); err != nil || d != "" || len(ids) < 12 {
			t.Errorf("%s: %v %s", e.Name, err, d)
		}
		if n := s.PeakConcurrency(e.Name); n > 2 {
			t.Errorf("%s: %d requests at a time", e.Name, n)
		}
	}
}

func TestWhatIsReadParentByParentTakesParentsOnly(t *testing.T) {
	c, _ := memoryClient(t, newFake(t), nil)
	for name, change := range map[string]func(*pipeline.Slice){
		"all": func(s *pipeline.Slice) { s.Window = pipeline.Window{} },
		"by id": func(s *pipeline.Slice) {
			id := int64(1)
			s.After = &id
		},
		"by stamp": func(s *pipeline.Slice) { s.Window.Stamps = []string{"date"} },
	} {
		s := childSlice(t, "TicketHistory", 1)
		change(&s)
		if _, err := readRows(t, c, s); pipeline.ClassOf(err) != pipeline.ClassInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.Count(t.Context(), childSlice(t, "TicketHistory", 1))
	wantError(t, err, pipeline.ClassInternal, "can't be counted")
}

func TestAccess(t *testing.T) {
	for body, want := range map[string]pipeline.Access{
		`{"info":{"name":"Ticket","canQuery":true,"userAccessForQuery":"All"}}`:        pipeline.AccessAll,
		`{"info":{"canQuery":true,"userAccessForQuery":"None"}}`:                       pipeline.AccessNone,
		`{"info":{"canQuery":true,"userAccessForQuery":"Restricted"}}`:                 pipeline.AccessRestricted,
		`{"info":{"canQuery":true,"userAccessForQuery":0}}`:                            pipeline.AccessNone,
		`{"info":{"canQuery":true,"userAccessForQuery":1}}`:                            pipeline.AccessAll,
		`{"info":{"canQuery":true,"userAccessForQuery":"2"}}`:                          pipeline.AccessRestricted,
		`{"info":{"canQuery":false,"userAccessForQuery":"All"}}`:                       pipeline.AccessNone,
		`{"Info":{"userAccessForQuery":null}}`:                                         pipeline.AccessUnknown,
		`{"info":{"canQuery":"true","userAccessForQuery":"by the light of the moon"}}`: pipeline.AccessUnknown,
	} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
			return op == "Tickets/entityInformation" && text(w, 200, body)
		}
		c, _ := memoryClient(t, f, nil)
		if got, err := c.Access(t.Context(), entityTable(t, "Tickets").Entity); err != nil || got != want {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
	s := simulator(t)
	c, _ := simulated(t, s, nil)
	tickets := entityTable(t, "Tickets").Entity
	for _, want := range []pipeline.Access{pipeline.AccessAll, pipeline.AccessNone, pipeline.AccessRestricted} {
		switch want {
		case pipeline.AccessNone:
			s.Restrict("Tickets", nil)
		case pipeline.AccessRestricted:
			s.Restrict("Tickets", func(r autotasktest.Row) bool { return r.ID%2 == 0 })
		}
		if got, err := c.Access(t.Context(), tickets); err != nil || got != want {
			t.Errorf("%q, want %q, %v", got, want, err)
		}
	}
	s.Deny("Tickets", autotasktest.Denied500)
	_, err := c.Access(t.Context(), tickets)
	wantError(t, err, pipeline.ClassRights)
	s.RemoveEntity("Tickets")
	_, err = c.Access(t.Context(), tickets)
	wantError(t, err, pipeline.ClassAbsent)
	if got, err := c.Access(t.Context(), entityTable(t, "AccountInvoiceSettings").Entity); got != pipeline.AccessUnknown || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
