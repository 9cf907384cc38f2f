package pipeline

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/atsync/atsync/schemas"
)

// State is the part of a Sink that a plan is made from. What a publication holds is one, too.
type State interface {
	Stream(ctx context.Context, entity string) (StreamState, error)
	Changed(ctx context.Context, table string, after int64) (ids []int64, newest int64, err error)
}

// Stored is a copy of what a State knows of some entities, so that nothing is held open while the source is
// asked. The zero Stored is that of a tenant that never synced.
type Stored struct {
	streams map[string]StreamState
	parents map[string]parentState // by the child's name
}

// parentState is what a child's plan needs to know of its parent.
type parentState struct {
	changed []int64   // since the load that the child has followed
	load    int64     // newest load of the parent's table; 0: the parent is not in the warehouse
	through time.Time // through which the parent is complete
}

// ReadStored copies what a plan for the entities needs.
func ReadStored(ctx context.Context, s State, entities []*schemas.Entity) (Stored, error) {
	out := Stored{streams: map[string]StreamState{}, parents: map[string]parentState{}}
	for _, e := range entities {
		st, err := s.Stream(ctx, e.Name)
		if err != nil {
			return Stored{}, err
		}
		out.streams[e.Name] = st
		if e.Parent == "" || e.Class != schemas.ClassParent && !e.PerParent() {
			continue
		}
		if out.parents[e.Name], err = readParent(ctx, s, e, st.Checkpoint); err != nil {
			return Stored{}, err
		}
	}
	return out, nil
}

// readParent asks how far an entity's parent has come since the entity followed it.
func readParent(ctx context.Context, s State, e *schemas.Entity, cp Checkpoint) (parentState, error) {
	parent, err := s.Stream(ctx, e.Parent)
	if err != nil {
		return parentState{}, err
	}
	p := parentState{through: parent.Checkpoint.CompleteThrough}
	if p.through.IsZero() { // what is there of an unfinished table says nothing of the rest
		return p, nil
	}
	p.changed, p.load, err = s.Changed(ctx, schemas.TableName(e.Parent), cp.ParentLoad)
	return p, err
}

// PlanRequest says what is planned.
type PlanRequest struct {
	SyncRequest
	Interval time.Duration // between two runs, for what later runs bring; 0: a day
}

// Preview says what a Sync with the same request would do if it began now.
type Preview struct {
	Tenant     string       `json:"tenant"`
	Offline    bool         `json:"offline"`               // nothing was asked: rows are those stored, or guesses
	ServerTime time.Time    `json:"server_time"`           // ours if offline
	Threshold  int64        `json:"threshold,omitempty"`   // requests allowed in a window, all integrations together; 0: unknown
	Used       int64        `json:"used"`                  // of them in the current window, by all integrations
	WindowMins int64        `json:"window_mins,omitempty"` // length of the window
	Spent      int64        `json:"plan_requests"`         // requests that this plan has cost
	Streams    []StreamPlan `json:"streams"`
}

// StreamPlan says what the next run would do for one entity. Requests include those for metadata.
type StreamPlan struct {
	Entity     string    `json:"entity"`
	Table      string    `json:"table"`
	Class      string    `json:"class"` // as the tenant's metadata allows; before it is known, the catalogue's
	Mode       Mode      `json:"mode"`
	Stamps     []string  `json:"stamps"`               // incremental: fields that tell a change
	Since      time.Time `json:"since,omitzero"`       // incremental: from when on
	Rows       int64     `json:"rows"`                 // at the source
	Guessed    bool      `json:"rows_guessed"`         // nobody has counted them
	ToRead     int64     `json:"rows_to_read"`         // by the next run
	Parents    int64     `json:"parents,omitempty"`    // parent: whose children are read
	Requests   int64     `json:"requests"`             // of the next run
	Later      int64     `json:"requests_later"`       // of each run after it
	Daily      int64     `json:"requests_daily_extra"` // beside these, once a day
	Error      string    `json:"error,omitempty"`      // why there is no count
	ErrorClass Class     `json:"error_class,omitempty"`

	table *schemas.Table
	live  int64
}

