package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a koanf.Parser that checks while it parses: it walks the YAML nodes along the description of
// the file, collects every mistake with its place, and yields only what is right.
type document struct {
	file     string
	root     field
	problems Problems
	seen     map[string]place // every path that stands in the file, right or wrong
	bad      map[string]bool  // paths whose value is wrong
}

// place is where something stands in the file.
type place struct{ line, column int }

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

func newDocument(file string) *document {
	return &document{file: file, root: root(), seen: map[string]place{}, bad: map[string]bool{}}
}

// errSyntax says that the file is no YAML; the problem is recorded.
var errSyntax = errors.New("no YAML")

// Unmarshal parses data and returns what is right in it. It fails only if data is not YAML at all.
func (d *document) Unmarshal(data []byte) (map[string]any, error) {
	node, err := parseYAML(data)
	if err != nil {
		d.syntax(data, err)
		return nil, errSyntax
	}
	if node == nil || len(node.Content) == 0 || isNull(node.Content[0]) {
		d.report(place{}, "", wrong("see config.example.yaml, or run: atsync demo", "the file is empty"))
		return nil, errSyntax
	}
	return d.section(d.root, node.Content[0], ""), nil
}

// Marshal is not needed; it completes koanf.Parser.
func (d *document) Marshal(map[string]any) ([]byte, error) { return nil, errors.ErrUnsupported }

// parseYAML reads exactly one document. It turns a panic of the parser into an error.
func parseYAML(data []byte) (node *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	node = new(yaml.Node)
	if err := dec.Decode(node); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return nil, fmt.Errorf("yaml: line %d: a second document starts here", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return node, nil
}

func (d *document) report(at place, path string, f *finding) {
	what := f.what
	if runes := []rune(what); len(runes) > 300 {
		what = string(runes[:300]) + "…"
	}
	d.problems = append(d.problems, Problem{File: d.file, Line: at.line, Column: at.column, Path: path, What: what, Fix: f.fix})
	if path != "" {
		d.bad[path] = true
	}
}

// section walks a mapping and returns its right part.
func (d *document) section(f field, n *yaml.Node, path string) map[string]any {
	out := map[string]any{}
	at := placeOf(n)
	n = resolve(n)
	if isNull(n) { // "sync:" with everything below it commented out
		return out
	}
	if n.Kind != yaml.MappingNode {
		d.report(at, path, wrong("write key: value lines", "is %s, not a section", describe(n)))
		if path == "" {
			d.bad["tenants"] = true // not to be reported as missing as well
		}
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		where := join(path, key.Value)
		if first, dup := d.seen[where]; dup {
			d.report(placeOf(key), where, wrong("keep one of them", "stands twice, first on line %d", first.line))
			continue
		}
		c, bad := d.key(f, key)
		if bad != nil {
			d.report(placeOf(key), where, bad)
			continue
		}
		d.seen[where] = placeOf(key)
		switch c.kind {
		case kindSection, kindMap:
			out[c.key] = d.section(c, value, where)
		case kindList:
			if items := d.list(c, value, where); items != nil {
				out[c.key] = items
			}
		default:
			if v, ok := d.scalar(c, value, where); ok {
				out[c.key] = v
			}
		}
	}
	return out
}

// key finds what a key of f describes.
func (d *document) key(f field, key *yaml.Node) (field, *finding) {
	switch {
	case key.Kind != yaml.ScalarNode:
		return field{}, wrong("write a word", "a key is %s", describe(key))
	case key.ShortTag() == "!!merge":
		return field{}, wrong("put what tenants share under sync", "merge keys are not supported")
	case f.kind == kindMap:
		if bad := checkFormat(f.format, key.Value); bad != nil {
			return field{}, bad
		}
		return field{key: key.Value, kind: kindSection, fields: f.fields}, nil
	}
	if c, ok := f.child(key.Value); ok {
		return c, nil
	}
	fix := "known here: " + strings.Join(f.keys(), ", ")
	if owner := d.owner(key.Value); owner != "" {
		fix = "it belongs under " + owner
	} else if near := nearest(key.Value, f.keys()); near != "" {
		fix = "did you mean " + near + "?"
	}
	return field{}, wrong(fix, "unknown key")
}

// owner returns the section that has a key of this name, or "" if none or more than one has.
func (d *document) owner(key string) string {
	var owners []string
	for _, s := range d.root.fields {
		if _, ok := s.child(key); ok {
			name := s.key
			if s.kind == kindMap {
				name += ".NAME"
			}
			owners = append(owners, name)
		}
	}
	if _, ok := d.root.child(key); ok {
		owners = append(owners, "the top level")
	}
	if len(owners) != 1 {
		return ""
	}
	return owners[0]
}

// list walks a list of texts. It returns nil if nothing of it is right.
func (d *document) list(f field, n *yaml.Node, path string) []any {
	at := placeOf(n)
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		fix := "write a list: [" + f.def + "]"
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			fix = "write a list: [" + n.Value + "]"
		}
		d.report(at, path, wrong(fix, "is %s, not a list", describe(n)))
		return nil
	}
	if len(n.Content) == 0 {
		d.report(at, path, wrong("write a list: ["+f.def+"]", "is empty"))
		return nil
	}
	var out []any
	item := field{kind: kindString, format: f.format}
	for i, c := range n.Content {
		where := fmt.Sprintf("%s[%d]", path, i)
		if v, ok := d.scalar(item, c, where); ok {
			out = append(out, v)
		} else {
			d.bad[path] = true
		}
	}
	return out
}

// scalar checks one value.
func (d *document) scalar(f field, n *yaml.Node, path string) (any, bool) {
	at := placeOf(n)
	n = resolve(n)
	d.seen[path] = at
	if bad := shape(f, n); bad != nil {
		d.report(at, path, bad)
		return nil, false
	}
	v, bad := parseScalar(f, n.Value)
	if bad != nil {
		d.report(at, path, bad)
		return nil, false
	}
	return v, true
}

// shape checks that a node can be a value of f's kind at all. It never shows the value of a secret.
func shape(f field, n *yaml.Node) *finding {
	if n.Kind != yaml.ScalarNode {
		return wrong("write one value", "is %s, not %s", describe(n), f.kind)
	}
	tag := n.ShortTag()
	switch {
	case tag == "!!null":
		return wrong("write a value or take the line out", "has no value")
	case !strings.HasPrefix(tag, "!!") || tag == "!!binary":
		return wrong("leave the tag out", "carries the tag %s", tag)
	case f.kind == kindDuration && (tag == "!!int" || tag == "!!float"):
		return nil // parseScalar says that the unit is missing
	case f.kind == kindString && tag == "!!int" && f.format == "zone":
		return nil // zone: 3
	case f.kind == kindInt && tag == "!!str":
		return wrong("leave the quotes out", "is text, not %s", f.kind)
	case (f.kind == kindString || f.kind == kindDuration) && tag != "!!str":
		if _, bad := parseScalar(f, n.Value); bad != nil && !f.secret {
			return bad // quotes would not help
		}
		fix := "put it in quotes"
		if !f.secret {
			fix += `: "` + n.Value + `"`
		}
		return wrong(fix, "is %s, not text", describe(n))
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "empty"
	}
	return "text"
}
