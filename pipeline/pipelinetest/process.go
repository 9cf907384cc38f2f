package pipelinetest

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killsVariable says how often processes are killed.
const killsVariable = "ATSYNC_TEST_KILLS"

// Kills is how often processes are killed in a test: so often as ATSYNC_TEST_KILLS says, or else usual.
func Kills(usual int) int {
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		return n
	}
	return usual
}

// seeded returns random numbers whose seed is logged.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// KillProcess starts this test binary again with some variables ("NAME=value") set, kills it a while after the first line that
// it prints with the beginning mark, and returns its lines. TestMain has to know the variables and to make that process work
// until it is killed.
func KillProcess(t *testing.T, variables []string, mark string, delay time.Duration) (lines []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), variables...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	armed := false
	for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if !armed && strings.HasPrefix(scanner.Text(), mark) {
			armed = true
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return lines
}

// ownVariable is set in a process that inOwnProcess has started.
const ownVariable = "ATSYNC_TEST_OWN_PROCESS"

// inOwnProcess does a test in a process of its own: what it limits is a process's.
func inOwnProcess(t *testing.T, test func()) {
	t.Helper()
	if os.Getenv(ownVariable) != "" {
		test()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), ownVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}
