package schemas

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed entities/*.json
var entityFiles embed.FS

// index is the parsed catalogue.
type index struct {
	sorted []*Entity
	byName map[string]*Entity // lower-case plural, singular and table names
}

// loadIndex parses the embedded entity files once. They are part of the program, so a broken one is a
// programming error, which the package's tests find, and panics.
var loadIndex = sync.OnceValue(func() *index {
	files, err := entityFiles.ReadDir("entities")
	if err != nil {
		panic(fmt.Errorf("schemas: embedded catalogue: %w", err))
	}
	ix := &index{byName: make(map[string]*Entity, 3*len(files))}
	for _, f := range files {
		raw, err := entityFiles.ReadFile("entities/" + f.Name())
		if err != nil {
			panic(fmt.Errorf("schemas: embedded catalogue: %w", err))
		}
		e := new(Entity)
		if err := json.Unmarshal(raw, e); err != nil {
			panic(fmt.Errorf("schemas: embedded catalogue: %s: %w", f.Name(), err))
		}
		ix.sorted = append(ix.sorted, e)
	}
	slices.SortFunc(ix.sorted, func(a, b *Entity) int { return strings.Compare(a.Name, b.Name) })
	// Plural names come first so that no other name can hide one.
	for _, e := range ix.sorted {
		ix.byName[strings.ToLower(e.Name)] = e
	}
	for _, e := range ix.sorted {
		for _, alias := range []string{e.Singular, TableName(e.Name)} {
			alias = strings.ToLower(alias)
			if _, taken := ix.byName[alias]; !taken && alias != "" {
				ix.byName[alias] = e
			}
		}
	}
	return ix
})

// Catalogue returns all known entities, sorted by name. The entities are shared and must not be changed;
// the slice is the caller's own.
func Catalogue() []*Entity { return slices.Clone(loadIndex().sorted) }

// Lookup finds an entity by its plural name ("TimeEntries"), its singular name ("TimeEntry", as in error texts
// and referenceEntityType, api.md §6) or its table name ("time_entries"), whatever the case.
func Lookup(name string) (*Entity, bool) {
	e, ok := loadIndex().byName[strings.ToLower(strings.TrimSpace(name))]
	return e, ok
}

// Unreadable says why an entity can't be synced, or "" if it can.
func (e *Entity) Unreadable() string {
	switch {
	case e.Class == ClassNone:
		return "it is a write-only action: the API has no rows of it to read"
	case !e.Queryable && e.Class != ClassChild:
		return "the API has no query for it"
	}
	return ""
}

// oneTicketAtATime is the entity whose query takes exactly one filter, ticketID eq n (api.md §3).
const oneTicketAtATime = "TicketHistory"

// PerParent reports whether each parent's rows take a request of their own: entities without a root query
// (ClassChild), and the one whose query takes a single parent (api.md §3).
func (e *Entity) PerParent() bool { return e.Class == ClassChild || e.ByNameOnly() }

// ByNameOnly reports whether Select takes the entity only by its own name, never by a preset or a pattern, since
// reading all of it costs a request for every row of a large parent.
func (e *Entity) ByNameOnly() bool { return e.Name == oneTicketAtATime }

// Follows returns the entity that is read before this one, since its changes say which rows to read again, or "".
func (e *Entity) Follows() string {
	if e.Class == ClassParent || e.Class == ClassChild {
		return e.Parent
	}
	return ""
}
