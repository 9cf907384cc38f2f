package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"charm.land/huh/v2"

	"github.com/atsync/atsync/pipeline"
)

// Question is a line that a person is asked for.
type Question struct {
	Title  string
	Help   string             // below the title
	Hidden bool               // what is typed is not shown
	Check  func(string) error // says what is wrong with an answer; nil: nothing ever is
	Answer *string            // what it holds before is proposed
}

// Ask shows the questions as a form on a terminal and fills in the answers. A person who gives up is an error of
// ClassCanceled.
func Ask(ctx context.Context, in io.Reader, out io.Writer, questions ...Question) error {
	fields := make([]huh.Field, len(questions))
	for i, q := range questions {
		field := huh.NewInput().Title(q.Title).Description(q.Help).Value(q.Answer)
		if q.Hidden {
			field = field.EchoMode(huh.EchoModePassword)
		}
		if q.Check != nil {
			field = field.Validate(q.Check)
		}
		fields[i] = field
	}
	if file, ok := in.(*os.File); ok {
		turn := &turn{File: file}
		defer turn.over.Store(true)
		in = turn
	}
	err := huh.NewForm(huh.NewGroup(fields...)).WithInput(in).WithOutput(out).RunWithContext(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, huh.ErrUserAborted), ctx.Err() != nil:
		return &pipeline.Error{Class: pipeline.ClassCanceled, Err: errors.New("given up"), Remedy: "nothing was written"}
	}
	return fmt.Errorf("show a form: %w", err)
}

// turn is a terminal while one form has it. The form's reader can outlive the form, and would swallow the first thing
// that is typed or pasted into the next one.
type turn struct {
	*os.File
	over atomic.Bool
}

// Read reads what is typed, and ends with the form.
func (t *turn) Read(b []byte) (int, error) {
	if t.over.Load() {
		return 0, io.EOF
	}
	return t.File.Read(b)
}
