package autotasktest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// newData returns empty data whose clock stands at noon.
func newData() (*autotasktest.Data, *autotasktest.Clock) {
	clock := autotasktest.NewClock(noon)
	d := autotasktest.NewData()
	d.SetClock(clock.Now)
	return d, clock
}

func raw(t *testing.T, d *autotasktest.Data, entity string, id int64, field string) string {
	t.Helper()
	r, ok := d.Row(entity, id)
	if !ok {
		t.Fatalf("no %s %d", entity, id)
	}
	return r.Raw(field)
}

func TestInsertAndRead(t *testing.T) {
	d, _ := newData()
	id := d.Insert("Tickets", autotasktest.Fields{
		"title": "a \"b\"\t\x01\\ ü 😀", "estimatedHours": 3.5, "hoursToBeScheduled": "-0.0001", "status": 5, "companyID": int64(1) << 40,
		"isVisibleToComanaged": true, "completedDate": time.Date(2022, 12, 7, 10, 15, 45, 200e6, time.FixedZone("", 3600)),
		"resolution": nil, "monitorID": json.RawMessage(`1e3`),
	})
	want := map[string]string{
		"ID": "1", "title": `"a \"b\"\t\u0001\\ ü 😀"`, "estimatedHours": "3.5000", "hoursToBeScheduled": "-0.0001", "status": "5",
		"companyID": "1099511627776", "isVisibleToComanaged": "true", "completedDate": `"2022-12-07T09:15:45.2Z"`, "resolution": "null",
		"monitorID": "1e3", "createDate": `"2026-03-04T12:00:00Z"`, "lastActivityDate": `"2026-03-04T12:00:00Z"`, "nonsense": "",
	}
	for field, text := range want {
		if got := raw(t, d, "tickets", id, field); got != text {
			t.Errorf("%s: %s, want %s", field, got, text)
		}
	}
	r, _ := d.Row("Tickets", id)
	d.Update("Tickets", id, autotasktest.Fields{"title": "new"})
	if r.Raw("title") == `"new"` {
		t.Error("a row that was read has changed")
	}
	if !json.Valid([]byte(r.JSON())) {
		t.Errorf("invalid JSON: %s", r.JSON())
	}
	if d.Count("Tickets") != 1 || len(d.Rows("Tickets")) != 1 || len(d.IDs("Tickets")) != 1 {
		t.Error("one row, but the readers disagree")
	}
}

func TestUpdateMovesStamps(t *testing.T) {
	d, clock := newData()
	d.Insert("Tickets", autotasktest.Fields{"id": 1, "title": "x"})
	d.Insert("Invoices", autotasktest.Fields{"id": 1})
	d.Insert("TicketCharges", autotasktest.Fields{"id": 1, "status": 1})
	later := `"2026-03-04T13:00:00.003Z"`
	first := `"2026-03-04T12:00:00Z"`
	clock.Set(noon.Add(time.Hour + 5*time.Millisecond)) // stored on SQL Server's grid, never in the future
	check := func(entity, field, want string) {
		t.Helper()
		if got := raw(t, d, entity, 1, field); got != want {
			t.Errorf("%s.%s: %s, want %s", entity, field, got, want)
		}
	}
	d.UpdateQuietly("Tickets", 1, autotasktest.Fields{"title": "quiet"})
	check("Tickets", "lastActivityDate", first)
	check("Tickets", "title", `"quiet"`)
	d.Update("Tickets", 1, autotasktest.Fields{"title": "loud"})
	check("Tickets", "lastActivityDate", later)
	check("Tickets", "lastTrackedModificationDateTime", later)
	check("Tickets", "createDate", first)
	d.Update("Tickets", 1, autotasktest.Fields{"lastActivityDate": "2020-01-01"})
	check("Tickets", "lastActivityDate", `"2020-01-01T00:00:00Z"`)

	d.Update("Invoices", 1, autotasktest.Fields{"paidDate": noon})
	check("Invoices", "createDateTime", first) // an append-only stamp does not move
	d.Update("TicketCharges", 1, autotasktest.Fields{"unitPrice": 3})
	check("TicketCharges", "statusLastModifiedDate", "null")
	d.Update("TicketCharges", 1, autotasktest.Fields{"status": 2})
	check("TicketCharges", "statusLastModifiedDate", later)
	if d.Update("Tickets", 99, nil) || d.Delete("Tickets", 99) {
		t.Error("a row that does not exist was changed")
	}
}

