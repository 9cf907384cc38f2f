package autotasktest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func pagingSet(t *testing.T, n int, opts ...autotasktest.Option) *autotasktest.Server {
	s := newServer(t, opts...)
	for i := range n {
		s.Data().Insert("Roles", autotasktest.Fields{"id": 10 * (i - 2), "name": fmt.Sprint("role ", i)})
	}
	return s
}

// The three ways through a result lead to the same rows.
func TestPagingMethods(t *testing.T) {
	const n = 23
	body := `{"filter":[{"op":"exist","field":"id"}],"MaxRecords":5}`
	t.Run("POST", func(t *testing.T) {
		s := pagingSet(t, n)
		seen, link, first := "", "/Roles/query", true
		for pages := 0; link != ""; pages++ {
			p := parsePage(t, request(t, s, "POST", link, body).body)
			if first != (p.PageDetails.PrevPageURL == nil) {
				t.Errorf("page %d: prevPageUrl %s", pages, deref(p.PageDetails.PrevPageURL))
			}
			seen, first = seen+idList(p), false
			if link = deref(p.PageDetails.NextPageURL); link == "null" {
				link = ""
			} else if strings.Contains(link, "search=") {
				t.Errorf("a POST-born link carries the filter: %s", link)
			}
		}
		if want := wantIDs(n); seen != want {
			t.Errorf("got %s, want %s", seen, want)
		}
	})
	t.Run("GET", func(t *testing.T) {
		s := pagingSet(t, n)
		seen := ""
		for link := searchPath("Roles", body); link != "null"; {
			p := parsePage(t, request(t, s, "GET", link, "").body)
			seen += idList(p)
			link = deref(p.PageDetails.NextPageURL)
		}
		if want := wantIDs(n); seen != want {
			t.Errorf("got %s, want %s", seen, want)
		}
	})
	t.Run("keyset", func(t *testing.T) {
		s := pagingSet(t, n)
		seen, filter := "", `{"op":"exist","field":"id"}`
		for {
			p := parsePage(t, query(t, s, "Roles", `{"filter":[`+filter+`],"MaxRecords":5}`))
			seen += idList(p)
			if len(p.Items) < 5 {
				break
			}
			filter = `{"op":"gt","field":"id","value":` + string(p.Items[4]["id"]) + `}`
		}
		if want := wantIDs(n); seen != want {
			t.Errorf("got %s, want %s", seen, want)
		}
	})
}

func idList(p page) string {
	out := ""
	for _, it := range p.Items {
		out += string(it["id"]) + " "
	}
	return out
}

func wantIDs(n int) string {
	out := ""
	for i := range n {
		out += fmt.Sprint(10*(i-2), " ")
	}
	return out
}

func TestPreviousPage(t *testing.T) {
	s := pagingSet(t, 12)
	body := `{"filter":[{"op":"exist","field":"id"}],"MaxRecords":4}`
	one := parsePage(t, request(t, s, "POST", "/Roles/query", body).body)
	two := parsePage(t, request(t, s, "POST", deref(one.PageDetails.NextPageURL), body).body)
	three := parsePage(t, request(t, s, "POST", deref(two.PageDetails.NextPageURL), body).body)
	back := parsePage(t, request(t, s, "POST", deref(three.PageDetails.PrevPageURL), body).body)
	if idList(back) != idList(two) {
		t.Errorf("previous of page 3: %s, want %s", idList(back), idList(two))
	}
	back = parsePage(t, request(t, s, "POST", deref(back.PageDetails.PrevPageURL), body).body)
	if idList(back) != idList(one) || back.PageDetails.PrevPageURL != nil {
		t.Errorf("previous of page 2: %s, then %s", idList(back), deref(back.PageDetails.PrevPageURL))
	}
}

func TestPageDetails(t *testing.T) {
	s := pagingSet(t, 3)
	got := query(t, s, "Roles", `{"filter":[{"op":"exist","field":"id"}],"MaxRecords":2}`)
	_, details, _ := strings.Cut(got, `"pageDetails":`)
	want := `{"count":2,"requestCount":2,"prevPageUrl":null,"nextPageUrl":"` + s.BaseURL() +
		`/Roles/query/next?paging=%7b%22pageSize%22%3a2%2c%22previousIds%22%3a%5b-1%5d%2c%22nextIds%22%3a%5b-10%5d%7d"}}`
	if details != want {
		t.Errorf("got  %s\nwant %s", details, want)
	}
}

func TestFullLastPage(t *testing.T) {
	body := `{"filter":[{"op":"exist","field":"id"}],"MaxRecords":4}`
	if p := parsePage(t, query(t, pagingSet(t, 4), "Roles", body)); p.PageDetails.NextPageURL != nil {
		t.Errorf("a link behind the last row: %s", deref(p.PageDetails.NextPageURL))
	}
	s := pagingSet(t, 4, autotasktest.WithEmptyLastPage())
	p := parsePage(t, query(t, s, "Roles", body))
	p = parsePage(t, request(t, s, "POST", deref(p.PageDetails.NextPageURL), body).body)
	if len(p.Items) != 0 || p.PageDetails.NextPageURL != nil {
		t.Errorf("the page behind: %d rows, next %s", len(p.Items), deref(p.PageDetails.NextPageURL))
	}
}

func TestPageMethodMustMatch(t *testing.T) {
	s := pagingSet(t, 3)
	body := `{"filter":[{"op":"exist","field":"id"}],"MaxRecords":2}`
	post := deref(parsePage(t, query(t, s, "Roles", body)).PageDetails.NextPageURL)
	if r := request(t, s, "GET", post, ""); r.status != 405 || r.body != `{"Message":"The requested resource does not support http method 'GET'."}` {
		t.Errorf("GET on a POST-born page: %d %s", r.status, r.body)
	}
	get := deref(parsePage(t, request(t, s, "GET", searchPath("Roles", body), "").body).PageDetails.NextPageURL)
	if r := request(t, s, "POST", get, body); r.status != 405 {
		t.Errorf("POST on a GET-born page: %d %s", r.status, r.body)
	}
	if r := request(t, s, "POST", "/Roles/query/next?paging=x", body); r.status != 500 {
		t.Errorf("broken paging: %d", r.status)
	}
}

// A URL of more than 2,048 bytes is a 404 of the web server, also where the simulator made it itself.
func TestLongURL(t *testing.T) {
	s := pagingSet(t, 3)
	filter := func(n int) string {
		return `{"filter":[{"op":"exist","field":"id"},{"op":"noteq","field":"name","value":"` + strings.Repeat("x", n) + `"}],"MaxRecords":2}`
	}
	fits := 2048 - len(s.BaseURL()+searchPath("Roles", filter(0)))
	r := request(t, s, "GET", searchPath("Roles", filter(fits)), "")
	if r.status != 200 {
		t.Fatalf("2,048 bytes: %d", r.status)
	}
	next := deref(parsePage(t, r.body).PageDetails.NextPageURL)
	if _, err := url.Parse(next); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"2,049 bytes": searchPath("Roles", filter(fits+1)), "own second page": next} {
		if r := request(t, s, "GET", path, ""); r.status != 404 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", name, r.status, r.header.Get("Content-Type"))
		}
	}
	if r := request(t, s, "POST", "/Roles/query", filter(5000)); r.status != 200 {
		t.Errorf("the same as a POST: %d", r.status)
	}
}
