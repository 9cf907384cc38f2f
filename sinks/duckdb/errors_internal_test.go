package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/atsync/atsync/pipeline"
)

// TestDiagnose holds the texts of DuckDB and of the system that cannot be provoked everywhere.
func TestDiagnose(t *testing.T) {
	for _, test := range []struct {
		err    error
		class  pipeline.Class
		remedy string
	}{
		{errors.New(`IO Error: Cannot open file "/data/work/acme.duckdb": Permission denied`), pipeline.ClassSink, "make /data/work and"},
		{&os.PathError{Op: "mkdir", Path: "/data", Err: syscall.EACCES}, pipeline.ClassSink, "writable for the user"},
		{errors.New(`IO Error: Could not write all bytes to file "x": wanted=262144 wrote=4096`), pipeline.ClassSink, "free space"},
		{errors.New(`copy /data: exit status 1: write /out/x: no space left on device`), pipeline.ClassSink, "free space"},
		{&os.PathError{Op: "write", Path: "/data", Err: syscall.ENOSPC}, pipeline.ClassSink, "free space"},
		{errors.New(`FATAL Error: Failed: database has been invalidated because of a previous fatal error`), pipeline.ClassSink, "start atsync again"},
		{errors.New(`IO Error: Trying to read a database file with version number 99, but we can only read versions between 64 and 67`), pipeline.ClassSink, "newer"},
		{errors.New(`Out of Memory Error: failed to allocate data of size 16.0 MiB`), pipeline.ClassSink, "memory limit"},
		{fmt.Errorf("stage: %w", context.DeadlineExceeded), pipeline.ClassCanceled, ""},
		{fmt.Errorf("%w: two columns a", errBatch), pipeline.ClassInternal, "report this"},
		{errors.New("something new"), pipeline.ClassSink, ""},
	} {
		class, remedy := diagnose("/data/work/acme.duckdb", test.err)
		if class != test.class || !strings.Contains(remedy, test.remedy) {
			t.Errorf("%v: %s, %q", test.err, class, remedy)
		}
	}
}

func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{`a`: `"a"`, `a"b`: `"a""b"`, "a\x00b": "\"a\uFFFDb\"", "a\xffb": "\"a\uFFFDb\"", ``: `""`} {
		if got := ident(in); got != want {
			t.Errorf("ident(%q) = %s", in, got)
		}
	}
	if got := literal("it's\x00"); got != "'it''s\uFFFD'" {
		t.Errorf("literal: %s", got)
	}
}
