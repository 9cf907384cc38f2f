package autotasktest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// UDF defines a user-defined field.
type UDF struct {
	Name        string // as rows and filters spell it; hostile text is allowed
	Label       string // empty: Name
	Type        string // metadata's type: "string" (default), "integer", "decimal", "datetime", "boolean"
	Length      int    // default 8000
	Description string
	Choices     []Choice // not nil: a list

	key        int   // identity across renames
	definition int64 // id in UserDefinedFieldDefinitions
}

// Choice is one value of a picklist.
type Choice struct {
	Value     string // as metadata spells it: text, even where rows carry integers
	Label     string
	Parent    string // value of the parent picklist
	SortOrder int
	Default   bool
	Inactive  bool
	System    bool
}

// edit replaces an entity's shape and moves the rows over. change may return a conversion of values.
func (d *Data) edit(entity string, change func(s *shape) func(int, cell) cell) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table(entity)
	s := t.shape.clone()
	convert := change(s)
	if s.finish(); convert == nil && s.sameLayout(t.shape) {
		t.shape = s
		return
	}
	t.reshape(s, convert)
}

// sameLayout reports whether rows of the one shape can be read with the other.
func (s *shape) sameLayout(o *shape) bool {
	return slices.EqualFunc(s.fields, o.fields, func(a, b field) bool { return a.name == b.name }) &&
		slices.EqualFunc(s.udfs, o.udfs, func(a, b UDF) bool { return a.key == b.key })
}

// AddUDF adds a user-defined field, null in all rows, to an entity that carries them, and its row in
// UserDefinedFieldDefinitions. Names may differ in case alone.
func (d *Data) AddUDF(entity string, u UDF) {
	d.addUDF(entity, u, func(u UDF) int64 { return d.define(entity, u) })
}

// addUDF adds a user-defined field; define makes its definition and returns the id.
func (d *Data) addUDF(entity string, u UDF, define func(UDF) int64) {
	if u.Type == "" {
		u.Type = "string"
	}
	if u.Label == "" {
		u.Label = u.Name
	}
	if u.Length == 0 {
		u.Length = 8000
	}
	d.edit(entity, func(s *shape) func(int, cell) cell {
		if !s.entity.HasUDF {
			panic(fmt.Sprintf("autotasktest: %s carries no user-defined fields", entity))
		}
		u.key = 1
		for _, v := range s.udfs {
			u.key = max(u.key, v.key+1)
			if v.Name == u.Name {
				panic(fmt.Sprintf("autotasktest: %s has a user-defined field %q already", entity, u.Name))
			}
		}
		s.udfs = append(s.udfs, u)
		return nil
	})
	id := define(u)
	d.edit(entity, func(s *shape) func(int, cell) cell {
		s.udfs[s.udf(u.Name)].definition = id
		return nil
	})
}

// RemoveUDF removes a user-defined field, its values and its definition.
func (d *Data) RemoveUDF(entity, name string) {
	d.DeleteQuietly(definitionsOf, d.definition(entity, name))
	d.edit(entity, func(s *shape) func(int, cell) cell {
		i := s.udf(name)
		s.udfs = slices.Delete(s.udfs, i, i+1)
		return nil
	})
}

// RenameUDF gives a user-defined field another name and label; its values and its definition's id stay.
func (d *Data) RenameUDF(entity, name, newName string) {
	d.Update(definitionsOf, d.definition(entity, name), Fields{"name": newName})
	d.edit(entity, func(s *shape) func(int, cell) cell {
		i := s.udf(name)
		s.udfs[i].Name, s.udfs[i].Label = newName, newName
		return nil
	})
}

func (s *shape) udf(name string) int {
	i, ok := s.udfSlot(name)
	if !ok {
		panic(fmt.Sprintf("autotasktest: %s has no user-defined field %q", s.entity.Name, name))
	}
	return i
}

// AddField adds a field, null in all rows, as a release of Autotask does. Only f's Name, Type, MaxLength,
// Reference and flags count.
func (d *Data) AddField(entity string, f schemas.Field) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		s.fields = append(s.fields, newField(s.entity, &f))
		return nil
	})
}

// RemoveField removes a field from rows and metadata.
func (d *Data) RemoveField(entity, name string) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		i := s.field(name)
		s.fields = slices.Delete(s.fields, i, i+1)
		return nil
	})
}

// HideField takes a field out of the metadata but leaves it in the rows, as some are (api.md §13a).
func (d *Data) HideField(entity, name string) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		s.fields[s.field(name)].unlisted = true
		return nil
	})
}

// SetFieldType changes a field's dataType in the metadata ("string", "integer", "long", "decimal",
// "boolean", "datetime") and converts the values in the rows; what cannot be converted becomes null.
func (d *Data) SetFieldType(entity, name, dataType string) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		s.fields[s.field(name)].word = dataType
		return func(slot int, c cell) cell {
			if slot < len(s.fields) && strings.EqualFold(s.fields[slot].name, name) {
				return recast(c, wordKind(dataType))
			}
			return c
		}
	})
}

// SetQueryable says whether a field may stand in a filter.
func (d *Data) SetQueryable(entity, name string, queryable bool) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		s.fields[s.field(name)].queryable = queryable
		return nil
	})
}

// SetPicklist replaces the choices of a field and makes it a picklist; nil makes it none.
func (d *Data) SetPicklist(entity, name string, choices []Choice) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		f := &s.fields[s.field(name)]
		f.choices, f.picklist = slices.Clone(choices), choices != nil
		return nil
	})
}

// RenameLabel gives a choice another label, as an administrator does. Rows do not change.
func (d *Data) RenameLabel(entity, name, value, label string) {
	d.edit(entity, func(s *shape) func(int, cell) cell {
		f := &s.fields[s.field(name)]
		i := slices.IndexFunc(f.choices, func(c Choice) bool { return c.Value == value })
		if i < 0 {
			panic(fmt.Sprintf("autotasktest: %s.%s has no choice %q", entity, name, value))
		}
		f.choices = slices.Clone(f.choices)
		f.choices[i].Label = label
		return nil
	})
}

// Picklist returns the choices of a field; nil if it is no picklist.
func (d *Data) Picklist(entity, name string) (out []Choice) {
	d.read(entity, func(t *table) {
		if f := t.shape.fields[t.shape.field(name)]; f.picklist {
			out = slices.Clone(f.choices)
		}
	})
	return out
}

func (s *shape) field(name string) int {
	i := slices.IndexFunc(s.fields, func(f field) bool { return strings.EqualFold(f.name, name) })
	if i < 0 {
		panic(fmt.Sprintf("autotasktest: %s has no field %q", s.entity.Name, name))
	}
	return i
}
