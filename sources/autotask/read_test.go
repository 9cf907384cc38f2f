package autotask_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
)

// readIDs reads a slice and returns the ids of all rows, and the rows of each batch.
func readIDs(ctx context.Context, c *autotask.Client, s pipeline.Slice) (ids []int64, batches []int, err error) {
	if s.Table == nil {
		s.Table = tickets()
	}
	err = c.Read(ctx, s, func(b pipeline.Batch) error {
		col := b.Record.Column(0).(*array.Int64)
		for i := range col.Len() {
			ids = append(ids, col.Value(i))
		}
		batches = append(batches, col.Len())
		if b.ReadAt.IsZero() {
			return errors.New("batch without a time")
		}
		return nil
	})
	return ids, batches, err
}

func TestReadPages(t *testing.T) {
	for _, tc := range []struct {
		name         string
		ids          []int64
		after, until *int64
		want         []int64
		queries      int
	}{
		{"none", nil, nil, nil, nil, 1},
		{"zero and negative ids", []int64{-3, 0, 1, 2}, nil, nil, []int64{-3, 0, 1, 2}, 1},
		{"one page less a row", sequence(1, 499), nil, nil, sequence(1, 499), 1},
		{"exactly full last page", sequence(1, 500), nil, nil, sequence(1, 500), 2},
		{"exactly two full pages", sequence(0, 999), nil, nil, sequence(0, 999), 3},
		{"range", sequence(-10, 2000), new(int64(-1)), new(int64(1234)), sequence(0, 1234), 3},
		{"after the last", sequence(1, 10), new(int64(10)), nil, nil, 1},
		{"ids beyond 2^53", []int64{1 << 53, 1<<53 + 1, 1<<62 + 1}, new(int64(1 << 53)), nil, []int64{1<<53 + 1, 1<<62 + 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, tc.ids...)
			c, _ := memoryClient(t, f, nil)
			got, _, err := readIDs(t.Context(), c, pipeline.Slice{After: tc.after, Until: tc.until})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if n := f.calls("Tickets/query"); n != tc.queries {
				t.Errorf("%d queries, want %d", n, tc.queries)
			}
			if n := c.Requests(); n["Tickets"] != int64(tc.queries) || n[""] != 1 {
				t.Errorf("requests %v", n)
			}
		})
	}
}

func TestReadBatches(t *testing.T) {
	f := newFake(t, sequence(1, 9100)...)
	var rows []int
	c, _ := memoryClient(t, f, func(cfg *autotask.Config) {
		cfg.Trace = &pipeline.Trace{Page: func(entity string, n int) { rows = append(rows, n) }}
	})
	ids, batches, err := readIDs(t.Context(), c, pipeline.Slice{})
	if err != nil || len(ids) != 9100 {
		t.Fatal(len(ids), err)
	}
	if d := cmp.Diff([]int{4000, 4000, 1100}, batches); d != "" {
		t.Error(d)
	}
	if len(rows) != 19 || rows[18] != 100 {
		t.Errorf("pages %v", rows)
	}
}

func TestReadBigPagesMakeSmallBatches(t *testing.T) {
	f := newFake(t, 1)
	f.hook = func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
		if op != "Tickets/query" || n > 4 {
			return false
		}
		return text(w, 200, `{"items":[{"id":`+string(rune('0'+n))+`,"title":"`+strings.Repeat("x", 5<<20)+`"}],"pageDetails":{}}`)
	}
	c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.PageSize = 1 })
	_, batches, err := readIDs(t.Context(), c, pipeline.Slice{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{2, 2}, batches); d != "" {
		t.Error(d)
	}
}

