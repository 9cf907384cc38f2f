package console

import (
	"errors"
	"io"
	"os"
	"testing"
)

// What a form left behind takes nothing from the form after it.
func TestTurnEndsWithItsForm(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = in.Close(), out.Close() }()
	if _, err := out.WriteString("pasted"); err != nil {
		t.Fatal(err)
	}
	past, now := &turn{File: in}, &turn{File: in}
	past.over.Store(true)
	b := make([]byte, 16)
	if n, err := past.Read(b); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the earlier form read %q, %v; want nothing, EOF", b[:n], err)
	}
	if n, err := now.Read(b); err != nil || string(b[:n]) != "pasted" {
		t.Errorf("the later form read %q, %v", b[:n], err)
	}
}
