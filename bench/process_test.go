package bench_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// usage is what one process took.
type usage struct {
	cpu  time.Duration // user and system, children that it waited for included (the copy of a publication)
	wall time.Duration
	peak int64 // largest resident set in bytes; 0 where the system does not tell
}

// least combines two runs of the same work: what disturbs a run only adds time. Of memory the most counts.
func (u usage) least(v usage) usage {
	if u.wall == 0 {
		return v
	}
	return usage{cpu: min(u.cpu, v.cpu), wall: min(u.wall, v.wall), peak: max(u.peak, v.peak)}
}

// measure runs a command to its end.
func measure(b *testing.B, cmd *exec.Cmd) usage {
	b.Helper()
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	if err != nil {
		b.Fatalf("%s: %v", filepath.Base(cmd.Path), err)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.peak = peak(cmd.ProcessState)
	return u
}

// site is a tenant's data folder and configuration, as a user would have them.
type site struct {
	dir string
}

func newSite(b *testing.B, sim *simulator) site { return newSiteWith(b, sim, "") }

// newSiteWith is a site with further lines in its configuration.
func newSiteWith(b *testing.B, sim *simulator, lines string) site {
	b.Helper()
	s := site{dir: b.TempDir()}
	text := lines + fmt.Sprintf("data_dir: ./data\ntenants:\n  acme:\n    username: %s\n    integration_code: %s\n    secret: %q\n    url: %s\n",
		sim.Username, sim.IntegrationCode, sim.Secret, sim.BaseURL)
	if err := os.WriteFile(filepath.Join(s.dir, "config.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return s
}

// warehouse is the private file; only to be opened while no sync runs.
func (s site) warehouse() string { return filepath.Join(s.dir, "data", "work", "acme.duckdb") }

// publication is the file that analysts open.
func (s site) publication() string { return filepath.Join(s.dir, "data", "acme.duckdb") }

// sync runs `atsync sync` for some entities and returns its own report.
func (s site) sync(b *testing.B, entities ...string) (usage, pipeline.Run) {
	b.Helper()
	args := []string{"--config", filepath.Join(s.dir, "config.yaml"), "--json", "sync"}
	for _, e := range entities {
		args = append(args, "--entity", e)
	}
	var out, log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	// ATSYNC_ variables are configuration to the program, and ours are not meant for it.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ATSYNC_") })
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("atsync: %s", log.String())
		}
	})
	u := measure(b, cmd)
	var report struct{ Runs []pipeline.Run }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Runs) != 1 {
		b.Fatalf("report of sync: %v: %s", err, out.String())
	}
	return u, report.Runs[0]
}

// mega is a number of bytes in millions, as the limits are stated.
func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// ratio compares two amounts of work.
func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

// perRow is CPU time in microseconds for each of n rows.
func (u usage) perRow(n int64) float64 { return float64(u.cpu.Microseconds()) / float64(n) }

// verdict puts a figure beside its limit.
func verdict(figure, limit float64) string {
	if figure <= limit {
		return "kept"
	}
	return "NOT KEPT"
}
