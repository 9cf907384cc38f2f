package web

import (
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/pipeline"
)

// This file documents the answers of the JSON API. Pages are made of the same values. Times are RFC 3339 in UTC; what is not
// known is left out.

// Overview is the answer of GET api/v1/overview.
type Overview struct {
	At        time.Time          `json:"at"`
	Version   string             `json:"version"`
	StartedAt time.Time          `json:"started_at"` // of the daemon
	ReadOnly  bool               `json:"read_only"`
	Alerts    int                `json:"alerts"` // that are firing, events left out
	Config    daemon.ReloadState `json:"config"`
	Tenants   []Tenant           `json:"tenants"` // by name
}

// Health sums up how a tenant stands.
type Health string

// The kinds of health, the worst first.
const (
	HealthHold   Health = "hold"   // the login was refused: nothing is sent
	HealthFailed Health = "failed" // the last job of a kind failed
	HealthLate   Health = "late"   // some table is older than the objective
	HealthNew    Health = "new"    // nothing was read yet
	HealthOK     Health = "ok"
)

// Tenant is how one tenant stands; with Runs it is the answer of GET api/v1/tenants/{tenant}.
type Tenant struct {
	Tenant  string           `json:"tenant"`
	Health  Health           `json:"health"`
	Paused  bool             `json:"paused"`
	Hold    *pipeline.Hold   `json:"hold,omitempty"`
	Alerts  []daemon.Alert   `json:"alerts"` // the tenant's, the newest first
	Running *daemon.Activity `json:"running,omitempty"`
	Waiting []app.Job        `json:"waiting"`
	Next    []app.Next       `json:"next"` // scheduled jobs, the soonest first

	Failures   int            `json:"failures"`          // jobs of a kind in a row that failed
	Failing    app.Kind       `json:"failing,omitempty"` // that kind
	Error      string         `json:"error,omitempty"`
	ErrorClass pipeline.Class `json:"error_class,omitempty"`

	CompleteThrough  time.Time `json:"complete_through,omitzero"`   // of the oldest table
	LagSeconds       float64   `json:"lag_seconds"`                 // -1: some table was never read
	ObjectiveSeconds float64   `json:"objective_seconds,omitempty"` // how large the lag may be, if that is the same for all tables
	Fresh            bool      `json:"fresh"`                       // every table meets its objective

	Published      string    `json:"published,omitempty"` // the file
	PublishedAt    time.Time `json:"published_at,omitzero"`
	PublishedBytes int64     `json:"published_bytes,omitempty"`
	PublishedError string    `json:"published_error,omitempty"` // why it could not be read

	Rows        int64   `json:"rows"` // live ones of all tables, as published
	OpenRejects int64   `json:"open_rejects"`
	Holes       int64   `json:"holes"` // found by the last verify of each entity, and not repaired
	Trend       []int64 `json:"trend"` // rows changed on each of the last 14 days (UTC), today last

	LastRun *RunLine  `json:"last_run,omitempty"`
	Tables  []Table   `json:"tables"`
	Runs    []RunLine `json:"runs,omitempty"` // the newest first
}

// Table is how one entity's table stands.
type Table struct {
	Entity          string    `json:"entity"`
	Table           string    `json:"table"`
	Class           string    `json:"class,omitempty"`
	CompleteThrough time.Time `json:"complete_through,omitzero"`
	LastSuccessAt   time.Time `json:"last_success_at,omitzero"`
	LagSeconds      float64   `json:"lag_seconds"`       // -1: never read
	Objective       float64   `json:"objective_seconds"` // how large the lag may be
	Fresh           bool      `json:"fresh"`
	Absent          bool      `json:"absent,omitempty"` // the tenant's zone does not have it
	Published       bool      `json:"published"`        // what follows is known
	Rows            int64     `json:"rows"`
	OpenRejects     int64     `json:"open_rejects"`
	Holes           int64     `json:"holes"`
	Trend           []int64   `json:"trend"`
}

// RunLine is a run without its report per entity.
type RunLine struct {
	ID         int64           `json:"run_id"`
	Command    string          `json:"command"`
	StartedAt  time.Time       `json:"started_at"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	Status     pipeline.Status `json:"status"`
	Failed     int             `json:"failed"` // entities that failed or are not complete
	Changed    int64           `json:"changed"`
	Requests   int64           `json:"requests"`
	Error      string          `json:"error,omitempty"`
	ErrorClass pipeline.Class  `json:"error_class,omitempty"`
}

// Entity is the answer of GET api/v1/tenants/{tenant}/entities/{entity}.
type Entity struct {
	Tenant string `json:"tenant"`
	Table
	History       *pipeline.History `json:"history,omitempty"` // of the last 90 days; none: nothing is published
	Rejects       []Reject          `json:"rejects"`           // at most 50 open ones
	Verifications []Verification    `json:"verifications"`     // the newest first
}

// Verification is what one run's verify said of an entity.
type Verification struct {
	RunID int64     `json:"run_id"`
	At    time.Time `json:"at"`
	pipeline.Verification
}

// Run is the answer of GET api/v1/tenants/{tenant}/runs/{run}.
type Run struct {
	pipeline.Run
	Loads []pipeline.LoadRecord `json:"loads"`          // when each entity was read, as far as it is published
	Live  *daemon.Activity      `json:"live,omitempty"` // of a run that goes on
}

// Quota is how the hour's requests of one Autotask database are used; GET api/v1/quota answers a list of them.
type Quota struct {
	Database   string              `json:"database,omitempty"`
	Tenants    []string            `json:"tenants"` // that share it
	AsOf       time.Time           `json:"as_of"`
	Threshold  int64               `json:"threshold"`
	WindowMins int64               `json:"window_mins"`
	Used       int64               `json:"used"`
	Own        pipeline.ByPriority `json:"own"`    // of these, by atsync
	Others     int64               `json:"others"` // by all other integrations
	Limits     pipeline.ByPriority `json:"limits"` // how full the window may be before each priority waits

	WaitedSeconds  float64   `json:"waited_seconds"`  // in the last run
	HourRefusals   int64     `json:"hour_refusals"`   // in the last run
	ThreadRefusals int64     `json:"thread_refusals"` // in the last run
	PausedUntil    time.Time `json:"paused_until,omitzero"`
}

// Failure is the answer of the API to what cannot be done.
type Failure struct {
	Error  string         `json:"error"`
	Class  pipeline.Class `json:"class,omitempty"`
	Remedy string         `json:"remedy,omitempty"`
}

// Accepted is the answer of the API to POST api/v1/tenants/{tenant}/{action}.
type Accepted struct {
	Tenant string `json:"tenant"`
	Action string `json:"action"`
}
