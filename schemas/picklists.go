package schemas

import (
	"cmp"
	"slices"
)

// PicklistChange is one choice that differs between two readings of an entity's metadata.
type PicklistChange struct {
	Change   string `json:"change"`              // added, removed, label, active, inactive, other
	Column   string `json:"column"`              // warehouse name
	Value    string `json:"value"`               // as text
	Label    string `json:"label"`               // now, or at last
	OldLabel string `json:"old_label,omitempty"` // label: before
}

// DiffPicklists returns the choices that differ between two readings of the metadata, by column and value. The table
// gives the columns' names; before may be nil, and then every choice is new.
func DiffPicklists(t *Table, before, after *Metadata) []PicklistChange {
	was, is := t.choices(before), t.choices(after)
	var out []PicklistChange
	for key, now := range is {
		old, ok := was[key]
		c := PicklistChange{Column: key[0], Value: key[1], Label: now.Label}
		switch {
		case !ok:
			c.Change = "added"
		case old.Label != now.Label:
			c.Change, c.OldLabel = "label", old.Label
		case old.IsActive != now.IsActive && now.IsActive:
			c.Change = "active"
		case old.IsActive != now.IsActive:
			c.Change = "inactive"
		case old != now:
			c.Change = "other" // its order, parent or flags
		default:
			continue
		}
		out = append(out, c)
	}
	for key, old := range was {
		if _, ok := is[key]; !ok {
			out = append(out, PicklistChange{Change: "removed", Column: key[0], Value: key[1], Label: old.Label})
		}
	}
	slices.SortFunc(out, func(a, b PicklistChange) int {
		return cmp.Or(cmp.Compare(a.Column, b.Column), cmp.Compare(a.Value, b.Value))
	})
	return out
}

// choices returns the choices in a reading of the metadata by column and value.
func (t *Table) choices(m *Metadata) map[[2]string]PicklistValue {
	out := map[[2]string]PicklistValue{}
	if m == nil {
		return out
	}
	add := func(f *MetaField, udf bool) {
		column := ""
		for i := range t.Columns {
			if c := &t.Columns[i]; c.UDF == udf && (c.Source == f.Name || udf && f.ID != 0 && c.UDFID == f.ID || !udf && equalFold(c.Source, f.Name)) {
				column = c.Name
			}
		}
		for _, v := range f.PicklistValues {
			out[[2]string{column, v.Value}] = v
		}
	}
	for i := range m.Fields {
		add(&m.Fields[i], false)
	}
	for i := range m.UDFs {
		add(&m.UDFs[i], true)
	}
	return out
}
