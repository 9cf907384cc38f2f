package pipeline

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slicing is a deterministic model of a sliced read: ids at a server that answers after one unit of time, a limit of
// requests at a time, workers, and the decoding of pages one after the other.
type slicing struct {
	ids           []int64 // ascending
	threads, size int
	workers       int
	decode        float64 // time per page
	counted       int64   // what the server says

	change func(requests int) // edits ids, before a page is served

	segments *segments
	requests int
	running  int
	mostRuns int
	waiting  []func()
	idle     int
	decoding float64 // until when
	now      float64
	serial   int
	due      moments
	got      []int64
	ranges   func() // called after each landing
}

type moment struct {
	at     float64
	serial int
	do     func()
}

type moments []moment

func (m moments) Len() int { return len(m) }
func (m moments) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].serial < m[j].serial
}
func (m moments) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(v any)   { *m = append(*m, v.(moment)) }
func (m *moments) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func (m *slicing) after(d float64, do func()) {
	m.serial++
	heap.Push(&m.due, moment{m.now + d, m.serial, do})
}

// request does something at the server when a thread is free.
func (m *slicing) request(answered func()) {
	if m.running == m.threads {
		m.waiting = append(m.waiting, func() { m.request(answered) })
		return
	}
	m.running++
	m.mostRuns = max(m.mostRuns, m.running)
	m.requests++
	m.after(1, func() {
		m.running--
		answered()
		if len(m.waiting) > 0 {
			next := m.waiting[0]
			m.waiting = m.waiting[1:]
			next()
		}
	})
}

// run plays a read of the ranges and returns when its last page was decoded.
func (m *slicing) run(ranges ...Range) float64 {
	if ranges == nil {
		ranges = []Range{{}}
	}
	m.segments = newSegments(m.workers, ranges)
	for range m.workers {
		m.work()
	}
	m.request(func() {
		m.segments.expect(m.counted)
		m.wake()
	})
	for len(m.due) > 0 && m.requests < 100_000 {
		next := heap.Pop(&m.due).(moment)
		m.now = next.at
		next.do()
	}
	return m.now
}

func (m *slicing) wake() {
	for n := m.idle; n > 0; n-- {
		m.idle--
		m.work()
	}
}

func (m *slicing) work() {
	a, ok := m.segments.goOn()
	if !ok {
		a, ok = m.segments.steal()
	}
	if !ok {
		m.idle++
		return
	}
	m.request(func() {
		if m.change != nil {
			m.change(m.requests)
		}
		page, end := serve(m.ids, a.Range, m.size)
		m.decoding = max(m.now, m.decoding) + m.decode
		m.after(m.decoding-m.now, func() {
			l := landing{rows: len(page), end: end}
			if l.rows > 0 {
				l.first, l.last = page[0], page[l.rows-1]
			}
			if until := m.segments.land(a, l); until != nil {
				page = slices.DeleteFunc(page, func(id int64) bool { return id > *until })
			}
			m.segments.keep(a, len(page))
			m.got = append(m.got, page...)
			if m.ranges != nil {
				m.ranges()
			}
			m.work()
			m.wake()
		})
	})
}

// serve returns the first ids of a range, and whether they are all of it.
func serve(ids []int64, r Range, size int) (page []int64, end bool) {
	from, to := 0, len(ids)
	if r.After != nil {
		at, there := slices.BinarySearch(ids, *r.After)
		if from = at; there {
			from++
		}
	}
	if r.Until != nil {
		at, there := slices.BinarySearch(ids, *r.Until)
		if to = at; there {
			to++
		}
	}
	to = max(from, to)
	page = slices.Clone(ids[from:min(to, from+size)])
	return page, len(page) < size
}

