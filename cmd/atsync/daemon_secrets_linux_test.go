package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestDaemonKeepsItsSecrets lets a daemon's jobs fail with answers that repeat the credentials, and looks for these, and for the token of its
// pages, in all that it serves, logs and leaves on disk, also when it is made to crash.
func TestDaemonKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	const token = "Zq8v-Wm3x-Kp7c-Rt2n-Yb5h"
	echo := "login with " + oddSecret + " and " + oddCode + " failed"
	server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7), autotasktest.WithCredentials("api@acme.example", oddCode, oddSecret))
	server.Fault(autotasktest.Fault{Entity: "Companies", Op: autotasktest.OpQuery, Do: autotasktest.Errors200(echo)})
	server.Fault(autotasktest.Fault{Entity: "Roles", Do: autotasktest.Status(500, "no permission: "+echo)})
	quoted, err := json.Marshal(echo)
	if err != nil {
		t.Fatal(err)
	}
	server.Fault(autotasktest.Fault{Entity: "Resources", Op: autotasktest.OpQuery, Do: autotasktest.Body(200, "application/json", `{"nothing":`+string(quoted)+`}`)})
	v := newVictimOf(t, server, "Tickets", "Companies", "Roles", "Resources")
	environ := append(v.command(new(bytes.Buffer)).Env, "TOKEN="+token, "ATSYNC_HTTP__TOKEN=env:TOKEN", "GOTRACEBACK=crash")
	program := filepath.Join(t.TempDir(), "atsync")
	v.prepare = func(cmd *exec.Cmd) { // core files as large as they come
		if err := os.Symlink(cmd.Path, program); err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; exec "$0" "$@"`, program}, cmd.Args[1:]...)
	}
	d := v.daemonIn(environ)
	d.says(`"msg":"job ended"`)

	hidden := spellings(oddSecret, oddCode, token)
	looked, seen := 0, map[string]bool{}
	link := regexp.MustCompile(`href="([^"#]+)"`)
	var look func(base, path string)
	look = func(base, path string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.listen+base, nil)
		if err != nil {
			t.Fatal(err)
		}
		if req.URL, err = req.URL.Parse(path); err != nil {
			t.Fatal(err)
		}
		if seen[req.URL.Path] || strings.Contains(req.URL.Path, "/static/") {
			return
		}
		seen[req.URL.Path] = true
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it was read
		if err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %v", req.URL.Path, res.StatusCode, err)
		}
		looked += len(body)
		if found := holds(body, hidden); found != "" {
			t.Errorf("%s holds %s", req.URL.Path, found)
		}
		for _, m := range link.FindAllSubmatch(body, -1) {
			look(req.URL.Path, strings.ReplaceAll(string(m[1]), "&amp;", "&"))
		}
	}
	for _, path := range []string{"/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/overview", "/api/v1/alerts", "/api/v1/quota", "/api/v1/tenants/acme",
		"/api/v1/tenants/acme/runs/1", "/api/v1/tenants/acme/entities/Companies"} {
		look("/", path)
	}
	if len(seen) < 16 || looked < 20_000 {
		t.Errorf("only %d pages with %d bytes: %v", len(seen), looked, seen)
	}

	cores := v.crash(d)
	if found := holds([]byte(d.logged()), hidden); found != "" {
		t.Errorf("the log holds %s", found)
	}
	if err := filepath.WalkDir(v.dir, func(path string, e os.DirEntry, err error) error {
		return fileHolds(path, e, err, hidden)
	}); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(v.dir, "core*")); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
	t.Logf("%d pages, %d bytes; another program leaves a core file here: %v", len(seen), looked, cores)
}

// crash aborts a daemon that runs in the victim's folder and, to see whether programs leave core files here, another one elsewhere.
func (v *victim) crash(d *daemonProcess) (cores bool) {
	v.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(d.cmd.Process.Pid, unix.RLIMIT_CORE, nil, &limit); err != nil || limit != (unix.Rlimit{}) {
		v.Errorf("its core file is not limited: %v %v", limit, err)
	}
	d.signal(syscall.SIGABRT)
	<-d.done
	_ = d.cmd.Wait() // it was aborted
	if d.cmd.ProcessState.Exited() {
		v.Error("it did not crash")
	}
	other := exec.CommandContext(context.WithoutCancel(v.Context()), "sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; kill -ABRT $$`)
	other.Dir = v.TempDir()
	_ = other.Run() // it is aborted
	left, err := filepath.Glob(filepath.Join(other.Dir, "core*"))
	if err != nil {
		v.Fatal(err)
	}
	return len(left) > 0
}
