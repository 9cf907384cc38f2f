package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// apiRoutes adds the JSON API. docs/status-pages.md lists it, report.go documents its answers.
func (p *Pages) apiRoutes(mux *http.ServeMux) {
	get := func(pattern string, h func(*http.Request) (any, error)) {
		mux.HandleFunc("GET /api/v1/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := h(r)
			if err != nil {
				writeFailure(w, statusOf(err), failureOf(err))
				return
			}
			writeJSON(w, http.StatusOK, v)
		})
	}
	get("overview", func(r *http.Request) (any, error) { return p.readOverview(r.Context()), nil })
	get("alerts", func(*http.Request) (any, error) { return p.control.Alerts(), nil })
	get("quota", func(*http.Request) (any, error) { return p.readQuota(), nil })
	get("tenants/{tenant}", func(r *http.Request) (any, error) {
		t, _, err := p.readTenant(r.Context(), r.PathValue("tenant"))
		return t, err
	})
	get("tenants/{tenant}/entities/{entity}", func(r *http.Request) (any, error) {
		return p.readEntity(r.Context(), r.PathValue("tenant"), r.PathValue("entity"))
	})
	get("tenants/{tenant}/runs/{run}", func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
		if err != nil {
			return nil, notFoundError("there is no such run")
		}
		return p.readRun(r.Context(), r.PathValue("tenant"), id)
	})
	mux.Handle("POST /api/v1/tenants/{tenant}/{action}", p.guard.writable(http.HandlerFunc(p.apiAct)))
}

func (p *Pages) apiAct(w http.ResponseWriter, r *http.Request) {
	tenant, action := r.PathValue("tenant"), r.PathValue("action")
	_, ok := p.control.Tenant(tenant)
	err := error(notFoundError("there is no tenant " + tenant))
	if ok {
		err = p.do(tenant, action)
	}
	if err != nil {
		writeFailure(w, statusOf(err), failureOf(err))
		return
	}
	p.log.Info("asked for through the API", "tenant", tenant, "action", action, "from", clientOf(r))
	writeJSON(w, http.StatusAccepted, Accepted{tenant, action})
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error": "the answer can't be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone
}

func writeFailure(w http.ResponseWriter, status int, f Failure) { writeJSON(w, status, f) }

// fail answers what is refused before anything is looked at: the API in JSON, everybody else in plain text.
func fail(w http.ResponseWriter, r *http.Request, status int, what, remedy string) {
	if isAPI(r) {
		writeFailure(w, status, Failure{Error: what, Remedy: remedy})
		return
	}
	http.Error(w, what+": "+remedy, status)
}