func TestActivityReachesTheParent(t *testing.T) {
	d, clock := newData()
	d.Insert("Tickets", autotasktest.Fields{"id": 1})
	clock.Advance(time.Hour)
	d.Insert("TicketNotes", autotasktest.Fields{"ticketID": 1})
	if got := raw(t, d, "Tickets", 1, "lastActivityDate"); got != `"2026-03-04T13:00:00Z"` {
		t.Errorf("lastActivityDate %s", got)
	}
	if got := raw(t, d, "Tickets", 1, "lastTrackedModificationDateTime"); got != `"2026-03-04T12:00:00Z"` {
		t.Errorf("lastTrackedModificationDateTime %s: the ticket itself did not change", got)
	}
}

func TestDeleteWritesLogs(t *testing.T) {
	d, _ := newData()
	d.Insert("Tickets", autotasktest.Fields{"id": 7, "title": "gone", "ticketNumber": "T20260304.0001"})
	d.Insert("Tasks", autotasktest.Fields{"id": 8, "taskNumber": "T1"})
	d.Insert("TicketNotes", autotasktest.Fields{"id": 70, "ticketID": 7, "title": "note", "creatorResourceID": 11})
	d.Insert("TimeEntries", autotasktest.Fields{"id": 71, "ticketID": 7, "hoursWorked": 1.5, "resourceID": 12})
	d.Insert("TimeEntries", autotasktest.Fields{"id": 72, "taskID": 8})
	d.Insert("TaskNotes", autotasktest.Fields{"id": 80, "taskID": 8, "title": "task note"})
	d.Insert("Roles", autotasktest.Fields{"id": 1})
	for _, x := range []struct {
		entity string
		id     int64
	}{{"TicketNotes", 70}, {"TimeEntries", 71}, {"TimeEntries", 72}, {"TaskNotes", 80}, {"Roles", 1}, {"Tickets", 7}} {
		if !d.Delete(x.entity, x.id) {
			t.Errorf("%s %d was not there", x.entity, x.id)
		}
		if _, found := d.Row(x.entity, x.id); found {
			t.Errorf("%s %d is still there", x.entity, x.id)
		}
	}
	log := func(entity string, fields ...string) (out []string) {
		for _, r := range d.Rows(entity) {
			var v []string
			for _, f := range fields {
				v = append(v, r.Raw(f))
			}
			out = append(out, strings.Join(v, " "))
		}
		return out
	}
	stamp := `"2026-03-04T12:00:00Z"`
	want := map[string][]string{
		"DeletedTicketLogs":         {`7 "T20260304.0001" "gone" 4 ` + stamp},
		"DeletedTicketActivityLogs": {`2 7 "T20260304.0001" "note" 11 null`, `1 7 "T20260304.0001" null 12 1.5000`},
		"DeletedTaskActivityLogs":   {`1 8 "T1" null null`, `2 8 "T1" "task note" null`},
	}
	got := map[string][]string{
		"DeletedTicketLogs":         log("DeletedTicketLogs", "ticketID", "ticketNumber", "ticketTitle", "deletedByResourceID", "deletedDateTime"),
		"DeletedTicketActivityLogs": log("DeletedTicketActivityLogs", "typeID", "ticketID", "ticketNumber", "noteOrAttachmentTitle", "createdByResourceID", "hoursWorked"),
		"DeletedTaskActivityLogs":   log("DeletedTaskActivityLogs", "typeID", "taskID", "taskNumber", "noteOrAttachmentTitle", "hoursWorked"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
	d.Insert("Tickets", autotasktest.Fields{"id": 9})
	d.DeleteQuietly("Tickets", 9)
	if d.Count("DeletedTicketLogs") != 1 {
		t.Error("DeleteQuietly wrote a log")
	}
}

func TestSchemaChanges(t *testing.T) {
	d, _ := newData()
	s := newServer(t, autotasktest.WithData(d))
	d.AddUDF("Companies", autotasktest.UDF{Name: "Rank"})
	d.AddUDF("Companies", autotasktest.UDF{Name: "Seats", Type: "integer"})
	d.Insert("Companies", autotasktest.Fields{"id": 1, "companyName": "x", "phone": "12", "udf:rank": "Gold", "udf:Seats": "4", "assetValue": 2})
	udfs := func() string {
		_, tail, _ := strings.Cut(query(t, s, "Companies", existID), `"userDefinedFields":`)
		list, _, _ := strings.Cut(tail, `}],"pageDetails"`)
		return list
	}
	steps := []struct {
		name string
		do   func()
		udfs string
	}{
		{"rename", func() { d.RenameUDF("Companies", "Rank", "Customer \"Rank\"") }, `[{"name":"Customer \"Rank\"","value":"Gold"},{"name":"Seats","value":"4"}]`},
		{"add", func() { d.AddUDF("Companies", autotasktest.UDF{Name: "Rank"}) }, `[{"name":"Customer \"Rank\"","value":"Gold"},{"name":"Seats","value":"4"},{"name":"Rank","value":null}]`},
		{"remove", func() { d.RemoveUDF("Companies", "customer \"rank\"") }, `[{"name":"Seats","value":"4"},{"name":"Rank","value":null}]`},
		{"add field", func() {
			d.AddField("Companies", schemas.Field{Name: "aNewField", Type: "string", MaxLength: 9})
			d.UpdateQuietly("Companies", 1, autotasktest.Fields{"aNewField": "n"})
		}, `[{"name":"Seats","value":"4"},{"name":"Rank","value":null}]`},
		{"remove field", func() { d.RemoveField("Companies", "address1") }, `[{"name":"Seats","value":"4"},{"name":"Rank","value":null}]`},
	}
	for _, st := range steps {
		st.do()
		if got := udfs(); got != st.udfs {
			t.Errorf("%s: %s, want %s", st.name, got, st.udfs)
		}
	}
	got := query(t, s, "Companies", existID)
	for _, want := range []string{`"additionalAddressInformation":null,"address2":null`, `"alternatePhone2":null,"aNewField":"n","apiVendorID"`, `"companyName":"x"`, `"phone":"12"`, `"assetValue":2.0000`} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %s:\n%s", want, got)
		}
	}
	d.SetFieldType("Companies", "phone", "integer")
	d.SetFieldType("Companies", "assetValue", "string")
	d.SetFieldType("Companies", "companyName", "datetime")
	for field, want := range map[string]string{"phone": "12", "assetValue": `"2.0000"`, "companyName": "null"} {
		if got := raw(t, d, "Companies", 1, field); got != want {
			t.Errorf("recast %s: %s, want %s", field, got, want)
		}
	}
	meta := request(t, s, "GET", "/Companies/entityInformation/fields", "").body
	if !strings.Contains(meta, `{"name":"phone","dataType":"integer","length":0,`) || !strings.Contains(meta, `{"name":"aNewField","dataType":"string","length":9,`) {
		t.Errorf("metadata does not follow: %s", meta)
	}
	d.HideField("Companies", "aNewField")
	if meta := request(t, s, "GET", "/Companies/entityInformation/fields", "").body; strings.Contains(meta, "aNewField") || !strings.Contains(query(t, s, "Companies", existID), "aNewField") {
		t.Error("a hidden field is in the rows only")
	}
	d.SetQueryable("Companies", "lastActivityDate", false)
	if r := request(t, s, "POST", "/Companies/query", `{"filter":[{"op":"gt","field":"lastActivityDate","value":"2020-01-01"}]}`); r.status != 500 {
		t.Errorf("a field that is not queryable: %d", r.status)
	}
}

