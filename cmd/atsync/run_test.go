package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// daemonProcess is an atsync run of its own process.
type daemonProcess struct {
	*testing.T
	cmd    *exec.Cmd
	lines  chan string // of its log
	done   chan struct{}
	mu     sync.Mutex
	log    bytes.Buffer
	listen string
}

// daemon starts atsync run and waits until it serves.
func (v *victim) daemon() *daemonProcess {
	v.Helper()
	return v.daemonIn(v.command(new(bytes.Buffer)).Env)
}

// daemonIn is daemon with an environment.
func (v *victim) daemonIn(environ []string) *daemonProcess {
	v.Helper()
	d := &daemonProcess{T: v.T, cmd: v.command(new(bytes.Buffer)), lines: make(chan string, 10000), done: make(chan struct{})}
	d.cmd.Args = append(d.cmd.Args[:len(d.cmd.Args)-1], "--json", "run")
	d.cmd.Env = append(slices.Clip(environ), "ATSYNC_HTTP__LISTEN=127.0.0.1:0")
	d.cmd.Stderr, d.cmd.Dir = nil, v.dir
	if v.prepare != nil {
		v.prepare(d.cmd)
	}
	out, err := d.cmd.StderrPipe()
	if err != nil {
		v.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		v.Fatal(err)
	}
	go func() {
		defer close(d.done)
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.mu.Lock()
			d.log.WriteString(s.Text() + "\n")
			d.mu.Unlock()
			select {
			case d.lines <- s.Text():
			default:
			}
		}
	}()
	v.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it may have ended
		<-d.done
	})
	_, d.listen, _ = strings.Cut(d.says(`"listen":"`), `"listen":"`)
	d.listen, _, _ = strings.Cut(d.listen, `"`)
	return d
}

// says waits for a line of the log.
func (d *daemonProcess) says(part string) string {
	d.Helper()
	for line := range d.lines {
		if strings.Contains(line, part) {
			return line
		}
	}
	d.Fatalf("it ended and never said %s:\n%s", part, d.logged())
	return ""
}

func (d *daemonProcess) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *daemonProcess) signal(s os.Signal) {
	d.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.Fatal(err)
	}
}

// stop asks it to end, which it must do in time and with 0.
func (d *daemonProcess) stop() {
	d.Helper()
	began := time.Now()
	d.signal(syscall.SIGTERM)
	<-d.done
	err := d.cmd.Wait()
	if took := time.Since(began); err != nil || took > 30*time.Second {
		d.Errorf("stopped after %s: %v\n%s", took, err, d.logged())
	}
}

// get returns what it answers.
func (d *daemonProcess) get(path string, status int) string {
	d.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(d.Context()), http.MethodGet, "http://"+d.listen+path, nil)
	if err != nil {
		d.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		d.Errorf("%s: %d %v %s", path, res.StatusCode, err, body)
	}
	return string(body)
}

// TestRun is a day in the life of a daemon: the first sync at once, a second daemon refused, a reload of a broken file, commands beside
// it, a key that was rotated, and the end.
func TestRun(t *testing.T) {
	t.Parallel()
	v := newVictimOf(t, autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7)), killEntities()...)
	d := v.daemon()
	d.says(`"job ended"`)
	v.equal("after the first sync")
	d.get("/-/ready", http.StatusOK)
	metrics := d.get("/metrics", http.StatusOK)
	if !strings.Contains(metrics, `atsync_runs_total{command="sync",status="ok",tenant="acme"} 1`) {
		t.Error("the run is not counted")
	}
	shown := d.pages()
	if !regexp.MustCompile(`"tenant":"acme".*"run_id":1\b`).MatchString(d.logged()) {
		t.Errorf("no line of the log names the run:\n%s", d.logged())
	}

	var second bytes.Buffer
	other := v.command(&second)
	other.Args[len(other.Args)-1] = "run"
	if err := other.Run(); exitCode(err) != "6" || !strings.Contains(second.String(), fmt.Sprintf("held by process %d", d.cmd.Process.Pid)) {
		t.Errorf("a second daemon: %v, %s", err, second.String())
	}
	v.edit(rand.New(rand.NewPCG(1, 1)))
	v.sync() // beside it
	v.equal("after a sync by hand")

	file := filepath.Join(v.dir, "config.yaml")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(whole) + "colour: red\n")
	d.signal(syscall.SIGHUP)
	if line := d.says("not reloaded"); !strings.Contains(line, "config.yaml:6:1: colour: unknown key") {
		t.Error(line)
	}
	write(string(whole))
	d.signal(syscall.SIGHUP)
	d.says("is reloaded")
	if found := holds([]byte(d.logged()+metrics+shown+d.get("/-/healthy", http.StatusOK)), spellings(v.server.Secret, v.server.IntegrationCode)); found != "" {
		t.Errorf("a log or an answer holds %s", found)
	}
	d.stop()
	for line := range strings.Lines(d.logged()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no object: %s", line)
		}
	}
}

// TestTermination ends daemons with SIGTERM at random moments of first loads and of what goes on with them: the process exits
// with 0 each time, readers have a consistent publication or none, and the next one goes on. ATSYNC_TEST_TERM=50 tries as many
// moments.
func TestTermination(t *testing.T) {
	t.Parallel()
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_TERM")); err == nil {
		rounds = n
	}
	v := newVictim(t)
	r := rand.New(rand.NewPCG(testSeed(t), 8))
	stopped := 0
	for round := range rounds {
		d := v.daemon()
		time.Sleep(time.Duration(r.Float64() * float64(700*time.Millisecond)))
		d.stop()
		v.consistent(fmt.Sprint("round ", round))
		switch log := d.logged(); {
		case strings.Contains(log, `"job stopped`):
			stopped++
		case strings.Contains(log, `"job ended"`): // the next one would have nothing to do
			v.equal(fmt.Sprint("after round ", round))
			if err := os.RemoveAll(filepath.Join(v.dir, "data")); err != nil {
				t.Fatal(err)
			}
		}
		v.edit(r)
	}
	t.Logf("%d of %d were stopped at work", stopped, rounds)
	v.sync()
	v.equal("at the end")
}