// distributions are the ways in which n ids may be spread.
func distributions(n int) map[string][]int64 {
	r := rand.New(rand.NewPCG(1, 2))
	half, most := n/2, n*9/10
	of := func(id func(i int) int64) []int64 {
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = id(i)
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	split := func(at int, low, high int64) func(int) int64 {
		return func(i int) int64 {
			if i < at {
				return int64(i) * low
			}
			return int64(at)*low + high + int64(i-at)
		}
	}
	return map[string][]int64{
		"dense":             of(func(i int) int64 { return int64(i) }),
		"negative and 0":    of(func(i int) int64 { return int64(i - half) }),
		"two clusters":      of(split(half, 1, 1e12)),
		"few low, far":      of(split(n/10, 1, 1e12)),
		"most low, far":     of(split(most, 1, 1e12)),
		"sparse then dense": of(split(n/20, 1e5, 0)),
		"all rows high":     of(split(1, 1, 1<<62)),
		"growing gaps":      of(func(i int) int64 { return int64(math.Exp(float64(i)/float64(n)*40)) + int64(i) }),
		"quadratic":         of(func(i int) int64 { return int64(i) * int64(i) }),
		"cubic":             of(func(i int) int64 { return int64(i) * int64(i) * int64(i) }),
		"root":              of(func(i int) int64 { return int64(math.Sqrt(float64(i)) * 1e9) }),
		"random":            of(func(int) int64 { return r.Int64N(int64(n) * 100) }),
		"random ±2^62":      of(func(int) int64 { return r.Int64() - 1<<62 }),
		"low ones random":   of(func(int) int64 { return int64(math.Pow(r.Float64(), 6) * 1e15) }),
	}
}

// TestSlicesOfALargeRead holds the division to the promise: 200 pages at 3 requests a time.
func TestSlicesOfALargeRead(t *testing.T) {
	const n, size, threads = 100_000, 500, 3
	for name, ids := range distributions(n) {
		t.Run(name, func(t *testing.T) {
			m := &slicing{ids: ids, threads: threads, workers: threads + 1, size: size, decode: 0.03, counted: int64(len(ids))}
			took := m.run()
			check(t, m, ids)
			pages := (len(ids) + size - 1) / size
			ideal := float64((pages + threads - 1) / threads)
			if most := int(1.02*float64(pages)) + 10; m.requests > most {
				t.Errorf("%d requests for %d pages, want at most %d", m.requests, pages, most)
			}
			if took > 1.10*ideal {
				t.Errorf("took %.1f latencies, %.3f × %.0f", took, took/ideal, ideal)
			}
			t.Logf("%d pages: %d requests, %.3f × the ideal time", pages, m.requests, took/ideal)
		})
	}
}

// check wants every id once, and no more requests at a time than allowed.
func check(t interface {
	Helper()
	Errorf(string, ...any)
}, m *slicing, want []int64,
) {
	t.Helper()
	got := slices.Sorted(slices.Values(m.got))
	if !slices.Equal(got, want) {
		t.Errorf("%d ids came, %d of them once; want %d", len(got), len(slices.Compact(slices.Clone(got))), len(want))
	}
	if m.mostRuns > m.threads {
		t.Errorf("%d requests at a time, want at most %d", m.mostRuns, m.threads)
	}
	if !m.segments.done() {
		t.Errorf("left: %v", m.segments.ranges())
	}
}

// TestSlicesOfHardReads: where ids tell little of what follows, rows still come once, and requests stay in bounds.
func TestSlicesOfHardReads(t *testing.T) {
	const n, size = 50_000, 500
	r := rand.New(rand.NewPCG(3, 4))
	bursts := make([]int64, n)
	at, left := int64(math.MinInt64/2), 0
	for i := range bursts {
		if left == 0 {
			left, at = 1+r.IntN(n/15), at+r.Int64N(1e10)
		}
		left--
		at++
		bursts[i] = at
	}
	shrinking := make([]int64, n)
	for i := range shrinking {
		shrinking[n-1-i] = -int64(math.Exp(float64(i)/n*40)) - int64(i)
	}
	for name, ids := range map[string][]int64{"bursts": bursts, "shrinking gaps": shrinking} {
		t.Run(name, func(t *testing.T) {
			m := &slicing{ids: ids, threads: 3, workers: 4, size: size, decode: 0.03, counted: n}
			took := m.run()
			check(t, m, ids)
			if pages := n / size; m.requests > pages*3/2 || took > float64(pages)*2/3 {
				t.Errorf("%d requests, %.1f latencies for %d pages", m.requests, took, pages)
			}
		})
	}
}

// TestSlicesOfAnyRead plays reads with any ids, sizes, ranges and wrong counts.
func TestSlicesOfAnyRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spread := rapid.SampledFrom([]int64{1, 2, 1000, 1 << 40}).Draw(rt, "spread")
		size := rapid.IntRange(1, 20).Draw(rt, "page size")
		ids := []int64{}
		at := rapid.SampledFrom([]int64{0, 1, -500, math.MinInt64, math.MaxInt64 - 1000}).Draw(rt, "first")
		for range rapid.IntRange(0, 60*size).Draw(rt, "rows") {
			ids = append(ids, at)
			next := at + 1 + rand.New(rand.NewPCG(uint64(len(ids)), 5)).Int64N(spread)
			if next < at {
				break
			}
			at = next
		}
		counted := rapid.Int64Range(0, 3*int64(len(ids))+1).Draw(rt, "count")
		m := &slicing{ids: ids, threads: rapid.IntRange(1, 3).Draw(rt, "threads"), size: size, counted: counted}
		m.workers = m.threads + rapid.IntRange(0, 1).Draw(rt, "more workers")
		m.run()
		check(rt, m, ids)
		pages := (len(ids) + size - 1) / size
		if most := 2*pages + 64*m.workers; m.requests > most {
			rt.Errorf("%d requests for %d pages", m.requests, pages)
		}
	})
}

