package main

import "golang.org/x/sys/unix"

// noCores keeps secrets, which are in memory while atsync works, out of files that a crash would leave: this process is never dumped, neither
// into a file nor to a program like systemd-coredump, and other programs of the same user can't read its memory. What it starts
// writes no core file either. Where the kernel refuses, there is nothing to be done.
func noCores() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
