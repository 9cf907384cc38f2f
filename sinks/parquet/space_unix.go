//go:build unix

package parquet

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes an unprivileged user may still write below dir.
func freeSpace(dir string) (int64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true //nolint:unconvert // Bsize is 32 bits wide on some systems
}
