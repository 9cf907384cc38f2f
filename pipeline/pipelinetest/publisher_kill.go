package pipelinetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Variables of TestPublisherKilled: the folder in which a child works, and how many times children are killed, if not 8.
const (
	killFolderVariable = "ATSYNC_TEST_KILL_PUBLISHER"
	killsVariable      = "ATSYNC_TEST_KILLS"
)

// KillHarness is a kind of sink with its publisher, made anew in a folder by each process.
type KillHarness struct {
	// Open opens what is in the folder. Close ends it.
	Open func(ctx context.Context, dir string) (s pipeline.Sink, p pipeline.Publisher, closeBoth func() error, err error)

	// Maintain does in a folder, while nothing there is open, whatever maintenance there is: compaction, cutting files anew, pruning.
	Maintain func(ctx context.Context, dir string) error

	// Whole opens what is published in a folder as a fresh reader does who sees one version of all tables; Table, if not nil, as one
	// who looks for a table by itself. What they return is like PublisherHarness.Published.
	Whole, Table func(t *testing.T, dir string) func(t *testing.T, table string, by ...string) ([]map[string]string, bool)
}

// A killed version has so many rows and, to change the cut of files, some more.
const killedRows = 2_500

func killedExtra(version int) int { return version % 7 * 150 }

// KillChild makes this process the one that TestPublisherKilled kills, if it is meant to be: it loads version after version of
// the same rows, publishes each, and maintains. TestMain calls it first.
func KillChild(h KillHarness) {
	dir, ok := os.LookupEnv(killFolderVariable)
	if !ok {
		return
	}
	for {
		if err := loadAndPublish(context.Background(), h, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
}

func loadAndPublish(ctx context.Context, h KillHarness, dir string) (err error) {
	sink, publisher, closeBoth, err := h.Open(ctx, dir)
	if err != nil {
		return err
	}
	st, err := sink.Stream(ctx, widgets().Name)
	for v := int(st.Checkpoint.ParentLoad) + 1; err == nil; v++ {
		if err = loadVersion(ctx, sink, v); err != nil {
			break
		}
		fmt.Println("loaded", v)
		if _, err = publisher.Publish(ctx); err != nil {
			break
		}
		fmt.Println("published", v)
		if v%4 == 0 {
			break
		}
	}
	if err = errors.Join(err, closeBoth()); err != nil {
		return err
	}
	return h.Maintain(ctx, dir)
}

// loadVersion commits a version of all rows; the checkpoint names it.
func loadVersion(ctx context.Context, sink pipeline.Sink, v int) error {
	st, err := sink.Stream(ctx, widgets().Name)
	if err != nil {
		return err
	}
	table := schemas.NewTable(widgets(), nil, st.Columns)
	l, err := sink.Begin(ctx, pipeline.LoadSpec{RunID: 1, Table: table, Class: table.Entity.Class})
	if err != nil {
		return err
	}
	defer func() { _ = l.Abort() }() // after a commit it does nothing
	d := schemas.NewDecoder(table)
	items := make([]string, killedRows+killedExtra(v))
	for id := range items {
		items[id] = widget(int64(id), strconv.Itoa(v), v%60)
	}
	if _, err := d.Decode([]byte(page(items...)), nil); err != nil {
		return err
	}
	rec, _ := d.Flush()
	defer rec.Release()
	if err := l.Stage(ctx, pipeline.Batch{Record: rec, ReadAt: time.Now()}); err != nil {
		return err
	}
	_, err = l.Commit(ctx, pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: int64(v)}})
	return err
}

// TestPublisherKilled kills processes that commit, publish and maintain at random moments. After each a fresh reader sees one
// version, whole, with its checkpoint, and none older than what was acknowledged; at the end, after one more publication, what the
// sink has. ATSYNC_TEST_KILLS says how many times.
func TestPublisherKilled(t *testing.T, h KillHarness) {
	kills := 8
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		kills = n
	}
	dir, seed := t.TempDir(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	seen := 0
	for range kills {
		acked := killOnce(t, dir, time.Duration(random.IntN(500))*time.Millisecond)
		seen = h.version(t, dir, max(seen, acked))
	}
	sink, publisher, closeBoth, err := h.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeBoth() }() // the test is over
	if _, err := publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := sink.Stream(t.Context(), widgets().Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.version(t, dir, seen); got != int(st.Checkpoint.ParentLoad) || got == 0 {
		t.Errorf("published is version %d, the sink has %d", got, st.Checkpoint.ParentLoad)
	}
	t.Logf("%d kills, %d versions", kills, st.Checkpoint.ParentLoad)
}

// killOnce starts a child, kills it a while after its first load, and returns the last version that it said was published.
func killOnce(t *testing.T, dir string, delay time.Duration) (acked int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killFolderVariable+"="+dir)
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
		if text, ok := strings.CutPrefix(lines.Text(), "published "); ok {
			if acked, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acked
}

// version returns the version that readers see, 0 if nothing is published yet.
func (h KillHarness) version(t *testing.T, dir string, least int) int {
	t.Helper()
	table := schemas.TableName(widgets().Name)
	read := h.Whole(t, dir)
	rows, ok := read(t, table, "id")
	if !ok {
		if least > 0 {
			t.Fatalf("nothing is published, but version %d was", least)
		}
		return 0
	}
	v := oneVersion(t, rows)
	if v < least {
		t.Errorf("version %d, acknowledged or seen was %d", v, least)
	}
	if cp, ok := read(t, "_atsync.checkpoints", "entity"); !ok || len(cp) != 1 || cp[0]["parent_load"] != strconv.Itoa(v) {
		t.Errorf("rows of version %d, checkpoint %v", v, cp)
	}
	if h.Table != nil {
		if rows, ok := h.Table(t, dir)(t, table, "id"); ok {
			if by := oneVersion(t, rows); by < v {
				t.Errorf("by the table alone version %d, by all %d", by, v)
			}
		}
	}
	return v
}

// oneVersion holds that rows are those of one version, all of them, and returns which. Rows that only earlier versions had keep theirs.
func oneVersion(t *testing.T, rows []map[string]string) int {
	t.Helper()
	v := 0
	for i, row := range rows {
		n, err := strconv.Atoi(row["name"])
		if err != nil || row["id"] != strconv.Itoa(i) {
			t.Fatalf("row %d: %v", i, row)
		}
		if i == 0 {
			v = n
		}
		if (i < killedRows+killedExtra(v)) != (n == v) {
			t.Fatalf("row %d is of version %d, the first of %d", i, n, v)
		}
	}
	if len(rows) < killedRows+killedExtra(v) {
		t.Fatalf("%d rows of version %d", len(rows), v)
	}
	return v
}
