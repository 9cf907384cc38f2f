package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func exitCode(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &exit):
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}

// TestEveryCommandIsDocumented holds the help to: what it does, its exit codes, an example that parses.
func TestEveryCommandIsDocumented(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		if cmd.Short == "" || !strings.Contains(cmd.Long, "Exit codes") || cmd.Example == "" {
			t.Errorf("%s: Short, Long with exit codes, or Example is missing", name)
		}
		if cmd.HasParent() && !cmd.Parent().HasParent() && cmd.GroupID == "" {
			t.Errorf("%s: is in no group of the help", name)
		}
		if cmd.RunE == nil || cmd.Args == nil {
			t.Errorf("%s: RunE or Args is missing", name)
		}
		for line := range strings.Lines(cmd.Example) {
			if len(line) > 120 || !strings.Contains(line, "atsync") {
				t.Errorf("%s: example %q", name, line)
			}
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 121 {
				t.Errorf("%s: a line of the help is too long: %q", name, line)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(newRoot(&env{}))
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("out of paper") }

func TestPanicEndsWithCode1(t *testing.T) {
	var stderr bytes.Buffer
	code := run(t.Context(), &env{stdout: panicking{}, stderr: &stderr}, []string{"version", "--json"})
	var out struct{ Error console.ErrorReport }
	if err := json.Unmarshal(stderr.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if code != 1 || out.Error.Class != pipeline.ClassInternal || out.Error.Message != "internal fault: out of paper" {
		t.Errorf("%d %+v", code, out)
	}
	stderr.Reset()
	if code := run(t.Context(), &env{stdout: panicking{}, stderr: &stderr}, []string{"version"}); code != 1 ||
		strings.Contains(stderr.String(), "goroutine") || strings.Count(stderr.String(), "\n") != 2 {
		t.Errorf("%d %s", code, stderr.String())
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestUnwritableOutputIsNoUsageError(t *testing.T) {
	var stderr bytes.Buffer
	if code := run(t.Context(), &env{stdout: closed{}, stderr: &stderr}, []string{"version"}); code != 1 ||
		!strings.Contains(stderr.String(), "closed") || strings.Contains(stderr.String(), "--help") {
		t.Errorf("%d %s", code, stderr.String())
	}
}

func TestInterrupts(t *testing.T) {
	signals := make(chan os.Signal)
	ctx, cancel := context.WithCancelCause(t.Context())
	exits := make(chan int, 1)
	var stderr bytes.Buffer
	go interrupts(signals, cancel, &stderr, func(code int) { exits <- code })
	signals <- syscall.SIGTERM
	<-ctx.Done()
	if code := console.ExitCode(context.Cause(ctx)); code != 130 {
		t.Errorf("first signal: cause %v, code %d", context.Cause(ctx), code)
	}
	signals <- os.Interrupt
	if code := <-exits; code != 130 {
		t.Errorf("second signal: %d", code)
	}
	if !strings.HasPrefix(stderr.String(), "atsync: stopping") {
		t.Errorf("%q", stderr.String())
	}
}

func TestDuckDBVersion(t *testing.T) {
	for module, want := range map[string]string{
		"v2.10505.0": "1.5.5", "v2.11012.3": "1.10.12", "v2.5.4": "", "(devel)": "", "": "", "v2.x.0": "",
	} {
		if got := duckdbVersion(module); got != want {
			t.Errorf("%q: %q, want %q", module, got, want)
		}
	}
}
