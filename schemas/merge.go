package schemas

import (
	"slices"
	"strings"
)

// NewTable merges what is known of an entity into the shape of its table for one tenant: the catalogue's fields,
// the tenant's live metadata m (nil: not asked yet, the catalogue alone counts and all its fields pass as
// queryable) and the columns prior that the warehouse already has. e must not be nil.
//
// Fields match whatever their case; the catalogue's spelling stands, else the metadata's with a small first
// letter, as rows have it. The live type wins over the catalogue's, but is never narrower than the prior one.
// Prior columns keep their names and their order, also if the metadata no longer names them; those that it named
// before are retired then. Next come, in this order, new catalogue fields, other live fields by name, and new
// UDFs as listed. The id is always first, and a BIGINT. A UDF is known by its definition's id, or else by its name:
// one that was renamed stays the same column.
func NewTable(e *Entity, m *Metadata, prior []Column) *Table {
	b := tableBuilder{taken: make(map[string]bool)}
	for _, s := range []string{ColExtra, ColRowHash, ColSyncedAt, ColLoadID, ColDeletedAt, ColDeleteReason} {
		b.taken[s] = true
	}
	b.addPrior(prior)
	b.addFields(e, m)
	if m != nil {
		b.addUDFs(m.UDFs)
		b.retire(prior)
	}
	return &Table{Entity: e, Name: TableName(e.Name), Columns: b.cols}
}

// tableBuilder collects the columns of one table.
type tableBuilder struct {
	cols  []Column
	taken map[string]bool // column names in use, lower-case
}

// addPrior starts with the id and the columns that the warehouse has. What can't be a column of this table
// (a system column, a name or a source that was there before) is passed over.
func (b *tableBuilder) addPrior(prior []Column) {
	b.cols = append(b.cols, Column{Name: "id", Source: "id", Type: Type{Kind: Int}})
	b.taken["id"] = true
	for _, c := range prior {
		name := strings.ToLower(c.Name)
		if c.Name == "" || c.Source == "" || b.taken[name] || !c.UDF && b.find(c.Source, false) >= 0 {
			continue
		}
		c.Queryable, c.InMetadata = false, false
		b.taken[name] = true
		b.cols = append(b.cols, c)
	}
}

// find returns the position of a field's or UDF's column, or -1. Fields match whatever the case, UDFs exactly.
func (b *tableBuilder) find(source string, udf bool) int {
	return slices.IndexFunc(b.cols, func(c Column) bool {
		return c.UDF == udf && (c.Source == source || !udf && equalFold(c.Source, source))
	})
}

// addFields merges the catalogue's and the live fields.
func (b *tableBuilder) addFields(e *Entity, m *Metadata) {
	live := make(map[string]*MetaField)
	if m != nil {
		for i := range m.Fields {
			if f := &m.Fields[i]; f.Name != "" && !equalFold(f.Name, udfKey) {
				live[strings.ToLower(f.Name)] = f
			}
		}
	}
	known := make(map[string]bool, len(e.Fields))
	for i := range e.Fields {
		f := &e.Fields[i]
		key := strings.ToLower(f.Name)
		known[key] = true
		b.merge(fieldColumn(f, live[key], m == nil))
	}
	var others []Column
	for key, f := range live {
		if !known[key] {
			others = append(others, fieldColumn(&Field{Name: lowerFirst(f.Name), Type: dataType(f)}, f, false))
		}
	}
	slices.SortFunc(others, func(a, b Column) int {
		return strings.Compare(strings.ToLower(a.Source), strings.ToLower(b.Source))
	})
	for _, c := range others {
		b.merge(c)
	}
}

// fieldColumn describes a field by the catalogue and, if it is not nil, by the live metadata.
// queryable is what counts where there is no metadata at all.
func fieldColumn(f *Field, live *MetaField, queryable bool) Column {
	c := Column{
		Source:    f.Name,
		Type:      typeOf(f.Type, f.Decimal),
		Reference: f.Reference,
		Picklist:  f.Picklist != nil && *f.Picklist,
		Queryable: queryable,
	}
	if live != nil {
		if word := dataType(live); word != "" {
			c.Type = typeOf(word, f.Decimal)
		}
		describe(&c, live)
	}
	return c
}

// describe takes over what the live metadata says besides the type.
func describe(c *Column, live *MetaField) {
	c.Queryable, c.InMetadata = live.IsQueryable, true
	c.Picklist = live.IsPicklist
	if e, ok := Lookup(live.ReferenceEntity); ok {
		c.Reference = e.Name
	}
}

// merge lays a column over the one that holds the same source, or appends it under a free name.
func (b *tableBuilder) merge(c Column) {
	if i := b.find(c.Source, c.UDF); i >= 0 {
		b.lay(i, c)
		return
	}
	if c.Name == "" {
		c.Name = ColumnName(c.Source)
	}
	if b.taken[c.Name] {
		c.Name = suffixed(c.Name, c.Source, b.taken)
	}
	b.taken[c.Name] = true
	b.cols = append(b.cols, c)
}

// lay puts a column in the place of the one at i, under its name and with a type that holds the values of both.
func (b *tableBuilder) lay(i int, c Column) {
	have := &b.cols[i]
	c.Name, c.Type, c.PartialSince = have.Name, have.Type.Widen(c.Type), have.PartialSince
	if i == 0 {
		c.Type = Type{Kind: Int}
	}
	if c.UDFID == 0 {
		c.UDFID = have.UDFID // the definitions may not be readable today
	}
	*have = c
}

// dataType returns the type word of a metadata field, under whichever of its two keys it came (api.md §6).
func dataType(f *MetaField) string {
	if f.DataType != "" {
		return f.DataType
	}
	return f.Type
}

// lowerFirst makes the first letter small, as the keys of rows have it (api.md §5, §13a).
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return string(lowerByte(s[0])) + s[1:]
}

// Reads says how an entity's changes are found for one tenant.
type Reads struct {
	Class     Class
	Stamps    []string // datetime fields to OR: change stamps, then the create stamp; queryable ones only
	Create    string   // create stamp, if it is queryable
	ParentKey string   // ClassParent, ClassChild: the field that holds the parent's id
}

// Reads chooses the cheapest class that the table's queryable fields allow: an entity with no queryable change
// stamp is ClassAppend if its create stamp is queryable, else ClassFull; one with no queryable parent key is ClassFull.
func (t *Table) Reads() Reads {
	e := t.Entity
	r := Reads{Class: e.Class}
	if e.PerParent() { // nothing is filtered by it but as the API itself does
		r.ParentKey = e.ParentKey
		return r
	}
	switch e.Class {
	case ClassParent:
		if !t.queryable(e.ParentKey) {
			return Reads{Class: ClassFull}
		}
		r.ParentKey = t.Column(e.ParentKey).Source
		return r
	case ClassModified, ClassActivity, ClassAppend:
	default:
		return r
	}
	for _, s := range e.Stamps {
		if t.queryable(s) {
			r.Stamps = append(r.Stamps, t.Column(s).Source)
		}
	}
	changes := len(r.Stamps)
	if t.queryable(e.CreateStamp) {
		r.Create = t.Column(e.CreateStamp).Source
		if !slices.Contains(r.Stamps, r.Create) {
			r.Stamps = append(r.Stamps, r.Create)
		}
	}
	switch {
	case len(r.Stamps) == 0:
		return Reads{Class: ClassFull}
	case changes == 0:
		r.Class = ClassAppend
	}
	return r
}

func (t *Table) queryable(field string) bool {
	if field == "" {
		return false
	}
	c := t.Column(field)
	return c != nil && c.Queryable
}
