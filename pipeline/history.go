package pipeline

import "time"

// Day is what the loads of one day (UTC) did to a table.
type Day struct {
	Day      time.Time `json:"day"` // its midnight, UTC
	Loads    int64     `json:"loads"`
	Fetched  int64     `json:"fetched"`
	Inserted int64     `json:"inserted"` // rows that came back among them
	Updated  int64     `json:"updated"`
	Deleted  int64     `json:"deleted"`
	Requests int64     `json:"requests"`
}

// Changed is how many rows changed.
func (d Day) Changed() int64 { return d.Inserted + d.Updated + d.Deleted }

// TableSummary is what a publication tells of one table at a glance.
type TableSummary struct {
	Entity      string `json:"entity"`
	Table       string `json:"table"`
	Rows        int64  `json:"rows"`         // live ones
	OpenRejects int64  `json:"open_rejects"` // values that did not fit, not acknowledged
	Days        []Day  `json:"days"`         // the newest days on which something was read, the oldest first
}

// LoadRecord is the record of one read of one entity.
type LoadRecord struct {
	LoadID      int64     `json:"load_id"`
	RunID       int64     `json:"run_id"`
	Entity      string    `json:"entity"`
	Mode        string    `json:"mode"`
	Status      Status    `json:"status"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	Fetched     int64     `json:"fetched"`
	Inserted    int64     `json:"inserted"`
	Updated     int64     `json:"updated"`
	Unchanged   int64     `json:"unchanged"`
	Deleted     int64     `json:"deleted"`
	Rejected    int64     `json:"rejected"`
	Requests    int64     `json:"requests"`
	SourceCount *int64    `json:"source_count,omitempty"` // rows in the window as counted by the server, if asked
	Error       string    `json:"error,omitempty"`
}

// SchemaEvent is one change of a table, its columns or its labels as a load made it.
type SchemaEvent struct {
	At      time.Time `json:"changed_at"`
	LoadID  int64     `json:"load_id"`
	Change  string    `json:"change"`
	Column  string    `json:"column,omitempty"`
	OldType string    `json:"old_type,omitempty"`
	NewType string    `json:"new_type,omitempty"`
	OldName string    `json:"old_name,omitempty"` // as people named it in Autotask
	NewName string    `json:"new_name,omitempty"`
	Value   string    `json:"value,omitempty"` // of a picklist, whose label changed
}

// StampMiss is what a whole re-read found that change stamps had not told.
type StampMiss struct {
	At       time.Time `json:"noted_at"`
	Compared int64     `json:"compared"`
	Missed   int64     `json:"missed"`
}

// History is what a publication tells of one table in full. Every list begins with the newest but Days.
type History struct {
	TableSummary
	Loads   []LoadRecord  `json:"loads"`
	Changes []SchemaEvent `json:"schema_changes"`
	Misses  []StampMiss   `json:"stamp_misses"`
}
