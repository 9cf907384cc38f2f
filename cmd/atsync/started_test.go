package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestGettingStarted does what the page tells a newcomer, word for word, from an empty folder: with the values of the simulator's
// API user in place of the page's examples, and the simulator in place of Autotask.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7))
	t.Cleanup(server.Close)
	v := &victim{T: t, server: server, dir: t.TempDir()}
	_, page, _ := strings.Cut(readDoc(t, "docs/getting-started.md"), "\n## 3.")
	page, _, _ = strings.Cut(page, "\n## 6.")
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "ATSYNC_AUTOTASK__DISCOVERY_URL="+server.URL)
	example := regexp.MustCompile(`--username \S+`)
	started := false
	for _, line := range lines {
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if ok && strings.HasPrefix(line, "export ") {
			if !strings.HasPrefix(value, "'") {
				t.Errorf("%s: a shell would look into the value", line)
			}
			value = map[string]string{"ACME_CODE": server.IntegrationCode, "ACME_SECRET": server.Secret}[name]
			environ = append(environ, name+"="+value)
			continue
		}
		words, ok := strings.CutPrefix(example.ReplaceAllString(line, "--username "+server.Username), "bin/atsync ")
		if !ok {
			t.Fatalf("the page wants %s", line)
		}
		if words == "run" {
			started = true
			continue
		}
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Args, cmd.Dir, cmd.Env = append([]string{"atsync"}, strings.Fields(words)...), v.dir, environ
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if !started || !slices.Contains(lines, "bin/atsync check") {
		t.Fatalf("the page has the commands %q", lines)
	}
	if info, err := os.Stat(filepath.Join(v.dir, "config.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	d := v.daemonIn(environ)
	d.says(`"job ended"`)
	d.stop()
	v.equal("after the first sync")
}
