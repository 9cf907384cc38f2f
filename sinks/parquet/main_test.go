package parquet_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/pipeline/pipelinetest"
)

func TestMain(m *testing.M) {
	pipelinetest.KillChild(killHarness())
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}
