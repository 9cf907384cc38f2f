package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestPractice types what demo --serve says.
func TestPractice(t *testing.T) {
	t.Parallel()
	server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7))
	t.Cleanup(server.Close)
	_, flags, _ := strings.Cut(practice(server), " init ")
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "atsync init "+flags)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
}
