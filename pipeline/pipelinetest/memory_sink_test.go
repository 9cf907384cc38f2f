package pipelinetest_test

import (
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline/pipelinetest"
)

func TestMemorySink(t *testing.T) {
	pipelinetest.TestSink(t, func(*testing.T) pipelinetest.Harness {
		return pipelinetest.NewMemorySink("acme", time.Now).Harness()
	})
}
