package duckdb

import (
	"path/filepath"
	"testing"
)

// TestStagingWays proves that both ways of filling chunks carry every type exactly, and that the direct one is in use.
func TestStagingWays(t *testing.T) {
	w, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "w.duckdb"), Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if !w.feeds.direct {
		t.Error("vectors are not written directly with the linked DuckDB")
	}
	conn, err := w.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, direct := range []bool{true, false} {
		w.feeds.direct = direct
		if err := w.feeds.selfTest(t.Context(), conn); err != nil {
			t.Errorf("direct=%v: %v", direct, err)
		}
	}
	if n := len(w.feeds.open); n != 0 {
		t.Errorf("%d feeds left", n)
	}
}
