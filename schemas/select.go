package schemas

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The names of the presets that Select knows.
const (
	PresetCore = "core" // the entities that service and billing reports need
	PresetAll  = "all"  // everything that can be read but what costs a request for every ticket
)

// Select resolves the words of a configuration to entities: the presets "core" and "all", entity names as
// Lookup takes them, globs over entity and table names ("Ticket*", "contract_*"), and any of these after a "-",
// which leaves them out wherever it stands in the list. The result holds no entity twice; it is sorted by name,
// save that an entity read through its parent (ClassParent, ClassChild) comes after that parent. Entities that are
// ByNameOnly are taken by their name alone.
// All words that can't be resolved are reported in one error, each with a suggestion.
func Select(patterns []string) ([]*Entity, error) {
	chosen := make(map[*Entity]bool)
	dropped := make(map[*Entity]bool)
	var errs []error
	for _, p := range patterns {
		word, drop := strings.CutPrefix(strings.TrimSpace(p), "-")
		found, err := match(word, drop)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range found {
			if drop {
				dropped[e] = true
			} else {
				chosen[e] = true
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for e := range dropped {
		delete(chosen, e)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no entity is selected (write %q, %q or entity names)", PresetCore, PresetAll)
	}
	return parentsFirst(chosen), nil
}

// match returns what one word stands for. A word that only leaves out may name anything that is known.
func match(word string, drop bool) ([]*Entity, error) {
	switch {
	case word == "":
		return nil, errors.New(`an entity name is empty (write "core", "all" or an entity name)`)
	case strings.EqualFold(word, PresetCore):
		return bulk(func(e *Entity) bool { return e.Core != "" }), nil
	case strings.EqualFold(word, PresetAll):
		return bulk(func(*Entity) bool { return true }), nil
	case strings.ContainsAny(word, "*?["):
		return matchGlob(word, drop)
	}
	e, ok := Lookup(word)
	if !ok {
		return nil, fmt.Errorf("unknown entity %q (did you mean %q?)", word, nearest(word))
	}
	if why := e.Unreadable(); why != "" && !drop {
		return nil, fmt.Errorf("%s can't be synced: %s (take it out of the list)", e.Name, why)
	}
	return []*Entity{e}, nil
}

func matchGlob(glob string, drop bool) ([]*Entity, error) {
	glob = strings.ToLower(glob)
	if _, err := path.Match(glob, ""); err != nil {
		return nil, fmt.Errorf("bad entity pattern %q: %w (use * and ?)", glob, err)
	}
	fits := func(e *Entity) bool {
		byName, _ := path.Match(glob, strings.ToLower(e.Name))
		byTable, _ := path.Match(glob, TableName(e.Name))
		return byName || byTable
	}
	found := bulk(fits)
	if drop {
		found = filter(fits)
	}
	if len(found) > 0 {
		return found, nil
	}
	unread := filter(fits)
	if len(unread) > 0 && unread[0].ByNameOnly() {
		return nil, fmt.Errorf("entity pattern %q matches only %s, which costs a request for every ticket and is taken by its exact name only", glob, unread[0].Name)
	}
	if len(unread) > 0 {
		return nil, fmt.Errorf("entity pattern %q matches nothing that can be synced: %s: %s", glob, unread[0].Name, unread[0].Unreadable())
	}
	return nil, fmt.Errorf("entity pattern %q matches nothing (see \"atsync entities\" for the names)", glob)
}

func filter(keep func(*Entity) bool) []*Entity {
	return slices.DeleteFunc(Catalogue(), func(e *Entity) bool { return !keep(e) })
}

// bulk returns the entities that keep accepts among those that presets and patterns may name.
func bulk(keep func(*Entity) bool) []*Entity {
	return filter(func(e *Entity) bool { return e.Unreadable() == "" && !e.ByNameOnly() && keep(e) })
}

// parentsFirst sorts a set by name and moves each entity that follows a parent behind it.
func parentsFirst(set map[*Entity]bool) []*Entity {
	var out []*Entity
	done := make(map[*Entity]bool, len(set))
	var visit func(e *Entity)
	visit = func(e *Entity) {
		if done[e] || !set[e] {
			return
		}
		done[e] = true
		if p, ok := Lookup(e.Follows()); ok {
			visit(p)
		}
		out = append(out, e)
	}
	for _, e := range Catalogue() {
		visit(e)
	}
	return out
}

// nearest returns the readable entity whose plural, singular or table name takes the fewest edits to reach.
func nearest(word string) string {
	word = strings.ToLower(word)
	best, least := "", len(word)+1<<20
	for _, e := range Catalogue() {
		if e.Unreadable() != "" {
			continue
		}
		for _, name := range []string{e.Name, e.Singular, TableName(e.Name)} {
			if d := edits(word, strings.ToLower(name)); d < least {
				best, least = e.Name, d
			}
		}
	}
	return best
}

// edits is the Levenshtein distance of two short strings, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
