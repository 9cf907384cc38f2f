package autotask_test

import (
	"net/http"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

func TestPagesAreTheFirstOfTheirSlice(t *testing.T) {
	f := newFake(t, append([]int64{-7, 0}, sequence(1, 1200)...)...)
	c, _ := memoryClient(t, f, nil)
	pages := c.Pages(tickets())
	for name, tc := range map[string]struct {
		after, until *int64
		first, last  int64
		rows         int
		end          bool
	}{
		"all ids":            {nil, nil, -7, 498, 500, false},
		"in the middle":      {new(int64(498)), new(int64(1100)), 499, 998, 500, false},
		"up to the end":      {new(int64(998)), new(int64(1100)), 999, 1100, 102, true},
		"exactly full":       {new(int64(600)), new(int64(1100)), 601, 1100, 500, false}, // nobody knows that it is the last one
		"empty":              {new(int64(1200)), nil, 0, 0, 0, true},
		"between two ids":    {new(int64(-6)), new(int64(-1)), 0, 0, 0, true},
		"negative ids alone": {nil, new(int64(-1)), -7, -7, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := pages.Next(t.Context(), pipeline.Slice{Table: tickets(), After: tc.after, Until: tc.until})
			if err != nil {
				t.Fatal(err)
			}
			if p.Rows() != tc.rows || p.End != tc.end {
				t.Fatalf("%d rows, end %v", p.Rows(), p.End)
			}
			if tc.rows == 0 {
				return
			}
			defer p.Record.Release()
			ids := p.Record.Column(0).(*array.Int64)
			if p.First != tc.first || p.Last != tc.last || ids.Value(0) != tc.first || ids.Value(tc.rows-1) != tc.last || p.ReadAt.IsZero() {
				t.Errorf("from %d to %d at %v", p.First, p.Last, p.ReadAt)
			}
		})
	}
}

// TestBadPagesAreNotKept: a page that is asked for again brings its rows once, and one that stays bad none to the next.
func TestBadPagesAreNotKept(t *testing.T) {
	f := newFake(t, sequence(1, 600)...)
	bad := 0
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		if op != "Tickets/query" || bad == 0 {
			return false
		}
		bad--
		return text(w, 200, page([]int64{3, 2}))
	}
	c, _ := memoryClient(t, f, nil)
	pages := c.Pages(tickets())
	for _, tc := range []struct{ bad, rows int }{{1, 500}, {3, 0}, {0, 500}} {
		bad = tc.bad
		p, err := pages.Next(t.Context(), pipeline.Slice{Table: tickets()})
		if tc.rows == 0 {
			wantError(t, err, pipeline.ClassSource, "acme/Tickets: query: ", "")
			continue
		}
		if err != nil || p.Rows() != tc.rows {
			t.Fatalf("%d rows after %d bad pages: %v", p.Rows(), tc.bad, err)
		}
		p.Record.Release()
	}
}

// TestPageBeyondTheSlice: a server that does not keep to the end of a slice is not believed.
func TestPageBeyondTheSlice(t *testing.T) {
	f := newFake(t, sequence(1, 600)...)
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return op == "Tickets/query" && text(w, 200, page(sequence(1, 20)))
	}
	c, _ := memoryClient(t, f, nil)
	_, err := c.Pages(tickets()).Next(t.Context(), pipeline.Slice{Table: tickets(), Until: new(int64(10))})
	wantError(t, err, pipeline.ClassSource, "acme/Tickets: query: ", "only ids up to 10")
}

// TestPageSizeIsTheClients: a page is full by the limit that was asked for.
func TestPageSizeIsTheClients(t *testing.T) {
	f := newFake(t, sequence(1, 100)...)
	c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.PageSize = 50 })
	pages := c.Pages(tickets())
	var got []int
	slice := pipeline.Slice{Table: tickets()}
	for end := false; !end; {
		p, err := pages.Next(t.Context(), slice)
		if err != nil {
			t.Fatal(err)
		}
		got, end, slice.After = append(got, p.Rows()), p.End, &p.Last
		if p.Record != nil {
			p.Record.Release()
		}
	}
	if diff := cmp.Diff([]int{50, 50, 0}, got); diff != "" {
		t.Error(diff)
	}
}
