package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/atsync/atsync/pipeline"
)

// Exit codes of every command.
const (
	ExitOK       = 0
	ExitInternal = 1   // a fault of atsync's own
	ExitUsage    = 2   // the command line or the configuration
	ExitAuth     = 3   // login refused or a right missing
	ExitQuota    = 4   // the API's limits
	ExitSource   = 5   // Autotask unreachable or its answers unusable
	ExitSink     = 6   // the warehouse: disk, lock, rights
	ExitPartial  = 7   // some of the work is done, some is not
	ExitGuard    = 8   // stopped because too much would be deleted
	ExitCanceled = 130 // interrupted
)

// ExitCode returns the exit code of an error. Of several joined errors with different codes it is
// ExitPartial, or ExitCanceled if the work was interrupted.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if parts := joined(err); len(parts) > 0 {
		code := ExitCode(parts[0])
		for _, p := range parts[1:] {
			switch c := ExitCode(p); {
			case c == ExitCanceled || code == ExitCanceled:
				code = ExitCanceled
			case c != code:
				code = ExitPartial
			}
		}
		return code
	}
	class := pipeline.ClassOf(err)
	if class == pipeline.ClassInternal && errors.Is(err, context.Canceled) {
		class = pipeline.ClassCanceled
	}
	return classCode(class)
}

func classCode(class pipeline.Class) int {
	switch class {
	case pipeline.ClassConfig:
		return ExitUsage
	case pipeline.ClassAuth, pipeline.ClassRights:
		return ExitAuth
	case pipeline.ClassQuota:
		return ExitQuota
	case pipeline.ClassTransient, pipeline.ClassSource, pipeline.ClassAbsent, pipeline.ClassSchema:
		return ExitSource
	case pipeline.ClassSink:
		return ExitSink
	case pipeline.ClassPartial:
		return ExitPartial
	case pipeline.ClassGuard:
		return ExitGuard
	case pipeline.ClassCanceled:
		return ExitCanceled
	}
	return ExitInternal
}

// joined returns the errors of errors.Join, or nil. An error that wraps several in a text of its own is one.
func joined(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(j.Unwrap()...).Error() != err.Error() {
		return nil
	}
	return j.Unwrap()
}

// ErrorReport is what --json prints of an error.
type ErrorReport struct {
	Class    pipeline.Class `json:"class"`
	Tenant   string         `json:"tenant,omitempty"`
	Entity   string         `json:"entity,omitempty"`
	Op       string         `json:"op,omitempty"`
	Message  string         `json:"message"`
	Remedy   string         `json:"remedy,omitempty"`
	ExitCode int            `json:"exit_code"`
}

// Report describes an error that is not nil.
func Report(err error) ErrorReport {
	r := ErrorReport{Class: pipeline.ClassOf(err), Message: err.Error(), ExitCode: ExitCode(err)}
	if r.ExitCode == ExitCanceled {
		r.Class = pipeline.ClassCanceled
	}
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		r.Tenant, r.Entity, r.Op, r.Remedy = e.Tenant, e.Entity, e.Op, e.Remedy
	}
	if r.Remedy != "" {
		r.Message = strings.Replace(r.Message, " ("+r.Remedy+")", "", 1)
	}
	return r
}

// PrintError prints an error once: its message, and what to do on a line of its own. Joined errors are
// printed one after the other. With asJSON it is one line, an object {"error": {…}}, whose fields are ErrorReport's;
// for joined errors it has "errors" beside it, with one element each.
func PrintError(w io.Writer, err error, asJSON bool) {
	parts := joined(err)
	if asJSON {
		out := struct {
			Error  ErrorReport   `json:"error"`
			Errors []ErrorReport `json:"errors,omitempty"`
		}{Error: Report(err)}
		for _, p := range parts {
			out.Errors = append(out.Errors, Report(p))
		}
		line, e := json.Marshal(out)
		if e != nil {
			fmt.Fprintln(w, "atsync:", err)
			return
		}
		fmt.Fprintf(w, "%s\n", line)
		return
	}
	if len(parts) > 0 {
		for _, p := range parts {
			PrintError(w, p, false)
		}
		return
	}
	r := Report(err)
	if lines := strings.Split(r.Message, "\n"); len(lines) > 1 {
		for _, line := range lines {
			fmt.Fprintln(w, Clean(line))
		}
	} else {
		fmt.Fprintln(w, "atsync: "+Clean(r.Message))
	}
	if r.Remedy != "" {
		fmt.Fprintln(w, "→ "+Clean(r.Remedy))
	}
}
