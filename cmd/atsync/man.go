package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
)

func newManCommand(e *env) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:     "man",
		GroupID: groupSetup,
		Short:   "Write the manual pages",
		Long: "Writes a manual page for every command, as man shows them, into a folder. It\n" +
			"is made if it is not there." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync man --dir man && man man/atsync.1\n" +
			"  sudo atsync man --dir /usr/local/share/man/man1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // no date: the same program writes the same pages
			err := os.MkdirAll(dir, 0o755)
			if err == nil {
				err = doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "atsync " + buildVersion().Version, Manual: "atsync"}, dir)
			}
			if err != nil {
				return &pipeline.Error{Class: pipeline.ClassConfig, Op: "man", Err: err, Remedy: "name a folder that can be written with --dir"}
			}
			if e.json {
				return e.printJSON(map[string]string{"dir": dir})
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "man", "`folder` to write to")
	return cmd
}
