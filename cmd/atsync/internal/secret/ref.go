package secret

import (
	"fmt"
	"log/slog"
	"strings"
)

// Scheme is the kind of a reference: the word before its colon.
type Scheme string

// The schemes.
const (
	Literal Scheme = ""         // the credential itself stands in the configuration
	Env     Scheme = "env"      // env:NAME, an environment variable
	File    Scheme = "file"     // file:/run/secrets/acme, a file's content
	Cmd     Scheme = "cmd"      // cmd:op read op://vault/item, what a command prints
	AWS     Scheme = "aws-sm"   // aws-sm:NAME or aws-sm:NAME#KEY, AWS Secrets Manager
	Azure   Scheme = "azure-kv" // azure-kv:VAULT/NAME, Azure Key Vault
)

// Ref says where a credential is to be found. It prints as written, except that a literal prints as
// "(hidden)". The zero Ref refers to nothing.
type Ref struct {
	scheme Scheme
	target string // what follows the colon, or the literal
}

// ParseRef reads a reference as it stands in the configuration. Text without one of the known schemes is a
// literal, whatever it looks like. The error names the remedy and never the text of a literal.
func ParseRef(text string) (Ref, error) {
	if text == "" {
		return Ref{}, fmt.Errorf("is empty (write env:NAME, file:/path or cmd:command)")
	}
	word, target, _ := strings.Cut(text, ":")
	scheme := Scheme(word)
	switch scheme {
	case Env, File, Cmd, AWS, Azure:
	default:
		return Ref{scheme: Literal, target: text}, nil
	}
	r := Ref{scheme: scheme, target: strings.TrimSpace(target)}
	return r, r.check()
}

// check reports a reference that can't be resolved anywhere.
func (r Ref) check() error {
	switch {
	case r.target == "" && r.scheme == Env:
		return fmt.Errorf("env: names no variable (write env:NAME)")
	case r.target == "" && r.scheme == File:
		return fmt.Errorf("file: names no file (write file:/path)")
	case r.target == "" && r.scheme == Cmd:
		return fmt.Errorf("cmd: names no command (write cmd:command args)")
	case r.scheme == Env && strings.HasPrefix(r.target, "$"):
		return fmt.Errorf("%s: a variable is named without the dollar sign (write env:%s)", r, strings.Trim(r.target, "${}"))
	case r.scheme == Env && strings.ContainsAny(r.target, "= \t\x00"):
		return fmt.Errorf("%s: no variable can have this name (write env:NAME)", r)
	case r.scheme == Cmd:
		_, err := split(r.target)
		return err
	case r.scheme == AWS:
		if name, key, ok := strings.Cut(r.target, "#"); name == "" || ok && key == "" || strings.ContainsAny(r.target, " \t") {
			return fmt.Errorf("aws-sm: names no secret (write aws-sm:NAME, or aws-sm:NAME#KEY for one value of a secret that is JSON)")
		}
	case r.scheme == Azure:
		_, _, _, err := splitAzure(r.target)
		return err
	}
	return nil
}

// Scheme returns the kind of reference; Literal also for the zero Ref.
func (r Ref) Scheme() Scheme { return r.scheme }

// IsLiteral reports whether the credential itself stands in the configuration, which is worth a warning.
func (r Ref) IsLiteral() bool { return r.scheme == Literal && r.target != "" }

// Empty reports whether r refers to nothing.
func (r Ref) Empty() bool { return r.target == "" }

// String returns the reference as written, "(hidden)" for a literal, or "" for the zero Ref.
func (r Ref) String() string {
	switch {
	case r.target == "":
		return ""
	case r.scheme == Literal:
		return hidden
	}
	return string(r.scheme) + ":" + r.target
}

// GoString is String quoted, for %#v.
func (r Ref) GoString() string { return fmt.Sprintf("secret.Ref(%q)", r.String()) }

// Format prints as String does, for every verb.
func (r Ref) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// LogValue is String, for slog.
func (r Ref) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText is String, for JSON and YAML.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRef, for decoders.
func (r *Ref) UnmarshalText(text []byte) error {
	parsed, err := ParseRef(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// splitAzure returns the URL of a vault and what it is asked for. The version may be empty: the newest.
func splitAzure(target string) (vault, name, version string, err error) {
	rest := target
	vault, rest, _ = strings.Cut(rest, "/")
	if after, ok := strings.CutPrefix(target, "https://"); ok {
		host, path, _ := strings.Cut(after, "/")
		vault, rest = "https://"+host, strings.TrimPrefix(path, "secrets/")
	} else {
		vault = "https://" + vault + ".vault.azure.net"
	}
	name, version, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if name == "" || vault == "https://" || vault == "https://.vault.azure.net" || strings.ContainsAny(target, " \t?#") || strings.Contains(version, "/") {
		return "", "", "", fmt.Errorf("azure-kv: names no secret (write azure-kv:VAULT/NAME, or azure-kv:https://VAULT.vault.azure.net/secrets/NAME)")
	}
	return vault, name, version, nil
}

// split cuts a command line into words at blanks. Single and double quotes keep blanks together; there is
// no escape character, so a Windows path needs no care, and no expansion of any kind.
func split(line string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		open  rune // the quote we are in
		begun bool
	)
	for _, c := range line {
		switch {
		case open != 0 && c == open:
			open = 0
		case open != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			open, begun = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if open != 0 {
		return nil, fmt.Errorf("cmd: a quote is not closed (write the closing %c)", open)
	}
	if begun {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fmt.Errorf("cmd: names no command (write cmd:command args)")
	}
	return words, nil
}
