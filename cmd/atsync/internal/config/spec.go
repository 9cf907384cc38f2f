package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

// kind is the shape of a value in the file.
type kind string

const (
	kindString   kind = "text"
	kindInt      kind = "a whole number"
	kindBool     kind = "true or false"
	kindDuration kind = "a duration"
	kindList     kind = "a list"
	kindSection  kind = "a section" // fixed keys
	kindMap      kind = "a map"     // keys chosen by the user, all of one shape
)

// field describes one key of the file.
type field struct {
	key    string
	kind   kind
	doc    string
	format string // see checkFormat
	def    string // as in the file; a list's items by comma
	need   bool
	secret bool
	fields []field // kindSection: its keys; kindMap: those of each element
}

func (f field) child(key string) (field, bool) {
	for _, c := range f.fields {
		if c.key == key {
			return c, true
		}
	}
	return field{}, false
}

func (f field) keys() []string {
	out := make([]string, len(f.fields))
	for i, c := range f.fields {
		out[i] = c.key
	}
	return out
}

// scalar reports whether a variable of the environment can set f.
func (f field) scalar() bool { return f.kind != kindList && f.kind != kindSection && f.kind != kindMap }

// root describes the whole file.
func root() field {
	return field{kind: kindSection, fields: fieldsOf(reflect.TypeFor[Config]())}
}

// fieldsOf derives the keys of a section from its Go type.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for sf := range t.Fields() {
		key := sf.Tag.Get("koanf")
		if key == "" || key == "-" {
			continue
		}
		f := field{
			key: key, doc: sf.Tag.Get("doc"), format: sf.Tag.Get("format"), def: sf.Tag.Get("default"),
			need: sf.Tag.Get("need") == "true", secret: sf.Tag.Get("secret") == "true",
		}
		switch ft := sf.Type; {
		case ft == reflect.TypeFor[time.Duration]():
			f.kind = kindDuration
		case ft == reflect.TypeFor[secret.Ref](), ft.Kind() == reflect.String:
			f.kind = kindString
		case ft.Kind() == reflect.Int:
			f.kind = kindInt
		case ft.Kind() == reflect.Bool:
			f.kind = kindBool
		case ft.Kind() == reflect.Slice:
			f.kind = kindList
		case ft.Kind() == reflect.Struct:
			f.kind, f.fields = kindSection, fieldsOf(ft)
		case ft.Kind() == reflect.Map:
			f.kind, f.fields = kindMap, fieldsOf(ft.Elem())
		default:
			panic(fmt.Sprintf("config: no kind for %s of type %s", key, ft))
		}
		out = append(out, f)
	}
	return out
}

// defaults returns path -> default value of everything below f that has one and is not a tenant's.
func defaults(f field, path string, into map[string]any) map[string]any {
	for _, c := range f.fields {
		at := join(path, c.key)
		switch {
		case c.kind == kindSection:
			defaults(c, at, into)
		case c.kind == kindMap || c.def == "":
		case c.kind == kindList:
			var items []any
			for item := range strings.SplitSeq(c.def, ",") {
				items = append(items, item)
			}
			into[at] = items
		default:
			v, bad := parseScalar(c, c.def)
			if bad != nil {
				panic(fmt.Sprintf("config: default of %s: %s", at, bad.what))
			}
			into[at] = v
		}
	}
	return into
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
