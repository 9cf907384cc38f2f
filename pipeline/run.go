package pipeline

import "time"

// Status is the outcome of a run or of one stream in it.
type Status string

// A run is ok only if every stream is ok or absent.
const (
	StatusRunning     Status = "running"
	StatusOK          Status = "ok"
	StatusPartial     Status = "partial"     // something is missing, and the report says what
	StatusFailed      Status = "failed"      // not complete: its checkpoint stays
	StatusAbsent      Status = "absent"      // the tenant's zone does not have this entity
	StatusInterrupted Status = "interrupted" // stopped by a person or a shutdown; the next run goes on
	StatusSkipped     Status = "skipped"     // never started, because the run ended first; or nothing to verify, and Verify says why
)

// Run is the record of one command's work on one tenant.
type Run struct {
	ID         int64          `json:"run_id"`
	Tenant     string         `json:"tenant"`
	Command    string         `json:"command"` // sync, fetch, backfill, verify …
	StartedAt  time.Time      `json:"started_at"`
	EndedAt    time.Time      `json:"ended_at,omitzero"`
	Status     Status         `json:"status"`
	Requests   int64          `json:"requests"`
	Error      string         `json:"error,omitempty"` // for people, without secrets
	ErrorClass Class          `json:"error_class,omitempty"`
	Quota      *QuotaUse      `json:"quota,omitempty"` // nil: nothing is known
	Streams    []StreamReport `json:"streams"`
}

// StreamReport says what a run did for one entity.
type StreamReport struct {
	Entity          string    `json:"entity"`
	Table           string    `json:"table"`
	Mode            string    `json:"mode"` // first, incremental, full, parent, fetch, verify
	Class           string    `json:"class"`
	Status          Status    `json:"status"`
	LoadID          int64     `json:"load_id,omitempty"`
	Fetched         int64     `json:"fetched"`
	Inserted        int64     `json:"inserted"`
	Updated         int64     `json:"updated"`
	Unchanged       int64     `json:"unchanged"`
	Deleted         int64     `json:"deleted"`
	Rejected        int64     `json:"rejected"`               // of the rows read
	OpenRejects     int64     `json:"open_rejects,omitempty"` // of the whole table
	Requests        int64     `json:"requests"`
	Seconds         float64   `json:"seconds"`
	CompleteThrough time.Time `json:"complete_through,omitzero"`
	Error           string    `json:"error,omitempty"`
	ErrorClass      Class     `json:"error_class,omitempty"`
	Warnings        []string  `json:"warnings,omitempty"` // that don't make it partial

	Changes []string `json:"schema_changes,omitempty"` // what became of the table's columns, but for what warnings say

	Verify *Verification `json:"verify,omitempty"` // of the command verify
}
