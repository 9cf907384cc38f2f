package parquet_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

const (
	killVariable  = "ATSYNC_TEST_KILL"  // folder in which the child works
	killsVariable = "ATSYNC_TEST_KILLS" // how many times the child is killed; 12 by default
)

// killChild makes this process the one that is killed: it loads a version of all rows and publishes it, over and over.
func killChild() {
	dir, ok := os.LookupEnv(killVariable)
	if !ok {
		return
	}
	if err := publishForever(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(3)
}

// killFolders are where the child keeps its warehouse and publication.
func killFolders(dir string) (path, out string) {
	return filepath.Join(dir, "work", "acme.duckdb"), filepath.Join(dir, "lake", "acme")
}

func publishForever(ctx context.Context, dir string) error {
	path, out := killFolders(dir)
	w, err := duckdb.Open(ctx, duckdb.Options{Path: path, Tenant: "acme"})
	if err != nil {
		return err
	}
	st, err := w.Stream(ctx, items().Name)
	if err != nil {
		return err
	}
	p := parquet.NewPublisher(w, parquet.Options{Folder: out, Tenant: "acme", Grace: -1})
	for v := int(st.Checkpoint.ParentLoad) + 1; ; v++ {
		ids := upTo(0, 5_000)
		if v%2 == 0 { // every other version recuts the table's files as well
			ids = upTo(0, 5_000+int64(v%50)*100)
		}
		if err := load(ctx, w, v, ids...); err != nil {
			return err
		}
		fmt.Println("loaded", v)
		if _, err := p.Publish(ctx); err != nil {
			return err
		}
		fmt.Println("published", v)
		if v%3 == 0 {
			if _, err := p.Recut(ctx); err != nil {
				return err
			}
		}
	}
}

// TestKill kills a publishing process at random moments. A reader then finds one version, whole, and never less than what
// was acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path, out := killFolders(dir)
	kills := 12
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		acked := killOnce(t, dir, time.Duration(random.IntN(400))*time.Millisecond)
		if _, err := os.Stat(filepath.Join(out, parquet.CatalogName)); err != nil {
			continue // killed before the first publication
		}
		checkVersion(t, out, acked)
	}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	p := parquet.NewPublisher(w, parquet.Options{Folder: out, Tenant: "acme", Grace: -1})
	if _, err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := w.Stream(t.Context(), items().Name)
	if err != nil {
		t.Fatal(err)
	}
	checkVersion(t, out, int(st.Checkpoint.ParentLoad))
	left, err := filepath.Glob(filepath.Join(out, ".generations", "items", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// killOnce starts the child, kills it a while after its first load, and returns the last version that it said was published.
func killOnce(t *testing.T, dir string, delay time.Duration) (acked int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killVariable+"="+dir)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	armed := false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if !armed {
			armed = true
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
		var v int
		if _, err := fmt.Sscanf(lines.Text(), "published %d", &v); err == nil {
			acked = v
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acked
}

// checkVersion reads as both kinds of readers do: all rows are of one version; by the catalog the checkpoint is, too.
func checkVersion(t *testing.T, out string, acked int) {
	t.Helper()
	for name, open := range map[string]func(*testing.T, string) reader{"catalog": byCatalog, "link": byLink} {
		rows, ok := open(t, out)(t, `items`)
		if !ok {
			continue // killed between a link and the next, the first time
		}
		versions, ids := map[int]int{}, map[string]bool{}
		for _, row := range rows {
			var id, v int
			if _, err := fmt.Sscanf(row["title"], "item %d, version %d", &id, &v); err != nil {
				t.Fatal(err)
			}
			if id < 5_000 {
				versions[v]++
			}
			ids[row["id"]] = true
		}
		newest := 0
		for v := range versions {
			newest = v
		}
		if len(versions) != 1 || versions[newest] != 5_000 || len(ids) != len(rows) || newest < acked {
			t.Errorf("by %s: versions %v in %d rows, %d ids; acknowledged %d", name, versions, len(rows), len(ids), acked)
		}
		if name == "catalog" {
			cp, _ := open(t, out)(t, `_atsync.checkpoints`, "entity")
			if len(cp) != 1 || cp[0]["parent_load"] != strconv.Itoa(newest) {
				t.Errorf("rows of version %d, checkpoint %v", newest, cp)
			}
		}
	}
}
