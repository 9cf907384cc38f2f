package autotasktest_test

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestPagesDoNotShareMemory asks for compressed pages side by side: each must arrive whole, as gzip's own
// checksum tells, and the same as the one before.
func TestPagesDoNotShareMemory(t *testing.T) {
	s := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 1), autotasktest.WithThreads(0))
	defer s.Close()
	var wg sync.WaitGroup
	for _, entity := range []string{"Tickets", "TicketNotes", "TimeEntries", "Contacts"} {
		wg.Go(func() {
			var first []byte
			for range 40 {
				body, err := fetch(s, entity)
				if err != nil {
					t.Errorf("%s: %v", entity, err)
					return
				}
				if first == nil {
					first = body
				}
				if !bytes.Equal(first, body) {
					t.Errorf("%s: a page differs from the one before", entity)
					return
				}
			}
		})
	}
	wg.Wait()
}

func fetch(s *autotasktest.Server, entity string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, s.BaseURL()+"/"+entity+"/query", bytes.NewReader([]byte(`{"filter":[{"op":"exist","field":"id"}]}`)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("UserName", s.Username)
	req.Header.Set("Secret", s.Secret)
	req.Header.Set("ApiIntegrationCode", s.IntegrationCode)
	resp, err := s.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
