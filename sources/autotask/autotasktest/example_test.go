package autotasktest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// Drive the simulator: put rows in, ask for them, change one, let a request fail.
func Example() {
	clock := autotasktest.NewClock(time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC))
	s := autotasktest.NewServer(autotasktest.WithClock(clock.Now))
	defer s.Close()
	ticket := s.Data().Insert("Tickets", autotasktest.Fields{"title": "Printer offline", "status": 1})

	ask := func() string {
		body := `{"filter":[{"op":"exist","field":"id"}],"IncludeFields":["id","status","lastActivityDate"]}`
		req, err := http.NewRequest("POST", s.BaseURL()+"/Tickets/query", strings.NewReader(body))
		if err != nil {
			return err.Error()
		}
		req.Header.Set("ApiIntegrationCode", s.IntegrationCode)
		req.Header.Set("UserName", s.Username)
		req.Header.Set("Secret", s.Secret)
		resp, err := s.Client().Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err.Error()
		}
		row, _, _ := strings.Cut(strings.TrimPrefix(string(b), `{"items":[`), `,"userDefinedFields"`)
		return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", row))
	}
	fmt.Println(ask())

	clock.Advance(time.Hour)
	s.Data().Update("Tickets", ticket, autotasktest.Fields{"status": 5})
	fmt.Println(ask())

	s.Fault(autotasktest.Fault{Entity: "Tickets", Times: 1, Do: autotasktest.Status(503)})
	fmt.Println(ask())
	fmt.Println(len(s.Requests()), "requests")
	// Output:
	// 200 {"id":1,"lastActivityDate":"2026-03-04T09:00:00Z","status":1
	// 200 {"id":1,"lastActivityDate":"2026-03-04T10:00:00Z","status":5
	// 503
	// 3 requests
}

// A believable tenant, the same for everybody.
func ExampleGenerate() {
	d := autotasktest.Generate(autotasktest.Tiny(), 1, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC))
	r, _ := d.Row("Companies", 0)
	fmt.Println(d.Count("Tickets"), "tickets of", r.Raw("companyName"))
	// Output: 120 tickets of "Northwind Managed Services"
}
