package autotasktest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestOptions(t *testing.T) {
	clock := autotasktest.NewClock(noon)
	s := newServer(t, autotasktest.WithClock(clock.Now), autotasktest.WithGenerated(autotasktest.Tiny(), 1), autotasktest.WithVersions("V1.0"))
	if r := request(t, s, "GET", s.URL+"/ATServicesRest/VersionInformation", ""); r.body != `{"apiVersions":["V1.0"]}` {
		t.Errorf("versions %s", r.body)
	}
	rows := s.Data().Rows("Tickets")
	if last := rows[len(rows)-1].Raw("createDate"); !strings.HasPrefix(last, `"2026-03-0`) {
		t.Errorf("the last ticket is of %s, but now is %s", last, noon)
	}
	s.SetClock(func() time.Time { return noon.AddDate(1, 0, 0) })
	if got := s.Data().Insert("Roles", autotasktest.Fields{}); got == 0 || !s.Now().Equal(noon.AddDate(1, 0, 0)) {
		t.Errorf("id %d, now %s", got, s.Now())
	}
	if got := request(t, s, "GET", "/Version", "").header.Get("Date"); got != "Thu, 04 Mar 2027 12:00:00 GMT" {
		t.Errorf("Date %s", got)
	}
}

func TestSetLatency(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := autotasktest.NewHandler()
		h.SetLatency(3 * time.Second)
		start := time.Now()
		direct(h, "GET", "/ATServicesRest/V1.0/Version", "")
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("took %v", got)
		}
		h.Close()
		start = time.Now()
		func() {
			defer func() { _ = recover() }()
			direct(h, "GET", "/ATServicesRest/V1.0/Version", "")
			t.Error("a closed handler answers")
		}()
		if time.Since(start) != 0 {
			t.Error("a closed handler takes its time")
		}
	})
}

// Scaled sizes keep their proportions.
func TestScaled(t *testing.T) {
	d := autotasktest.Generate(autotasktest.Scaled(3000), 1, noon)
	for entity, want := range map[string][2]int{
		"Tickets": {3000, 3000}, "TicketNotes": {5600, 6400}, "TimeEntries": {5600, 6600}, "Resources": {8, 20}, "Roles": {3, 10},
		"ServiceLevelAgreementResults": {2000, 3000}, "BillingItems": {1000, 20000}, "Companies": {20, 60},
	} {
		if n := d.Count(entity); n < want[0] || n > want[1] {
			t.Errorf("%d %s, want %d to %d", n, entity, want[0], want[1])
		}
	}
}

// A child entity that is one object for each parent answers as an item.
func TestChildObject(t *testing.T) {
	s := newServer(t)
	s.Data().Insert("AccountInvoiceSettings", autotasktest.Fields{"id": 5, "taxId": "DE1"})
	r := request(t, s, "GET", "/Companies/5/invoiceSettings", "")
	if r.status != 200 || !strings.HasPrefix(r.body, `{"item":{"`) || !strings.Contains(r.body, `"taxId":"DE1"`) || strings.Contains(r.body, `"id"`) {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := request(t, s, "POST", "/AccountInvoiceSettings/query", existID); r.status != 404 {
		t.Errorf("a query: %d, want 404", r.status)
	}
}

// Answers that are made at the same time do not share memory, compressed or not.
func TestParallelAnswers(t *testing.T) {
	s := newServer(t, autotasktest.WithThreads(0), autotasktest.WithThreshold(0))
	const rows = 60
	for k := range 4 {
		for range rows {
			s.Data().Insert("Tickets", autotasktest.Fields{"companyID": k, "title": strings.Repeat(fmt.Sprint(k), 200)})
		}
	}
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range 25 {
				body := fmt.Sprintf(`{"filter":[{"op":"eq","field":"companyID","value":%d}],"IncludeFields":["id","title"]}`, k)
				r, err := try(t, s, "POST", "/Tickets/query", body)
				if err != nil || strings.Count(r.body, strings.Repeat(fmt.Sprint(k), 200)) != rows || strings.Count(r.body, `"title"`) != rows {
					t.Errorf("company %d, request %d: %v %.200s", k, i, err, r.body)
					return
				}
			}
		})
	}
	wg.Wait()
}
