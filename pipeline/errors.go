package pipeline

import (
	"errors"
	"strings"
)

// Class says what kind of failure an error is, and so what can be done about it.
type Class string

// The error classes. Each has one exit code (cmd/atsync) and one behaviour (Runner).
const (
	ClassInternal  Class = "internal"  // a fault of atsync's own
	ClassConfig    Class = "config"    // the configuration or the command line
	ClassAuth      Class = "auth"      // the login is refused: the tenant goes on hold
	ClassRights    Class = "rights"    // the login works but may not read this entity
	ClassQuota     Class = "quota"     // the hourly or thread limit
	ClassTransient Class = "transient" // worth trying again, and tried as often as the budget allows
	ClassSource    Class = "source"    // Autotask answered something that can't be used
	ClassAbsent    Class = "absent"    // the tenant's zone does not have this entity
	ClassSchema    Class = "schema"    // data and metadata don't fit
	ClassSink      Class = "sink"      // the warehouse: disk, lock, rights
	ClassPartial   Class = "partial"   // some of the work is done, some is not
	ClassGuard     Class = "guard"     // stopped because it would delete too much
	ClassCanceled  Class = "canceled"  // interrupted
)

// Error is a failure at a package boundary. It is wrapped once, where tenant, entity and operation are
// known, and holds no secret. Remedy says what a person can do.
type Error struct {
	Class  Class
	Tenant string
	Entity string
	Op     string // "query", "login", "commit" …
	Err    error
	Remedy string
}

// Error prints "tenant/entity: op: cause (remedy)"; empty parts are left out.
func (e *Error) Error() string {
	var b strings.Builder
	where := e.Tenant
	if e.Entity != "" {
		if where != "" {
			where += "/"
		}
		where += e.Entity
	}
	for _, part := range []string{where, e.Op} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(string(e.Class))
	}
	if e.Remedy != "" {
		b.WriteString(" (" + e.Remedy + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of the first *Error in err's chain, or ClassInternal.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassInternal
}
