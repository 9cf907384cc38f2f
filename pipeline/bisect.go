package pipeline

import (
	"context"
	"math"
)

// span is a range of ids, after < id <= until (nil: no bound), with how many rows each side has in it.
type span struct {
	after, until *int64
	source, live int64
}

// bisection looks for the ranges in which source and warehouse differ. It asks for one count a halving, since
// the other half is the difference, and lists a range where that is cheaper than going on. Differences that
// cancel each other out within a range stay unseen.
type bisection struct {
	count  func(ctx context.Context, after, until *int64) (int64, error)  // of the source's rows: a request
	extent func(ctx context.Context, after, until *int64) (Extent, error) // of the warehouse's
	list   func(ctx context.Context, sp span) error                       // compares a range id by id
	budget int64                                                          // counts left: then what differs is listed
}

// search halves at the median of the warehouse's ids, so that gaps and clusters do not matter.
func (b *bisection) search(ctx context.Context, sp span) error {
	if sp.source == sp.live {
		return nil
	}
	if sp.worthListing() || b.budget <= 0 {
		return b.list(ctx, sp)
	}
	whole, err := b.extent(ctx, sp.after, sp.until)
	if err != nil {
		return err
	}
	lower, err := b.extent(ctx, sp.after, &whole.Median)
	if err != nil {
		return err
	}
	if lower.Live >= whole.Live { // one row, or none: there is nothing to halve
		return b.list(ctx, sp)
	}
	b.budget--
	n, err := b.count(ctx, sp.after, &whole.Median)
	if err != nil {
		return err
	}
	err = b.search(ctx, span{after: sp.after, until: &whole.Median, source: n, live: lower.Live})
	if err != nil {
		return err
	}
	return b.search(ctx, span{after: &whole.Median, until: sp.until, source: sp.source - n, live: whole.Live - lower.Live})
}

// listCost is how many requests it takes to list rows.
func listCost(rows int64) int64 { return max(rows, 0)/pageSize + 1 }

// worthListing reports whether listing the span takes no more requests than halving it until its differences
// stand in ranges of two pages each, if they are scattered evenly.
func (sp span) worthListing() bool {
	if sp.source < 2*pageSize {
		return true
	}
	differ := math.Abs(float64(sp.source - sp.live))
	each := math.Max(0, math.Log2(float64(sp.source)/(2*pageSize*differ))) + 2.5
	return differ*each >= float64(listCost(sp.source))
}
