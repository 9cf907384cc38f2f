package autotask_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

func TestLogin(t *testing.T) {
	f := newFake(t, 1)
	f.used = 124
	c, held := serverClient(t, f, nil)
	login, err := c.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"GET zoneInformation", "GET ThresholdInformation"}, f.requests()); d != "" {
		t.Error(d)
	}
	if login.Threshold != 10000 || login.Used != 124 || login.WindowMins != 60 || login.ZoneName != "AE02" ||
		!strings.HasSuffix(login.BaseURL, "/ATServicesRest/V1.0") || !strings.HasSuffix(login.Database, "/123456") {
		t.Errorf("%+v", login)
	}
	if login.ServerTime.IsZero() || login.ServerTime.Location() != time.UTC {
		t.Errorf("server time %v", login.ServerTime)
	}
	if len(held.told) > 0 {
		t.Errorf("holds %v", held.told)
	}
	if v, err := c.Version(t.Context()); err != nil || v.String() != "2026.3 build 0.0" {
		t.Errorf("%v, %v", v, err)
	}
}

func TestNothingIsSentBeforeTheLogin(t *testing.T) {
	f := newFake(t, sequence(1, 10)...)
	c, _ := serverClient(t, f, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Count(t.Context(), pipeline.Slice{Table: tickets()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	log := f.requests()
	if len(log) != 10 || log[0] != "GET zoneInformation" || log[1] != "GET ThresholdInformation" {
		t.Errorf("%q", log)
	}
}

// TestRefusedLogin runs everything that a run would, many times over: two failed logins are the most.
func TestRefusedLogin(t *testing.T) {
	for _, tc := range []struct {
		name                   string
		username, code, secret string
		hook                   func(w http.ResponseWriter, r *http.Request, op string, n int) bool
		logins                 int
		parts                  []string
	}{
		{"wrong secret", goodUser, goodCode, "wrong$Secret~with#25chars", nil, 1, []string{"HTTP 401", "check --release"}},
		{"wrong code", goodUser, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZ", goodSecret, nil, 1, []string{"HTTP 401"}},
		{"wrong code, older style", goodUser, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZ", goodSecret,
			func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
				return op == "refused" && fail(w, 500, "IntegrationCode is invalid")
			}, 1, []string{"IntegrationCode is invalid"}},
		{"locked user", goodUser, goodCode, goodSecret,
			func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
				return op != "zoneInformation" && unauthorized(w)
			}, 0, []string{"locked"}},
		{"unknown user", "nobody@acme.example", goodCode, goodSecret, nil, 0, []string{"user name is not known", "no login was tried"}},
		{"swapped", goodCode, goodUser, goodSecret, nil, 0, []string{"look swapped"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, 1, 2, 3)
			f.hook = tc.hook
			cfg, _, held := baseConfig(t)
			cfg.Transport, cfg.DiscoveryURL = inMemory{f}, "http://127.0.0.1:8080"
			cfg.Credentials = autotask.NewCredentials(tc.username, tc.code, tc.secret)
			var last error
			for range 5 {
				c := newClient(t, cfg)
				_, last = c.Login(t.Context())
				wantError(t, last, pipeline.ClassAuth, tc.parts...)
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
						wantClass(t, err, pipeline.ClassAuth)
					})
				}
				all.Wait()
				if n := len(held.told); n > 0 {
					cfg.Hold = held.told[n-1]
				}
			}
			if f.refused != tc.logins {
				t.Errorf("%d refused logins, want %d: %q", f.refused, tc.logins, f.requests())
			}
			if n := f.calls("ThresholdInformation"); n > 2 {
				t.Errorf("%d login attempts", n)
			}
			for _, op := range f.requests() {
				if strings.Contains(op, "Tickets") {
					t.Errorf("sent %s", op)
				}
			}
			for _, s := range []string{tc.secret, tc.code} {
				if strings.Contains(last.Error(), s) || cfg.Hold != nil && strings.Contains(cfg.Hold.Reason, s) {
					t.Errorf("the error or hold shows a value: %v, %+v", last, cfg.Hold)
				}
			}
		})
	}
}

func wantClass(t *testing.T, err error, class pipeline.Class) {
	t.Helper()
	if got := pipeline.ClassOf(err); err == nil || got != class {
		t.Errorf("class %s, want %s: %v", got, class, err)
	}
}

func TestHoldSurvivesAndIsLifted(t *testing.T) {
	f := newFake(t, 1)
	wrong := autotask.NewCredentials(goodUser, goodCode, "wrong$Secret~with#25chars")
	c, held := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Credentials = wrong })
	_, err := c.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth)
	if len(held.told) != 1 || held.told[0].Fingerprint != wrong.Fingerprint() || held.told[0].Since.IsZero() {
		t.Fatalf("%+v", held.told)
	}
	before := len(f.requests())

	again, held2 := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Credentials, cfg.Hold = wrong, held.told[0] })
	_, err = again.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth, "on hold since", "nothing was sent", "check --release")
	if n := len(f.requests()); n != before || len(held2.told) != 0 {
		t.Errorf("%d requests were sent on hold, holds %v", n-before, held2.told)
	}

	fixed, held3 := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Hold = held.told[0] })
	if _, err := fixed.Login(t.Context()); err != nil {
		t.Errorf("with other credentials: %v", err)
	}
	if len(held3.told) != 1 || held3.told[0] != nil {
		t.Errorf("the hold was not lifted: %v", held3.told)
	}
}

