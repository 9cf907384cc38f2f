package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/sinks/parquet"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestPublishedParquet: pages and metrics tell of the files that readers open, not of the catalog that names them.
func TestPublishedParquet(t *testing.T) {
	t.Parallel()
	v := newVictimOf(t, autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7)), "Tickets", "Roles")
	d := v.daemonIn(append(v.command(new(bytes.Buffer)).Env, "ATSYNC_SINK__TYPE=parquet"))
	d.says(`"job ended"`)
	root := filepath.Join(v.dir, "data", "lake", "acme")
	m, err := parquet.ReadManifest(root)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := os.Stat(filepath.Join(root, parquet.CatalogName))
	if err != nil {
		t.Fatal(err)
	}
	var tenant web.Tenant
	text := d.get("/api/v1/tenants/acme", http.StatusOK)
	if err := json.Unmarshal([]byte(text), &tenant); err != nil || tenant.PublishedBytes != catalog.Size()+m.Bytes() || tenant.Published != filepath.Join(root, parquet.CatalogName) {
		t.Errorf("%v, want %d bytes: %s", err, catalog.Size()+m.Bytes(), text)
	}
	if metrics, want := d.get("/metrics", http.StatusOK), fmt.Sprintf("atsync_publication_bytes{tenant=\"acme\"} %v\n", float64(tenant.PublishedBytes)); !strings.Contains(metrics, want) {
		t.Errorf("the metrics do not have %s", want)
	}
	d.stop()
}

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
