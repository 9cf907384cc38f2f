package daemon

import "golang.org/x/sys/unix"

// monotonic is the time since the machine started in microseconds, by which systemd tells one reload from another.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / 1000
}
