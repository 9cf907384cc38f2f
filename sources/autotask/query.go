package autotask

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// mostAlternatives is how many OR conditions a query may have; each id of an "in" counts (api.md §3).
const mostAlternatives = 500

// operator is one of the comparisons that atsync uses. It is closed because Autotask silently drops a
// condition whose operator it does not know, and then answers with everything (api.md §3).
type operator uint8

const (
	opExist operator = iota + 1
	opGt
	opGte
	opLt
	opLte
	opIn
	opOr
	opEq
)

// MarshalText spells an operator as Autotask does.
func (o operator) MarshalText() ([]byte, error) {
	names := [...]string{opExist: "exist", opGt: "gt", opGte: "gte", opLt: "lt", opLte: "lte", opIn: "in", opOr: "or", opEq: "eq"}
	if o == 0 || int(o) >= len(names) {
		return nil, fmt.Errorf("no operator %d", o)
	}
	return []byte(names[o]), nil
}

// condition is one element of a filter: a comparison, or a group of them.
type condition struct {
	Op    operator    `json:"op"`
	Field string      `json:"field,omitempty"`
	Value any         `json:"value,omitempty"` // int64 0 is kept: only nil is empty for an interface
	Items []condition `json:"items,omitempty"`
}

// queryBody is the body of query and query/count.
type queryBody struct {
	Filter     []condition `json:"filter"` // all of them must hold
	MaxRecords int         `json:"MaxRecords,omitempty"`
	Fields     []string    `json:"IncludeFields,omitempty"` // nil: all
}

// stampFormat is how a filter names an instant, to the millisecond, UTC.
const stampFormat = "2006-01-02T15:04:05.000Z"

func instant(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(stampFormat) }

// windowConditions returns the conditions that a window adds: none, one, a group of alternatives, or the two ends
// of a span.
func windowConditions(w pipeline.Window) ([]condition, error) {
	var alternatives []condition
	n := len(w.Stamps) + len(w.In)
	if !w.Before.IsZero() {
		if n != 1 || len(w.Stamps) != 1 || w.NewerID != nil || !w.Since.Before(w.Before) {
			return nil, fmt.Errorf("the window ends at %s, which takes a single stamp and an earlier beginning: %+v", w.Before, w)
		}
		return []condition{{Op: opGte, Field: w.Stamps[0], Value: instant(w.Since)}, {Op: opLt, Field: w.Stamps[0], Value: instant(w.Before)}}, nil
	}
	if len(w.Stamps) > 0 && w.Since.IsZero() {
		return nil, fmt.Errorf("the window has stamps %v, but no time", w.Stamps)
	}
	for _, stamp := range w.Stamps {
		alternatives = append(alternatives, condition{Op: opGte, Field: stamp, Value: instant(w.Since)})
	}
	if w.NewerID != nil {
		n++
		alternatives = append(alternatives, condition{Op: opGt, Field: "id", Value: *w.NewerID})
	}
	if len(w.In) > 0 {
		if w.InField == "" {
			return nil, fmt.Errorf("the window has %d ids, but no field for them", len(w.In))
		}
		alternatives = append(alternatives, condition{Op: opIn, Field: w.InField, Value: w.In})
	}
	switch {
	case n > mostAlternatives:
		return nil, fmt.Errorf("the window has %d alternatives, and Autotask takes %d", n, mostAlternatives)
	case len(alternatives) <= 1:
		return alternatives, nil
	}
	return []condition{{Op: opOr, Items: alternatives}}, nil
}

// sliceQuery asks for one slice; only the place in it changes from page to page.
type sliceQuery struct {
	fixed  []condition // the window and the slice's end
	size   int
	fields []string
}

func newSliceQuery(slice pipeline.Slice, size int) (*sliceQuery, error) {
	fixed, err := windowConditions(slice.Window)
	if err != nil {
		return nil, err
	}
	if slice.Until != nil {
		fixed = append(fixed, condition{Op: opLte, Field: "id", Value: *slice.Until})
	}
	return &sliceQuery{fixed: fixed, size: size, fields: slice.Fields}, nil
}

// ends reports whether a page is the slice's last: it is not full, and the server does not say that there is more.
func (q *sliceQuery) ends(page schemas.Page) bool {
	return page.Rows == 0 || page.Rows < q.size && !page.More
}

// page returns the body that asks for the page behind an id, or for the first page: ids can be 0 or
// negative, so that page asks for every id there is (api.md §4).
func (q *sliceQuery) page(after *int64) ([]byte, error) {
	return json.Marshal(queryBody{Filter: q.behind(after), MaxRecords: q.size, Fields: q.fields})
}

// count returns the body that counts the rows behind an id.
func (q *sliceQuery) count(after *int64) ([]byte, error) {
	return json.Marshal(queryBody{Filter: q.behind(after)})
}

// behind returns the filter; it never is empty, which Autotask refuses (api.md §3).
func (q *sliceQuery) behind(after *int64) []condition {
	place := condition{Op: opExist, Field: "id"}
	if after != nil {
		place = condition{Op: opGt, Field: "id", Value: *after}
	}
	return append(slices.Clip(q.fixed), place)
}