// TestReadPrefetches holds the emit of a batch until the next page has been asked for.
func TestReadPrefetches(t *testing.T) {
	f := newFake(t, sequence(1, 4500)...)
	asked := make(chan struct{})
	f.hook = func(_ http.ResponseWriter, _ *http.Request, op string, n int) bool {
		if op == "Tickets/query" && n == 9 {
			close(asked)
		}
		return false
	}
	c, _ := memoryClient(t, f, nil)
	err := c.Read(t.Context(), pipeline.Slice{Table: tickets()}, func(pipeline.Batch) error {
		select {
		case <-asked:
			return nil
		case <-t.Context().Done():
			return t.Context().Err()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadReturnsEmitsError(t *testing.T) {
	f := newFake(t, sequence(1, 9000)...)
	c, _ := memoryClient(t, f, nil)
	full := errors.New("disk full")
	if err := c.Read(t.Context(), pipeline.Slice{Table: tickets()}, func(pipeline.Batch) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestBadPages serves bad bodies. Each is asked for again; what stays bad fails the slice, and no row is emitted twice.
func TestBadPages(t *testing.T) {
	whole := page(sequence(501, 600))
	for _, tc := range []struct {
		name, body string
		attempts   int
		part       string
	}{
		{"HTML", "<!DOCTYPE html><html>maintenance</html>", 5, ""},
		{"empty", "", 5, ""},
		{"truncated", whole[:len(whole)/2], 5, ""},
		{"no items", `{"pageDetails":{}}`, 5, ""},
		{"row without id", `{"items":[{"id":501},{"title":"x"}],"pageDetails":{}}`, 3, "id"},
		{"null id", `{"items":[{"id":null}],"pageDetails":{}}`, 3, "id"},
		{"ids out of order", page([]int64{502, 501}), 3, ""},
		{"same page again", page(sequence(1, 500)), 3, ""},
		{"id twice", page([]int64{501, 501}), 3, ""},
		{"errors in a 200", `{"errors":["Something odd"]}`, 3, "Something odd"},
		{"known error in a 200", `{"errors":["Unable to find x in the Ticket Entity."]}`, 1, "Unable to find x"},
	} {
		for _, lasting := range []bool{true, false} {
			name := tc.name + " once"
			if lasting {
				name = tc.name + " for good"
			}
			if !lasting && tc.attempts == 1 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				f := newFake(t, sequence(1, 600)...)
				f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
					return op == "Tickets/query" && n >= 2 && (lasting || n == 2) && text(w, 200, tc.body)
				}
				c, _ := memoryClient(t, f, nil)
				ids, _, err := readIDs(t.Context(), c, pipeline.Slice{})
				if !lasting {
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(sequence(1, 600), ids); d != "" {
						t.Error(d)
					}
					return
				}
				wantError(t, err, pipeline.ClassSource, "acme/Tickets: query: ", tc.part)
				if n := f.calls("Tickets/query") - 1; n != tc.attempts {
					t.Errorf("%d attempts, want %d", n, tc.attempts)
				}
				if len(ids) > 0 {
					t.Errorf("emitted %d rows of a failed slice", len(ids))
				}
			})
		}
	}
}

func TestPageBeyondUntil(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return op == "Tickets/query" && text(w, 200, page([]int64{5, 11}))
	}
	c, _ := memoryClient(t, f, nil)
	_, _, err := readIDs(t.Context(), c, pipeline.Slice{Until: new(int64(10))})
	wantError(t, err, pipeline.ClassSource, "11")
}

func TestHugePage(t *testing.T) {
	f := newFake(t, sequence(1, 400)...)
	c, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.PageBytes = 4 << 10 })
	_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassSource, "larger than allowed")
	if n := f.calls("Tickets/query"); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

func TestGzip(t *testing.T) {
	packed := func(s string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return b.Bytes()
	}
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
		if op != "Tickets/query" {
			return false
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed(page([]int64{1, 2, 3})))
		return true
	}
	// inMemory leaves the body packed, as a transport without compression would.
	c, _ := memoryClient(t, f, nil)
	ids, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	if err != nil || len(ids) != 3 {
		t.Errorf("unpacked by hand: %v, %v", ids, err)
	}
	overHTTP, _ := serverClient(t, f, nil)
	ids, _, err = readIDs(t.Context(), overHTTP, pipeline.Slice{})
	if err != nil || len(ids) != 3 {
		t.Errorf("unpacked by the transport: %v, %v", ids, err)
	}
	f.hook = func(w http.ResponseWriter, r *http.Request, op string, _ int) bool {
		if op != "Tickets/query" {
			return false
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed(strings.Repeat(" ", 1<<20)))
		return true
	}
	small, _ := memoryClient(t, f, func(cfg *autotask.Config) { cfg.Limits.PageBytes = 64 << 10 })
	_, _, err = readIDs(t.Context(), small, pipeline.Slice{})
	wantError(t, err, pipeline.ClassSource, "larger than allowed")
}

