package secret_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

// shelf is a vault that counts how often it is asked.
type shelf struct {
	value string
	asked int
}

func (s *shelf) AWS(_ context.Context, id string) (string, error) {
	s.asked++
	if s.value == "" {
		return "", errors.New("no secret " + id)
	}
	return s.value, nil
}

func (s *shelf) Azure(ctx context.Context, vault, name, version string) (string, error) {
	return s.AWS(ctx, vault+" "+name+" "+version)
}

func TestCache(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	s := &shelf{}
	c := &secret.Cache{Resolver: secret.Resolver{Vaults: s, Environ: []string{"X=1"}}, Keep: time.Minute, Now: func() time.Time { return now }}
	aws, err := secret.ParseRef("aws-sm:acme")
	if err != nil {
		t.Fatal(err)
	}
	env, err := secret.ParseRef("env:X")
	if err != nil {
		t.Fatal(err)
	}
	want := func(value string, asked int) {
		t.Helper()
		got, err := c.Resolve(t.Context(), aws)
		if got.Reveal() != value || (err == nil) != (value != "") || s.asked != asked {
			t.Errorf("%q, %v after asking %d times", got.Reveal(), err, s.asked)
		}
	}
	want("", 1) // a failure is not kept
	s.value = "one"
	want("one", 2)
	s.value = "two"
	want("one", 2)
	c.Forget(aws, env)
	want("two", 3)
	s.value = "three"
	now = now.Add(59 * time.Second)
	want("two", 3)
	now = now.Add(time.Second)
	want("three", 4)
	for _, x := range []string{"1", "2"} { // of this process: not kept
		c.Resolver.Environ = []string{"X=" + x}
		if got, err := c.Resolve(t.Context(), env); err != nil || got.Reveal() != x {
			t.Errorf("%q, %v", got.Reveal(), err)
		}
	}
}

func TestResolveAzure(t *testing.T) {
	for text, want := range map[string]string{
		"azure-kv:msp/acme":    "azure-kv:msp/acme: no secret https://msp.vault.azure.net acme ",
		"azure-kv:msp/acme/v1": "azure-kv:msp/acme/v1: no secret https://msp.vault.azure.net acme v1",
		"azure-kv:https://msp.vault.usgovcloudapi.net/secrets/acme/v1": "azure-kv:https://msp.vault.usgovcloudapi.net/secrets/acme/v1: no secret https://msp.vault.usgovcloudapi.net acme v1",
	} {
		check(t, secret.Resolver{Vaults: &shelf{}}, text, "", want)
	}
	check(t, secret.Resolver{}, "aws-sm:acme", "", "aws-sm:acme: nothing here can ask for it")
}
