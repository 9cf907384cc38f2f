package duckdb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/atsync/atsync/sinks/duckdb"
)

// TestCancelledStatementsLeaveNothingOpen: a statement that is given up must not keep the instance and its file.
func TestCancelledStatementsLeaveNothingOpen(t *testing.T) {
	for range 10 {
		path := filepath.Join(t.TempDir(), "acme.duckdb")
		w := open(t, path)
		db := duckdb.Database(w)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		begun := make(chan struct{}, 4)
		for range cap(begun) {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if n == 3 {
						begun <- struct{}{}
					}
					var sum int64
					_ = db.QueryRowContext(ctx, `SELECT sum(a.range * ?) FROM range(3000) a, range(10) b`, 2).Scan(&sum)
				}
			})
		}
		for range cap(begun) {
			<-begun
		}
		cancel()
		wg.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if open, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(open, path) {
				t.Fatalf("%s is still open", filepath.Base(open))
			}
		}
	}
}
