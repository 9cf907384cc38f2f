// Package secret keeps credentials out of every output and fetches them from where they belong.
//
// A [String] holds a credential and prints as "(hidden)" however it is printed; only Reveal gives it away.
// A [Ref] says where a credential is: env:NAME, file:/path, cmd:command args, aws-sm:NAME, azure-kv:VAULT/NAME, or the
// literal itself. A [Resolver] turns the one into the other, and a [Cache] spares asking each time.
//
// The package promises that no error of its own holds a credential, and that a value arrives exactly as it
// is stored, but for one trailing newline of a file or of a command's output. It never logs
// and never runs a shell.
package secret

import (
	"fmt"
	"log/slog"
)

// hidden is what every way of printing a secret shows.
const hidden = "(hidden)"

// String is a credential. The zero String is empty.
// Printing, formatting, logging and marshalling it yield "(hidden)".
type String struct{ value string }

// New makes a String of value.
func New(value string) String { return String{value} }

// Reveal returns the credential. The one proper caller is whoever sends it to where it is meant for.
func (s String) Reveal() string { return s.value }

// Empty reports whether there is no credential in s.
func (s String) Empty() bool { return s.value == "" }

// String returns "(hidden)".
func (s String) String() string { return hidden }

// GoString returns "(hidden)", for %#v.
func (s String) GoString() string { return hidden }

// Format writes "(hidden)" for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText returns "(hidden)", for encoders of text, XML, YAML and map keys.
func (s String) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns "(hidden)" as JSON text.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// LogValue returns "(hidden)", for slog.
func (s String) LogValue() slog.Value { return slog.StringValue(hidden) }
