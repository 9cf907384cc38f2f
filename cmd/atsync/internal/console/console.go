// Package console is what a person or a script sees of atsync: tables, progress, logs, errors, exit codes.
//
// It promises that output to a terminal stays readable however many entities there are, that output
// elsewhere carries no control sequence, and that text which comes from data is printed without the
// characters that would steer a terminal. It decides nothing: it prints what it is told, where it is told.
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal that a person watches: not a file or a pipe, not a dumb
// terminal, not a continuous integration's log (TERM=dumb, CI set). environ is "NAME=value".
func IsTerminal(w any, environ []string) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	ci := lookup(environ, "CI")
	return lookup(environ, "TERM") != "dumb" && (ci == "" || ci == "false" || ci == "0")
}

// Width returns how many columns the terminal has that w is; 0 if w is none or doesn't say.
func Width(w any) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Color reports whether w may be coloured: a terminal, and NO_COLOR is not set (no-color.org).
func Color(w any, environ []string) bool {
	return IsTerminal(w, environ) && lookup(environ, "NO_COLOR") == ""
}

func lookup(environ []string, name string) string {
	value := ""
	for _, pair := range environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}

// PrintJSON writes v as indented JSON and a newline.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// Count prints 1234 as "1,234".
func Count(n int64) string { return humanize.Comma(n) }

// Bytes prints 12345678 as "12 MB".
func Bytes(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// Duration prints d for people: "0.4s", "12s", "2m10s", "3h05m", "2d4h".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Ago prints how long before now t was: "3 minutes ago"; "never" for the zero time.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return humanize.RelTime(t, now, "ago", "from now")
}

// Clean makes text from data safe for a line of a terminal: control characters, line ends and the marks
// that turn writing around become blanks.
func Clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsControl(c), c == '\u2028', c == '\u2029',
			c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069':
			return ' '
		}
		return c
	}, s)
}
