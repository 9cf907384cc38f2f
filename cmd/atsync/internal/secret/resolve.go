package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Limits of what a reference may yield and of how long a command may take.
const (
	DefaultTimeout = 30 * time.Second
	maxSize        = 64 << 10 // bytes
)

// Resolver fetches what references point to. It holds no state and may be used concurrently.
type Resolver struct {
	Environ []string      // "NAME=value", the later wins; also what commands run with
	Dir     string        // base of relative files and working directory of commands; empty: the current one
	Timeout time.Duration // of one command or request; 0: DefaultTimeout
	Vaults  Vaults        // nil: aws-sm: and azure-kv: can't be resolved
}

// Vaults fetches secrets from services that keep them. Errors hold no secret.
type Vaults interface {
	// AWS returns the text of a secret of AWS Secrets Manager, by name or ARN.
	AWS(ctx context.Context, id string) (string, error)
	// Azure returns a secret of the Key Vault at a URL; no version is the newest.
	Azure(ctx context.Context, vault, name, version string) (string, error)
}

// Resolve returns the credential that r refers to. Every error names the reference and what to do.
func (v Resolver) Resolve(ctx context.Context, r Ref) (String, error) {
	if err := ctx.Err(); err != nil {
		return String{}, err
	}
	switch {
	case r.Empty():
		return String{}, errors.New("no secret is given: write env:NAME, file:/path or cmd:command")
	case r.scheme == Env:
		return v.env(r)
	case r.scheme == File:
		return v.file(r)
	case r.scheme == Cmd:
		return v.command(ctx, r)
	case r.scheme == AWS || r.scheme == Azure:
		return v.vault(ctx, r)
	}
	return New(r.target), nil
}

func (v Resolver) env(r Ref) (String, error) {
	value, found := "", false
	for _, pair := range v.Environ {
		if name, val, ok := strings.Cut(pair, "="); ok && name == r.target {
			value, found = val, true
		}
	}
	if !found {
		return String{}, fmt.Errorf("%s: the environment variable %s is not set: set it for the process that runs atsync", r, r.target)
	}
	if value == "" {
		return String{}, fmt.Errorf("%s: the environment variable %s is empty: give it the value", r, r.target)
	}
	return New(value), nil
}

func (v Resolver) file(r Ref) (String, error) {
	path := r.target
	if !filepath.IsAbs(path) {
		path = filepath.Join(v.Dir, path)
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return String{}, fmt.Errorf("%s: there is no file %s: create it with the value as its only content", r, path)
	case errors.Is(err, fs.ErrPermission):
		return String{}, fmt.Errorf("%s: the file may not be read: give the user that runs atsync the right to read it", r)
	case err != nil:
		return String{}, fmt.Errorf("%s: %w", r, err)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return String{}, fmt.Errorf("%s: is a folder: name the file in it", r)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return String{}, fmt.Errorf("%s: %w", r, err)
	}
	return value(r, data)
}

func (v Resolver) command(ctx context.Context, r Ref) (String, error) {
	words, err := split(r.target)
	if err != nil {
		return String{}, err
	}
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, problems := &limited{left: maxSize + 1}, &limited{left: 1 << 10}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = v.Dir, v.Environ
	cmd.Stdout, cmd.Stderr = out, problems
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case parent.Err() != nil:
		return String{}, parent.Err()
	case ctx.Err() != nil:
		return String{}, fmt.Errorf("%s: the command took longer than %s: run it by hand to see what it waits for", r, timeout)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return String{}, fmt.Errorf("%s: there is no command %s: install it or write its full path", r, words[0])
	case err != nil:
		return String{}, fmt.Errorf("%s: %w%s: run it by hand to see why", r, err, firstLine(problems.kept.Bytes()))
	}
	return value(r, out.kept.Bytes())
}

// value checks what a file or command gave and cuts one newline off its end.
func value(r Ref, data []byte) (String, error) {
	if len(data) > maxSize {
		return String{}, fmt.Errorf("%s: gives more than %d bytes, which is no secret: check what it points to", r, maxSize)
	}
	text := strings.TrimPrefix(string(data), "\ufeff") // editors of Windows put it first
	text, cut := strings.CutSuffix(text, "\n")
	if cut {
		text = strings.TrimSuffix(text, "\r")
	}
	if text == "" {
		return String{}, fmt.Errorf("%s: gives nothing: store the value there", r)
	}
	return New(text), nil
}

// firstLine returns the first line of a command's complaints as " (…)", printable and short.
func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	line = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, line)
	if runes := []rune(line); len(runes) > 200 {
		line = string(runes[:200]) + "…"
	}
	if line == "" {
		return ""
	}
	return " (" + line + ")"
}

// limited keeps the first bytes written to it and swallows the rest.
type limited struct {
	kept bytes.Buffer // not embedded: its ReadFrom would have no limit
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(l.left, len(p))
	l.left -= keep
	l.kept.Write(p[:keep])
	return len(p), nil
}
