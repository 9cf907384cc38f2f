// Package browsertest looks at the status pages in a real browser: `make pages` runs it, and installs nothing. It holds tests
// alone, behind the build tag pages, so that `go test ./...` needs no browser.
package browsertest
