package daemon

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/pipeline"
)

// Bounds of what is kept of a tenant, so that memory does not grow with the years.
const (
	wholeRuns   = 3  // of the newest runs every stream is kept, of the others what is worth a look
	lookRuns    = 10 // that are read after a job: other processes may have run, too
	mostPending = 100
)

// memory is what the daemon knows of a tenant without its warehouse. It is safe for concurrent use.
type memory struct {
	file sync.Mutex // held while what an earlier process has left is read: no job may open the warehouse then

	mu       sync.Mutex
	recalled bool                 // or a job has begun, to which the warehouse belongs
	facts    Facts                // of the last look at the warehouse
	tried    map[string]time.Time // when the newest run began that read an entity or tried to
	activity *Activity
	troubles map[app.Kind]trouble // of kinds of jobs whose last one failed
	failed   int                  // jobs, counted
	pending  []pipeline.Run       // that could not be recorded yet
}

// trouble is what a kind of job has come to.
type trouble struct {
	failures int   // in a row
	err      error // of the last
	nth      int   // of all failures
}

// learn takes over what a look at the warehouse has shown.
func (m *memory) learn(f Facts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recalled = true
	if m.tried == nil {
		m.tried = map[string]time.Time{}
	}
	for _, run := range f.Runs {
		for _, s := range run.Streams {
			if run.Command == command(app.Sync) && (run.Status == pipeline.StatusFailed || attempted(s.Status)) && run.StartedAt.After(m.tried[s.Entity]) {
				m.tried[s.Entity] = run.StartedAt
			}
		}
	}
	runs := f.Runs
	for _, old := range m.facts.Runs {
		if !slices.ContainsFunc(runs, func(r pipeline.Run) bool { return r.ID == old.ID }) {
			runs = append(runs, old)
		}
	}
	m.facts = f
	m.facts.Runs = abridge(runs)
}

// attempted reports whether a stream was worked on until it was done or had failed.
func attempted(s pipeline.Status) bool {
	return s != pipeline.StatusSkipped && s != pipeline.StatusInterrupted && s != pipeline.StatusRunning
}

// lastRun tells when a job was last done: when the entity began that was least lately read or tried, or without
// entities when the newest run of the command did. Zero: never.
func (m *memory) lastRun(command string, entities []string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(entities) == 0 {
		return m.facts.Last[command]
	}
	read := map[string]time.Time{}
	for _, t := range m.facts.Tables {
		read[t.Entity] = t.LastSuccessAt
	}
	oldest := time.Time{}
	for i, e := range entities {
		at := m.tried[e]
		if read[e].After(at) {
			at = read[e]
		}
		if at.IsZero() {
			return at
		}
		if i == 0 || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// abridge sorts runs, the newest first, and bounds what they take. Verifications stay longer: they come seldom.
func abridge(runs []pipeline.Run) []pipeline.Run {
	slices.SortStableFunc(runs, func(a, b pipeline.Run) int { return b.StartedAt.Compare(a.StartedAt) })
	n, verified := 0, 0
	runs = slices.DeleteFunc(slices.Clone(runs), func(r pipeline.Run) bool {
		n++
		kept := n <= MostRuns
		if r.Command == command(app.Verify) {
			verified++
			kept = kept || verified <= MostVerified
		}
		return !kept
	})
	for i := wholeRuns; i < len(runs); i++ {
		runs[i].Streams = slices.DeleteFunc(slices.Clone(runs[i].Streams), quiet)
	}
	return runs
}

// quiet reports whether a stream's report says nothing that is worth keeping.
func quiet(r pipeline.StreamReport) bool {
	return (r.Status == pipeline.StatusOK || r.Status == pipeline.StatusAbsent) && r.Inserted+r.Updated+r.Deleted+r.Rejected == 0 &&
		len(r.Warnings)+len(r.Changes) == 0 && r.Verify == nil // that nothing was missing is news to who knew of holes
}

// take gives the warehouse to a job, and returns how many runs it is to look at in the end.
func (m *memory) take() int {
	m.file.Lock()
	defer m.file.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recalled {
		return lookRuns
	}
	m.recalled = true
	return MostRuns
}

// owe keeps a run's record until the warehouse can be opened. Records that say the same as the last one are counted with it.
func (m *memory) owe(run pipeline.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.pending); n > 0 && m.pending[n-1].Command == run.Command && m.pending[n-1].Status == run.Status && bare(m.pending[n-1].Error) == bare(run.Error) {
		last := &m.pending[n-1]
		last.EndedAt = run.EndedAt
		last.Error = counted(last.Error)
		return
	}
	if len(m.pending) < mostPending {
		m.pending = append(m.pending, run)
	}
}

// owed takes what has to be recorded.
func (m *memory) owed() []pipeline.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.pending
	m.pending = nil
	return out
}

func (m *memory) begin(s app.Start, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.activity = &Activity{Job: s.Job, Trigger: s.Trigger, StartedAt: now, Streams: []Stream{}}
}

func (m *memory) end(kind app.Kind, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.activity = nil
	class := pipeline.ClassOf(err)
	switch {
	case err == nil:
		delete(m.troubles, kind)
		if kind != app.Maintain { // which says nothing of Autotask
			maps.DeleteFunc(m.troubles, func(_ app.Kind, t trouble) bool { return pipeline.ClassOf(t.err) == pipeline.ClassAuth })
		}
	case class != pipeline.ClassCanceled:
		if m.troubles == nil {
			m.troubles = map[app.Kind]trouble{}
		}
		m.failed++
		m.troubles[kind] = trouble{m.troubles[kind].failures + 1, err, m.failed}
	}
}

// doing changes what is known of the running job.
func (m *memory) doing(change func(*Activity)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.activity != nil {
		change(m.activity)
	}
}

// stream changes what is known of the running job's work on an entity.
func (m *memory) stream(entity string, change func(*Stream)) {
	m.doing(func(a *Activity) {
		for i := range a.Streams {
			if a.Streams[i].Entity == entity {
				change(&a.Streams[i])
			}
		}
	})
}

// state fills in what the memory holds.
func (m *memory) state(s *TenantState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Runs = slices.Clone(m.facts.Runs)
	if m.facts.Hold != nil {
		hold := *m.facts.Hold
		s.Hold = &hold
	}
	var worst trouble
	for kind, t := range m.troubles {
		if t.failures > worst.failures || t.failures == worst.failures && t.nth > worst.nth {
			worst = t
			s.Failures, s.Failing, s.Error, s.Class = t.failures, kind, t.err.Error(), pipeline.ClassOf(t.err)
		}
	}
	if m.activity != nil {
		a := *m.activity
		a.Streams = slices.Clone(a.Streams)
		s.Running = &a
	}
	s.Tables = slices.Clone(m.facts.Tables)
}
