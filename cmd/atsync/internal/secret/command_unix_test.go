//go:build !windows

package secret_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

func TestResolveCommand(t *testing.T) {
	dir := t.TempDir()
	v := secret.Resolver{Dir: dir, Environ: append(os.Environ(), "ACME=from the environment")}
	for _, c := range []struct{ ref, want, wrong string }{
		{ref: "cmd:echo  a 'b  c' \"\" d", want: "a b  c  d"},
		{ref: `cmd:printf '%s\n\n' x`, want: "x\n"},
		{ref: "cmd:sh -c 'echo $ACME | tr a-z A-Z'", want: "FROM THE ENVIRONMENT"},
		{ref: "cmd:echo $ACME", want: "$ACME"},
		{ref: "cmd:true", wrong: "cmd:true: gives nothing"},
		{ref: "cmd:sh -c 'echo not logged in >&2; echo leak; exit 3'", wrong: "exit status 3 (not logged in)"},
	} {
		check(t, v, c.ref, c.want, c.wrong)
	}
}

func TestCommandTimesOutWithItsChildren(t *testing.T) {
	v := secret.Resolver{Dir: t.TempDir(), Environ: os.Environ(), Timeout: 20 * time.Millisecond}
	check(t, v, "cmd:sleep 60", "", "took longer than 20ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := secret.ParseRef("cmd:sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Resolve(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
