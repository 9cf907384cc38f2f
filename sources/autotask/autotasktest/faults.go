package autotasktest

import (
	"strings"
	"sync"
)

// Fault makes requests fail. Of the requests that match, the first After pass; of those that follow, every
// Every-th is hit (0 and 1: each one), at most Times times (0: no limit). Of several faults that would
// hit a request, the one that was set first does.
//
// A fault takes effect after login, rights and limits, so the request counts and holds its thread.
type Fault struct {
	Entity string             // plural name, any case; empty: any
	Op     Op                 // empty: any
	When   func(Request) bool // nil: always; a further condition
	After  int
	Every  int
	Times  int
	Do     Action
}

// FaultHandle is a fault that was set.
type FaultHandle struct {
	fault Fault
	all   *faults
	seen  int
	hits  int
}

type faults struct {
	mu   sync.Mutex
	list []*FaultHandle
}

// Fault sets a fault and returns a handle to count and remove it.
func (h *Handler) Fault(f Fault) *FaultHandle {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	f.Every = max(f.Every, 1)
	fh := &FaultHandle{fault: f, all: &h.faults}
	h.faults.list = append(h.faults.list, fh)
	return fh
}

// ClearFaults removes all faults.
func (h *Handler) ClearFaults() {
	h.faults.mu.Lock()
	defer h.faults.mu.Unlock()
	h.faults.list = nil
}

// Hits returns how many requests the fault has hit.
func (f *FaultHandle) Hits() int {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	return f.hits
}

// Remove ends the fault.
func (f *FaultHandle) Remove() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	for i, g := range f.all.list {
		if g == f {
			f.all.list = append(f.all.list[:i:i], f.all.list[i+1:]...)
			return
		}
	}
}

// pick returns the action for a request, if any fault hits it.
func (fs *faults) pick(x *exchange) (Action, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.list) == 0 {
		return Action{}, false
	}
	r := x.request(x.h.Now())
	for _, f := range fs.list {
		if !f.fault.matches(r) {
			continue
		}
		f.seen++
		if f.seen <= f.fault.After || (f.seen-f.fault.After-1)%f.fault.Every != f.fault.Every-1 {
			continue
		}
		if f.fault.Times > 0 && f.hits >= f.fault.Times {
			continue
		}
		f.hits++
		return f.fault.Do, true
	}
	return Action{}, false
}

func (f *Fault) matches(r Request) bool {
	return (f.Entity == "" || strings.EqualFold(f.Entity, r.Entity)) &&
		(f.Op == "" || f.Op == r.Op) && (f.When == nil || f.When(r))
}

// before lets a fault answer in place of the operation, or prepares how it will change the answer.
func (fs *faults) before(x *exchange) (response, bool) {
	a, hit := fs.pick(x)
	if !hit {
		return response{}, false
	}
	x.edit, x.send = a.edit, a.send
	if a.instead != nil {
		return a.instead(x)
	}
	return response{}, false
}

// after lets a fault change a good answer.
func (fs *faults) after(x *exchange, resp response) response {
	if x.edit.body != nil && resp.status == 200 {
		resp.body = x.edit.body(resp.body)
	}
	return resp
}