func TestMissingRightOnOneEntity(t *testing.T) {
	for name, deny := range map[string]func(w http.ResponseWriter) bool{
		"401": unauthorized,
		"403": func(w http.ResponseWriter) bool { return text(w, 403, "") },
		"500": func(w http.ResponseWriter) bool {
			return fail(w, 500, "The logged in Resource does not have the adequate permissions to query this entity type.\r\n ")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 1, 2)
			f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
				return strings.HasPrefix(op, "Contracts/") && deny(w)
			}
			c, held := memoryClient(t, f, nil)
			_, _, err := readIDs(t.Context(), c, pipeline.Slice{Table: table("Contracts")})
			wantError(t, err, pipeline.ClassRights, "acme/Contracts: query:", "View rights")
			if ids, _, err := readIDs(t.Context(), c, pipeline.Slice{}); err != nil || len(ids) != 2 {
				t.Errorf("another entity: %v, %v", ids, err)
			}
			if len(held.told) > 0 {
				t.Errorf("placed a hold: %+v", held.told[0])
			}
			if n := f.calls("Contracts/query"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestMovedZone moves the tenant to another host while it is read, and before it is.
func TestMovedZone(t *testing.T) {
	for _, configured := range []bool{false, true} {
		t.Run(fmt.Sprintf("configured %v", configured), func(t *testing.T) {
			f := newFake(t, sequence(1, 700)...)
			host, moved := "127.0.0.1:1", false
			f.zone = func(*http.Request) string { return "http://" + host + "/ATServicesRest/" }
			f.hook = func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
				if op == "Tickets/query" && n == 2 {
					host, moved = "127.0.0.1:2", true
				}
				return op != "zoneInformation" && moved && r.Host != host && unauthorized(w)
			}
			c, held := memoryClient(t, f, func(cfg *autotask.Config) {
				cfg.DiscoveryURL, cfg.Zone = "http://127.0.0.1:1", ""
				if configured {
					cfg.Zone = "http://127.0.0.1:1"
				}
			})
			ids, _, err := readIDs(t.Context(), c, pipeline.Slice{})
			if err != nil || len(ids) != 700 || len(held.told) > 0 {
				t.Fatalf("%d rows, %v, holds %v", len(ids), err, held.told)
			}
			z, err := c.Zone(t.Context())
			if err != nil || z.BaseURL != "http://127.0.0.1:2/ATServicesRest/V1.0" || z.Configured != configured {
				t.Errorf("%+v, %v", z, err)
			}
		})
	}
}

func TestWrongZone(t *testing.T) {
	f := newFake(t, 1)
	f.zone = func(*http.Request) string { return "http://127.0.0.1:2/ATServicesRest/" }
	f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
		return op != "zoneInformation" && r.Host != "127.0.0.1:2" && unauthorized(w)
	}
	c, held := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Zone = "http://127.0.0.1:1" })
	login, err := c.Login(t.Context())
	if err != nil || login.BaseURL != "http://127.0.0.1:2/ATServicesRest/V1.0" || len(held.told) > 0 {
		t.Errorf("%+v, %v, %v", login, err, held.told)
	}
	want := []string{"GET ThresholdInformation", "GET zoneInformation", "GET ThresholdInformation"}
	if d := cmp.Diff(want, f.requests()); d != "" {
		t.Error(d)
	}
}

// TestMovedAndRefused is the dearest case: two failed logins, then the hold.
func TestMovedAndRefused(t *testing.T) {
	f := newFake(t, 1)
	f.zone = func(*http.Request) string { return "http://127.0.0.1:2/ATServicesRest/" }
	c, held := memoryClient(t, f, func(cfg *autotask.Config) {
		cfg.Zone = "http://127.0.0.1:1"
		cfg.Credentials = autotask.NewCredentials(goodUser, goodCode, "wrong$Secret~with#25chars")
	})
	_, err := c.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth)
	if f.refused != 2 || len(held.told) != 1 {
		t.Errorf("%d refused logins, holds %v", f.refused, held.told)
	}
}

func TestThresholdNotAllowed(t *testing.T) {
	f := newFake(t, 1)
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return op == "ThresholdInformation" && text(w, 403, "")
	}
	c, _ := memoryClient(t, f, nil)
	login, err := c.Login(t.Context())
	if err != nil || login.Threshold != 0 || login.ServerTime.IsZero() {
		t.Errorf("%+v, %v", login, err)
	}
}

func TestNotAutotask(t *testing.T) {
	cfg, _, held := baseConfig(t)
	cfg.Zone = "http://127.0.0.1:8080"
	cfg.Transport = inMemory{http.NotFoundHandler()}
	_, err := newClient(t, cfg).Login(t.Context())
	wantError(t, err, pipeline.ClassConfig, "zone")
	if len(held.told) > 0 {
		t.Error("placed a hold")
	}
}

func TestHoldThatCannotBeKept(t *testing.T) {
	f := newFake(t)
	c, _ := memoryClient(t, f, func(cfg *autotask.Config) {
		cfg.Credentials = autotask.NewCredentials(goodUser, goodCode, "wrong$Secret~with#25chars")
		cfg.OnHold = func(context.Context, *pipeline.Hold) error { return fmt.Errorf("disk full") }
	})
	_, err := c.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth, "disk full")
	_, err = c.Login(t.Context())
	wantError(t, err, pipeline.ClassAuth, "on hold")
	if f.refused != 1 {
		t.Errorf("%d refused logins", f.refused)
	}
}
