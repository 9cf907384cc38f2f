package pipelinetest

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/atsync/atsync/schemas"
)

// SaveMetadata implements pipeline.Sink.
func (s *MemorySink) SaveMetadata(ctx context.Context, entity string, m *schemas.Metadata, at time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return 0, s.fail(entity, "save metadata", err)
	}
	t := s.table(entity)
	before, _ := json.Marshal(t.metadata) // plain structs always marshal
	after, _ := json.Marshal(m)
	readBefore := t.metadataAt
	t.metadata, t.metadataAt = m, at
	if string(before) == string(after) {
		return 0, nil
	}
	e, ok := schemas.Lookup(entity)
	if !ok {
		e = &schemas.Entity{Name: entity}
	}
	listed := map[[2]string]memoryChoice{}
	for _, c := range schemas.NewTable(e, m, t.columns).Columns {
		fields := m.Fields
		if c.UDF {
			fields = m.UDFs
		}
		for _, f := range fields {
			if f.Name != c.Source {
				continue
			}
			for _, v := range f.PicklistValues {
				listed[[2]string{c.Name, v.Value}] = memoryChoice{PicklistValue: v, field: f.Name}
			}
		}
	}
	return s.updateChoices(t, listed, at, readBefore), nil
}

func (s *MemorySink) updateChoices(t *memoryTable, listed map[[2]string]memoryChoice, at, before time.Time) (changed int64) {
	for key, c := range listed {
		old, ok := t.choices[key]
		if ok && old.PicklistValue == c.PicklistValue {
			continue
		}
		if ok && old.Label != c.Label {
			s.log("_atsync.schema_changes", map[string]string{"entity": t.entity, "change": "label", "column_name": key[0],
				"old_name": old.Label, "new_name": c.Label, "value": c.Value})
		}
		if c.first = at; ok {
			c.first = old.first
		}
		c.last = at
		t.choices[key] = c
		changed++
	}
	for key, c := range t.choices {
		if _, ok := listed[key]; ok || !c.IsActive {
			continue
		}
		c.IsActive = false
		if c.last.Before(before) {
			c.last = before
		}
		t.choices[key] = c
		changed++
	}
	return changed
}

func (t *memoryTable) picklists() (out []map[string]string) {
	for key, c := range t.choices {
		out = append(out, texts(map[string]string{"entity": t.entity, "field": c.field, "column_name": key[0], "value": c.Value, "label": c.Label,
			"parent_value": c.ParentValue, "is_active": strconv.FormatBool(c.IsActive), "first_seen": stamp(c.first), "last_seen": stamp(c.last)}))
	}
	return out
}
