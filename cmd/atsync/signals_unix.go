//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// tolerateFileLimits makes a file that reaches the process's limit (ulimit -f) an error of the write, as a full
// disk is. By default the kernel ends the process, and it would do so on a thread of DuckDB's.
func tolerateFileLimits() { signal.Ignore(syscall.SIGXFSZ) }
