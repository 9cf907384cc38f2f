package pipeline

import (
	"time"
)

// Trace is told what happens while it happens: progress, logs, metrics and the web feed hang on it.
// Every field may be nil. Functions are called concurrently and must return quickly.
type Trace struct {
	RunStarted     func(Run) // its record has an id now
	StreamStarted  func(entity, mode string)
	StreamTotal    func(entity string, rows int64) // from query/count
	Page           func(entity string, rows int)   // one page read and checked
	Request        func(RequestInfo)               // one HTTP exchange ended
	Retry          func(entity, op string, attempt int, wait time.Duration, cause error)
	Waiting        func(QuotaWait) // requests of the source begin to wait for quota, or none does any more
	StreamFinished func(StreamReport)
	Published      func(Publication)
}

// RequestInfo describes one HTTP exchange. It carries no header and no body.
type RequestInfo struct {
	Entity   string
	Op       string // query, count, children, access, fields, udfs, threshold, zone, version
	Status   int    // 0: no answer
	Duration time.Duration
	Bytes    int64
	Err      error
}
