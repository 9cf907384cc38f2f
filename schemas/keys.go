package schemas

import "strings"

// keyIndex finds the target of a key. Rows repeat their keys in the same order, so it first looks whether the key is
// the one that stood at this place the last time.
type keyIndex struct {
	exact  map[string]int
	folded map[string]int // by lower case, where that is unambiguous; nil: names match exactly
	order  []lastKey
}

// lastKey is the key last found at one place, as it was written, with its quotes.
type lastKey struct {
	lit string
	to  int
}

// maxOrder and maxKeyLit bound what a strange body can make the index remember.
const (
	maxOrder  = 1000
	maxKeyLit = 500
)

// newKeyIndex maps names[i] to at[i]. Of equal names the last one counts.
func newKeyIndex(names []string, at []int) keyIndex {
	k := keyIndex{exact: make(map[string]int, len(names)), folded: make(map[string]int, len(names))}
	for i, name := range names {
		k.exact[name] = at[i]
		low := strings.ToLower(name)
		if _, twice := k.folded[low]; twice {
			k.folded[low] = toNone
			continue
		}
		k.folded[low] = at[i]
	}
	return k
}

// guess moves over the key at the scanner's place and its colon if it is the one that stood at place i before, and
// returns its target. Else it returns toNone and moves over nothing but white space.
func (k *keyIndex) guess(s *scanner, i int) int {
	if i >= len(k.order) || s.peek() != '"' {
		return toNone
	}
	last := &k.order[i]
	rest := s.b[s.i:]
	if last.lit == "" || len(rest) <= len(last.lit) || string(rest[:len(last.lit)]) != last.lit {
		return toNone
	}
	start := s.i
	s.i += len(last.lit)
	if !s.take(':') {
		s.i = start
		return toNone
	}
	return last.to
}

// find looks the name in a string token up, and remembers it for place i.
func (k *keyIndex) find(t *token, i int) int {
	if i < len(k.order) && k.order[i].lit != "" && string(t.lit) == k.order[i].lit {
		return k.order[i].to
	}
	name := t.content()
	if t.escaped || t.wide {
		name, _ = appendText(nil, t)
	}
	to, ok := k.exact[string(name)]
	if !ok {
		if k.folded == nil {
			return toNone
		}
		if to, ok = k.folded[strings.ToLower(string(name))]; !ok {
			return toNone
		}
	}
	if to == toNone || i >= maxOrder || len(t.lit) > maxKeyLit {
		return to
	}
	for len(k.order) <= i {
		k.order = append(k.order, lastKey{})
	}
	k.order[i] = lastKey{lit: string(t.lit), to: to}
	return to
}
