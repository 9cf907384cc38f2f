// Package service makes atsync a service of Windows: it is installed for its service manager, and ends when that says so.
//
// It promises that a stop from the service manager ends the work's context and is confirmed only when the work has ended, and that what
// the work logs goes to the event log, since a service has no standard error. On other systems, where systemd and containers
// need nothing of the kind, it says so and does nothing.
package service

import (
	"errors"

	"github.com/atsync/atsync/pipeline"
)

// Name is what the service is called by the service manager, and the source of its events.
const Name = "atsync"

// unsupported is the error of everything that is asked of another system.
func unsupported(op string) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "service " + op, Err: errors.New("services of this kind are Windows' own"),
		Remedy: "docs/deploy.md has a unit for systemd and manifests for containers"}
}
