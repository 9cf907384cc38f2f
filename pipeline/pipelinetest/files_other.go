//go:build !unix

package pipelinetest

import "testing"

// TolerateFileLimits does nothing: there are no such limits here.
func TolerateFileLimits() {}

// LimitFiles fails the test: there are no such limits here.
func LimitFiles(t *testing.T, _ uint64) (room func()) {
	t.Helper()
	t.Fatal("the size of files can't be limited here")
	return nil
}
