package autotask

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// NewTransport returns a transport with keep-alive that all tenants can share: TLS 1.2 or newer and always
// verified, proxies taken from the environment, time limits on every step but the answer itself, which the
// client limits per request. A nil rootCAs means the system's.
// It speaks HTTP/1.1: Autotask counts requests as threads, and a connection each keeps their failures apart.
func NewTransport(rootCAs *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: rootCAs},
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       8 << 10,
	}
}
