package main

import (
	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
)

func newCompletionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		GroupID: groupSetup,
		Short:   "Print a script that completes atsync's commands in a shell",
		Long: "Prints a script for the shell you name. Load it in a running shell as in the\n" +
			"examples, or from the shell's start-up file." + exits(console.ExitOK, console.ExitUsage),
		Example: "  source <(atsync completion bash)\n" +
			"  atsync completion zsh > \"${fpath[1]}/_atsync\"\n" +
			"  atsync completion fish > ~/.config/fish/completions/atsync.fish\n" +
			"  atsync completion powershell | Out-String | Invoke-Expression",
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenPowerShellCompletionWithDesc(out)
		},
	}
}
