//go:build !unix

package parquet

// freeSpace is unknown here.
func freeSpace(string) (int64, bool) { return 0, false }