func TestPicklists(t *testing.T) {
	d, _ := newData()
	s := newServer(t, autotasktest.WithData(d))
	d.RenameLabel("Tickets", "status", "8", "Doing \"it\"")
	d.SetPicklist("Tickets", "priority", []autotasktest.Choice{{Value: "9", Label: "Only", Inactive: true}})
	d.SetPicklist("Tickets", "queueID", nil)
	meta := request(t, s, "GET", "/Tickets/entityInformation/fields", "").body
	for _, want := range []string{
		`{"value":"8","label":"Doing \"it\"",`,
		`"isPickList":true,"picklistValues":[{"value":"9","label":"Only","isDefaultValue":false,"sortOrder":0,"parentValue":"","isActive":false,"isSystem":false}]`,
	} {
		if !strings.Contains(meta, want) {
			t.Errorf("metadata lacks %s", want)
		}
	}
	if d.Picklist("Tickets", "queueID") != nil || len(d.Picklist("Tickets", "status")) != 10 {
		t.Errorf("queueID %v, status %v", d.Picklist("Tickets", "queueID"), d.Picklist("Tickets", "status"))
	}
	if got := d.Picklist("Tasks", "status")[1].Label; got != "In Progress" {
		t.Errorf("a rename on Tickets reached Tasks: %s", got)
	}
}

