// Command atsync syncs Autotask PSA into DuckDB.
//
// The package holds the command line: one file for each command, root.go for what they share, and wire.go,
// which alone names the concrete source and sink. It promises the exit codes and the --json output that the
// commands document, one message for each failure with what to do about it, and that an interrupt ends in
// order. It has no mutable package state: what a command needs is in env.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	_ "time/tzdata" // time zones also where the system has none, as in a bare container

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
)

//go:generate go test . -run ^TestDataDictionaryIsCurrent$ -update

func main() {
	duckdb.CopyChild() // does not return in a child that copies a warehouse
	noCores()
	tolerateFileLimits()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	var told io.Writer = os.Stderr
	if slices.Contains(os.Args, "--json") || slices.Contains(os.Args, "run") { // their lines have a form of their own, and say it
		told = io.Discard
	}
	go interrupts(signals, cancel, told, os.Exit)
	os.Exit(run(ctx, &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(),
	}, os.Args[1:]))
}

// gcPercent is GOGC, unless it is set. What lives on Go's heap is small beside DuckDB's memory, and collecting takes all cores for
// milliseconds, mostly after a page was decoded: when DuckDB has just got its rows.
const gcPercent = 300

// interrupts cancels the work at the first signal and ends the process at the second.
func interrupts(signals <-chan os.Signal, cancel context.CancelCauseFunc, stderr io.Writer, exit func(int)) {
	s, ok := <-signals
	if !ok {
		return
	}
	fmt.Fprintln(stderr, "atsync: stopping: what is complete is kept (again to stop at once)")
	cancel(&pipeline.Error{Class: pipeline.ClassCanceled, Err: fmt.Errorf("%s: %w", s, context.Canceled)})
	if _, ok := <-signals; ok {
		exit(console.ExitCanceled)
	}
}