// Plan tells what a Sync would do, by the same decisions. It writes nothing. It costs a login, a count of each
// entity's rows, and one of the window where the next read is incremental; without a Source it costs nothing
// and goes by what is stored. What is wrong with a single entity is in its StreamPlan; an error is one that
// concerns all of them.
func (r *Runner) Plan(ctx context.Context, stored Stored, req PlanRequest) (Preview, error) {
	p := &preview{Runner: r, stored: stored, req: req, plans: map[string]StreamPlan{}}
	p.req.Interval = cmp.Or(req.Interval, 24*time.Hour)
	out := Preview{Tenant: r.Tenant, Offline: r.Source == nil, ServerTime: r.now(), Streams: []StreamPlan{}}
	if r.Source != nil {
		login, err := r.Source.Login(ctx)
		if err != nil {
			return out, r.locate(err, "", "login")
		}
		out.ServerTime, out.Threshold, out.Used, out.WindowMins = login.ServerTime, login.Threshold, login.Used, login.WindowMins
	}
	p.serverTime = out.ServerTime
	ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.cancel(nil)
	for _, level := range levels(req.Entities) {
		workers := pool.New().WithMaxGoroutines(max(1, cmp.Or(r.Streams, 4)))
		for _, e := range level {
			workers.Go(func() { p.stream(ctx, e) })
		}
		workers.Wait()
	}
	if r.Source != nil {
		for _, n := range r.Source.Requests() {
			out.Spent += n
		}
	}
	for _, e := range req.Entities {
		out.Streams = append(out.Streams, p.plans[e.Name])
	}
	return out, r.locate(context.Cause(ctx), "", "plan")
}

// preview is the state of one Plan call.
type preview struct {
	*Runner
	stored     Stored
	req        PlanRequest
	serverTime time.Time
	cancel     context.CancelCauseFunc

	mu    sync.Mutex
	plans map[string]StreamPlan
}

