package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// JSONSchema returns the JSON Schema (draft 2020-12) of the configuration file, for editors and checkers.
// It is made from the same description as the checks of Load, which know more than a schema can say.
func JSONSchema() ([]byte, error) {
	s := schemaOf(root())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "atsync configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode JSON Schema: %w", err)
	}
	return append(out, '\n'), nil
}

func schemaOf(f field) map[string]any {
	s := map[string]any{}
	if f.doc != "" {
		s["description"] = f.doc
	}
	switch f.kind {
	case kindSection:
		objectSchema(f, s)
		if !hasNeed(f) { // "sync:" with nothing below it
			s["type"] = []string{"object", "null"}
		}
	case kindMap:
		one := field{kind: kindSection, fields: withoutDefaults(f.fields)} // they inherit
		s["type"] = "object"
		s["minProperties"] = 1
		s["patternProperties"] = map[string]any{"^[a-z][a-z0-9_]*$": schemaOf(one)}
		s["additionalProperties"] = false
	case kindList:
		s["type"], s["minItems"] = "array", 1
		s["items"] = map[string]any{"type": "string"}
		if f.def != "" {
			s["default"] = strings.Split(f.def, ",")
		}
	default:
		scalarSchema(f, s)
	}
	return s
}

func objectSchema(f field, s map[string]any) {
	properties := map[string]any{}
	var need []string
	for _, c := range f.fields {
		properties[c.key] = schemaOf(c)
		if c.need {
			need = append(need, c.key)
		}
	}
	s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	// A required scalar may come from the environment, which a schema can't see; the check of Load can.
	if f.key == "" && len(need) > 0 && need[0] == "tenants" {
		s["required"] = need
	}
	if _, ok := f.child("zone"); ok {
		s["not"] = map[string]any{"required": []string{"zone", "url"}}
	}
}

func withoutDefaults(fields []field) []field {
	out := slices.Clone(fields)
	for i := range out {
		out[i].def, out[i].fields = "", withoutDefaults(out[i].fields)
	}
	return out
}

func hasNeed(f field) bool {
	for _, c := range f.fields {
		if c.need {
			return true
		}
	}
	return false
}

func scalarSchema(f field, s map[string]any) {
	s["type"] = "string"
	switch f.kind {
	case kindInt:
		s["type"] = "integer"
	case kindBool:
		s["type"] = "boolean"
	case kindDuration:
		s["pattern"] = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
		s["examples"] = []string{"30s", "5m", "2h"}
	}
	if f.def != "" {
		if v, bad := parseScalar(f, f.def); bad == nil {
			s["default"] = v
		}
	}
	name, arg, _ := strings.Cut(f.format, "=")
	switch name {
	case "enum":
		s["enum"] = strings.Split(arg, "|")
	case "sink":
		s["enum"] = []string{"duckdb"}
	case "range":
		var least, most int
		if _, err := fmt.Sscanf(arg, "%d..%d", &least, &most); err == nil {
			s["minimum"], s["maximum"] = least, most
		}
	case "url":
		s["format"], s["pattern"] = "uri", "^https?://"
	case "zone":
		s["type"] = []string{"string", "integer"}
		s["examples"] = []string{"webservices3"}
	case "path", "sinkpath", "ref", "hash", "listen", "cron", "cron or never", "timezone":
		s["minLength"] = 1
	}
}
