package pipeline

import "time"

// Progress says how far a first load has come that is not complete. It is stored with the rows that it speaks of, and
// while there is one, the checkpoint's times are zero.
//
// Every row was read after StartedAt, whichever run read it. So when the load is complete, it is complete through
// StartedAt, however long it was interrupted: later changes are in the window of the next run. Rows that were deleted
// after they were read stay until a whole read or verify finds them.
type Progress struct {
	StartedAt  time.Time `json:"started_at"`            // the server's clock when the load began, UTC
	ParentLoad int64     `json:"parent_load,omitempty"` // of the checkpoint that completes it
	Left       []Range   `json:"left"`                  // ids still to be read
	Rows       int64     `json:"rows"`                  // that are stored; another number says that somebody else wrote to the table
	Again      bool      `json:"again,omitempty"`       // the count did not confirm the rows: everything is to be read again, and compared
}

// Range is a range of ids: After < id <= Until. nil is no bound: ids can be 0 or negative.
type Range struct {
	After *int64 `json:"after,omitempty"`
	Until *int64 `json:"until,omitempty"`
}

// checkpoint is what is stored of a first load, with so many of its rows, while ids are left.
func (p Plan) checkpoint(left []Range, rows int64) Checkpoint {
	return Checkpoint{Progress: &Progress{StartedAt: p.started, ParentLoad: p.Next.ParentLoad, Left: left, Rows: rows}}
}

// again is what is stored of a first load that the server's count contradicts.
func (p Plan) again() Checkpoint {
	cp := p.checkpoint(nil, 0)
	cp.Progress.Again = true
	return cp
}