func TestMistakesPanic(t *testing.T) {
	d, _ := newData()
	d.Insert("Roles", autotasktest.Fields{"id": 1})
	for name, f := range map[string]func(){
		"there is no entity":        func() { d.Count("Nonsense") },
		"has no field":              func() { d.Insert("Roles", autotasktest.Fields{"nope": 1}) },
		"no user-defined field":     func() { d.Insert("Tickets", autotasktest.Fields{"udf:nope": "1"}) },
		"exists already":            func() { d.Insert("Roles", autotasktest.Fields{"id": 1}) },
		"cannot hold":               func() { d.Insert("Roles", autotasktest.Fields{"isActive": 1}) },
		"cannot be changed":         func() { d.Update("Roles", 1, autotasktest.Fields{"id": 2}) },
		"carries no user-defined":   func() { d.AddUDF("Roles", autotasktest.UDF{Name: "x"}) },
		"has no choice":             func() { d.RenameLabel("Tickets", "status", "77", "x") },
		"has no user-defined field": func() { d.RemoveUDF("Companies", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), name) {
					t.Errorf("got %v, want a panic with %q", r, name)
				}
			}()
			f()
		})
	}
}

// Random edits in random order leave exactly the rows that a plain map holds, in order of ids, and the
// stamps' columns agree with the rows.
func TestStoreAgainstModel(t *testing.T) {
	d, clock := newData()
	s := newServer(t, autotasktest.WithData(d), autotasktest.WithThreshold(0))
	model := map[int64]string{}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		id := int64(r.IntN(400)) - 100
		d.SetClock(clock.Now)
		clock.Advance(time.Second)
		text := fmt.Sprint(i, strings.Repeat("é", r.IntN(40)))
		_, exists := model[id]
		switch {
		case exists && r.IntN(3) == 0:
			d.Delete("Tickets", id)
			delete(model, id)
		case exists:
			d.Update("Tickets", id, autotasktest.Fields{"title": text})
			model[id] = text
		default:
			d.Insert("Tickets", autotasktest.Fields{"id": id, "title": text})
			model[id] = text
		}
	}
	got := map[int64]string{}
	for _, row := range d.Rows("Tickets") {
		var title string
		if err := json.Unmarshal([]byte(row.Raw("title")), &title); err != nil {
			t.Fatal(err)
		}
		got[row.ID] = title
	}
	if diff := cmp.Diff(model, got); diff != "" || !slices.IsSorted(d.IDs("Tickets")) {
		t.Errorf("rows (-model +store):\n%s", diff)
	}
	since := clock.Now().Add(-500 * time.Second)
	want := 0
	for _, row := range d.Rows("Tickets") {
		if at, err := time.Parse(`"2006-01-02T15:04:05.999Z"`, row.Raw("lastActivityDate")); err != nil {
			t.Fatal(err)
		} else if !at.Before(since) {
			want++
		}
	}
	body := `{"filter":[{"op":"gte","field":"lastActivityDate","value":"` + since.Format(time.RFC3339) + `"}]}`
	if got := request(t, s, "POST", "/Tickets/query/count", body).body; got != fmt.Sprintf(`{"queryCount":%d}`, want) || want == 0 {
		t.Errorf("%s, want %d", got, want)
	}
}

// Readers and writers at once; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	s := newServer(t, autotasktest.WithThreads(0), autotasktest.WithThreshold(0))
	d := s.Data()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 40 {
				id := int64(w*1000 + i)
				d.Insert("Tickets", autotasktest.Fields{"id": id, "title": "x"})
				d.Update("Tickets", id, autotasktest.Fields{"title": "y"})
				if i%10 == 0 {
					d.RenameLabel("Tickets", "status", "8", fmt.Sprint(w, i))
					d.Delete("Tickets", id)
				}
			}
		})
		wg.Go(func() {
			for range 8 {
				if p := parsePage(t, query(t, s, "Tickets", existID)); !slices.IsSortedFunc(p.Items, byID) {
					t.Error("ids out of order")
				}
				request(t, s, "GET", "/Tickets/entityInformation/fields", "")
			}
		})
	}
	d.AddUDF("Tickets", autotasktest.UDF{Name: "Late"})
	wg.Wait()
	if d.Count("Tickets") != 144 {
		t.Errorf("%d rows, want 144", d.Count("Tickets"))
	}
}

func byID(a, b map[string]json.RawMessage) int {
	var x, y int64
	if json.Unmarshal(a["id"], &x) != nil || json.Unmarshal(b["id"], &y) != nil {
		return 1
	}
	return int(x - y)
}
