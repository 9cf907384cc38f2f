package lockfile_test

import (
	"errors"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/lockfile"
)

// TestAcquireWithoutRoom: a full disk keeps nobody from the lock, nor from being refused.
func TestAcquireWithoutRoom(t *testing.T) {
	const full = "/dev/full" // takes no byte
	release, err := lockfile.Acquire(full, "atsync run", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer release() //nolint:errcheck // nothing was written
	var held *lockfile.HeldError
	if _, err := lockfile.Acquire(full, "atsync run", time.Now()); !errors.As(err, &held) {
		t.Errorf("a second holder: %v", err)
	}
}
