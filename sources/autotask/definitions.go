package autotask

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// definitionsEntity defines the UDFs of all entities. Metadata names UDFs and rows carry these names, which people
// change; the ids of the definitions are what stays (api.md §5, §6).
const definitionsEntity = "UserDefinedFieldDefinitions"

// definitionsAge is how long definitions that were read are gone by: a run, more or less.
const definitionsAge = time.Hour

// definitions are the tenant's definitions of UDFs as last read: one query for all entities.
type definitions struct {
	lock
	at     time.Time // when they were asked for; zero: never
	known  []definition
	labels map[int64]string // of udfType; nil: not asked for
}

// A definition is one row of UserDefinedFieldDefinitions.
type definition struct {
	id, udfType int64
	name        string
	active      bool
}

// identify sets the ids of an entity's UDFs, whose metadata was asked for at began. What can't be told stays 0: then
// the UDF is known by its name alone. So it is for all where the API user may not read the definitions.
func (c *Client) identify(ctx context.Context, entity *schemas.Entity, udfs []schemas.MetaField, began time.Time) error {
	if len(udfs) == 0 {
		return nil
	}
	d := &c.defined
	if err := d.lock.lock(ctx); err != nil {
		return c.fail(&request{entity: entity.Name, op: opUDFs}, &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: err})
	}
	defer d.unlock()
	// A name that the definitions do not have may have been given since they were read.
	if time.Since(d.at) > definitionsAge || d.at.Before(began) && !d.coverAll(udfs) {
		if err := c.define(ctx); err != nil {
			return err
		}
	}
	types := d.typesOf(udfs)
	if len(types) > 1 {
		if err := c.labelTypes(ctx); err != nil {
			return err
		}
		types = slices.DeleteFunc(types, func(t int64) bool { return !means(d.labels[t], entity) })
	}
	if len(types) != 1 {
		return nil
	}
	for i := range udfs {
		udfs[i].ID = d.find(udfs[i].Name, types[0])
	}
	return nil
}

// foresee reads the definitions if nobody has yet, while it is still being asked whether there are UDFs: few tenants have none.
// What goes wrong goes wrong again when they are needed.
func (c *Client) foresee(ctx context.Context) {
	if c.defined.lock.lock(ctx) != nil {
		return
	}
	defer c.defined.unlock()
	if c.defined.at.IsZero() {
		_ = c.define(ctx)
	}
}

// define reads the definitions. If the user may not, there are none.
func (c *Client) define(ctx context.Context) error {
	d := &c.defined
	entity, ok := schemas.Lookup(definitionsEntity)
	if !ok {
		return nil
	}
	d.at, d.known = time.Now(), nil
	err := c.Read(ctx, pipeline.Slice{Table: schemas.NewTable(entity, nil, nil)}, func(b pipeline.Batch) error {
		d.known = append(d.known, definitionsIn(b)...)
		return nil
	})
	switch pipeline.ClassOf(err) {
	case pipeline.ClassRights, pipeline.ClassAbsent, pipeline.ClassSource:
		c.log.InfoContext(ctx, "the definitions of user-defined fields can't be read: renames are not followed", "error", err)
		d.known = nil
		return nil
	}
	if err != nil {
		d.at = time.Time{}
	}
	return err
}

func definitionsIn(b pipeline.Batch) []definition {
	schema := b.Record.Schema()
	column := func(name string) int {
		if at := schema.FieldIndices(name); len(at) == 1 {
			return at[0]
		}
		return -1
	}
	ids, ok1 := b.Record.Column(0).(*array.Int64)
	at, kind, active := column("name"), column("udf_type"), column("is_active")
	if !ok1 || at < 0 || kind < 0 || active < 0 {
		return nil
	}
	names, ok1 := b.Record.Column(at).(*array.String)
	types, ok2 := b.Record.Column(kind).(*array.Int64)
	actives, ok3 := b.Record.Column(active).(*array.Boolean)
	if !ok1 || !ok2 || !ok3 {
		return nil
	}
	out := make([]definition, 0, ids.Len())
	for i := range ids.Len() {
		if names.IsValid(i) && types.IsValid(i) {
			out = append(out, definition{ids.Value(i), types.Value(i), strings.Clone(names.Value(i)), actives.IsNull(i) || actives.Value(i)})
		}
	}
	return out
}

// coverAll reports whether every name has a definition.
func (d *definitions) coverAll(udfs []schemas.MetaField) bool {
	names := map[string]bool{}
	for _, def := range d.known {
		names[def.name] = true
	}
	return !slices.ContainsFunc(udfs, func(f schemas.MetaField) bool { return !names[f.Name] })
}

// typesOf returns the udfTypes that have definitions for most of an entity's UDFs: the entity's own, and another one
// only if that has fields of the same names.
func (d *definitions) typesOf(udfs []schemas.MetaField) []int64 {
	count := map[int64]int{}
	for _, f := range udfs {
		met := map[int64]bool{}
		for _, def := range d.known {
			if def.name == f.Name && !met[def.udfType] {
				met[def.udfType] = true
				count[def.udfType]++
			}
		}
	}
	most := 0
	for _, n := range count {
		most = max(most, n)
	}
	maps.DeleteFunc(count, func(_ int64, n int) bool { return n < most })
	return slices.Sorted(maps.Keys(count))
}

// find returns the definition of a name among those of one type, an active one before others, or 0.
func (d *definitions) find(name string, udfType int64) int64 {
	id, active := int64(0), false
	for _, def := range d.known {
		if def.name == name && def.udfType == udfType && (id == 0 || def.active && !active) {
			id, active = def.id, def.active
		}
	}
	return id
}

// labelTypes asks for the labels of udfType, once. They are in the tenant's language.
func (c *Client) labelTypes(ctx context.Context) error {
	d := &c.defined
	entity, ok := schemas.Lookup(definitionsEntity)
	if d.labels != nil || !ok {
		return nil
	}
	var meta *schemas.Metadata
	_, err := c.information(ctx, entity, opFields, "fields", func(body []byte) (err error) {
		meta, err = schemas.ParseMetadata(body, nil)
		return err
	})
	switch pipeline.ClassOf(err) {
	case pipeline.ClassRights, pipeline.ClassAbsent, pipeline.ClassSource:
		d.labels = map[int64]string{}
		return nil
	}
	if err != nil {
		return err
	}
	d.labels = typeLabels(meta)
	return nil
}

func typeLabels(meta *schemas.Metadata) map[int64]string {
	out := map[int64]string{}
	for _, f := range meta.Fields {
		if !strings.EqualFold(f.Name, "udfType") {
			continue
		}
		for _, v := range f.PicklistValues {
			if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
				out[n] = v.Label
			}
		}
	}
	return out
}

// means reports whether a label of udfType names an entity: by its API name, or the one it has or had on the screen.
func means(label string, entity *schemas.Entity) bool {
	plain := func(s string) string {
		return strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(s, " ", "")), "s")
	}
	words := []string{entity.Name, entity.Singular}
	switch entity.Name {
	case "Companies":
		words = append(words, "Account", "Organization")
	case "ConfigurationItems":
		words = append(words, "Installed Product", "Asset", "Device")
	case "CompanySiteConfigurations":
		words = append(words, "Site Configuration", "Account Site Configuration", "Organization Site Configuration")
	case "Tasks":
		words = append(words, "Project Task")
	}
	return slices.ContainsFunc(words, func(w string) bool { return plain(w) == plain(label) })
}
