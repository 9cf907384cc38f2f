package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/sinks/duckdb"
)

// TestMain lets this test binary be atsync itself: in scripts as the command "atsync", and as the child that
// copies a warehouse.
func TestMain(m *testing.M) {
	duckdb.CopyChild()
	testscript.Main(leakChecked{m}, map[string]func(){"atsync": main})
}

// leakChecked runs the tests and then looks for goroutines that were left behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// TestScripts runs testdata/script/*.txtar: the command line as a user meets it. One of them:
// go test ./cmd/atsync -run TestScripts/NAME. Scripts start in an empty folder with an empty environment.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// scriptCommands are what scripts can do beside running atsync. They are documented where they are defined.
func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits": scriptExits,
	}
}

// scriptExits runs a program and expects an exit code: "exits 2 atsync config check". What it printed is
// there for stdout and stderr, as after exec.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	err := ts.Exec(args[1], args[2:]...)
	if got := exitCode(err); got != args[0] {
		ts.Fatalf("%v exits %s, want %s", args[1:], got, args[0])
	}
}
