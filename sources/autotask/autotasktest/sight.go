package autotasktest

import (
	"strings"

	"github.com/atsync/atsync/schemas"
)

// Restrict hides rows of an entity as a security level does: those for which visible is false are absent from
// answers, without an error, and entityInformation says Restricted. With nil every row is hidden and it says None.
func (h *Handler) Restrict(entity string, visible func(Row) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sights[strings.ToLower(entity)] = visible
}

// Unrestrict undoes Restrict.
func (h *Handler) Unrestrict(entity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sights, strings.ToLower(entity))
}

// sightWord is the access that Restrict gives, as JSON, or "".
func (h *Handler) sightWord(e *schemas.Entity) string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	visible, restricted := h.sights[strings.ToLower(e.Name)]
	switch {
	case !restricted:
		return ""
	case visible == nil:
		return `"None"`
	}
	return `"Restricted"`
}

// sight returns which rows of the entity's table the user may see; nil: all.
func (x *exchange) sight(t *table) predicate {
	x.h.mu.RLock()
	visible, restricted := x.h.sights[strings.ToLower(x.entity())]
	x.h.mu.RUnlock()
	if !restricted {
		return nil
	}
	return func(i int) bool {
		return visible != nil && visible(Row{t.ids[i], t.shape, t.rows[i], !x.h.data.noZone})
	}
}

// hide leaves rows out of a query that the user may not see.
func (x *exchange) hide(t *table, f *filter) {
	sees, match := x.sight(t), f.match
	if sees == nil {
		return
	}
	f.match = func(i int) bool { return sees(i) && (match == nil || match(i)) }
}
