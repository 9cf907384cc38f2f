package config

import (
	"strings"
	"testing"
)

// No key is a truth value yet; the description of the file knows the kind for the day one is.
func TestTruthValues(t *testing.T) {
	f := field{key: "keep", kind: kindBool}
	d := newDocument("x.yaml")
	d.root = field{kind: kindSection, fields: []field{f}}
	for text, want := range map[string]string{
		"true": "", "False": "",
		"yes": "write true", "on": "write true", "off": "write false", "No": "write false", "maybe": "write true or false",
		"1": "write true or false", "\"true\"": "",
	} {
		d.problems, d.seen = nil, map[string]place{}
		out, err := d.Unmarshal([]byte("keep: " + text + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, isBool := out["keep"].(bool)
		if isBool != (want == "") || !strings.Contains(d.problems.Error(), want) {
			t.Errorf("%s: %v, %v", text, out, d.problems)
		}
	}
}
