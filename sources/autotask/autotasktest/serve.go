package autotasktest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxURL is the longest URL that the web server takes, in bytes (api.md §3).
const maxURL = 2048

// answer decides on a request: route, login, rights, limits, faults, and then the operation itself.
func (h *Handler) answer(x *exchange) response {
	if len(h.origin(x.r))+len(x.r.URL.RequestURI()) > maxURL {
		return x.fail(&apiError{status: http.StatusNotFound, html: true})
	}
	switch x.route.op {
	case OpZone, OpVersions: // neither login nor limits (api.md §2, §7)
		if resp, done := h.faults.before(x); done {
			return resp
		}
		if x.r.Method != http.MethodGet {
			return x.fail(methodNotAllowed(x.r.Method))
		}
		return h.faults.after(x, h.open(x))
	case OpNone:
		return h.noRoute(x)
	}
	if resp, ok := h.login(x); !ok {
		return resp
	}
	if resp, ok := h.allowed(x); !ok {
		return resp
	}
	leave, refusal := h.limits.enter(x, h.Now())
	if refusal != nil {
		resp := x.fail(refusal)
		resp.header = h.limits.retryAfter(h.Now())
		return resp
	}
	x.leave = leave
	x.ready = time.Now().Add(h.limits.delay(h.Now()))
	if resp, done := h.faults.before(x); done {
		return resp
	}
	if resp, ok := x.methodAllowed(); !ok {
		return resp
	}
	return h.faults.after(x, h.operate(x))
}

// open answers what needs no login.
func (h *Handler) open(x *exchange) response {
	if x.route.op == OpZone {
		return h.serveZone(x)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	b := []byte(`{"apiVersions":[`)
	for i, v := range h.version {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return x.json(append(b, "]}"...))
}

// noRoute answers 405 for a collection's own path, if that takes other verbs, and else 404 (api.md §3).
func (h *Handler) noRoute(x *exchange) response {
	if x.route.bare && x.route.entity != nil && x.route.entity.ChildPath == "" && !h.removed(x.entity()) {
		return x.fail(methodNotAllowed(x.r.Method))
	}
	return x.notFound()
}

// methodAllowed refuses verbs that the operation has not. Rows cannot be written through the simulator.
func (x *exchange) methodAllowed() (response, bool) {
	m := x.r.Method
	switch x.route.op {
	case OpQuery, OpCount, OpNext, OpPrevious:
		if m == http.MethodGet || m == http.MethodPost {
			return response{}, true
		}
	default:
		if m == http.MethodGet {
			return response{}, true
		}
	}
	return x.fail(methodNotAllowed(m)), false
}

func (h *Handler) operate(x *exchange) response {
	switch x.route.op {
	case OpNext, OpPrevious:
		if x.route.parent != "" {
			return h.serveChildren(x)
		}
		return h.serveQuery(x)
	case OpQuery:
		return h.serveQuery(x)
	case OpCount:
		return h.serveCount(x)
	case OpGet:
		return h.serveItem(x)
	case OpChildren:
		return h.serveChildren(x)
	case OpInfo:
		return h.serveInfo(x)
	case OpFields:
		return h.serveFields(x)
	case OpUDFs:
		return h.serveUDFs(x)
	case OpEntities:
		return h.serveEntities(x)
	case OpModules:
		return h.serveModules(x)
	case OpThreshold:
		return h.serveThreshold(x)
	}
	return x.json([]byte(`{"majorVersion":"2026","minorVersion":"3","build":"0.0","customerType":"Customer"}`))
}

// serveThreshold answers ThresholdInformation; the request itself is in the count (api.md §7).
func (h *Handler) serveThreshold(x *exchange) response {
	limit, used := h.limits.usage(h.Now())
	return x.json([]byte(`{"externalRequestThreshold":` + strconv.Itoa(limit) +
		`,"requestThresholdTimeframe":60,"currentTimeframeRequestCount":` + strconv.Itoa(used) + `}`))
}

// Denial is how the service answers a user who may not read an entity. Public sources disagree (api.md §12).
type Denial int

// The ways of denying an entity.
const (
	DeniedNot Denial = iota // allowed
	Denied401               // 401 without a body, as for a bad login
	Denied403               // 403 without a body, as documented
	Denied500               // 500 with a text, as reported
)

// Deny takes the right to an entity away, or with DeniedNot gives it back.
func (h *Handler) Deny(entity string, d Denial) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.denied[strings.ToLower(entity)] = d
}

// allowed answers for entities that the zone has not or the user may not read.
func (h *Handler) allowed(x *exchange) (response, bool) {
	if x.route.entity == nil {
		return response{}, true
	}
	if h.removed(x.entity()) {
		return x.notFound(), false
	}
	h.mu.RLock()
	d := h.denied[strings.ToLower(x.entity())]
	h.mu.RUnlock()
	switch d {
	case Denied401:
		return h.unauthorized(x), false
	case Denied403:
		return response{status: http.StatusForbidden}, false
	case Denied500:
		return x.fail(failf("The logged in Resource does not have the adequate permissions to query this entity type.")), false
	}
	return response{}, true
}
