package parquet

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// retire lists the generations on the disk that a version has no use for, those of tables that are gone and of killed publications, too, with
// the time since when: that of the older version's list, or now.
func (p *Publisher) retire(old, m *Manifest) (out []Retired) {
	now := p.opts.Now().UTC().Truncate(time.Microsecond)
	since, used := map[string]time.Time{}, map[string]bool{}
	if old != nil {
		for _, r := range old.Retired {
			since[r.Path] = r.At
		}
	}
	for _, t := range m.Tables {
		used[t.Folder] = true
	}
	for _, link := range p.links(m) {
		for _, name := range p.dir.generations(link) {
			if at, ok := since[name]; !used[name] {
				if !ok {
					at = now
				}
				out = append(out, Retired{name, at})
			}
		}
	}
	return out
}

// prune removes the generations that were retired longer than grace ago; what a killed publication has left is retired by the next
// version. Folders that atsync did not make stay.
func (p *Publisher) prune(m *Manifest, grace time.Duration) error {
	var errs []error
	for _, r := range p.retire(m, m) {
		if grace >= 0 && p.opts.Now().Sub(r.At) < grace {
			continue
		}
		errs = append(errs, os.RemoveAll(p.dir.path(r.Path)))
		_ = os.Remove(filepath.Dir(p.dir.path(r.Path))) // succeeds only for an empty one
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
