package parquet

import (
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// prune removes the generations that a newer one replaced longer than grace ago, of tables that are gone, too. Folders
// that atsync did not make stay.
func (p *Publisher) prune(m *Manifest, grace time.Duration) error {
	used := map[string]bool{}
	for _, t := range m.Tables {
		used[t.Folder] = true
	}
	var errs []error
	for _, link := range p.links(m) {
		names := p.dir.generations(link)
		for i, name := range names {
			if used[name] {
				continue
			}
			replaced := m.MadeAt // a table that is gone, or a generation that was never linked
			if i+1 < len(names) {
				replaced = p.dir.madeAt(names[i+1], replaced)
			}
			if grace < 0 || p.opts.Now().Sub(replaced) >= grace {
				errs = append(errs, os.RemoveAll(p.dir.path(name)))
			}
		}
		_ = os.Remove(filepath.Dir(p.dir.path(generations + "/" + link + "/x"))) // succeeds only for an empty one
	}
	return errors.Join(errs...)
}

// count returns how many generations there are.
func (p *Publisher) count(m *Manifest) (n int) {
	for _, link := range p.links(m) {
		n += len(p.dir.generations(link))
	}
	return n
}

// links returns every table's link that there is a generation of, or a table.
func (p *Publisher) links(m *Manifest) []string {
	var out []string
	for _, t := range m.Tables {
		out = append(out, t.Link)
	}
	for _, schema := range []string{"", "_atsync/"} {
		entries, _ := os.ReadDir(p.dir.path(generations + "/" + schema)) // none: nothing to prune there
		for _, e := range entries {
			if e.IsDir() && e.Name() != "_atsync" && !strings.HasPrefix(e.Name(), newPrefix) {
				out = append(out, schema+e.Name())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// generations returns the names of a table's generations, oldest first.
func (d folder) generations(link string) []string {
	type numbered struct {
		n    int64
		name string
	}
	var found []numbered
	entries, _ := os.ReadDir(d.path(generations + "/" + link)) // none: it has no generations
	for _, e := range entries {
		if n, ok := generation(e.Name()); ok && e.IsDir() {
			found = append(found, numbered{n, path.Join(generations, link, e.Name())})
		}
	}
	slices.SortFunc(found, func(a, b numbered) int { return int(a.n - b.n) })
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return names
}

// madeAt returns when a generation was made.
func (d folder) madeAt(name string, otherwise time.Time) time.Time {
	raw, err := os.ReadFile(d.path(name + "/" + generationManifest))
	var head struct {
		MadeAt time.Time `json:"made_at"`
	}
	if err != nil || json.Unmarshal(raw, &head) != nil || head.MadeAt.IsZero() {
		return otherwise
	}
	return head.MadeAt
}
