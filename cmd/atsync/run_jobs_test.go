package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestManyJobsInOneProcess opens and closes the warehouses of several tenants again and again in one process, as a daemon does
// for months, while the source changes, requests fail and the daemon is stopped and started. Every tenant is equal in the end, and
// memory does not grow. ATSYNC_TEST_JOBS=200 does as many rounds.
func TestManyJobsInOneProcess(t *testing.T) {
	t.Parallel()
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("ATSYNC_TEST_JOBS")); err == nil {
		rounds = n
	}
	server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7))
	v := newVictimOf(t, server, killEntities()...)
	r := rand.New(rand.NewPCG(testSeed(t), 9))
	cfg, tenants := v.tenants(2)
	var d *daemon.Daemon
	stop := func() {}
	defer func() { stop() }()
	var memory []int64
	for round := range rounds {
		if round%3 == 0 { // in the middle of its work, but for the first time
			stop()
			d, stop = v.inProcess(cfg)
		}
		v.edit(r)
		server.Fault(autotasktest.Fault{Do: autotasktest.Status(503), Times: 3})
		for _, name := range tenants {
			kind := app.Sync
			if round%5 == 4 {
				kind = app.Verify
			}
			if err := d.Trigger(app.Job{Tenant: name, Kind: kind}); err != nil && !strings.Contains(err.Error(), "already") {
				t.Fatal(err)
			}
		}
		if round%3 != 2 {
			v.idle(d, tenants)
		}
		memory = append(memory, resident(t))
	}
	server.ClearFaults()
	stop()
	d, stop = v.inProcess(cfg)
	for _, name := range tenants {
		if err := d.Trigger(app.Job{Tenant: name, Kind: app.Sync}); err != nil {
			t.Error(err)
		}
	}
	v.idle(d, tenants)
	for _, name := range tenants {
		for _, difference := range differences(filepath.Join(v.dir, "data", name+".duckdb"), server.Data(), killEntities()) {
			t.Errorf("%s: %s", name, difference)
		}
	}
	if n := len(memory) / 4; n >= 10 {
		early, late := peak(memory[n:2*n]), peak(memory[3*n:])
		t.Logf("peak of the second quarter %d KB, of the last %d KB", early, late)
		if float64(late) > 1.1*float64(early) {
			t.Errorf("memory grows: %d KB, then %d KB", early, late)
		}
	}
}

// tenants writes a configuration of n tenants whose schedules never come in this test.
func (v *victim) tenants(n int) (*config.Config, []string) {
	v.Helper()
	file := filepath.Join(v.dir, "config.yaml")
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: ./data\nrun: {max_tenants: 2, catch_up: none}\nsync: {schedule: \"@monthly\", verify: never, entities: [%s]}\ntenants:\n", strings.Join(killEntities(), ", "))
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("acme", i))
		fmt.Fprintf(&b, "  acme%d: {username: %q, integration_code: \"env:CODE\", secret: \"env:SECRET\", url: %q}\n", i, v.server.Username, v.server.BaseURL())
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		v.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		v.Fatal(err)
	}
	return cfg, names
}

// inProcess runs a daemon here, wired as the command does.
func (v *victim) inProcess(cfg *config.Config) (d *daemon.Daemon, stop func()) {
	v.Helper()
	log := slog.New(slog.DiscardHandler)
	e := &env{environ: []string{"CODE=" + v.server.IntegrationCode, "SECRET=" + v.server.Secret}}
	w := e.newWiring(cfg, log)
	d, err := daemon.New(daemon.Options{Config: cfg, Open: w.openSite, Recall: recallFacts, Logger: log})
	if err != nil {
		v.Fatal(err)
	}
	ctx, cancel := context.WithCancel(v.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, func() {
		cancel()
		if err := <-ended; err != nil {
			v.Error(err)
		}
	}
}

// idle waits until no tenant has anything to do.
func (v *victim) idle(d *daemon.Daemon, tenants []string) {
	for busy := true; busy; {
		time.Sleep(5 * time.Millisecond)
		busy = false
		for _, name := range tenants {
			s, _ := d.Tenant(name)
			busy = busy || s.Running != nil || len(s.Waiting) > 0
		}
	}
}

// resident is the memory of this process in KB; 0 where that can't be told.
func resident(t *testing.T) int64 { return memoryOf(t, "VmRSS:") }

// memoryOf returns a line of /proc/self/status in KB: VmRSS is all that is in memory, RssAnon what of it is not the program itself or a file,
// parts of which the system loads and drops as it likes.
func memoryOf(t *testing.T, line string) (kb int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), line)
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}

func peak(list []int64) (most int64) {
	for _, n := range list {
		most = max(most, n)
	}
	return most
}
