package bench_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
)

// The variables that make this test binary a child: what it is to be, and its arguments as JSON.
const (
	roleVariable = "ATSYNC_BENCH_ROLE"
	argsVariable = "ATSYNC_BENCH_ARGS"
)

// ticketsVariable sets how many tickets "200k" means, for a quick look.
const ticketsVariable = "ATSYNC_BENCH_TICKETS"

// defaultTickets is the size that the promises speak of.
const defaultTickets = 200_000

// program is the atsync binary under test.
var program string

func TestMain(m *testing.M) {
	if role, ok := os.LookupEnv(roleVariable); ok {
		if err := child(role, os.Getenv(argsVariable)); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run()) // an ordinary `go test ./...` has nothing to build here
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300) // as in atsync
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run builds the program once for all benchmarks.
func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "atsync-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a left-over of temporary files
	program = filepath.Join(dir, "atsync")
	build := exec.Command("go", "build", "-o", program, "../cmd/atsync")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build atsync: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// child runs this process in another role.
func child(role, args string) error {
	switch role {
	case "simulate":
		return simulate(args)
	case "read_json":
		return readJSON(context.Background(), args)
	case "merge":
		return mergeByHand(context.Background(), args)
	case "copy_parquet", "publish_parquet":
		return lakeChild(role, args)
	}
	return fmt.Errorf("no role %q", role)
}

// asChild returns a command that runs this binary in a role.
func asChild(role string, args any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, argsVariable+"="+string(raw))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// tickets returns n, which the promises speak of, scaled to the size that the environment asks for.
func tickets(b *testing.B, n int) int {
	b.Helper()
	text := os.Getenv(ticketsVariable)
	if text == "" {
		return n
	}
	base, err := strconv.Atoi(text)
	if err != nil || base < 2000 {
		b.Fatalf("%s: want a number of at least 2000, not %q", ticketsVariable, text)
	}
	return n * base / defaultTickets
}
