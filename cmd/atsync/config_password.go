package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
)

func newConfigPasswordCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Make the hash of a password for the status pages",
		Long: "Asks for a password, or reads it as a line from standard input, and prints its\n" +
			"bcrypt hash: the value of http.password_hash. The password itself is kept\n" +
			"nowhere." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync config password\n  pwgen -s 20 1 | tee /dev/stderr | atsync config password",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := e.askPassword()
			switch {
			case err != nil:
				return err
			case len(password) < passwordLength:
				return usage(cmd, "the password is too short: %d characters or more", passwordLength)
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost+2)
			if errors.Is(err, bcrypt.ErrPasswordTooLong) {
				return usage(cmd, "the password is too long: 72 bytes are the most that bcrypt looks at")
			} else if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(map[string]string{"password_hash": string(hash)})
			}
			return e.printf("%s\n", hash)
		},
	}
}

// passwordLength is how long a password is at least.
const passwordLength = 10

// askPassword reads a line, from a terminal without showing it.
func (e *env) askPassword() (string, error) {
	if file, ok := e.stdin.(*os.File); ok && console.IsTerminal(e.stdin, e.environ) {
		if _, err := fmt.Fprint(e.stderr, "Password: "); err != nil {
			return "", err
		}
		line, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(e.stderr)
		return string(line), err
	}
	line, _ := bufio.NewReader(e.stdin).ReadString('\n') // none is too short
	return strings.TrimRight(line, "\r\n"), nil
}
