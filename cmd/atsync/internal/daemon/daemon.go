// Package daemon is the process of atsync run around the schedules of package app: it holds the data folder's lock, keeps the
// configuration and replaces it on demand, opens a tenant's warehouse for each of its jobs and remembers what came of it, and
// serves health, metrics and the pages on one address.
//
// It promises that a broken configuration never replaces a good one; that what was skipped or could not even begin is recorded
// in the tenant's warehouse at the next occasion; that readiness says whether every table is as current as its objective
// demands; and that it ends within a bound after its context. It names no concrete source or sink, and shows no secret, since
// it never sees one.
package daemon
