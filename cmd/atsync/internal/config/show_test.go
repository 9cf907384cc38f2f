package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
)

func TestYAMLHidesSecretsAndNamesOrigins(t *testing.T) {
	cfg := load(t, "data_dir: /srv/a\nsync: {overlap: 7m}\n"+strings.Replace(minimal, "env:SECRET", `"hunter2"`, 1)+
		"    zone: 3\n    sync:\n      entities: [Tickets]\n", "ATSYNC_HTTP__LISTEN=127.0.0.1:80", "ATSYNC_TENANTS__ACME__INTEGRATION_CODE=LITERALCODE")
	out, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "show.golden", filepath.ToSlash(string(out)))
	var back map[string]any
	if err := yaml.Unmarshal(out, &back); err != nil {
		t.Errorf("not YAML: %v", err)
	}
	js, err := json.Marshal(cfg.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(out), string(js)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "LITERALCODE") {
			t.Errorf("a secret shows: %s", text)
		}
	}
}

func TestJSONSchemaKnowsEveryKeyOfTheExample(t *testing.T) {
	out, err := config.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.golden", string(out))
	var schema map[string]any
	if err := json.Unmarshal(out, &schema); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var example map[string]any
	if err := yaml.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	covered(t, "", example, schema)
}

// covered checks that a schema describes every key of a tree, and that the tree shows every section.
func covered(t *testing.T, path string, tree, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for _, pattern := range asMap(schema["patternProperties"]) {
		properties = map[string]any{}
		for key := range tree {
			properties[key] = pattern
		}
	}
	for key, value := range tree {
		sub := asMap(properties[key])
		if sub == nil {
			t.Errorf("%s%s: not in the schema", path, key)
			continue
		}
		if _, ok := sub["description"]; !ok && path != "tenants." && !strings.HasSuffix(path, ".groups.") && !strings.HasSuffix(path, ".targets.") {
			t.Errorf("%s%s: not described", path, key)
		}
		if tree, ok := value.(map[string]any); ok {
			covered(t, path+key+".", tree, sub)
		}
	}
	if path == "" {
		for key := range properties {
			if _, ok := tree[key]; !ok {
				t.Errorf("%s: not in the example", key)
			}
		}
	}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
