package autotasktest_test

import (
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// Hidden rows are absent from every answer, and only entityInformation says why.
func TestRestrict(t *testing.T) {
	s := newServer(t)
	for id := range 10 {
		s.Data().Insert("Roles", autotasktest.Fields{"id": id})
	}
	look := func() []string {
		return []string{
			query(t, s, "Roles", `{"filter":[{"op":"exist","field":"id"}],"IncludeFields":["id"]}`),
			request(t, s, "POST", "/Roles/query/count", existID).body,
			request(t, s, "GET", "/Roles/5", "").body[:13],
			request(t, s, "GET", "/Roles/entityInformation", "").body,
		}
	}
	for _, tt := range []struct {
		change func()
		want   []string
	}{
		{func() {}, []string{`{"id":5}`, `{"queryCount":10}`, `{"item":{"id"`, `"userAccessForQuery":"All"`}},
		{func() { s.Restrict("Roles", func(r autotasktest.Row) bool { return r.ID < 2 }) }, []string{`[{"id":0},{"id":1}]`, `{"queryCount":2}`, `{"item":null}`, `"userAccessForQuery":"Restricted"`}},
		{func() { s.Restrict("Roles", nil) }, []string{`"items":[]`, `{"queryCount":0}`, `{"item":null}`, `"canQuery":false,"canUpdate":true,"userAccessForCreate":"All","userAccessForDelete":"None","userAccessForQuery":"None"`}},
		{func() { s.Unrestrict("Roles") }, []string{`{"id":5}`, `{"queryCount":10}`, `{"item":{"id"`, `"canQuery":true`}},
	} {
		tt.change()
		for i, got := range look() {
			if !strings.Contains(got, tt.want[i]) {
				t.Errorf("%s, want %s", got, tt.want[i])
			}
		}
	}
}

// Rows without a query are listed below their parent, 500 at a time, and have their metadata at the root.
func TestChildList(t *testing.T) {
	s := newServer(t)
	for range 501 {
		s.Data().Insert("ResourceTimeOffBalances", autotasktest.Fields{"resourceID": 7})
	}
	s.Data().Insert("ResourceTimeOffBalances", autotasktest.Fields{"resourceID": 8})
	first := request(t, s, "GET", "/Resources/7/TimeOffBalances", "")
	if n := strings.Count(first.body, `"resourceID":7`); first.status != 200 || n != 500 {
		t.Fatalf("%d, %d rows", first.status, n)
	}
	_, next, _ := strings.Cut(first.body, `"nextPageUrl":"`)
	next, _, _ = strings.Cut(next, `"`)
	if r := request(t, s, "GET", next, ""); strings.Count(r.body, `"resourceID":7`) != 1 || !strings.Contains(r.body, `"nextPageUrl":null`) {
		t.Errorf("next page %s: %d %.300s", next, r.status, r.body)
	}
	if r := request(t, s, "GET", "/ResourceTimeOffBalances/entityInformation/fields", ""); r.status != 200 || !strings.Contains(r.body, `"resourceID"`) {
		t.Errorf("fields: %d %.300s", r.status, r.body)
	}
	if r := request(t, s, "POST", "/ResourceTimeOffBalances/query", existID); r.status != 404 {
		t.Errorf("a query: %d, want 404", r.status)
	}
	s.RemoveEntity("ResourceTimeOffBalances")
	if r := request(t, s, "GET", "/Resources/7/TimeOffBalances", ""); r.status != 404 {
		t.Errorf("removed: %d, want 404", r.status)
	}
}
