package bench_test

import (
	"os"
	"syscall"
	"time"
)

// peak returns the largest resident set of a process that has ended. The kernel counts from the moment of
// the fork, so that it never is below what this process had then, some 60 MB.
func peak(state *os.ProcessState) int64 {
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		return r.Maxrss << 10
	}
	return 0
}

// cpuTime returns what this process has used so far, user and system.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // it is never refused
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
