package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/atsync/atsync/cmd/atsync/internal/web"
)

// pages looks at a daemon's pages and its API, and returns all that they say.
func (d *daemonProcess) pages() string {
	d.Helper()
	var all strings.Builder
	for _, path := range []string{"/", "/quota", "/tenant/acme", "/tenant/acme/entity/Tickets", "/tenant/acme/run/1", "/api/v1/overview", "/api/v1/quota", "/api/v1/tenants/acme"} {
		all.WriteString(d.get(path, http.StatusOK))
	}
	var e web.Entity
	text := d.get("/api/v1/tenants/acme/entities/Tickets", http.StatusOK)
	if err := json.Unmarshal([]byte(text), &e); err != nil || !e.Published || e.Rows == 0 || e.History == nil || len(e.History.Loads) == 0 || e.Trend[len(e.Trend)-1] != e.Rows {
		d.Errorf("%v: %s", err, text)
	}
	var run web.Run
	text = d.get("/api/v1/tenants/acme/runs/1", http.StatusOK)
	if err := json.Unmarshal([]byte(text), &run); err != nil || run.Status != "ok" || len(run.Streams) == 0 || len(run.Loads) == 0 {
		d.Errorf("%v: %s", err, text)
	}
	return all.String() + text
}
