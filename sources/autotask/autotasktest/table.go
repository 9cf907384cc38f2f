package autotasktest

import (
	"math"
	"slices"
	"strings"
)

// nullHot stands for null in a hot column.
const nullHot = math.MinInt64

// hotColumn keeps one integer or datetime field of all rows side by side, so that filters on change
// stamps and parents need not open every row.
type hotColumn struct {
	slot int
	vals []int64
}

// table holds the rows of one entity, sorted by id. Its owner locks it.
type table struct {
	shape *shape
	ids   []int64
	rows  [][]byte
	hot   []hotColumn
	arena []byte // free space for rows to come
	chunk int
	last  int64 // highest id ever used
}

func newTable(s *shape) *table {
	t := &table{shape: s}
	t.resetHot()
	return t
}

// resetHot chooses the hot columns anew and fills them.
func (t *table) resetHot() {
	e := t.shape.entity
	names := append(slices.Clone(e.Stamps), e.CreateStamp, e.ParentKey)
	t.hot = nil
	for _, name := range names {
		slot, ok := t.shape.slot(name)
		if !ok || slot == 0 || slices.ContainsFunc(t.hot, func(h hotColumn) bool { return h.slot == slot }) {
			continue
		}
		if k := t.shape.fields[slot].kind(); k != kindInt && k != kindTime {
			continue
		}
		h := hotColumn{slot: slot, vals: make([]int64, len(t.rows))}
		for i, row := range t.rows {
			h.vals[i] = hotValue(findCell(row, slot))
		}
		t.hot = append(t.hot, h)
	}
}

func hotValue(c rawCell) int64 {
	if c.kind == kindInt || c.kind == kindTime {
		return c.n
	}
	return nullHot
}

// hotFor returns the hot column of slot, or nil.
func (t *table) hotFor(slot int) []int64 {
	for i := range t.hot {
		if t.hot[i].slot == slot {
			return t.hot[i].vals
		}
	}
	return nil
}

// find returns where id is, or where it would be.
func (t *table) find(id int64) (int, bool) {
	if n := len(t.ids); n == 0 || id > t.ids[n-1] {
		return n, false
	}
	return slices.BinarySearch(t.ids, id)
}

// put stores cells, whose first is the id, in place of a row with that id if there is one.
func (t *table) put(cells []cell) {
	id := cells[0].n
	row := t.store(cells)
	i, found := t.find(id)
	if found {
		t.rows[i] = row
	} else {
		t.ids = slices.Insert(t.ids, i, id)
		t.rows = slices.Insert(t.rows, i, row)
	}
	for h := range t.hot {
		col := &t.hot[h]
		v := int64(nullHot)
		if c := cells[col.slot]; c.kind == kindInt || c.kind == kindTime {
			v = c.n
		}
		if found {
			col.vals[i] = v
		} else {
			col.vals = slices.Insert(col.vals, i, v)
		}
	}
	t.last = max(t.last, id)
}

// store encodes cells into the arena. Rows are never changed in place: readers may still hold them.
func (t *table) store(cells []cell) []byte {
	if cap(t.arena)-len(t.arena) < 64 {
		t.grow(64)
	}
	start := len(t.arena)
	b := appendCells(t.arena, cells)
	if cap(b) != cap(t.arena) { // it did not fit and has moved to an array of its own
		t.grow(len(b) - start)
		start = 0
		b = appendCells(t.arena, cells)
	}
	t.arena = b
	return b[start:len(b):len(b)]
}

// grow starts a new chunk: small ones first, since most tables stay small.
func (t *table) grow(need int) {
	t.chunk = min(max(t.chunk*2, 2<<10), 1<<20)
	t.arena = make([]byte, 0, max(t.chunk, need))
}

func (t *table) remove(i int) {
	t.ids = slices.Delete(t.ids, i, i+1)
	t.rows = slices.Delete(t.rows, i, i+1)
	for h := range t.hot {
		t.hot[h].vals = slices.Delete(t.hot[h].vals, i, i+1)
	}
}

// width is the number of slots: fields, then UDFs.
func (t *table) width() int { return len(t.shape.fields) + len(t.shape.udfs) }

// cells opens row i.
func (t *table) cells(i int) []cell {
	out := make([]cell, t.width())
	decodeCells(out, t.ids[i], t.rows[i])
	return out
}

// reshape gives the table another shape and moves every row over. from says which old slot a new slot's
// value comes from (-1: null); convert, if not nil, changes values on the way.
func (t *table) reshape(s *shape, convert func(slot int, c cell) cell) {
	old := t.shape
	from := make([]int, len(s.fields)+len(s.udfs))
	for i, f := range s.fields {
		from[i] = -1
		if slot, ok := old.slot(f.name); ok {
			from[i] = slot
		}
	}
	for i, u := range s.udfs {
		from[len(s.fields)+i] = -1
		for j, was := range old.udfs {
			if was.key == u.key {
				from[len(s.fields)+i] = len(old.fields) + j
			}
		}
	}
	was := make([]cell, len(old.fields)+len(old.udfs))
	now := make([]cell, len(from))
	t.shape, t.arena = s, nil
	rows := make([][]byte, len(t.rows)) // readers may still hold the old slice
	for r := range t.rows {
		decodeCells(was, t.ids[r], t.rows[r])
		for i, j := range from {
			now[i] = null()
			if j >= 0 {
				now[i] = was[j]
				if convert != nil {
					now[i] = convert(i, now[i])
				}
			}
		}
		rows[r] = t.store(now)
	}
	t.rows = rows
	t.resetHot()
}

// names lists the fields for an error message.
func (s *shape) names() string {
	out := make([]string, len(s.fields))
	for i := range s.fields {
		out[i] = s.fields[i].name
	}
	return strings.Join(out, ", ")
}
