package autotasktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestFaultSchedule(t *testing.T) {
	s := newServer(t)
	f := s.Fault(autotasktest.Fault{Entity: "tickets", Op: autotasktest.OpQuery, After: 2, Every: 2, Times: 2, Do: autotasktest.Status(503)})
	got := ""
	for range 9 {
		request(t, s, "GET", "/Tickets/1", "") // matches neither …
		request(t, s, "POST", "/Roles/query", existID)
		if request(t, s, "POST", "/Tickets/query", existID).status == 503 {
			got += "x"
		} else {
			got += "."
		}
	}
	if got != "...x.x..." || f.Hits() != 2 {
		t.Errorf("got %s with %d hits, want ...x.x...", got, f.Hits())
	}
	second := s.Fault(autotasktest.Fault{When: func(r autotasktest.Request) bool { return r.ID == 5 }, Do: autotasktest.Status(500, "five")})
	if r := request(t, s, "GET", "/Tickets/5", ""); r.body != `{"errors":["five"]}` {
		t.Errorf("got %s", r.body)
	}
	second.Remove()
	if r := request(t, s, "GET", "/Tickets/5", ""); r.status != 200 {
		t.Errorf("after Remove: %d", r.status)
	}
	s.Fault(autotasktest.Fault{Do: autotasktest.Status(500)})
	s.ClearFaults()
	if r := request(t, s, "GET", "/Version", ""); r.status != 200 {
		t.Errorf("after ClearFaults: %d", r.status)
	}
}

func TestFaultAnswers(t *testing.T) {
	tests := []struct {
		name   string
		do     autotasktest.Action
		status int
		check  func(reply) bool
	}{
		{"status", autotasktest.Status(502), 502, func(r reply) bool { return r.body == "" }},
		{"errors", autotasktest.Status(500, "a", "b\"c"), 500, func(r reply) bool { return r.body == `{"errors":["a","b\"c"]}` }},
		{"errors in a 200", autotasktest.Errors200("a"), 200, func(r reply) bool { return r.body == `{"errors":["a"]}` }},
		{"html", autotasktest.HTML(503), 503, func(r reply) bool { return strings.HasPrefix(r.body, "<html>") }},
		{"empty", autotasktest.EmptyBody(), 200, func(r reply) bool { return r.body == "" }},
		{"body", autotasktest.Body(200, "text/plain", "hello"), 200, func(r reply) bool { return r.body == "hello" }},
		{"rate limit", autotasktest.RateLimited("7"), 429, func(r reply) bool { return r.header.Get("Retry-After") == "7" }},
		{"broken JSON", autotasktest.InvalidJSON(), 200, func(r reply) bool { return !json.Valid([]byte(r.body)) && strings.HasPrefix(r.body, `{"items":[`) }},
		{"drip", autotasktest.Drip(700, time.Microsecond), 200, func(r reply) bool { return len(parseIDs(r.body)) == 5 }},
		{"delay", autotasktest.Delay(time.Microsecond), 200, func(r reply) bool { return len(parseIDs(r.body)) == 5 }},
		{"falling ids", autotasktest.UnorderedIDs(), 200, func(r reply) bool { return strings.Join(parseIDs(r.body), "") == "54321" }},
		{"no id", autotasktest.RowWithoutID(), 200, func(r reply) bool { return strings.Join(parseIDs(r.body), "") == "1245" }},
		{"wrong type", autotasktest.WrongType("estimatedHours", `"abc"`), 200, func(r reply) bool {
			return strings.Count(r.body, `"estimatedHours":"abc"`) == 1 && strings.Count(r.body, `"estimatedHours":null`) == 4 && json.Valid([]byte(r.body))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			for range 5 {
				s.Data().Insert("Tickets", autotasktest.Fields{"title": "x"})
			}
			s.Fault(autotasktest.Fault{Do: tt.do})
			if r := request(t, s, "POST", "/Tickets/query", existID); r.status != tt.status || !tt.check(r) {
				t.Errorf("got %d %v %.400s", r.status, r.header, r.body)
			}
		})
	}
}

