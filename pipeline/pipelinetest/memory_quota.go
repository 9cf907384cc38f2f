package pipelinetest

import (
	"encoding/json"

	"github.com/atsync/atsync/pipeline"
)

// quotaText is a run's quota as a sink keeps it.
func quotaText(use *pipeline.QuotaUse) string {
	if use == nil {
		return ""
	}
	text, _ := json.Marshal(use) // plain numbers and texts
	return string(text)
}
