package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

// Redacted returns the whole configuration as a tree of plain values, defaults and inheritance applied,
// paths resolved. References to secrets are shown, literal secrets read "(hidden)".
func (c *Config) Redacted() map[string]any {
	out := redact(root(), c.raw)
	out["data_dir"] = c.DataDir
	if sink, ok := out["sink"].(map[string]any); ok {
		sink["path"] = c.Sink.Path
	}
	return out
}

func redact(f field, tree map[string]any) map[string]any {
	out := make(map[string]any, len(tree))
	for key, value := range tree {
		c, _ := f.child(key)
		if f.kind == kindMap {
			c = field{kind: kindSection, fields: f.fields}
		}
		switch sub, isTree := value.(map[string]any); {
		case isTree:
			out[key] = redact(c, sub)
		case c.secret:
			text, _ := value.(string)
			ref, err := secret.ParseRef(text)
			if err != nil {
				ref = secret.Ref{}
			}
			out[key] = ref.String()
		default:
			out[key] = value
		}
	}
	return out
}

// YAML returns the configuration of Redacted as a YAML file with the origin of each value as comment:
// file and line, variable, "default", or "from sync" for what a tenant inherits.
func (c *Config) YAML() ([]byte, error) {
	node, err := c.node(root(), c.Redacted(), "")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return b.Bytes(), enc.Close()
}

func (c *Config) node(f field, tree map[string]any, path string) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode}
	keys := f.keys()
	if f.kind == kindMap {
		keys = slices.Sorted(maps.Keys(tree))
	}
	for _, key := range keys {
		value, ok := tree[key]
		if !ok {
			continue
		}
		at := join(path, key)
		child, _ := f.child(key)
		if f.kind == kindMap {
			child = field{kind: kindSection, fields: f.fields}
		}
		node := new(yaml.Node)
		if sub, isTree := value.(map[string]any); isTree {
			n, err := c.node(child, sub, at)
			if err != nil {
				return nil, err
			}
			node = n
		} else {
			if err := node.Encode(value); err != nil {
				return nil, fmt.Errorf("encode %s: %w", at, err)
			}
			if node.Kind == yaml.SequenceNode {
				node.Style = yaml.FlowStyle
			}
			origin := c.origins[at]
			if origin == "" {
				origin = "default"
			}
			node.LineComment = origin
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, node)
	}
	return out, nil
}