func TestCount(t *testing.T) {
	f := newFake(t, sequence(1, 1209)...)
	c, _ := memoryClient(t, f, nil)
	n, err := c.Count(t.Context(), pipeline.Slice{Table: tickets(), After: new(int64(9))})
	if err != nil || n != 1200 {
		t.Errorf("%d, %v", n, err)
	}
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, n int) bool {
		return op == "Tickets/query/count" && text(w, 200, `{"something":"else"}`)
	}
	_, err = c.Count(t.Context(), pipeline.Slice{Table: tickets()})
	wantError(t, err, pipeline.ClassSource, "acme/Tickets: count:")
}

// TestShortPageThatNamesANextOne: a server may send fewer rows than asked for and still have more.
func TestShortPageThatNamesANextOne(t *testing.T) {
	f := newFake(t, sequence(1, 250)...)
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		if op != "Tickets/query" {
			return false
		}
		n := f.calls("Tickets/query")
		body := page(sequence(int64(n-1)*100+1, min(int64(n)*100, 250)))
		if n < 3 {
			body = strings.Replace(body, `"nextPageUrl":null`, `"nextPageUrl":"https://elsewhere.example/never/followed"`, 1)
		}
		return text(w, 200, body)
	}
	c, _ := memoryClient(t, f, nil)
	got, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sequence(1, 250), got); d != "" {
		t.Error(d)
	}
}

func TestDescribe(t *testing.T) {
	f := newFake(t)
	c, _ := memoryClient(t, f, nil)
	e := &schemas.Entity{Name: "Tickets", Path: "Tickets", HasUDF: true}
	m, err := c.Describe(t.Context(), e)
	if err != nil || len(m.Fields) != 1 || len(m.UDFs) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return op == "Tickets/entityInformation/userDefinedFields" && text(w, 404, "")
	}
	m, err = c.Describe(t.Context(), e)
	if err != nil || len(m.Fields) != 1 || len(m.UDFs) != 0 {
		t.Errorf("without a UDF route: %+v, %v", m, err)
	}
	if n := c.Requests()["Tickets"]; n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	garbage := 0
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		if op != "Tickets/entityInformation/userDefinedFields" {
			return false
		}
		if garbage++; garbage == 1 {
			return text(w, 200, `{"items":[{"id":1,`)
		}
		return text(w, 404, "")
	}
	if m, err = c.Describe(t.Context(), e); err != nil || m == nil || len(m.Fields) != 1 {
		t.Errorf("a UDF route that breaks and then is not there: %+v, %v", m, err)
	}
	e = &schemas.Entity{Name: "Roles", Path: "Roles"}
	if _, err := c.Describe(t.Context(), e); err != nil || c.Requests()["Roles"] != 1 {
		t.Errorf("without UDFs: %v, %v", c.Requests(), err)
	}
}

func TestAbsentEntity(t *testing.T) {
	f := newFake(t)
	metadata := true
	f.hook = func(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
		return (op == "Tickets/query" || op == "Tickets/query/count" || strings.HasPrefix(op, "Tickets/entity") && !metadata) &&
			text(w, 404, "<html>not found</html>")
	}
	c, _ := memoryClient(t, f, nil)
	_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassSource, "HTTP 404")
	metadata = false
	_, _, err = readIDs(t.Context(), c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassAbsent)
	_, err = c.Count(t.Context(), pipeline.Slice{Table: tickets()})
	wantError(t, err, pipeline.ClassAbsent)
	_, err = c.Describe(t.Context(), tickets().Entity)
	wantError(t, err, pipeline.ClassAbsent, "leave it out")
}

func TestCancelWhileHanging(t *testing.T) {
	f := newFake(t, sequence(1, 10)...)
	hanging := make(chan struct{})
	f.hook = func(_ http.ResponseWriter, r *http.Request, op string, _ int) bool {
		if op != "Tickets/query" {
			return false
		}
		close(hanging)
		<-r.Context().Done()
		return true
	}
	c, _ := serverClient(t, f, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hanging
		cancel()
	}()
	_, _, err := readIDs(ctx, c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassCanceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say context.Canceled", err)
	}
}

// TestReadPaged: every page is handed over on its own, the empty one behind a full last page aside.
func TestReadPaged(t *testing.T) {
	f := newFake(t, sequence(1, 1500)...)
	c, _ := memoryClient(t, f, nil)
	ids, batches, err := readIDs(t.Context(), c, pipeline.Slice{Paged: true})
	if err != nil || len(ids) != 1500 || len(batches) != 3 {
		t.Errorf("%d rows in %v, %v", len(ids), batches, err)
	}
}
