package autotask_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// TestZoneThatKeepsMoving: a zone lookup that never settles must not feed a login into every answer.
func TestZoneThatKeepsMoving(t *testing.T) {
	f := newFake(t, 1)
	port := 1
	f.zone = func(*http.Request) string { port++; return fmt.Sprintf("http://127.0.0.1:%d/ATServicesRest/", port) }
	logins := 0
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		if op == "zoneInformation" || logins > 20 {
			return false
		}
		logins++
		return unauthorized(w)
	}
	c, held := memoryClient(t, f, nil)
	_, err := c.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth)
	if logins != 2 || len(held.told) != 1 {
		t.Errorf("%d logins, holds %v", logins, held.told)
	}
}

// TestSecretChangedDuringRun: requests that wait while the login is in doubt are not sent.
func TestSecretChangedDuringRun(t *testing.T) {
	f := newFake(t, 1)
	var mu sync.Mutex
	changed, refused := false, 0
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		if op == "zoneInformation" || !changed {
			return false
		}
		refused++
		return unauthorized(w)
	}
	c, held := memoryClient(t, f, nil)
	if _, err := c.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	changed = true
	mu.Unlock()
	_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassAuth, "acme/Tickets: query:")
	for range 20 {
		_, err := c.Describe(t.Context(), &schemas.Entity{Name: "Roles", Path: "Roles"})
		wantError(t, err, pipeline.ClassAuth)
	}
	if refused != 2 || len(held.told) != 1 {
		t.Errorf("%d refused, holds %v", refused, held.told)
	}
}

// TestManyRefusedAtOnce: while one goroutine looks into a refused login, no other request is sent.
func TestManyRefusedAtOnce(t *testing.T) {
	for _, works := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, 1)
			began := time.Now()
			f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
				switch {
				case op == "ThresholdInformation" && n == 1:
					return false
				case op == "ThresholdInformation" && works:
					return false
				}
				time.Sleep(time.Second)
				return op != "zoneInformation" && unauthorized(w)
			}
			c, held := memoryClient(t, f, nil)
			class := pipeline.ClassAuth
			if works {
				class = pipeline.ClassRights
			}
			var all sync.WaitGroup
			read := func(entity string) {
				all.Go(func() {
					_, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table(entity)})
					wantClass(t, err, class)
				})
			}
			read("Tickets")
			read("Roles")
			read("Tasks")
			time.Sleep(1500 * time.Millisecond) // the three are refused, and the zone is being looked up
			read("Late")
			all.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			for i, op := range f.log {
				if at := f.times[i].Sub(began); op == "POST Late/query" && at < 2*time.Second {
					t.Errorf("sent %s after %v, while the login is in doubt", op, at)
				}
			}
			least, most, holds := 0, 0, 1
			if works {
				least, most, holds = 1, 2, 0 // twice, if it was refused while another entity's refusal was looked into
			}
			if n := f.n["Late/query"]; n < least || n > most || len(held.told) != holds {
				t.Errorf("works %v: %d late queries, holds %v, %q", works, f.n["Late/query"], held.told, f.log)
			}
			if n := f.n["ThresholdInformation"]; !works && n != 2 {
				t.Errorf("%d logins tried", n)
			}
		})
	}
}

func TestLoginCannotBeChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 1)
		f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
			return op == "Tickets/query" && unauthorized(w) || op == "ThresholdInformation" && n > 1 && text(w, 503, "")
		}
		c, held := memoryClient(t, f, nil)
		_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
		wantError(t, err, pipeline.ClassTransient, "acme/Tickets: query: HTTP 401", "503")
		if len(held.told) > 0 || f.calls("Tickets/query") != 1 {
			t.Errorf("holds %v, %q", held.told, f.requests())
		}
	})
}
