package duckdb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

// A choice is one row of picklists; its key is column and value.
type choice struct {
	field, column, value, label, parent string
	active, isDefault, system           bool
	sort                                int64
	first, last                         time.Time
}

// shows reports whether two choices look the same to an analyst.
func (c choice) shows(d choice) bool {
	c.first, c.last, d.first, d.last = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return c == d
}

type choiceKey struct{ column, value string }

// SaveMetadata keeps an entity's metadata and brings picklists up to date. A choice that vanished stays,
// inactive, with last_seen at the last reading that listed it. If nothing differs from what is stored, only
// the time of reading is written.
func (w *Warehouse) SaveMetadata(ctx context.Context, entity string, m *schemas.Metadata, at time.Time) (int64, error) {
	var changed int64
	err := w.write(ctx, func(s session) (err error) {
		changed, err = w.saveMetadata(s, entity, m, at.UTC().Truncate(time.Microsecond))
		return err
	})
	w.memo.forgetMetadata(entity)
	return changed, w.fail(entity, "save metadata", err)
}

func (w *Warehouse) saveMetadata(s session, entity string, m *schemas.Metadata, at time.Time) (int64, error) {
	if m == nil {
		return 0, errors.New("no metadata")
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	stored, before, err := readMetadata(s.ctx, s.conn, entity)
	if err != nil {
		return 0, err
	}
	if stored == string(raw) {
		return 0, s.exec(`UPDATE _atsync.metadata SET read_at = ? WHERE entity = ?`, at, entity)
	}
	changed, err := w.savePicklists(s, entity, m, at, before)
	if err != nil {
		return 0, err
	}
	if err := s.exec(`DELETE FROM _atsync.metadata WHERE entity = ?`, entity); err != nil {
		return 0, err
	}
	return changed, s.exec(`INSERT INTO _atsync.metadata VALUES (?, ?, ?, ?)`, entity, string(raw), at, at)
}

// savePicklists writes the difference between the stored choices and the listed ones.
func (w *Warehouse) savePicklists(s session, entity string, m *schemas.Metadata, at, before time.Time) (int64, error) {
	stored, err := choices(s, entity)
	if err != nil {
		return 0, err
	}
	cols, err := w.columns(s.ctx, entity)
	if err != nil {
		return 0, err
	}
	listed := listed(entity, m, cols)
	var changed []choice
	for key, c := range listed {
		old, ok := stored[key]
		if ok && old.shows(c) {
			continue
		}
		c.first, c.last = at, at
		if ok {
			c.first = old.first
			if err := dropChoice(s, entity, c); err != nil {
				return 0, err
			}
		}
		if ok && old.label != c.label {
			if err := noteLabel(s, entity, old.label, c, at); err != nil {
				return 0, err
			}
		}
		changed = append(changed, c)
	}
	for key, c := range stored {
		if _, ok := listed[key]; ok || !c.active {
			continue
		}
		c.active = false
		if c.last.Before(before) {
			c.last = before
		}
		if err := dropChoice(s, entity, c); err != nil {
			return 0, err
		}
		changed = append(changed, c)
	}
	return int64(len(changed)), addChoices(s, entity, changed)
}

// listed returns the choices that metadata names. Fields and user-defined fields may share a name, never a column.
func listed(entity string, m *schemas.Metadata, prior shape) map[choiceKey]choice {
	e, ok := schemas.Lookup(entity)
	if !ok {
		e = &schemas.Entity{Name: entity}
	}
	table := schemas.NewTable(e, m, prior)
	out := map[choiceKey]choice{}
	add := func(f schemas.MetaField, udf bool) {
		column := schemas.ColumnName(f.Name)
		for _, c := range table.Columns {
			if c.UDF == udf && c.Source == f.Name {
				column = c.Name
			}
		}
		for _, v := range f.PicklistValues {
			out[choiceKey{clean(column), clean(v.Value)}] = choice{
				field: clean(f.Name), column: clean(column), value: clean(v.Value), label: clean(v.Label), parent: clean(v.ParentValue),
				active: v.IsActive, isDefault: v.IsDefault, system: v.IsSystem, sort: int64(v.SortOrder),
			}
		}
	}
	for _, f := range m.Fields {
		add(f, false)
	}
	for _, f := range m.UDFs {
		add(f, true)
	}
	return out
}

func choices(s session, entity string) (map[choiceKey]choice, error) {
	rows, err := s.conn.QueryContext(s.ctx, `SELECT field, column_name, value, label, coalesce(parent_value, ''), is_active, is_default,
		is_system, sort_order, first_seen, last_seen FROM main.picklists WHERE entity = ?`, entity)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	out := map[choiceKey]choice{}
	for rows.Next() {
		var c choice
		err := rows.Scan(&c.field, &c.column, &c.value, &c.label, &c.parent, &c.active, &c.isDefault, &c.system, &c.sort,
			when(&c.first), when(&c.last))
		if err != nil {
			return nil, err
		}
		out[choiceKey{c.column, c.value}] = c
	}
	return out, rows.Err()
}

// noteLabel keeps the label that a value had: picklists has one row a value, with the label of now.
func noteLabel(s session, entity, old string, c choice, at time.Time) error {
	return s.exec(`INSERT INTO _atsync.schema_changes (changed_at, entity, table_name, change, column_name, old_name, new_name, value)
		VALUES (?, ?, ?, 'label', ?, ?, ?, ?)`, at, entity, schemas.TableName(entity), c.column, text(old), text(c.label), c.value)
}

func dropChoice(s session, entity string, c choice) error {
	return s.exec(`DELETE FROM main.picklists WHERE entity = ? AND column_name = ? AND value = ?`, entity, c.column, c.value)
}

// addChoices inserts a hundred at a time: an entity may have thousands.
func addChoices(s session, entity string, all []choice) error {
	slices.SortFunc(all, func(a, b choice) int {
		return cmp.Or(cmp.Compare(a.column, b.column), cmp.Compare(a.sort, b.sort), cmp.Compare(a.value, b.value))
	})
	for some := range slices.Chunk(all, 100) {
		var args []any
		for _, c := range some {
			args = append(args, entity, c.field, c.column, c.value, c.label, text(c.parent), c.active, c.isDefault, c.system, c.sort, c.first, c.last)
		}
		rows := strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", len(some))
		if err := s.exec(`INSERT INTO main.picklists VALUES `+rows[2:], args...); err != nil {
			return err
		}
	}
	return nil
}
