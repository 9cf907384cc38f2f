//go:build unix

package pipelinetest

import (
	"os/signal"
	"syscall"
	"testing"
)

// TolerateFileLimits makes a file that LimitFiles keeps from growing an error of the write, as on a full disk, in this process and
// those that it starts. TestMain calls it first.
func TolerateFileLimits() { signal.Ignore(syscall.SIGXFSZ) }

// LimitFiles keeps files of this process from growing over so many bytes, until room is called: a disk that fills in the middle.
func LimitFiles(t *testing.T, bytes uint64) (room func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}
