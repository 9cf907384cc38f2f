package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// killFolderVariable names the folder in which a child of TestPublisherKilled works.
const killFolderVariable = "ATSYNC_TEST_KILL_PUBLISHER"

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

func tell(line string) error {
	_, err := fmt.Println(line)
	return err
}

func loadAndPublish(ctx context.Context, h KillHarness, dir string) (err error) {
	sink, publisher, closeBoth, err := h.Open(ctx, dir)
	if err != nil {
		return err
	}
	st, err := sink.Stream(ctx, widgets().Name)
	for v := int(st.Checkpoint.ParentLoad) + 1; err == nil; v++ {
		if err = loadVersion(ctx, sink, v, tell); err != nil {
			break
		}
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

// TestPublisherKilled kills processes that commit, publish and maintain at random moments. After each a fresh reader sees one
// version, whole, with its checkpoint, and none older than what was acknowledged; at the end, after one more publication, what the
// sink has. ATSYNC_TEST_KILLS says how many times.
func TestPublisherKilled(t *testing.T, h KillHarness) {
	dir, random, seen := t.TempDir(), seeded(t), 0
	kills := Kills(8)
	for range kills {
		lines := KillProcess(t, []string{killFolderVariable + "=" + dir}, committed, time.Duration(random.IntN(500))*time.Millisecond)
		seen = h.version(t, dir, max(seen, acknowledged(t, lines, "published")))
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
