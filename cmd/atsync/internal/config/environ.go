package config

import (
	"maps"
	"slices"
	"strings"
)

// Variables that steer atsync without being an override of a key.
const (
	envPrefix = "ATSYNC_"
	EnvConfig = "ATSYNC_CONFIG" // path of the configuration file
)

// variable is an environment variable that stands for a key of the file.
type variable struct {
	path  string
	field field
}

// variables returns every variable that may be set, given the tenants of the file.
func variables(root field, tenants []string) map[string]variable {
	out := map[string]variable{}
	var add func(f field, path string)
	add = func(f field, path string) {
		for _, c := range f.fields {
			at := join(path, c.key)
			out[envName(at)] = variable{at, c}
			switch c.kind {
			case kindSection:
				add(c, at)
			case kindMap:
				if at != "tenants" { // its names are not known here
					continue
				}
				for _, name := range tenants {
					add(field{fields: c.fields}, join(at, name))
				}
			}
		}
	}
	add(root, "")
	return out
}

func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}

// overrides turns the environment into path -> value. It is the transform function of koanf's provider.
type overrides struct {
	known    map[string]variable
	problems Problems
	from     map[string]string // path -> variable
	bad      map[string]bool
}

func newOverrides(root field, tenants map[string]any) *overrides {
	return &overrides{
		known: variables(root, slices.Sorted(maps.Keys(tenants))),
		from:  map[string]string{}, bad: map[string]bool{},
	}
}

// transform returns the path and typed value of a variable, or "" after recording what is wrong with it.
func (o *overrides) transform(name, text string) (string, any) {
	if name == EnvConfig {
		return "", nil
	}
	v, ok := o.known[name]
	if !ok {
		fix := "unset it; variables are ATSYNC_ and the key's path with __ between its parts"
		if near := nearest(name, slices.Sorted(maps.Keys(o.scalars()))); near != "" {
			fix = "did you mean " + near + "?"
		}
		return o.fail(name, "", wrong(fix, "no key of the configuration has this name"))
	}
	if !v.field.scalar() {
		return o.fail(name, "", wrong("set it in the file", "%s can't be set by a variable", v.field.kind))
	}
	if text == "" {
		return o.fail(name, v.path, wrong("give it a value or unset it", "is empty"))
	}
	value, bad := parseScalar(v.field, text)
	if bad != nil {
		return o.fail(name, v.path, bad)
	}
	o.from[v.path] = name
	return v.path, value
}

func (o *overrides) fail(name, path string, f *finding) (string, any) {
	o.problems = append(o.problems, Problem{Path: name, What: f.what, Fix: f.fix})
	if path != "" {
		o.bad[path] = true
	}
	return "", nil
}

func (o *overrides) scalars() map[string]variable {
	out := maps.Clone(o.known)
	maps.DeleteFunc(out, func(_ string, v variable) bool { return !v.field.scalar() })
	return out
}
