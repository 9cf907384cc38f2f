package duckdb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

// assertLocked proves from another process that the warehouse's lock still holds.
func assertLocked(t *testing.T, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), lockVariable+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "in use by") || !strings.Contains(string(out), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("another process opened the warehouse: %v: %s", err, out)
	}
}

const lockVariable = "ATSYNC_TEST_LOCK"

// lockChild tries to open a warehouse that its parent has open.
func lockChild() {
	path, ok := os.LookupEnv(lockVariable)
	if !ok {
		return
	}
	w, err := duckdb.Open(context.Background(), duckdb.Options{Path: path, Tenant: "acme", LockWait: 200 * time.Millisecond})
	if err != nil {
		fmt.Println(pipeline.ClassOf(err), err)
		os.Exit(1)
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent has seen enough
	_ = w.Close()
	os.Exit(0)
}

// TestOpenWaits: a lock is waited for as long as wanted, and the error names its holder.
func TestOpenWaits(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "acme.duckdb")
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), lockVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	_, err = duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", LockWait: -1})
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Class != pipeline.ClassSink || e.Remedy == "" || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("held: %v", err)
	}
	host, hostErr := os.Hostname()
	if text := err.Error(); hostErr == nil && (!strings.Contains(text, filepath.Base(self)+", process") || !strings.Contains(text, " on "+host+" since 2")) {
		t.Errorf("held by whom, where and since when? %v", err)
	}
	if err := os.WriteFile(path+".holder", []byte(`{"pid":1,"host":"`+host+`","command":"a killed one"}`), 0o600); err != nil { // a killed process's
		t.Fatal(err)
	}
	_, err = duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", LockWait: -1})
	if err == nil || strings.Contains(err.Error(), "killed one") || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("with an old note: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := duckdb.Open(ctx, duckdb.Options{Path: path, Tenant: "acme", LockWait: time.Minute}); pipeline.ClassOf(err) != pipeline.ClassCanceled {
		t.Errorf("canceled: %v", err)
	}
	if err := in.Close(); err != nil { // the child lets go
		t.Fatal(err)
	}
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: path, Tenant: "acme", LockWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
