package duckdb_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/atsync/atsync/sinks/duckdb"
)

func TestMain(m *testing.M) {
	duckdb.CopyChild()
	killChild()
	lockChild()
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}
