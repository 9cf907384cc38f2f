package autotask_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

func TestDiagnose(t *testing.T) {
	for _, tc := range []struct {
		name                   string
		username, code, secret string
		want                   []string // "key part of text"
	}{
		{"all well", goodUser, goodCode, goodSecret, nil},
		{"username and code swapped", goodCode, goodUser, goodSecret, []string{"username|swapped"}},
		{"own login as username, key as code", "jane@acme.example", goodUser, goodSecret, []string{"integration_code|Username (Key)"}},
		{"code is no identifier", goodUser, "abc-123", goodSecret, []string{"integration_code|27 capital letters"}},
		{"lower-case code", goodUser, strings.ToLower(goodCode), goodSecret, []string{"integration_code|27 capital letters"}},
		{"username cut off", "api-user-key", goodCode, goodSecret, []string{"username|no @"}},
		{"code twice", goodCode, goodCode, goodSecret, []string{"username|belongs in integration_code"}},
		{"quoted secret", goodUser, goodCode, `"` + goodSecret + `"`, []string{"secret|quotes"}},
		{"quoted everything", "'" + goodUser + "'", "'" + goodCode + "'", "“" + goodSecret + "”",
			[]string{"username|quotes", "integration_code|quotes", "secret|quotes"}},
		{"secret cut off at $", goodUser, goodCode, "p4ss", []string{"secret|unquoted $ or #"}},
		{"blanks", goodUser + " ", " " + goodCode, goodSecret + "\n", []string{"username|blanks", "integration_code|blanks", "secret|blanks"}},
		{"secret is the code", goodUser, goodCode, goodCode, []string{"secret|Tracking Identifier"}},
		{"secret is the username", goodUser, goodCode, goodUser, []string{"secret|same as username"}},
		{"unexpanded", goodUser, goodCode, "${ACME_SECRET_OF_ACME}", []string{"secret|not expanded"}},
		{"empty", "", "", "", []string{"username|empty", "integration_code|empty", "secret|empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hints := autotask.Diagnose(tc.username, tc.code, tc.secret)
			var got []string
			for i, h := range hints {
				key, part := h.Key, h.Text
				if i < len(tc.want) {
					if wantKey, wantPart, _ := strings.Cut(tc.want[i], "|"); key == wantKey && strings.Contains(part, wantPart) {
						part = wantPart
					}
				}
				got = append(got, key+"|"+part)
				for _, v := range []string{tc.username, tc.code, tc.secret} {
					if len(v) > 4 && strings.Contains(h.String(), strings.TrimSpace(v)) {
						t.Errorf("the hint shows a value: %s", h)
					}
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOddLooksAreNotRefused(t *testing.T) {
	for _, c := range []autotask.Credentials{
		autotask.NewCredentials("nobody", "x", "y"),
		autotask.NewCredentials(goodUser, goodCode, ` "quoted" `),
		autotask.NewCredentials("jürgen@acme.example", goodCode, "pässword"),
	} {
		if _, err := autotask.New(autotask.Config{Tenant: "acme", Credentials: c}); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []autotask.Credentials{
		{},
		autotask.NewCredentials("", goodCode, goodSecret),
		autotask.NewCredentials(goodUser, goodCode, goodSecret+"\nX-Other: 1"),
	} {
		_, err := autotask.New(autotask.Config{Tenant: "acme", Credentials: c})
		wantError(t, err, pipeline.ClassConfig)
	}
}

func TestConfigErrors(t *testing.T) {
	for part, change := range map[string]func(*autotask.Config){
		"webservices3":  func(c *autotask.Config) { c.Zone = "ww3" },
		"discovery_url": func(c *autotask.Config) { c.DiscoveryURL = "http://discovery.example" },
		"500":           func(c *autotask.Config) { c.Limits.PageSize = 501 },
		"threads":       func(c *autotask.Config) { c.Limits.ThreadsPerEntity = 4 },
		"negative":      func(c *autotask.Config) { c.Limits.Attempts = -1 },
	} {
		cfg, _, _ := baseConfig(t)
		change(&cfg)
		_, err := autotask.New(cfg)
		wantError(t, err, pipeline.ClassConfig, part)
	}
}

// TestNothingShowsASecret formats everything that holds credentials in every way.
func TestNothingShowsASecret(t *testing.T) {
	cfg, _, _ := baseConfig(t)
	c := newClient(t, cfg)
	holder := struct {
		inner autotask.Config
		creds *autotask.Credentials
	}{cfg, &cfg.Credentials}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "creds", cfg.Credentials, "ptr", &cfg.Credentials, "client", c, "holder", fmt.Sprintf("%+v", holder))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb+verb+verb, cfg, cfg.Credentials, c, holder)
	}
	if b, err := json.Marshal(cfg.Credentials); err != nil || string(b) != `"[redacted]"` {
		t.Errorf("%s, %v", b, err)
	}
	hex := fmt.Sprintf("%x", goodSecret)
	for _, s := range []string{goodSecret, goodCode, hex} {
		if strings.Contains(log.String(), s) {
			t.Errorf("shows %q:\n%s", s, log.String())
		}
	}
}

// TestEchoedSecretIsCutOut: a server that repeats what it got must not bring it into our errors.
func TestEchoedSecretIsCutOut(t *testing.T) {
	f := newFake(t, 1)
	f.hook = echo
	c, _ := memoryClient(t, f, nil)
	_, _, err := readIDs(t.Context(), c, pipeline.Slice{})
	wantError(t, err, pipeline.ClassSource, "[redacted]")
}

func TestFingerprint(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []autotask.Credentials{
		autotask.NewCredentials("a", "b", "c"), autotask.NewCredentials("ab", "", "c"), autotask.NewCredentials("a", "bc", ""),
		autotask.NewCredentials("a", "b", "C"),
	} {
		fp := c.Fingerprint()
		if len(fp) != 16 || seen[fp] {
			t.Errorf("fingerprint %q", fp)
		}
		seen[fp] = true
	}
	if a, b := autotask.NewCredentials("A", "b", "c").Fingerprint(), autotask.NewCredentials("a", "b", "c").Fingerprint(); a != b {
		t.Error("the case of a username makes another login of it")
	}
}
