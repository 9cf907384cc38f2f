package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
)

// versionReport is the --json output of version.
type versionReport struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified"`       // built from a changed checkout
	Go       string `json:"go"`
	Platform string `json:"platform"`
	DuckDB   string `json:"duckdb,omitempty"`
}

func newVersionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: groupSetup,
		Short:   "Print the version of atsync and of what it is made of",
		Long: "Prints the version of atsync, the commit it was built from, and the versions\n" +
			"of Go and of the DuckDB library in it. Files that it publishes can be read by\n" +
			"that DuckDB version and later ones." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync version\n  atsync version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if e.json {
				return e.printJSON(v)
			}
			t := console.NewTable(console.Left(""), console.Left(""))
			t.Row("atsync", v.Version)
			if v.Commit != "" {
				commit := v.Commit
				if v.Modified {
					commit += ", modified"
				}
				t.Row("commit", commit+" ("+v.Time+")")
			}
			t.Row("go", v.Go+" "+v.Platform)
			if v.DuckDB != "" {
				t.Row("duckdb", v.DuckDB)
			}
			return t.Write(e.stdout)
		},
	}
}

// buildVersion reads what the Go tool put into the binary.
func buildVersion() versionReport {
	v := versionReport{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/duckdb/duckdb-go/v2" {
			v.DuckDB = duckdbVersion(dep.Version)
		}
	}
	return v
}

// duckdbVersion takes the library's version out of its Go module's: v2.10505.0 wraps DuckDB 1.5.5.
func duckdbVersion(module string) string {
	parts := strings.Split(module, ".")
	if len(parts) < 2 {
		return ""
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 10000 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
}
