// Package autotasktest simulates the REST API of Autotask PSA, for tests, demonstrations and benchmarks.
//
// A [Server] listens on a free port of the loopback interface; a [Handler] is the same as a plain
// http.Handler. Both answer from a [Data], which is empty, filled by hand with [Data.Insert], or made by
// [Generate]: a believable managed service provider with companies, contacts, tickets, time entries,
// contracts, invoices and so on, consistent with each other and the same for the same seed.
//
// # What it promises
//
// The simulator is held to recorded answers of the real service and to docs/autotask-api.md ("api.md"
// below): the same keys in the same order, the same spelling of numbers and dates, and the same traps.
// Unknown operators are dropped without a word, next pages of a POST query answer to POST only, a fourth
// simultaneous request to one entity is refused, logins lock after some failures, a missing row is a 200.
// Where public sources say nothing, or contradict each other, the comment on the option or function says
// which way was taken.
//
// Methods of Server, Handler, Data, Row, Clock and FaultHandle may be called from many goroutines.
// All times are UTC unless a comment says otherwise.
//
// # What it never does
//
// It never writes rows on behalf of an API client (POST, PATCH, PUT and DELETE of rows answer 405; tests
// change rows through Data), never opens a file, and never contacts another host. It imports neither
// testing nor net/http/httptest, so that a shipped binary can carry it.
//
// Methods that take the name of an entity, field or user-defined field panic if there is none such: in a
// simulator that is a mistake in the test.
package autotasktest
