//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// noCores keeps secrets, which are in memory while atsync works, out of core files.
func noCores() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // where it is refused there is nothing to be done
}
