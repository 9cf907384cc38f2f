package pipelinetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// How far LoadVersions is, as it says it: "staged 7".
const (
	staged     = "staged"
	committing = "committing"
	committed  = "committed"
)

// A version has so many rows and, to change the cut of files, some more.
const killedRows = 2_500

func killedExtra(version int) int { return version % 7 * 150 }

// LoadVersions commits version after version of the same rows, and says how far it is, until say or the sink returns an error.
// The checkpoint names the version, and so do its rows, of which it deletes the first.
func LoadVersions(ctx context.Context, sink pipeline.Sink, say func(line string) error) error {
	for {
		st, err := sink.Stream(ctx, widgets().Name)
		if err != nil {
			return err
		}
		if err := loadVersion(ctx, sink, int(st.Checkpoint.ParentLoad)+1, say); err != nil {
			return err
		}
	}
}

func loadVersion(ctx context.Context, sink pipeline.Sink, v int, say func(line string) error) error {
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
	for _, moment := range []string{staged, committing} {
		if err := say(fmt.Sprint(moment, " ", v)); err != nil {
			return err
		}
	}
	c := pipeline.Commit{Checkpoint: pipeline.Checkpoint{ParentLoad: int64(v)}, Tombstones: []int64{0}, Reason: "log"}
	if _, err := l.Commit(ctx, c); err != nil {
		return err
	}
	return say(fmt.Sprint(committed, " ", v))
}

// acknowledged returns the last version that lines begin with a word of, 0 if none.
func acknowledged(t *testing.T, lines []string, word string) (version int) {
	t.Helper()
	for _, line := range slices.Backward(lines) {
		if text, ok := strings.CutPrefix(line, word+" "); ok {
			version, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return version
		}
	}
	return 0
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
		if (i < killedRows+killedExtra(v)) != (n == v) || (row[schemas.ColDeletedAt] != "") != (i == 0) {
			t.Fatalf("row %d is of version %d, the first of %d: %v", i, n, v, row)
		}
	}
	if len(rows) < killedRows+killedExtra(v) {
		t.Fatalf("%d rows of version %d", len(rows), v)
	}
	return v
}
