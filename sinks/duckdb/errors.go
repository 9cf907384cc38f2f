package duckdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/atsync/atsync/pipeline"
)

// storageVersion pins the file format that new warehouses get: readable by every DuckDB since 1.0.
const storageVersion = "v1.0.0"

var errOpenHere = errors.New("the file is already open in this process")

// dataSource builds the driver's connection text. Its parser takes the path for a URL, so a path that it would
// split elsewhere is refused.
func dataSource(opts Options) (string, error) {
	if strings.ContainsAny(opts.Path, "?#\x00") {
		return "", fmt.Errorf("the path %q has a character that DuckDB's driver cannot take (? or #)", opts.Path)
	}
	if _, err := url.Parse(opts.Path); err != nil {
		return "", fmt.Errorf("the path %q has a %% that DuckDB's driver cannot take", opts.Path)
	}
	v := url.Values{
		"memory_limit":                  {strconv.Itoa(opts.MemoryMB) + "MB"},
		"threads":                       {strconv.Itoa(opts.Threads)},
		"temp_directory":                {opts.TempDir},
		"storage_compatibility_version": {storageVersion},
		"autoinstall_known_extensions":  {"false"},
		"autoload_known_extensions":     {"false"},
	}
	return opts.Path + "?" + v.Encode(), nil
}

// fail wraps an error once with what is known of it. It keeps an error that is wrapped already, and nil.
func (w *Warehouse) fail(entity, op string, err error) error {
	w.opts.suspect(err)
	return wrap(w.opts, entity, op, err)
}

func openError(opts Options, err error) error { return wrap(opts, "", "open warehouse", err) }

func wrap(opts Options, entity, op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Error](err); ok {
		return err
	}
	class, remedy := diagnose(opts.Path, err)
	return &pipeline.Error{Class: class, Tenant: opts.Tenant, Entity: entity, Op: op, Err: plain(opts.Path, err), Remedy: remedy}
}

// A diagnosis maps a part of DuckDB's error text to what a person can do.
type diagnosis struct{ text, remedy string }

// diagnoses are tried in order, in any case of letters. "%[1]s" is the file, "%[2]s" its folder.
func diagnoses() []diagnosis {
	return []diagnosis{
		{"Could not set lock on file", "another process holds %[1]s: stop it, or wait until it ends"},
		{errOpenHere.Error(), "close the other warehouse of %[1]s first; two tenants cannot share a file"},
		{"different configuration", "%[1]s is open in this process: read the publication instead"},
		{"not a valid DuckDB database", "%[1]s is not a DuckDB file: move it away, then sync again or put a copy of the publication in its place"},
		{"Corrupt database file", "%[1]s is damaged: move it away, then sync again or put a copy of the publication in its place"},
		{"Could not read enough bytes", "%[1]s is damaged: move it away, then sync again or put a copy of the publication in its place"},
		{"Trying to read a database file with version", "%[1]s was written by a newer DuckDB: use the atsync that wrote it, or a newer one"},
		{"database has been invalidated", "start atsync again; nothing committed is lost"},
		{"No space left on device", "free space on the disk of %[2]s"},
		{"File too large", "raise the limit on the size of files (ulimit -f), or free space on the disk of %[2]s"},
		{"Could not write all bytes", "free space on the disk of %[2]s"},
		{"failed to offload data block", "free space on the disk of the temporary folder, or raise the memory limit"},
		{"Out of Memory", "raise the memory limit of the warehouse"},
		{"Read-only file system", "make %[2]s writable"},
		{"read-only mode", "make %[1]s writable for the user that runs atsync"},
		{"Permission denied", "make %[2]s and %[1]s writable for the user that runs atsync"},
		{"Is a directory", "%[1]s is a folder: choose another path"},
		{"Not a directory", "a part of the path %[1]s is a file: choose another path"},
		{"No such file or directory", "create the folder %[2]s"},
	}
}

func diagnose(path string, err error) (pipeline.Class, string) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return pipeline.ClassCanceled, ""
	}
	if errors.Is(err, errBatch) {
		return pipeline.ClassInternal, "report this: the batch is not what the decoder promises"
	}
	text := strings.ToLower(err.Error())
	if errors.Is(err, os.ErrPermission) {
		text += " permission denied"
	}
	if errors.Is(err, syscall.ENOSPC) {
		text += " no space left on device"
	}
	for _, d := range diagnoses() {
		if strings.Contains(text, strings.ToLower(d.text)) {
			return pipeline.ClassSink, strings.NewReplacer("%[1]s", path, "%[2]s", filepath.Dir(path)).Replace(d.remedy)
		}
	}
	return pipeline.ClassSink, "nothing was changed: run again; if it stays, report it with the output of atsync version"
}

// damaged reports whether DuckDB could not make sense of a file.
func damaged(err error) bool {
	return slices.ContainsFunc([]string{"Could not read enough bytes", "Corrupt database file", "not a valid DuckDB database"},
		func(text string) bool { return strings.Contains(err.Error(), text) })
}

func isLocked(err error) bool { return strings.Contains(err.Error(), "Could not set lock on file") }

var conflict = regexp.MustCompile(`Conflicting lock is held in (.+?) \(PID (\d+)\)`)

// plain shortens the errors whose driver text hides the point. Others stay as they are.
func plain(path string, err error) error {
	m := conflict.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	if h, ok := readHolder(path, m[2]); ok {
		return fmt.Errorf("the warehouse is in use by %s", h)
	}
	return fmt.Errorf("the warehouse is in use by %s, process %s", m[1], m[2])
}