// stream plans one entity, after its parent.
func (p *preview) stream(ctx context.Context, e *schemas.Entity) {
	if ctx.Err() != nil {
		return
	}
	plan, err := p.plan(ctx, e)
	if err != nil {
		err = p.locate(err, e.Name, "plan")
		plan.Error, plan.ErrorClass = err.Error(), ClassOf(err)
		if plan.ErrorClass == ClassAuth || plan.ErrorClass == ClassQuota || plan.ErrorClass == ClassCanceled {
			p.cancel(err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans[e.Name] = plan
}

func (p *preview) plan(ctx context.Context, e *schemas.Entity) (StreamPlan, error) {
	state := p.stored.streams[e.Name]
	t, _ := p.Schema.shape(e, state.Metadata, state.Columns)
	in := planInput{table: t, state: state, serverTime: p.serverTime, overlap: p.Overlap, full: p.req.Full}
	parent := p.follow(&in, e)
	decided := planStream(in)
	if e.PerParent() {
		decided = Plan{Mode: planPerParent(in).mode, Class: e.Class, Parents: in.parents}
		if decided.Mode == ModeFirst && e.ByNameOnly() {
			parent.Rows = 0 // what the parents were is not read unless asked for
		}
	}
	out := StreamPlan{
		Entity: e.Name, Table: t.Name, Class: string(decided.Class), Mode: decided.Mode, Since: decided.Window.Since,
		Stamps: append([]string{}, decided.Window.Stamps...), Parents: int64(len(decided.Parents)), table: t, live: state.LiveRows,
	}
	var err error
	if out.Rows, out.Guessed, err = p.rows(ctx, e, state); err != nil {
		return out, err
	}
	switch decided.Mode {
	case ModeFirst, ModeFull:
		out.ToRead = out.Rows
		out.Parents = parent.Rows // what a read parent by parent goes through
	case ModeParent:
		if parent.Rows > 0 {
			out.ToRead = out.Rows * out.Parents / parent.Rows
		}
	default:
		if out.ToRead, err = p.window(ctx, t, decided, out); err != nil {
			return out, err
		}
	}
	p.cost(e, state, decided, parent, &out)
	return out, nil
}

// follow completes the input of a child's plan as far as can be known before its parent is read, and returns
// the parent's plan: the rows that its read will bring count as changed.
func (p *preview) follow(in *planInput, e *schemas.Entity) StreamPlan {
	if e.Class != schemas.ClassParent && !e.PerParent() {
		return StreamPlan{}
	}
	known := p.stored.parents[e.Name]
	in.parents, in.parentLoad, in.parentThrough = known.changed, known.load, known.through
	p.mu.Lock()
	parent, read := p.plans[e.Parent]
	p.mu.Unlock()
	if in.parentRead = read && parent.Error == ""; !in.parentRead {
		return parent
	}
	in.parentLoad = max(in.parentLoad, 1)
	if parent.Mode != ModeFull {
		in.parents = append(slices.Clone(in.parents), make([]int64, min(parent.ToRead, parent.Rows))...) // whose ids nobody knows yet
	}
	if int64(len(in.parents)) > parent.Rows {
		in.parents = in.parents[:parent.Rows]
	}
	return parent
}

// rows counts an entity at the source, or says what is stored or likely.
func (p *preview) rows(ctx context.Context, e *schemas.Entity, state StreamState) (n int64, guessed bool, err error) {
	if p.Source != nil && !e.PerParent() {
		n, err = p.Source.Count(ctx, Slice{Table: schemas.NewTable(e, state.Metadata, state.Columns)})
		return n, false, err
	}
	if state.Columns != nil {
		return state.LiveRows, false, nil
	}
	return e.TypicalRows(), true, nil
}

// window counts the rows of an incremental read, or estimates them.
func (p *preview) window(ctx context.Context, t *schemas.Table, decided Plan, out StreamPlan) (int64, error) {
	if p.Source == nil {
		return churn(out.Rows, 0, 0, p.serverTime.Sub(decided.Window.Since)), nil
	}
	return p.Source.Count(ctx, Slice{Table: t, Window: decided.Window})
}

// cost fills in the requests of the next run, of the ones after it, and of those that come once a day.
func (p *preview) cost(e *schemas.Entity, state StreamState, decided Plan, parent StreamPlan, out *StreamPlan) {
	out.Requests = workload{entity: e, mode: out.Mode, rows: out.ToRead, live: out.live, parents: out.Parents}.requests()
	if p.stale(state, p.req.SyncRequest) {
		out.Requests += describes(e)
	}
	out.Daily = describes(e)
	later := workload{entity: e, mode: ModeFull, rows: out.Rows, live: out.Rows, parents: parent.Rows}
	within := p.req.Interval + p.Overlap
	switch schemas.Class(out.Class) {
	case schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend:
		later.mode = ModeIncremental
		reread := decided.Next.RereadAt.Equal(p.serverTime) && out.Mode == ModeIncremental
		over := time.Duration(0)
		if out.Mode == ModeIncremental && !reread {
			over = p.serverTime.Sub(out.Since)
		}
		later.rows = min(churn(out.Rows, out.ToRead, over, within), out.Rows)
		if schemas.Class(out.Class) == schemas.ClassAppend {
			recent := workload{entity: e, mode: ModeIncremental, rows: out.Rows / guessedWindowShare}
			if reread {
				recent.rows = out.ToRead
			}
			out.Daily += max(0, recent.requests()-later.requests())
		}
	case schemas.ClassParent, schemas.ClassChild:
		if parent.Entity == "" { // nobody tells which parents change
			break
		}
		later.mode = ModeParent
		over := time.Duration(0)
		if parent.Mode == ModeIncremental {
			over = p.serverTime.Sub(parent.Since)
		}
		later.parents = max(1, min(churn(parent.Rows, parent.ToRead, over, within), parent.Rows))
		later.rows = out.Rows * later.parents / max(1, parent.Rows)
	}
	out.Later = later.requests()
}
