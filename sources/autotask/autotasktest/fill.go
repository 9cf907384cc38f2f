package autotasktest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

// FillOthers gives every entity that has no rows yet n rows with plausible values of every type, nulls
// among them. References point to rows that exist where there are some. Entities that cannot be read get
// none; log entities stay as they are.
func (d *Data) FillOthers(n int, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 0x9e3779b9))
	now := d.clock().UTC()
	for _, e := range parentsFirst(schemas.Catalogue()) {
		if e.Class == schemas.ClassNone || !e.Queryable && e.Class != schemas.ClassChild {
			continue
		}
		t := d.table(e.Name)
		if len(t.ids) > 0 {
			continue
		}
		ids := d.freshIDs(e, n)
		for i := range ids {
			cells := make([]cell, t.width())
			for slot := range cells {
				cells[slot] = null()
				if slot < len(t.shape.fields) {
					cells[slot] = d.filler(r, e, &t.shape.fields[slot], i, now)
				}
			}
			cells[0] = cell{kind: kindInt, n: ids[i]}
			t.put(cells)
		}
	}
}

// parentsFirst sorts entities so that each comes after the one that its rows belong to.
func parentsFirst(all []*schemas.Entity) []*schemas.Entity {
	depth := func(e *schemas.Entity) (d int) {
		for e.Follows() != "" {
			e, _ = schemas.Lookup(e.Follows()) // the catalogue's tests see that it is there
			d++
		}
		return d
	}
	slices.SortStableFunc(all, func(a, b *schemas.Entity) int { return depth(a) - depth(b) })
	return all
}

// freshIDs returns the ids of n new rows: from 1, or those of parents where a row is stored under its parent's.
func (d *Data) freshIDs(e *schemas.Entity, n int) []int64 {
	if e.ParentKey == "id" {
		parents := d.table(e.Parent).ids
		return slices.Clone(parents[:min(n, len(parents))])
	}
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	return ids
}

// filler makes a value. Parent keys and stamps are never null.
func (d *Data) filler(r *rand.Rand, e *schemas.Entity, f *field, i int, now time.Time) cell {
	needed := f.name == e.ParentKey || f.name == e.CreateStamp || f.required
	if !needed && r.IntN(4) == 0 {
		return null()
	}
	reference := f.reference
	if f.name == e.ParentKey {
		reference = e.Parent
	}
	if id, ok := d.someID(r, reference); ok && f.kind() == kindInt {
		return cell{kind: kindInt, n: id}
	}
	if f.picklist && len(f.choices) > 0 {
		c, ok := convertText(f.choices[r.IntN(len(f.choices))].Value, f.kind())
		if ok {
			return c
		}
	}
	switch f.kind() {
	case kindInt:
		return cell{kind: kindInt, n: r.Int64N(500)}
	case kindDecimal:
		return cell{kind: kindDecimal, n: r.Int64N(9_000_000) - 500_000}
	case kindFalse:
		return boolCell(r.IntN(2) == 0)
	case kindTime:
		at := now.Add(-time.Duration(r.Int64N(int64(300 * 24 * time.Hour))))
		return cell{kind: kindTime, n: stampMillis(at)}
	}
	switch {
	case f.hidden: // the bytes of an attachment
		return cell{kind: kindString, s: "SGVsbG8sIGF0dGFjaG1lbnQh"}
	case r.IntN(5) == 0:
		return cell{kind: kindString}
	}
	text := strings.TrimSuffix(e.Name, "s") + " " + f.name + " " + itoa(i+1) + pickOf(r, "", " – ü", " \"x\"", " 日本", "\nline 2")
	if f.length > 0 && len([]rune(text)) > f.length {
		text = string([]rune(text)[:f.length])
	}
	return stringCell(text)
}

func pickOf(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// someID returns the id of a row of the entity that a singular name means.
func (d *Data) someID(r *rand.Rand, singular string) (int64, bool) {
	if singular == "" {
		return 0, false
	}
	e, ok := schemas.Lookup(singular)
	if !ok {
		return 0, false
	}
	t := d.tables[strings.ToLower(e.Name)]
	if t == nil || len(t.ids) == 0 {
		return 0, false
	}
	return t.ids[r.IntN(len(t.ids))], true
}
