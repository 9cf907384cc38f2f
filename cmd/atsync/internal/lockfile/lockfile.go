// Package lockfile lets one process at a time do a thing that outlives its hold on the warehouse.
//
// A lock is a file that says who holds it and that the kernel frees when the process ends, however it ends. It
// promises that of two holders the second is refused and told who the first is. It never removes the file, whose
// being there means nothing, and it is no lock between machines.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// HeldError says that another process holds a lock.
type HeldError struct {
	Path   string
	Holder string // "process 4711 on db1 since 2026-03-01T12:00:00Z: Tickets"; empty if it has not said so yet
}

// Error names the holder.
func (e *HeldError) Error() string {
	if e.Holder == "" {
		return e.Path + " is locked by another process"
	}
	return "held by " + e.Holder
}

// Acquire takes the lock at path, whose folder is made if it is missing, and writes into it who holds it and what for, if there is room.
// It does not wait: if another process or another call of this one holds the lock it returns a *HeldError.
func Acquire(path, what string, now time.Time) (release func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	free, err := lock(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !free {
		text, err := io.ReadAll(io.LimitReader(f, 1000))
		if err != nil {
			text = nil
		}
		return nil, errors.Join(&HeldError{Path: path, Holder: strings.TrimSpace(string(text))}, f.Close())
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	text := fmt.Sprintf("process %d on %s since %s: %s\n", os.Getpid(), host, now.UTC().Format(time.RFC3339), what)
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(text), 0) // a full disk leaves it untold who holds the lock, which is held all the same
	}
	return f.Close, nil
}
