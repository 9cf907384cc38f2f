package autotasktest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

func TestSmoke(t *testing.T) {
	s := autotasktest.NewServer()
	defer s.Close()
	s.Data().AddUDF("Tickets", autotasktest.UDF{Name: "Rank"})
	s.Data().Insert("Tickets", autotasktest.Fields{"id": 29296, "title": "a \"b\" ü\n", "estimatedHours": "3.5", "udf:rank": "Gold", "completedDate": "2022-12-07T09:15:45.2Z"})
	for _, p := range []string{"POST /Tickets/query", "GET /Tickets/29296", "GET /tickets/entityinformation/fields", "GET /Version", "GET /Tickets/1", "GET /Tickets"} {
		m, path, _ := strings.Cut(p, " ")
		req, _ := http.NewRequestWithContext(t.Context(), m, s.BaseURL()+path, strings.NewReader(`{"filter":[{"op":"exist","field":"id"}]}`))
		req.Header.Set("ApiIntegrationCode", s.IntegrationCode)
		req.Header.Set("UserName", s.Username)
		req.Header.Set("Secret", s.Secret)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		t.Log(p, resp.Status, resp.Header, string(b[:min(len(b), 2500)]))
	}
}
