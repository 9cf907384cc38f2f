package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
)

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeConfigurationIsValid loads the ten lines that a newcomer copies.
func TestReadmeConfigurationIsValid(t *testing.T) {
	for _, doc := range []string{"README.md", "docs/getting-started.md"} {
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readDoc(t, doc), -1)
		whole := 0
		for _, block := range blocks {
			if !strings.Contains(block[1], "tenants:") {
				continue // a part
			}
			whole++
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file, nil); err != nil {
				t.Errorf("%s: %v\n%s", doc, err, block[1])
			}
		}
		if whole == 0 {
			t.Errorf("%s shows no configuration", doc)
		}
	}
}

// TestCommandsAreInTheManual wants a section for each command and a word on each flag of its own.
func TestCommandsAreInTheManual(t *testing.T) {
	manual := readDoc(t, "docs/cli.md")
	for _, cmd := range newRoot(&env{}).Commands() {
		if cmd.Name() == "help" {
			continue
		}
		_, section, found := strings.Cut(manual, "\n## "+cmd.Name()+"\n")
		if !found {
			t.Errorf("docs/cli.md has no section on %s", cmd.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, c := range append([]*cobra.Command{cmd}, cmd.Commands()...) {
			c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && !strings.Contains(section, "--"+f.Name) {
					t.Errorf("docs/cli.md: %s has no word on --%s", cmd.Name(), f.Name)
				}
			})
		}
	}
}

// TestJSONSamplesFitTheContract decodes the manual's samples into what the commands print.
func TestJSONSamplesFitTheContract(t *testing.T) {
	manual := readDoc(t, "docs/cli.md")
	for name, into := range map[string]any{
		"init": &initReport{}, "alert": &alertReport{}, "check": &checkReport{}, "plan": &planReport{}, "fetch": &fetchReport{}, "state": &stateReport{}, "sync": &syncReport{}, "verify": &syncReport{}, "backfill": &backfillReport{}, "status": &statusReport{},
		"rejects": &rejectsReport{}, "schema": &schemaDiffReport{}, "runs": &runsReport{}, "maintain": &maintainReport{}, "export": &exportReport{},
		"entities": &entityReport{}, "config": &configReport{}, "version": &versionReport{},
	} {
		_, section, found := strings.Cut(manual, "<!-- json:"+name+":begin -->")
		if !found {
			t.Errorf("docs/cli.md has no sample of %s", name)
			continue
		}
		_, sample, _ := strings.Cut(section, "```json\n")
		sample, _, _ = strings.Cut(sample, "```")
		dec := json.NewDecoder(bytes.NewReader([]byte(sample)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			t.Errorf("sample of %s: %v", name, err)
		}
	}
}
