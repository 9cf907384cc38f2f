package bench_test

import (
	"os"
	"syscall"
)

// peak returns the largest resident set of a process that has ended. The kernel counts from the moment of
// the fork, so that it never is below what this process had then, some 60 MB.
func peak(state *os.ProcessState) int64 {
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		return r.Maxrss << 10
	}
	return 0
}
