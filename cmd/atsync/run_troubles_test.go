package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// post asks a daemon to do something.
func (d *daemonProcess) post(path string, status int) {
	d.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(d.Context()), http.MethodPost, "http://"+d.listen+path, nil)
	if err != nil {
		d.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		d.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != status {
		d.Errorf("%s: %d %v", path, res.StatusCode, err)
	}
}

// troubled starts a daemon that does nothing by itself, once there is a first sync.
func (v *victim) troubled() *daemonProcess {
	v.Helper()
	return v.daemonIn(append(v.command(new(bytes.Buffer)).Env, "ATSYNC_SYNC__VERIFY=never", "ATSYNC_SYNC__MAINTAIN=never"))
}

// sync has the tenant synced and waits for the end, which a part of its line tells.
func (d *daemonProcess) sync(end string) {
	d.Helper()
	d.post("/api/v1/tenants/acme/sync", http.StatusAccepted)
	if line := d.says(`"entities":`); !strings.Contains(line, end) {
		d.Errorf("not %s: %s", end, line)
	}
}

// TestDaemonWaitsForItsWarehouse: a stray process has the warehouse. Jobs fail and name it; when it is gone, the next one goes on, and
// tells of them.
func TestDaemonWaitsForItsWarehouse(t *testing.T) {
	t.Parallel()
	v := newVictimOf(t, autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7)), killEntities()...)
	v.sync()
	v.edit(rand.New(rand.NewPCG(1, 1)))
	met := make(chan struct{}, 100)
	v.server.Fault(autotasktest.Fault{Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.Hang(), When: func(autotasktest.Request) bool {
		met <- struct{}{}
		return true
	}})
	stray := v.command(new(bytes.Buffer))
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	<-met
	d := v.troubled()
	d.sync(fmt.Sprintf(" sync, process %d on ", stray.Process.Pid))
	v.server.ClearFaults()
	_ = stray.Process.Kill() // it hangs
	_ = stray.Wait()         // it was killed
	d.sync(`"job ended"`)
	v.equal("when the stray process is gone")
	if runs := d.get("/api/v1/tenants/acme", http.StatusOK); !strings.Contains(runs, `"status": "failed"`) || !strings.Contains(runs, "the warehouse is in use by") {
		t.Errorf("no run tells of it: %s", runs)
	}
	d.stop()
}

// TestDaemonWaitsForRoom: the disk is full. Each job fails and says so, readers have what they had, and once there is room the next
// job goes on. Where no file system can be mounted, the scripts disk_full*.txtar and package daemon's tests show the same by other means.
func TestDaemonWaitsForRoom(t *testing.T) {
	t.Parallel()
	v := newVictimOf(t, autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7)), killEntities()...)
	data := filepath.Join(v.dir, "data")
	if err := os.Mkdir(data, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := mountTmpfs(data, "40m"); err != nil {
		t.Logf("not shown here: %v", err)
		return
	}
	t.Cleanup(func() {
		if err := tool("umount", "-l", data); err != nil { // what another test has just forked may still hold a file for a moment
			t.Error(err)
		}
	})
	v.sync()
	d := v.troubled()
	ballast := filepath.Join(data, "ballast")
	if err := exec.CommandContext(t.Context(), "sh", "-c", `cat /dev/zero > "$0"`, ballast).Run(); err == nil {
		t.Fatal("the disk is not full")
	}
	v.edit(rand.New(rand.NewPCG(1, 1)))
	for range 2 {
		d.sync("space")
		v.consistent("with a full disk")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d.sync(`"job ended"`)
	v.equal("with room again")
	d.stop()
}
