package pipeline

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// sides is a model of source and warehouse: ids, ascending.
type sides struct {
	source, live []int64
	requests     int64
	gone, absent []int64
}

func within(ids []int64, after, until *int64) []int64 {
	from, to := 0, len(ids)
	if after != nil {
		from = sort.Search(len(ids), func(i int) bool { return ids[i] > *after })
	}
	if until != nil {
		to = sort.Search(len(ids), func(i int) bool { return ids[i] > *until })
	}
	return ids[from:max(from, to)]
}

func (s *sides) bisect(t *testing.T) {
	t.Helper()
	b := &bisection{budget: listCost(int64(len(s.source))),
		count: func(_ context.Context, after, until *int64) (int64, error) {
			s.requests++
			return int64(len(within(s.source, after, until))), nil
		},
		extent: func(_ context.Context, after, until *int64) (Extent, error) {
			ids := within(s.live, after, until)
			e := Extent{Live: int64(len(ids))}
			if len(ids) > 0 {
				e.Median = ids[(len(ids)-1)/2]
			}
			return e, nil
		},
		list: func(_ context.Context, sp span) error {
			listed := within(s.source, sp.after, sp.until)
			s.requests += listCost(int64(len(listed)))
			c := &comparison{}
			c.note(listed, within(s.live, sp.after, sp.until))
			s.gone, s.absent = append(s.gone, c.gone...), append(s.absent, c.missing...)
			return nil
		},
	}
	err := b.search(t.Context(), span{source: int64(len(s.source)), live: int64(len(s.live))})
	if err != nil {
		t.Fatal(err)
	}
}

// drop removes n ids at random and returns both, ascending.
func drop(r *rand.Rand, ids []int64, n int) (kept, dropped []int64) {
	gone := map[int]bool{}
	for len(gone) < min(n, len(ids)) {
		gone[r.IntN(len(ids))] = true
	}
	for i, id := range ids {
		if gone[i] {
			dropped = append(dropped, id)
		} else {
			kept = append(kept, id)
		}
	}
	return kept, dropped
}

// numbering makes ascending ids of some shape.
func numberings() map[string]func(r *rand.Rand, n int) []int64 {
	gaps := func(start int64, gap func(r *rand.Rand, i int) int64) func(r *rand.Rand, n int) []int64 {
		return func(r *rand.Rand, n int) []int64 {
			ids := make([]int64, n)
			for i := range ids {
				ids[i] = start
				start += gap(r, i)
			}
			return ids
		}
	}
	return map[string]func(r *rand.Rand, n int) []int64{
		"dense":            gaps(1, func(*rand.Rand, int) int64 { return 1 }),
		"around zero":      gaps(-5000, func(*rand.Rand, int) int64 { return 1 }),
		"exponential gaps": gaps(math.MinInt64/4, func(r *rand.Rand, _ int) int64 { return 1 + int64(math.Exp(r.Float64()*24)) }),
		"two far clusters": gaps(1, func(_ *rand.Rand, i int) int64 {
			if i == 1000 {
				return 1 << 60
			}
			return 1
		}),
	}
}

func TestOneHoleInAMillionTakesThirtyRequests(t *testing.T) {
	for name, ids := range numberings() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 11))
			all := ids(r, 1_000_000)
			for _, at := range []int{0, 1, 499_999, 999_999, r.IntN(len(all)), r.IntN(len(all))} {
				gone := &sides{source: slices.Delete(slices.Clone(all), at, at+1), live: all}
				gone.bisect(t)
				if !slices.Equal(gone.gone, all[at:at+1]) || gone.absent != nil || gone.requests > 20 {
					t.Errorf("gone at %d: found %v and %v with %d requests", at, gone.gone, gone.absent, gone.requests)
				}
				missing := &sides{source: all, live: gone.source}
				missing.bisect(t)
				if !slices.Equal(missing.absent, all[at:at+1]) || missing.gone != nil || missing.requests > 20 {
					t.Errorf("missing at %d: found %v and %v with %d requests", at, missing.absent, missing.gone, missing.requests)
				}
			}
		})
	}
}

// TestBisectionFindsEveryHoleOfOneKind: without holes of the other kind nothing can cancel out. It never takes
// more than twice the requests of a listing, and for few holes far less.
func TestBisectionFindsEveryHoleOfOneKind(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		for name, ids := range numberings() {
			n := 1 + int(math.Exp(r.Float64()*math.Log(60_000)))
			holes := int(math.Exp(r.Float64() * math.Log(float64(n)+1)))
			all := ids(r, n)
			fewer, dropped := drop(r, all, holes)
			s := &sides{source: fewer, live: all}
			found := &s.gone
			if r.IntN(2) == 0 {
				s.source, s.live, found = all, fewer, &s.absent
			}
			s.bisect(t)
			where := fmt.Sprintf("seed %d, %s, %d ids, %d holes", seed, name, n, len(dropped))
			if !slices.Equal(*found, dropped) || len(s.gone)+len(s.absent) != len(dropped) {
				t.Fatalf("%s: %d gone and %d missing were found", where, len(s.gone), len(s.absent))
			}
			whole := float64(listCost(int64(len(s.source))))
			each := math.Ceil(math.Log2(float64(n)/pageSize+1)) + 4
			if most := min(2.2*whole+4, float64(len(dropped))*each+4); float64(s.requests) > most {
				t.Errorf("%s: %d requests, at most %.0f are allowed, a listing takes %.0f", where, s.requests, most, whole)
			}
		}
	}
}

// TestBisectionWithBothKindsOfHoles: what it reports is true, though it may overlook what cancels out.
func TestBisectionWithBothKindsOfHoles(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		all := numberings()["dense"](r, 20_000)
		live, absent := drop(r, all, r.IntN(30))
		source, gone := drop(r, all, r.IntN(30))
		s := &sides{source: source, live: live}
		s.bisect(t)
		for _, id := range s.gone {
			if _, ok := slices.BinarySearch(gone, id); !ok {
				t.Fatalf("seed %d: %d is not gone", seed, id)
			}
		}
		for _, id := range s.absent {
			if _, ok := slices.BinarySearch(absent, id); !ok {
				t.Fatalf("seed %d: %d is not missing", seed, id)
			}
		}
		if got, want := len(s.absent)-len(s.gone), len(source)-len(live); got != want {
			t.Fatalf("seed %d: %d missing and %d gone do not explain a difference of %d", seed, len(s.absent), len(s.gone), want)
		}
	}
}