// parseIDs lists the ids of the rows that have one.
func parseIDs(body string) (out []string) {
	var p page
	if json.Unmarshal([]byte(body), &p) != nil {
		return nil
	}
	for _, it := range p.Items {
		if id, ok := it["id"]; ok {
			out = append(out, string(id))
		}
	}
	return out
}

func TestFaultPages(t *testing.T) {
	s := pagingSet(t, 6)
	s.Fault(autotasktest.Fault{After: 1, Times: 1, Do: autotasktest.DuplicatePage()})
	s.Fault(autotasktest.Fault{Op: autotasktest.OpCount, Do: autotasktest.Body(200, "application/json", `{"queryCount":99}`)})
	body := func(filter string) string { return `{"filter":[` + filter + `],"MaxRecords":3}` }
	one := parsePage(t, query(t, s, "Roles", body(`{"op":"exist","field":"id"}`)))
	again := parsePage(t, query(t, s, "Roles", body(`{"op":"gt","field":"id","value":0}`)))
	if idList(again) != idList(one) {
		t.Errorf("got %s, want the first page %s again", idList(again), idList(one))
	}
	s.ClearFaults()
	s.Fault(autotasktest.Fault{Do: autotasktest.ForeignNextURL("https://elsewhere.example/steal")})
	if p := parsePage(t, query(t, s, "Roles", body(`{"op":"exist","field":"id"}`))); deref(p.PageDetails.NextPageURL) != "https://elsewhere.example/steal" {
		t.Errorf("next %s", deref(p.PageDetails.NextPageURL))
	}
}

func TestBrokenConnections(t *testing.T) {
	for name, do := range map[string]autotasktest.Action{"reset": autotasktest.Reset(), "truncate": autotasktest.Truncate()} {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := autotasktest.NewServer()
				if secure {
					s.Close()
					s = autotasktest.NewTLSServer()
				}
				t.Cleanup(s.Close)
				s.Data().Insert("Tickets", autotasktest.Fields{"title": strings.Repeat("x", 200)})
				f := s.Fault(autotasktest.Fault{Op: autotasktest.OpQuery, Do: do})
				r, err := try(t, s, "POST", "/Tickets/query", existID)
				if err == nil {
					t.Errorf("no error, but %d %.80s", r.status, r.body)
				}
				if name == "truncate" && !secure && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want an unexpected end", err)
				}
				f.Remove()
				if r := request(t, s, "POST", "/Tickets/query", existID); r.status != 200 {
					t.Errorf("afterwards: %d", r.status)
				}
			})
		}
	}
}

func TestHang(t *testing.T) {
	s := newServer(t)
	seen := make(chan struct{}, 2)
	s.Fault(autotasktest.Fault{When: func(autotasktest.Request) bool { seen <- struct{}{}; return true }, Do: autotasktest.Hang()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() {
		_, err := try(t, s, "GET", "/Tickets/1", "", func(r *http.Request) { *r = *r.WithContext(ctx) })
		done <- err
	}()
	<-seen
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() {
		_, err := try(t, s, "GET", "/Tickets/1", "")
		done <- err
	}()
	<-seen
	s.Close()
	if err := <-done; err == nil {
		t.Error("the server closed, but the request got an answer")
	}
}

func TestCall(t *testing.T) {
	s := newServer(t)
	s.Fault(autotasktest.Fault{Times: 1, Do: autotasktest.Call(func(r autotasktest.Request) {
		s.Data().Insert(r.Entity, autotasktest.Fields{"title": "born in the middle"})
	})})
	if got := ids(t, s, "Tickets", `{"op":"exist","field":"id"}`); got != "1" {
		t.Errorf("got %s", got)
	}
}
