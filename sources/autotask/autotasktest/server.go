package autotasktest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is a [Handler] that listens on a free port of the loopback interface.
type Server struct {
	*Handler
	URL string // scheme and host: http://127.0.0.1:41234

	listener net.Listener
	server   *http.Server
	served   chan struct{}
	pool     *x509.CertPool
	client   *http.Client
}

// NewServer starts a server; Close stops it. It panics if there is no port to listen on.
func NewServer(opts ...Option) *Server { return start(nil, opts) }

// NewTLSServer starts a server that speaks HTTPS (HTTP/2 and 1.1) with a certificate made on the spot,
// which CertPool trusts.
func NewTLSServer(opts ...Option) *Server {
	cert, pool := selfSigned(time.Now())
	s := start(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, opts)
	s.pool = pool
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return s
}

func start(config *tls.Config, opts []Option) *Server {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("autotasktest: no port to listen on: %v", err))
	}
	s := &Server{Handler: NewHandler(opts...), listener: l, served: make(chan struct{})}
	s.URL = "http://" + l.Addr().String()
	s.server = &http.Server{
		Handler: s.Handler, TLSConfig: config, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // broken connections are what faults are for
	}
	if config != nil {
		s.URL = "https://" + l.Addr().String()
	}
	s.base = s.URL
	s.client = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true}}
	go func() {
		defer close(s.served)
		if config != nil {
			_ = s.server.ServeTLS(l, "", "") // ends with ErrServerClosed
			return
		}
		_ = s.server.Serve(l)
	}()
	return s
}

// BaseURL returns the root of the API, without a slash at the end: http://127.0.0.1:41234/ATServicesRest/V1.0
func (s *Server) BaseURL() string { return s.URL + "/ATServicesRest/V1.0" }

// CertPool returns a pool that trusts the server's certificate; nil if it speaks plain HTTP.
func (s *Server) CertPool() *x509.CertPool { return s.pool }

// Client returns a client that trusts the server. Close closes its idle connections.
func (s *Server) Client() *http.Client { return s.client }

// Close ends all connections and requests and waits for them.
func (s *Server) Close() {
	_ = s.server.Close() // the listener's error, if any, changes nothing
	s.Handler.Close()
	<-s.served
	s.client.CloseIdleConnections()
}
