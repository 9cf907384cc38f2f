package autotasktest

import (
	"slices"
	"strings"
)

// Row is one stored row as it was when it was asked for; later changes do not touch it.
type Row struct {
	ID    int64
	shape *shape
	bin   []byte
	zone  bool
}

// Raw returns the JSON text that the API sends for a field (any case): "null", "3.5000",
// "\"2022-12-07T09:15:52.407Z\"". The key "udf:" + name gives the value of a user-defined field.
// It is empty if the entity has no such field.
func (r Row) Raw(name string) string {
	slot, ok := r.shape.slot(name)
	if udf, isUDF := strings.CutPrefix(name, udfPrefix); isUDF {
		var i int
		i, ok = r.shape.udfSlot(udf)
		slot = len(r.shape.fields) + i
	}
	if !ok {
		return ""
	}
	if slot == 0 {
		return string(appendValue(nil, rawCell{kind: kindInt, n: r.ID}, r.zone))
	}
	return string(appendValue(nil, findCell(r.bin, slot), r.zone))
}

// JSON returns the whole row as a query sends it.
func (r Row) JSON() string {
	return string(r.shape.appendRow(nil, r.ID, r.bin, r.zone, false))
}

// Row returns the row with that id and whether there is one.
func (d *Data) Row(entity string, id int64) (row Row, found bool) {
	d.read(entity, func(t *table) {
		var i int
		if i, found = t.find(id); found {
			row = Row{id, t.shape, t.rows[i], !d.noZone}
		}
	})
	return row, found
}

// Rows returns all rows of an entity by rising id.
func (d *Data) Rows(entity string) (rows []Row) {
	d.read(entity, func(t *table) {
		rows = make([]Row, len(t.ids))
		for i, id := range t.ids {
			rows[i] = Row{id, t.shape, t.rows[i], !d.noZone}
		}
	})
	return rows
}

// IDs returns the ids of all rows of an entity, rising.
func (d *Data) IDs(entity string) (ids []int64) {
	d.read(entity, func(t *table) { ids = slices.Clone(t.ids) })
	return ids
}

// Count returns how many rows an entity has.
func (d *Data) Count(entity string) (n int) {
	d.read(entity, func(t *table) { n = len(t.ids) })
	return n
}

// Entities returns the names of the entities that have rows, sorted.
func (d *Data) Entities() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := []string{}
	for _, t := range d.tables {
		if len(t.ids) > 0 {
			out = append(out, t.shape.entity.Name)
		}
	}
	slices.Sort(out)
	return out
}
