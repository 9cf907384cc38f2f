package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// DuckDB writes blocks of its catalog in place, with what is new beside what the last checkpoint still needs. A process that is killed,
// or a machine that loses power, in the middle of such a write leaves a block whose sum is wrong, and a warehouse that nobody can open:
// of some 4,000 processes that were killed while they did nothing but commit, publish and compact, four left one. What its publication has is
// whole, so the warehouse is made anew from that.
const (
	damagedSuffix = ".damaged" // behind the path: the last file that was replaced, with its log
	suspectSuffix = ".suspect" // behind the path: says that a block was found damaged after the file had been opened
)

// torn reports whether an error says that a block of the file is not what was written.
func torn(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "Corrupt database file") || strings.Contains(err.Error(), "Could not read enough bytes"))
}

// suspect notes that an operation has found the file damaged, for the next Open.
func (o Options) suspect(err error) {
	if torn(err) {
		_ = os.WriteFile(o.Path+suspectSuffix, []byte(err.Error()), 0o600) // at worst the next process finds out again
	}
}

// suspected returns what an earlier process has found.
func (o Options) suspected() error {
	text, err := os.ReadFile(o.Path + suspectSuffix)
	if err != nil {
		return nil //nolint:nilerr // there is no such note
	}
	return errors.New(string(text))
}

// mend puts a warehouse that is made from the publication in the place of the damaged file, and reports whether it did; false: there is
// no publication. The old file is kept beside it.
func (o Options) mend(ctx context.Context, damaged os.FileInfo, cause error) (bool, error) {
	part, made, err := o.fromPublication(ctx)
	if err != nil || !made {
		return false, err
	}
	defer func() { _ = os.Remove(part) }() // a second name of the warehouse by then
	aside := o.Path + damagedSuffix
	if now, err := os.Stat(o.Path); err != nil || !os.SameFile(now, damaged) {
		return true, err // another process has mended it
	}
	if err := os.Rename(o.Path, aside); err != nil {
		return false, err
	}
	if moved, err := os.Stat(aside); err == nil && !os.SameFile(moved, damaged) {
		return true, os.Rename(aside, o.Path) // another process has mended it this very moment
	}
	if err := os.Rename(o.Path+".wal", aside+".wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := o.settleIn(part); err != nil {
		return false, err
	}
	if err := os.Remove(o.Path + suspectSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	o.Logger.WarnContext(ctx, "the warehouse was damaged and is made anew from its publication; what was committed since is read again",
		"path", o.Path, "cause", cause, "kept", aside)
	return true, nil
}

// fromPublication makes a warehouse beside the place where it belongs; false: there is no publication. The caller removes it.
func (o Options) fromPublication(ctx context.Context) (part string, made bool, err error) {
	part = fmt.Sprintf("%s.partial-%d-%d", o.Path, os.Getpid(), time.Now().UnixNano())
	if made, err = o.Hydrate(ctx, part); err != nil || !made {
		_ = os.Remove(part) // what there is of it is of no use
	}
	return part, made, err
}

// settleIn gives a warehouse its place, unless another process has put one there in the meantime: a link, unlike a rename, never replaces.
func (o Options) settleIn(part string) error {
	if err := os.Link(part, o.Path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(o.Path))
}

// connectMended connects to the warehouse, after mending it if it is damaged and there is a publication to do that from.
func (o Options) connectMended(ctx context.Context) (*duckdb.Connector, error) {
	file, missing := os.Stat(o.Path)
	if missing != nil {
		return connect(ctx, o)
	}
	connector, err := connect(ctx, o)
	cause := o.suspected()
	switch {
	case torn(err):
		cause = err
	case err != nil || cause == nil:
		return connector, err
	default: // nobody else has it open, nor may this process while it is replaced
		if err := connector.Close(); err != nil {
			return nil, err
		}
	}
	mended, failed := o.mend(ctx, file, cause)
	if failed != nil || torn(err) && !mended {
		return nil, errors.Join(err, failed)
	}
	return connect(ctx, o)
}
