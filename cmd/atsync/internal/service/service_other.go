//go:build !windows

package service

import (
	"context"
	"io"
)

// Started reports whether the service manager has started this process: never, here.
func Started() bool { return false }

// Run is for Windows alone.
func Run(context.Context, func(ctx context.Context, log io.Writer) error) error {
	return unsupported("run")
}

// Install is for Windows alone.
func Install(string, ...string) error { return unsupported("install") }

// Uninstall is for Windows alone.
func Uninstall() error { return unsupported("uninstall") }

// Start is for Windows alone.
func Start() error { return unsupported("start") }

// Stop is for Windows alone.
func Stop(context.Context) error { return unsupported("stop") }
