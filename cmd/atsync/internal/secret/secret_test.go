package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

const password = "pa$$w0rd#~*@!"

func TestNoPrintingShowsTheSecret(t *testing.T) {
	s := secret.New(password)
	literal, err := secret.ParseRef(password)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		S secret.String
		R secret.Ref
		P *secret.String
	}
	h := holder{s, literal, &s}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "p", &s, "h", h, "r", literal)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "p", &s, "h", h, "r", literal)
	js, err := json.Marshal(map[string]any{"h": h, "s": s, "l": []any{s, &s, literal}})
	if err != nil {
		t.Fatal(err)
	}
	ym, err := yaml.Marshal(map[string]any{"h": h, "s": s})
	if err != nil {
		t.Fatal(err)
	}
	outs := []string{log.String(), string(js), string(ym), s.String(), s.GoString(), literal.String(), literal.GoString(),
		fmt.Errorf("bad: %v", s).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%T %v"} {
		for _, v := range []any{s, &s, literal, &literal, h, &h, []secret.String{s}, map[string]secret.String{"a": s}} {
			outs = append(outs, fmt.Sprintf(verb, v))
		}
	}
	for _, out := range outs {
		for _, bad := range []string{password, "pa$$w", fmt.Sprintf("%x", password), fmt.Sprintf("%X", password)} {
			if strings.Contains(out, bad) {
				t.Errorf("secret shows in %q", out)
			}
		}
	}
	if s.Reveal() != password {
		t.Errorf("Reveal = %q", s.Reveal())
	}
}

func TestParseRef(t *testing.T) {
	for _, c := range []struct{ text, scheme, shown, wrong string }{
		{text: "env:ACME", scheme: "env", shown: "env:ACME"},
		{text: "file:/run/secrets/a b", scheme: "file", shown: "file:/run/secrets/a b"},
		{text: `cmd:op read "op://x/y z"`, scheme: "cmd", shown: `cmd:op read "op://x/y z"`},
		{text: "hello:world", shown: "(hidden)"},
		{text: "ENV:ACME", shown: "(hidden)"},
		{text: " x ", shown: "(hidden)"},
		{text: "", wrong: "is empty"},
		{text: "env:", wrong: "write env:NAME"},
		{text: "env:$ACME", wrong: "write env:ACME"},
		{text: "env:${ACME}", wrong: "write env:ACME"},
		{text: "env:A B", wrong: "no variable can have this name"},
		{text: "file:", wrong: "names no file"},
		{text: "cmd: ", wrong: "names no command"},
		{text: "cmd:echo 'x", wrong: "quote is not closed"},
		{text: "aws-sm:acme", scheme: "aws-sm", shown: "aws-sm:acme"},
		{text: "aws-sm:acme#", wrong: "aws-sm: names no secret (write aws-sm:NAME"},
		{text: "azure-kv:acme/x", scheme: "azure-kv", shown: "azure-kv:acme/x"},
		{text: "azure-kv:acme", wrong: "azure-kv: names no secret (write azure-kv:VAULT/NAME"},
	} {
		r, err := secret.ParseRef(c.text)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: error %v, want %q", c.text, err, c.wrong)
			}
			continue
		}
		if err != nil || string(r.Scheme()) != c.scheme || r.String() != c.shown || r.IsLiteral() != (c.scheme == "") {
			t.Errorf("%q: %v %q %v %v", c.text, err, r.Scheme(), r, r.IsLiteral())
		}
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", password)
	write("newline", password+"\n")
	write("crlf", password+"\r\n")
	write("two", " x \n\n")
	write("empty", "\n")
	write("huge", strings.Repeat("x", 70_000))
	v := secret.Resolver{Dir: dir, Environ: append(os.Environ(), "ACME=old", "ACME="+password, "NONE=", "BLANK= x ")}
	for _, c := range []struct{ ref, want, wrong string }{
		{ref: "just a literal ", want: "just a literal "},
		{ref: "env:ACME", want: password},
		{ref: "env:BLANK", want: " x "},
		{ref: "env:NONE", wrong: "variable NONE is empty"},
		{ref: "env:MISSING_ONE", wrong: "variable MISSING_ONE is not set"},
		{ref: "file:plain", want: password},
		{ref: "file:" + filepath.Join(dir, "newline"), want: password},
		{ref: "file:crlf", want: password},
		{ref: "file:two", want: " x \n"},
		{ref: "file:empty", wrong: "file:empty: gives nothing"},
		{ref: "file:huge", wrong: "more than"},
		{ref: "file:.", wrong: "is a folder"},
		{ref: "file:nowhere", wrong: "there is no file"},
		{ref: "cmd:no-such-command-here x", wrong: "there is no command no-such-command-here"},
	} {
		check(t, v, c.ref, c.want, c.wrong)
	}
}

func check(t *testing.T, v secret.Resolver, ref, want, wrong string) {
	t.Helper()
	r, err := secret.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Resolve(t.Context(), r)
	switch {
	case wrong != "":
		if err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: error %v, want %q", ref, err, wrong)
		} else if strings.Contains(err.Error(), "leak\n") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: error shows output: %v", ref, err)
		}
	case err != nil:
		t.Errorf("%s: %v", ref, err)
	case got.Reveal() != want:
		t.Errorf("%s: %q, want %q", ref, got.Reveal(), want)
	}
}
