package pipelinetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	"github.com/atsync/atsync/pipeline"
)

// SetCheckpoint implements pipeline.Sink.
func (s *MemorySink) SetCheckpoint(ctx context.Context, entity string, cp *pipeline.Checkpoint, note pipeline.StateNote) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[entity]
	err := context.Cause(ctx)
	if err == nil && (t == nil || !t.checked) {
		err = errors.New("the entity has no checkpoint")
	}
	if err == nil && t.checkpoint.Progress != nil {
		err = errors.New("its first load is not complete")
	}
	if err != nil {
		return s.fail(entity, note.Command, err)
	}
	row := map[string]string{"changed_at": stamp(s.now()), "entity": entity, "command": note.Command, "changed_by": note.By, "note": note.Note,
		"old": checkpointText(t.checkpoint)}
	t.checkpoint, t.checked = pipeline.Checkpoint{}, cp != nil
	if cp != nil {
		t.checkpoint = microCheckpoint(*cp)
		row["new"] = checkpointText(t.checkpoint)
	}
	s.log("_atsync.state_log", row)
	return nil
}

func microCheckpoint(cp pipeline.Checkpoint) pipeline.Checkpoint {
	cp.CompleteThrough, cp.FullAt, cp.RereadAt = micros(cp.CompleteThrough), micros(cp.FullAt), micros(cp.RereadAt)
	cp.LogLoads = maps.Clone(cp.LogLoads)
	if len(cp.LogLoads) == 0 {
		cp.LogLoads = nil
	}
	return cp
}

func checkpointText(cp pipeline.Checkpoint) string {
	text, _ := json.Marshal(cp) // a plain struct always marshals
	return string(text)
}
