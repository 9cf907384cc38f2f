// Package rawpages keeps the pages that a tenant's rows were read from, and makes the rows again of them without a
// request.
//
// A Keeper stands before a pipeline.Sink: every load that commits leaves one file, packed with zstd, with what was asked,
// the pages as Autotask sent them, and what the load committed. The file is durable before the rows are. Replay does
// the same loads again in another warehouse, in the order in which they were committed.
//
// It promises that a load whose pages can't be kept does not commit; that memory does not depend on how much is
// kept; that what a killed process left is not taken for whole; and that files hold neither credentials nor headers,
// only what the API answered, readable for their owner alone. It asks nothing of Autotask and knows no sink.
package rawpages

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

const (
	formatVersion = 1
	suffix        = ".jsonl.zst"
	partial       = ".partial" // behind the name of a file that is not whole
)

// A line of a file is one of these; pages have a form of their own (pageLine).
type line struct {
	Read     *header   `json:"read,omitempty"`     // the first line of a load
	Metadata *metadata `json:"metadata,omitempty"` // the only line of a file of metadata
	Commit   *end      `json:"commit,omitempty"`   // the last line but one of a load
	LoadID   int64     `json:"load_id,omitempty"`  // written once the load was committed; may be missing
}

// header says what was asked for.
type header struct {
	Format      int             `json:"format"`
	Entity      string          `json:"entity"`
	Table       string          `json:"table"`
	Columns     []column        `json:"columns"`
	Run         int64           `json:"run"`
	Class       schemas.Class   `json:"class"`
	Mode        pipeline.Mode   `json:"mode"`
	Window      pipeline.Window `json:"window"`
	Complete    bool            `json:"complete"`
	Fresh       bool            `json:"fresh,omitempty"`
	Part        int64           `json:"part,omitempty"` // of a first load that is stored in parts; 0: it begins here
	MissedSince time.Time       `json:"missed_since,omitzero"`
	Started     time.Time       `json:"started"` // our clock, UTC
}

// column is a schemas.Column with its type.
type column struct {
	schemas.Column
	SQLType string `json:"type"`
}

// metadata is an entity's entityInformation.
type metadata struct {
	Format int               `json:"format"`
	Entity string            `json:"entity"`
	At     time.Time         `json:"at"`
	Fields *schemas.Metadata `json:"fields"`
}

// end says what a load committed beside its rows.
type end struct {
	At          time.Time           `json:"at"` // our clock, UTC
	Pages       int64               `json:"pages"`
	Checkpoint  pipeline.Checkpoint `json:"checkpoint"`
	Flushed     bool                `json:"flushed,omitempty"` // the load goes on in a later file
	Kept        bool                `json:"kept,omitempty"`    // the stored checkpoint stayed as it was (a backfill)
	Tombstones  []int64             `json:"tombstones,omitempty"`
	Reason      string              `json:"reason,omitempty"`
	SourceCount *int64              `json:"source_count,omitempty"`
}

// The parts of a page's line around the time of reading and the page.
const (
	pageBegin  = `{"read_at":"`
	pageMiddle = `","page":`
)

// writePage writes a page as a line. No text of JSON has a line break in it as such, so they may go.
func writePage(w io.Writer, at time.Time, body []byte) error {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	for _, lineBreak := range []string{"\n", "\r"} {
		body = bytes.ReplaceAll(body, []byte(lineBreak), []byte(" "))
	}
	for _, part := range [][]byte{[]byte(pageBegin + at.UTC().Format(time.RFC3339Nano) + pageMiddle), bytes.TrimSpace(body), []byte("}\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// pageLine takes a page's line apart; ok is false for other lines.
func pageLine(text []byte) (at time.Time, body []byte, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte(pageBegin))
	stamp, body, found := bytes.Cut(rest, []byte(pageMiddle))
	if !ok || !found {
		return at, nil, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return at, bytes.TrimSuffix(body, []byte("}")), err == nil
}

func newEncoder(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

// writeLines writes a whole file that has few lines.
func writeLines(path string, lines ...line) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return appendLines(f, lines...)
}

// appendLines writes lines as a zstd frame of their own and makes them durable.
func appendLines(f *os.File, lines ...line) error {
	enc, err := newEncoder(f)
	if err != nil {
		return err
	}
	for _, l := range lines {
		text, err := json.Marshal(l)
		if err != nil {
			return errors.Join(err, enc.Close())
		}
		if _, err := enc.Write(append(text, '\n')); err != nil {
			return errors.Join(err, enc.Close())
		}
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return f.Sync()
}

// readLines hands a file's lines to fn, until that fails. The text is only valid during the call.
func readLines(path string, fn func(text []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return err
	}
	defer dec.Close()
	r := bufio.NewReaderSize(dec, 1<<16)
	for {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the file ends in the middle: %w", err)
		}
		if err := fn(bytes.TrimSuffix(text, []byte("\n"))); err != nil {
			return err
		}
	}
}

// files lists the whole files of an entity, of all of them for "".
func files(dir, entity string) ([]string, error) {
	folders := []string{entity}
	if entity == "" {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		folders = nil
		for _, e := range entries {
			if e.IsDir() {
				folders = append(folders, e.Name())
			}
		}
	}
	var out []string
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
				out = append(out, filepath.Join(dir, folder, e.Name()))
			}
		}
	}
	return out, nil
}

// syncDir makes new names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
