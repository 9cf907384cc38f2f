package pipelinetest

import (
	"cmp"
	"context"
	"slices"

	"github.com/atsync/atsync/pipeline"
)

// Next implements pipeline.Sink.
func (s *MemorySink) Next(ctx context.Context, table string, after pipeline.Place, limit int) ([]pipeline.Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []pipeline.Place
	for _, t := range s.tables {
		if t.name != table {
			continue
		}
		for id, row := range t.rows {
			p := pipeline.Place{Load: row.loadID, ID: id, Deleted: !row.deletedAt.IsZero()}
			if comparePlaces(p, after) > 0 {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, comparePlaces)
	return out[:min(limit, len(out))], s.fail(table, "find changed rows", context.Cause(ctx))
}

func comparePlaces(a, b pipeline.Place) int {
	return cmp.Or(cmp.Compare(a.Load, b.Load), cmp.Compare(a.ID, b.ID))
}

// testNext walks the feed of changes two rows at a time.
func testNext(f *fixture) {
	next := func(after pipeline.Place, limit int) []pipeline.Place {
		places, err := f.Sink.Next(f.Context(), f.table.Name, after, limit)
		if err != nil {
			f.Fatal(err)
		}
		return append([]pipeline.Place{}, places...)
	}
	f.equal("of an unknown table", []pipeline.Place{}, next(pipeline.Place{}, 10))
	first := f.load(page(widget(-5, "z", 0), widget(1, "a", 0), widget(2, "b", 0), widget(3, "c", 0))).LoadID
	second := f.load(page(widget(1, "A", 1))).LoadID
	third := f.commit(f.begin(pipeline.LoadSpec{}), pipeline.Commit{Tombstones: []int64{2}, Reason: "full"}).LoadID
	all := []pipeline.Place{{Load: first, ID: -5}, {Load: first, ID: 3}, {Load: second, ID: 1}, {Load: third, ID: 2, Deleted: true}}
	f.equal("all", all, next(pipeline.Place{}, 10))
	f.equal("the first two", all[:2], next(pipeline.Place{}, 2))
	f.equal("the next two", all[2:], next(all[1], 2))
	f.equal("from within a load", all[1:], next(pipeline.Place{Load: first, ID: 2}, 9))
	f.equal("behind the last", []pipeline.Place{}, next(all[3], 1))
}