// TestSlicesWhileRowsComeAndGo: what is there all the time comes once; nothing comes twice.
func TestSlicesWhileRowsComeAndGo(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 6))
		ids := distributions(5000)["random"]
		stays := map[int64]bool{}
		for _, id := range ids {
			stays[id] = true
		}
		m := &slicing{ids: ids, threads: 3, workers: 4, size: 50, counted: int64(len(ids))}
		m.change = func(int) {
			at := r.IntN(len(m.ids))
			delete(stays, m.ids[at])
			m.ids = slices.Delete(m.ids, at, at+1)
			id := r.Int64N(600_000)
			if i, there := slices.BinarySearch(m.ids, id); !there && !stays[id] {
				m.ids = slices.Insert(m.ids, i, id)
			}
		}
		m.run()
		seen := map[int64]bool{}
		for _, id := range m.got {
			if seen[id] {
				t.Fatalf("seed %d: %d came twice", seed, id)
			}
			seen[id] = true
		}
		for id := range stays {
			if !seen[id] {
				t.Errorf("seed %d: %d never came", seed, id)
			}
		}
	}
}

// TestSlicesGoOn stops a read after any number of pages and goes on with the ranges that were left.
func TestSlicesGoOn(t *testing.T) {
	ids := distributions(20_000)["cubic"]
	whole := &slicing{ids: ids, threads: 3, workers: 4, size: 500, counted: int64(len(ids))}
	var left [][]Range
	var had []int
	whole.ranges = func() {
		left = append(left, slices.Clone(whole.segments.ranges()))
		had = append(had, len(whole.got))
	}
	whole.run()
	for i, ranges := range left[:len(left)-1] {
		rest := &slicing{ids: ids, threads: 3, workers: 4, size: 500, counted: int64(len(ids) - had[i])}
		rest.run(ranges...)
		rest.got = append(rest.got, whole.got[:had[i]]...)
		check(t, rest, ids)
		if most := (len(ids)-had[i])/500 + 4 + 2*len(ranges) + 10; rest.requests > most {
			t.Errorf("after %d landings: %d requests, want at most %d", i+1, rest.requests, most)
		}
	}
}
