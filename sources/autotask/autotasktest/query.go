package autotasktest

import (
	"math"
	"slices"
	"strconv"
)

// hits are the rows of one page.
type hits struct {
	shape *shape
	ids   []int64
	rows  [][]byte
	more  bool // rows behind the last one match too
}

// span returns the range of row numbers whose ids lie between lo and hi.
func (t *table) span(lo, hi int64) (from, to int) {
	from, _ = slices.BinarySearch(t.ids, lo)
	to = len(t.ids)
	if hi < math.MaxInt64 {
		to, _ = slices.BinarySearch(t.ids, hi+1)
	}
	return from, max(from, to)
}

// each calls yield with the number of every row that f matches, by rising id, until it returns false.
func (t *table) each(f *filter, yield func(i int) bool) {
	if f.ids != nil {
		for _, id := range f.ids {
			if i, ok := t.find(id); ok && id >= f.lo && id <= f.hi && (f.match == nil || f.match(i)) && !yield(i) {
				return
			}
		}
		return
	}
	from, to := t.span(f.lo, f.hi)
	for i := from; i < to; i++ {
		if (f.match == nil || f.match(i)) && !yield(i) {
			return
		}
	}
}

// page collects up to size rows.
func (t *table) page(f *filter, size int) hits {
	h := hits{shape: t.shape, ids: make([]int64, 0, size), rows: make([][]byte, 0, size)}
	t.each(f, func(i int) bool {
		if len(h.ids) == size {
			h.more = true
			return false
		}
		h.ids = append(h.ids, t.ids[i])
		h.rows = append(h.rows, t.rows[i])
		return true
	})
	return h
}

// count counts the rows that f matches.
func (t *table) count(f *filter) int {
	if f.match == nil && f.ids == nil {
		from, to := t.span(f.lo, f.hi)
		return to - from
	}
	n := 0
	t.each(f, func(int) bool { n++; return true })
	return n
}

// serveQuery answers a query, a next page or a previous page.
func (h *Handler) serveQuery(x *exchange) response {
	text, err := x.queryText()
	if err != nil {
		return x.fail(err)
	}
	q, err := parseQuery(text)
	if err != nil {
		return x.fail(err)
	}
	size, err := q.pageSize()
	if err != nil {
		return x.fail(err)
	}
	cursor, err := x.cursor(size)
	if err != nil {
		return x.fail(err)
	}
	var page hits
	var f *filter
	zone := true
	h.data.read(x.entity(), func(t *table) {
		zone = !h.data.noZone
		if f, err = t.compile(q); err != nil {
			return
		}
		x.hide(t, f)
		if x.edit.again {
			f.lo = math.MinInt64
		}
		if cursor.after != nil {
			f.lo = max(f.lo, *cursor.after+1)
		}
		page = t.page(f, cursor.size)
	})
	if err != nil {
		return x.fail(err)
	}
	x.rows = len(page.ids)
	b := h.buffers.take()
	b = append(b, `{"items":[`...)
	b = x.appendItems(b, page, f, zone)
	b = append(b, `],"pageDetails":{"count":`...)
	b = strconv.AppendInt(b, int64(len(page.ids)), 10)
	b = append(b, `,"requestCount":`...)
	b = strconv.AppendInt(b, int64(cursor.size), 10)
	b = x.appendLinks(b, cursor, page)
	return response{status: 200, contentType: jsonType, body: append(b, `}}`...), pooled: true}
}

// appendItems appends the rows of a page, changed by a fault if there is one.
func (x *exchange) appendItems(b []byte, page hits, f *filter, zone bool) []byte {
	s := page.shape
	omitUDF := x.h.omitUDFs && !s.anyUDF(page.rows)
	if x.edit.reverse {
		slices.Reverse(page.ids)
		slices.Reverse(page.rows)
	}
	odd := len(page.ids) / 2 // the row that a fault changes
	slot := -1
	if x.edit.field != "" {
		slot, _ = s.slot(x.edit.field)
	}
	for i, id := range page.ids {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case slot >= 0 && i == odd:
			b = s.appendProjected(b, id, page.rows[i], zone, omitUDF, f.proj, slot, x.edit.text)
		case f.narrow:
			b = s.appendProjected(b, id, page.rows[i], zone, omitUDF, f.proj, -1, "")
		default:
			b = s.appendRow(b, id, page.rows[i], zone, omitUDF)
		}
	}
	return b
}

// serveCount answers {Entity}/query/count.
func (h *Handler) serveCount(x *exchange) response {
	text, err := x.queryText()
	if err != nil {
		return x.fail(err)
	}
	q, err := parseQuery(text)
	if err != nil {
		return x.fail(err)
	}
	n := 0
	h.data.read(x.entity(), func(t *table) {
		var f *filter
		if f, err = t.compile(q); err == nil {
			x.hide(t, f)
			n = t.count(f)
		}
	})
	if err != nil {
		return x.fail(err)
	}
	return x.json([]byte(`{"queryCount":` + strconv.Itoa(n) + `}`))
}

// serveItem answers {Entity}/{id}: a missing row is a 200 with null (api.md §5), and attachments answer in
// the shape of a query, with their bytes.
func (h *Handler) serveItem(x *exchange) response {
	b := []byte(`{"item":`)
	h.data.read(x.entity(), func(t *table) {
		i, ok := t.find(x.route.id)
		if sees := x.sight(t); ok && sees != nil && !sees(i) {
			ok = false
		}
		zone := !h.data.noZone
		attachment := ok && t.shape.attachment()
		switch {
		case !ok:
			b = append(b, "null"...)
		case attachment:
			b = append([]byte(`{"items":[`), t.shape.appendProjected(nil, t.ids[i], t.rows[i], zone, false, projection{withData: true}, -1, "")...)
			b = append(b, `],"pageDetails":{"count":1,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}`...)
		default:
			b = t.shape.appendRow(b, t.ids[i], t.rows[i], zone, false)
		}
		if ok {
			x.rows = 1
		}
	})
	return x.json(append(b, '}'))
}

// attachment reports whether rows have bytes that queries leave out.
func (s *shape) attachment() bool {
	return slices.ContainsFunc(s.fields[1:], func(f field) bool { return f.hidden })
}

// serveChildren answers {Parent}/{id}/{Child}: the first 500 rows, with links to the rest.
func (h *Handler) serveChildren(x *exchange) response {
	if x.route.entity.ParentKey == "id" { // one object for each parent, stored under the parent's id
		return h.serveItem(x)
	}
	key := childKey(x.route)
	if key == "" {
		return x.json([]byte(`{"items":[],"pageDetails":{"count":0,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}}`))
	}
	search := `{"filter":[{"op":"eq","field":"` + key + `","value":` + strconv.FormatInt(x.route.id, 10) + `}]}`
	x.search = &search
	return h.serveQuery(x)
}
