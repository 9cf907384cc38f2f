package pipeline

import (
	"cmp"
	"math"
	"slices"
)

const (
	// worthStealing is how many pages must be left behind the page under way to make a steal worth its request.
	worthStealing = 2
	// lastPageFill is how full a steal leaves the last page of its victim, if it guesses right: half full, as it would
	// be by chance, wastes more; full wastes a page if a few rows more are there than guessed.
	lastPageFill = 0.9
)

// segments divides one read by id among workers. Each segment has at most one page under way; a worker that
// finds none to go on with steals the upper half of the one with most rows left. Its guesses at rows left only
// decide who reads what: every id belongs to one segment until a page has shown its rows. It does no I/O and knows no
// clock. Not safe for concurrent use.
type segments struct {
	most  int   // open ones at a time
	size  int   // rows of a full page; 0: none was seen
	total int64 // rows of all of them together, as counted; < 0: unknown, and nothing is stolen
	read  int64 // rows kept
	open  []*segment
}

// A segment is a part of a read: what is left of it, and who works on it.
type segment struct {
	Range
	left   float64 // rows believed to be left
	gap    float64 // ids from one row to the next where it stands; 0: unknown
	busy   bool    // a page is under way
	landed bool    // a page has come: its gap is its own
}

// An ask is a page to be fetched: the first rows of a range.
type ask struct {
	Range
	of *segment
}

// A landing is a page that has come for an ask.
type landing struct {
	rows        int
	first, last int64 // ids, if there are rows
	end         bool  // nothing follows in the range that was asked for
}

// newSegments divides the given ranges, which don't overlap, into at most most segments.
func newSegments(most int, ranges []Range) *segments {
	s := &segments{most: most, total: -1}
	for _, r := range ranges {
		s.open = append(s.open, &segment{Range: r, left: 1})
	}
	return s
}

// expect takes in how many rows the whole read has, as counted by the server, which may be wrong.
func (s *segments) expect(total int64) { s.total = max(0, total) }

// goOn returns the next page of a segment that has none under way, and false if there is no such segment.
func (s *segments) goOn() (ask, bool) {
	for _, g := range s.open {
		if !g.busy {
			g.busy = true
			return ask{g.Range, g}, true
		}
	}
	return ask{}, false
}

// steal halves the segment with most rows left: the upper half is a segment of its own, and what is asked for is
// its first page. If that is empty, a bound has been learned. It returns false if nothing is worth a steal.
func (s *segments) steal() (ask, bool) {
	if s.total < 0 || s.size == 0 || len(s.open) >= s.most {
		return ask{}, false
	}
	s.estimate()
	var victim *segment
	for _, g := range s.open {
		// of a segment that was only guessed nobody knows where its rows are
		if g.landed && (victim == nil || cmp.Less(victim.left, g.left)) {
			victim = g
		}
	}
	if victim == nil {
		return ask{}, false
	}
	page := float64(s.size)
	behind := victim.left - page // the page under way
	if behind < worthStealing*page {
		return ask{}, false
	}
	at, ok := victim.guess((math.Ceil((page+behind/2)/page) - 1 + lastPageFill) * page)
	if !ok {
		return ask{}, false
	}
	thief := &segment{Range: Range{After: &at, Until: victim.Until}, left: behind / 2, gap: victim.gap, busy: true}
	victim.Until = &at
	victim.left -= thief.left
	s.open = append(s.open, thief)
	return ask{thief.Range, thief}, true
}

// guess returns the id of about the nth row that is left, going by how far apart rows are where the segment
// stands, or on the average where that is less. It lies within the segment; false if there is no room.
func (g *segment) guess(nth float64) (int64, bool) {
	if g.After == nil || g.gap <= 0 {
		return 0, false
	}
	step := g.gap * nth
	room := uint64(math.MaxInt64) - uint64(*g.After) // exact also where the difference of two int64 is not
	if g.Until != nil {
		room = uint64(*g.Until) - uint64(*g.After)
		step = min(step, float64(room)*nth/g.left)
	}
	if step < 1 || step >= float64(room)*0.999 {
		return 0, false
	}
	return int64(uint64(*g.After) + uint64(step)), true
}

// estimate brings what is believed of rows left in line with the total and with the room that ids have.
func (s *segments) estimate() {
	sum := 0.0
	for _, g := range s.open {
		if room, ok := g.room(); ok && g.gap > 0 {
			g.left = min(g.left, room/g.gap)
		}
		sum += g.left
	}
	left := float64(max(0, s.total-s.read))
	for _, g := range s.open {
		g.left *= left / max(sum, 1)
		if room, ok := g.room(); ok {
			g.left = min(g.left, room)
		}
	}
}

// room returns how many ids a segment spans, if it has both ends.
func (g *segment) room() (float64, bool) {
	if g.After == nil || g.Until == nil {
		return 0, false
	}
	return float64(uint64(*g.Until) - uint64(*g.After)), true
}

// land takes in the page that came for an ask, and returns up to which id its rows are wanted: what lies beyond has
// been stolen meanwhile. nil: all of them.
func (s *segments) land(a ask, p landing) (until *int64) {
	g := a.of
	g.busy, g.landed = false, true
	if !p.end {
		s.size = max(s.size, p.rows)
	}
	if p.rows > 1 {
		g.gap = float64(uint64(p.last)-uint64(p.first)) / float64(p.rows-1)
	}
	if p.rows > 0 {
		last := p.last
		g.After = &last
	}
	if p.end || p.rows == 0 || g.Until != nil && p.last >= *g.Until {
		s.open = slices.DeleteFunc(s.open, func(o *segment) bool { return o == g })
	}
	return g.Until
}

// keep notes how many of a page's rows were wanted.
func (s *segments) keep(a ask, rows int) {
	s.read += int64(rows)
	a.of.left = max(1, a.of.left-float64(rows))
}

// done reports whether every row was seen.
func (s *segments) done() bool { return len(s.open) == 0 }

// ranges returns what is left of the read.
func (s *segments) ranges() []Range {
	out := make([]Range, 0, len(s.open))
	for _, g := range s.open {
		out = append(out, g.Range)
	}
	return out
}
