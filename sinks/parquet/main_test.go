package parquet_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

func TestMain(m *testing.M) {
	pipelinetest.TolerateFileLimits()
	duckdb.CopyChild()
	setCredentials()
	killRemoteChild()
	pipelinetest.KillChild(killHarness())
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}
