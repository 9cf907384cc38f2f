// Package schemas knows the shape of Autotask's data: the catalogue of its entities, the naming of
// tables and columns, the merging of a tenant's live metadata over the catalogue, and the decoding of
// response bodies into typed Arrow batches.
//
// It promises that names and types depend on metadata alone, never on values; that every value is either
// kept exactly or reported as a Reject; and that a body that is not a whole page changes nothing.
// It never talks to a network, a file or a database, and holds no mutable package state.
package schemas

import "strings"

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
