package duckdb_test

import (
	"context"
	"fmt"
	"os"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
)

const (
	killVariable    = "ATSYNC_TEST_KILL" // path of the warehouse on which the child works
	compactVariable = "ATSYNC_TEST_KILL_COMPACTING"
)

// killChild makes this process one that is killed, if it is meant to be: it loads versions, or loads and compacts, and says how far
// it is.
func killChild() {
	for variable, work := range map[string]func(context.Context, string) error{killVariable: loadForever, compactVariable: compactForever} {
		if path, ok := os.LookupEnv(variable); ok {
			fmt.Fprintln(os.Stderr, work(context.Background(), path))
			os.Exit(3)
		}
	}
}

func tell(line string) error {
	_, err := fmt.Println(line)
	return err
}

func loadForever(ctx context.Context, path string) error {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: path, Tenant: "acme"})
	if err != nil {
		return err
	}
	return pipelinetest.LoadVersions(ctx, w, tell)
}
