package autotasktest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// inBubble runs f in virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// direct calls a handler without a network.
func direct(h *autotasktest.Handler, method, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("ApiIntegrationCode", h.IntegrationCode)
	req.Header.Set("UserName", h.Username)
	req.Header.Set("Secret", h.Secret)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

var _ http.Handler = (*autotasktest.Handler)(nil)
