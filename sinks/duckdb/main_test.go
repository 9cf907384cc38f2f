package duckdb_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestMain(m *testing.M) {
	pipelinetest.TolerateFileLimits()
	duckdb.CopyChild()
	pipelinetest.KillChild(killHarness())
	killChild()
	lockChild()
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}
