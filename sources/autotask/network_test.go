package autotask_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

// serverClient reads from the fake over HTTP on the loopback; the zone is discovered there.
func serverClient(t *testing.T, f *fake, change func(*autotask.Config)) (*autotask.Client, *holds) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	cfg, _, held := baseConfig(t)
	cfg.DiscoveryURL = server.URL
	cfg.Transport = autotask.NewTransport(nil)
	if change != nil {
		change(&cfg)
	}
	return newClient(t, cfg), held
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + listener.Addr().String()
	_ = listener.Close()
	for _, tc := range []struct {
		name  string
		zone  string
		class pipeline.Class
		parts []string
	}{
		{"refused", dead, pipeline.ClassTransient, []string{"refuses connections", "5 attempts"}},
		{"no such host", "http://no-such-host.localhost:1", pipeline.ClassTransient, []string{"no-such-host.localhost"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _, held := baseConfig(t)
			cfg.Zone = tc.zone
			_, err := newClient(t, cfg).Login(t.Context())
			wantError(t, err, tc.class, tc.parts...)
			if len(held.told) > 0 {
				t.Error("an unreachable host placed a hold")
			}
		})
	}
}

func TestDNSFailure(t *testing.T) {
	cfg, _, _ := baseConfig(t)
	cfg.Zone = "webservices999"
	cfg.Transport = broken{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "webservices999.autotask.net", IsNotFound: true}}}
	_, err := newClient(t, cfg).Login(t.Context())
	wantError(t, err, pipeline.ClassTransient, "host webservices999.autotask.net does not exist", "zone")
}

type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestTLS(t *testing.T) {
	f := newFake(t, 1, 2)
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it complains of the handshake that fails on purpose
	server.StartTLS()
	defer server.Close()
	cfg, _, _ := baseConfig(t)
	cfg.Zone = server.URL
	cfg.Transport = autotask.NewTransport(nil)
	_, err := newClient(t, cfg).Login(t.Context())
	wantError(t, err, pipeline.ClassSource, "no trusted TLS connection", "CA")
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests got through", n)
	}

	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	cfg.Transport = autotask.NewTransport(roots)
	if _, err := newClient(t, cfg).Login(t.Context()); err != nil {
		t.Errorf("with the server's CA: %v", err)
	}

	plain := httptest.NewServer(f)
	defer plain.Close()
	cfg.Zone = "https://" + plain.Listener.Addr().String()
	_, err = newClient(t, cfg).Login(t.Context())
	wantError(t, err, pipeline.ClassSource)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1) }))
	defer foreign.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, at := range []string{"ThresholdInformation", "Tickets/query", "zoneInformation"} {
			f := newFake(t, 1)
			f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
				if op == at {
					http.Redirect(w, r, foreign.URL+"/elsewhere", status)
				}
				return op == at
			}
			c, _ := serverClient(t, f, nil)
			_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
			wantError(t, err, pipeline.ClassSource, "redirect")
		}
	}
	if reached.Load() > 0 {
		t.Errorf("%d redirects were followed", reached.Load())
	}
}

func TestForeignZoneIsNotTrusted(t *testing.T) {
	for _, foreign := range []string{
		"https://evil.example/ATServicesRest/", "http://webservices3.autotask.net/ATServicesRest/", "http://10.0.0.1/ATServicesRest/",
		"https://autotask.net.evil.example/", "https://webservices3.autotask.net@evil.example/ATServicesRest/", "",
	} {
		f := newFake(t, 1)
		f.zone = func(*http.Request) string { return foreign }
		c, _ := serverClient(t, f, nil)
		_, err := c.Login(t.Context())
		wantError(t, err, pipeline.ClassSource)
		for _, line := range f.requests() {
			if line != "GET zoneInformation" {
				t.Errorf("%q: %s", foreign, line)
			}
		}
	}
}

func TestDiscoveryEscapesTheUser(t *testing.T) {
	f := newFake(t)
	f.user = "api+key&x=1 %@acme.example"
	c, _ := serverClient(t, f, func(cfg *autotask.Config) {
		cfg.Credentials = autotask.NewCredentials(f.user, goodCode, goodSecret)
	})
	z, err := c.Zone(t.Context())
	if err != nil || z.Name != "AE02" {
		t.Errorf("%+v, %v", z, err)
	}
}

func TestBrokenConnectionMidBody(t *testing.T) {
	f := newFake(t, sequence(1, 600)...)
	f.hook = func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
		if op != "Tickets/query" || n != 2 {
			return false
		}
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(`{"items":[{"id":501`))
		panic(http.ErrAbortHandler)
	}
	c, _ := serverClient(t, f, nil)
	ids, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	if err != nil || len(ids) != 600 {
		t.Errorf("%d rows, %v", len(ids), err)
	}
}
