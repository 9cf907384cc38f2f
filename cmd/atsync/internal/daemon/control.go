package daemon

import (
	"context"
	"net/http"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
)

// Control is what pages and other clients can ask of a running daemon and tell it. *Daemon implements it. All methods may be
// called concurrently, return at once (but for Reload) and hand out copies.
//
// What a page shows of rows comes from the tenant's publication (config.TenantConfig.PublishPath), opened with
// duckdb.OpenReader and closed again: never from its private warehouse, which belongs to the jobs. A publication is as old as
// the last run that changed something, so runs, holds and freshness are better taken from here.
type Control interface {
	// Config returns the configuration in force. It is not to be changed.
	Config() *config.Config
	StartedAt() time.Time

	// Tenants returns how all configured tenants stand, by name; Tenant returns one. They do not tell what only
	// the publication knows.
	Tenants() []TenantState
	Tenant(name string) (TenantState, bool)

	// Schedule, Running, Waiting and Last list the jobs of all tenants (app.App).
	Schedule() []app.Next
	Running() []app.Status
	Waiting() []app.Job
	Last() []app.Status

	// Alerts returns what is wrong now, as the rules of alerts see it, the newest first, and who was told.
	Alerts() []Alert

	// Trigger starts a job as soon as its tenant is free. The same job waiting or running already is an error of ClassPartial,
	// an unknown tenant or group one of ClassConfig. Kinds: app.Sync (with a group or without), app.Verify,
	// app.Maintain, app.Release.
	Trigger(job app.Job) error
	// Pause keeps a tenant's scheduled jobs from starting until Resume, also across restarts. A running one goes on.
	Pause(tenant string) error
	Resume(tenant string) error
	// Release ends a tenant's hold and has it synced once: Trigger of app.Release.
	Release(tenant string) error

	// Reload reads the configuration anew, as SIGHUP does. If it is broken, its error is returned, the old configuration stays
	// in force, and Reloaded says so.
	Reload(ctx context.Context) error
	Reloaded() ReloadState
}

// TenantState is how one tenant stands.
type TenantState struct {
	Tenant string         `json:"tenant"`
	Paused bool           `json:"paused"`
	Hold   *pipeline.Hold `json:"hold,omitempty"` // as of the last job that opened the warehouse

	Running *Activity  `json:"running,omitempty"`
	Waiting []app.Job  `json:"waiting"`
	Next    []app.Next `json:"next"` // its scheduled jobs, the soonest first

	Runs     []pipeline.Run      `json:"runs"`                      // the newest, newest first, published or not; at most MostRuns, and MostVerified verifications before them. Of all but the first few, streams that were ok and changed nothing are left out. What was skipped is among them
	Failures int                 `json:"failures"`                  // in a row, up to the last job of the kind of which most failed
	Failing  app.Kind            `json:"failing,omitempty"`         // that kind
	Error    string              `json:"error,omitempty"`           // of that job, also where it could not even begin
	Class    pipeline.Class      `json:"class,omitempty"`           // of that error
	Quota    *pipeline.QuotaUse  `json:"quota,omitempty"`           // of the newest run that knows it
	QuotaAt  time.Time           `json:"quota_at,omitzero"`         // when that run ended
	Own      pipeline.ByPriority `json:"own"`                       // requests of this tenant's runs in the window before QuotaAt
	Tables   []TableState        `json:"tables"`                    // by entity
	Fresh    bool                `json:"fresh"`                     // every table is as current as its objective demands
	Since    time.Time           `json:"complete_through,omitzero"` // the oldest table's; zero: some table was never read
	Lag      float64             `json:"lag_seconds"`               // since then; -1: some table was never read
}

// TableState is how current a configured entity's table is.
type TableState struct {
	Entity          string    `json:"entity"`
	Table           string    `json:"table"`
	Class           string    `json:"class,omitempty"`
	CompleteThrough time.Time `json:"complete_through,omitzero"` // zero: never read
	LastSuccessAt   time.Time `json:"last_success_at,omitzero"`
	Absent          bool      `json:"absent,omitempty"` // the tenant's zone does not have it
	Fresh           bool      `json:"fresh"`
	Within          float64   `json:"objective_seconds"` // how old the data may be
}

// Activity is what a running job is doing.
type Activity struct {
	Job       app.Job     `json:"job"`
	Trigger   app.Trigger `json:"trigger"`
	StartedAt time.Time   `json:"started_at"`
	RunID     int64       `json:"run_id,omitempty"` // 0: it has not begun its record
	Requests  int64       `json:"requests"`
	Streams   []Stream    `json:"streams"`           // in the order in which they began
	Waiting   *time.Time  `json:"waiting,omitempty"` // requests wait for quota until about then
}

// Stream is what a running job has done for one entity.
type Stream struct {
	Entity    string          `json:"entity"`
	Mode      string          `json:"mode"`
	StartedAt time.Time       `json:"started_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	Rows      int64           `json:"rows"`            // read
	Total     int64           `json:"total,omitempty"` // to be read, if it was counted
	Retries   int64           `json:"retries,omitempty"`
	Status    pipeline.Status `json:"status"` // running until it ended
}

// ReloadState says how the last reload went.
type ReloadState struct {
	LoadedAt time.Time `json:"loaded_at"`          // when the configuration in force was read
	FailedAt time.Time `json:"failed_at,omitzero"` // of the last reload, if it failed
	Error    string    `json:"error,omitempty"`    // what is wrong with the file then: one problem a line
	Restart  []string  `json:"restart,omitempty"`  // keys that were changed and take effect after a restart only
}

// Alert is something that is wrong, or an event of the last day.
type Alert struct {
	Kind    string    `json:"kind"`             // failure, stale, quota, drift, guard or hold: docs/alerts.md
	Tenant  string    `json:"tenant,omitempty"` // empty for what concerns several
	Summary string    `json:"summary"`
	Remedy  string    `json:"remedy,omitempty"`
	Since   time.Time `json:"since"`
	Event   bool      `json:"event,omitempty"` // it has happened at Since, and has no end
	Told    []Told    `json:"told"`            // by target; empty: nobody was, yet
}

// Told says when a target was told of an alert last.
type Told struct {
	Target string    `json:"target"`
	At     time.Time `json:"at"`
}

// Bounds of how many runs of a tenant are kept in memory: the newest, and of verifications so many in any case.
const (
	MostRuns     = 100
	MostVerified = 12
)

// Pages is what is served beside the daemon's own paths, which all begin with /-/ or are /metrics.
type Pages interface {
	http.Handler // everything else

	// Protect guards one of the daemon's own paths that is not for everybody: /metrics (GET) and /-/reload (POST). It
	// answers by itself who may not. /-/healthy and /-/ready are open to all and tell no more than names of tenants.
	Protect(next http.Handler) http.Handler
}

// NewPages makes the pages of a daemon. It is called once, before the daemon listens; an error, such as an address that is not
// loopback without a way to log in, keeps it from starting. Without it there are no pages, and only loopback is listened on.
type NewPages func(c Control) (Pages, error)
