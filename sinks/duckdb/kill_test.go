package duckdb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
)

const (
	killVariable = "ATSYNC_TEST_KILL" // "path" of the warehouse on which the child works
	workVariable = "ATSYNC_TEST_WORK" // what it does there
	stageMark    = "staged"
	commitMark   = "committing"
)

// killChild makes this process the one that is killed: it loads a version of all rows over and over, and says
// how far it is. Every load's rows carry the load's number, as its checkpoint does.
func killChild() {
	path, ok := os.LookupEnv(killVariable)
	if !ok {
		return
	}
	work := loadForever
	if os.Getenv(workVariable) == "compact" {
		work = compactForever
	}
	if err := work(context.Background(), path); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(3)
}

const killRows = 3000

func loadForever(ctx context.Context, path string) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: path, Tenant: "acme"})
	if err != nil {
		return err
	}
	table := testTable()
	st, err := w.Stream(ctx, table.Entity.Name)
	if err != nil {
		return err
	}
	for n := st.Checkpoint.ParentLoad + 1; ; n++ {
		l, err := w.Begin(ctx, pipeline.LoadSpec{Table: table, Class: schemas.ClassModified})
		if err != nil {
			return err
		}
		batch := makeBatch(table, 0, killRows, int(n))
		if err := l.Stage(ctx, batch); err != nil {
			return err
		}
		batch.Record.Release()
		fmt.Println(stageMark, n)
		fmt.Println(commitMark, n)
		c := pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: n}, Tombstones: []int64{killRows - 1}, Reason: "log"}
		if _, err := l.Commit(ctx, c); err != nil {
			return err
		}
		fmt.Println("committed", n)
	}
}

// TestKill kills a loading process between stage and commit and at many moments within a commit. What is found
// afterwards is one load, whole, and never less than what was acknowledged.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	for round := range 12 {
		mark, ahead, delay := stageMark, int64(2), time.Duration(0)
		switch {
		case round == 0:
			ahead = 1 // in the first load of the table
		case round >= 2:
			mark, delay = commitMark, time.Duration(round-2)*4*time.Millisecond
		}
		acked := killOnce(t, path, fmt.Sprint(mark, " ", lastLoad(t, path)+ahead), delay, "load")
		checkKilled(t, path, acked)
	}
}

func lastLoad(t *testing.T, path string) int64 {
	w := open(t, path)
	defer w.Close()
	st, err := w.Stream(t.Context(), testTable().Entity.Name)
	if err != nil {
		t.Fatal(err)
	}
	return st.Checkpoint.ParentLoad
}

// killOnce starts the child, kills it a while after it printed a line, and returns its last acknowledged load.
func killOnce(t *testing.T, path, line string, delay time.Duration, work string) (acked int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killVariable+"="+path, workVariable+"="+work)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "committed "); ok {
			if _, err := fmt.Sscan(n, &acked); err != nil {
				t.Fatal(err)
			}
		}
		if lines.Text() == line {
			seen = true
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || !seen || exit.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acked
}

func checkKilled(t *testing.T, path string, acked int64) {
	t.Helper()
	w := open(t, path)
	defer w.Close()
	st, err := w.Stream(t.Context(), testTable().Entity.Name)
	if err != nil {
		t.Fatal(err)
	}
	n := st.Checkpoint.ParentLoad
	if n < acked {
		t.Errorf("load %d was acknowledged, the checkpoint says %d", acked, n)
	}
	if n == 0 {
		if st.Columns != nil {
			t.Error("a table without a load")
		}
		return
	}
	got := dump(t, duckdb.Database(w), `(SELECT count(*) AS n, count(DISTINCT id) AS ids, min(name) AS lo, max(name) AS hi,
		count(_deleted_at) AS dead, (SELECT count(*) FROM _atsync.loads) AS loads FROM main.widgets)`)
	name := fmt.Sprint("v", n)
	rows := fmt.Sprint(killRows)
	want := []map[string]string{{"n": rows, "ids": rows, "lo": name, "hi": name, "dead": "1", "loads": fmt.Sprint(n)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after load %d (-want +got):\n%s", n, diff)
	}
}
