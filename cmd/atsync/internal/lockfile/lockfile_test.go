package lockfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/lockfile"
)

func TestAcquire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work", "acme.backfill.lock")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	release, err := lockfile.Acquire(path, "Tickets, and a text that is longer than the next one's", at)
	if err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.Acquire(path, "TimeEntries", at); !errors.As(err, &held) ||
		!strings.Contains(err.Error(), "since 2026-03-01T12:00:00Z: Tickets") {
		t.Fatalf("a second holder: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = lockfile.Acquire(path, "TimeEntries", at)
	if err != nil {
		t.Fatal(err)
	}
	defer release() //nolint:errcheck // only read
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(text), ": TimeEntries\n") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAcquireNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var held *lockfile.HeldError
	if _, err := lockfile.Acquire(filepath.Join(file, "lock"), "x", time.Now()); err == nil || errors.As(err, &held) {
		t.Errorf("below a file: %v", err)
	}
}
