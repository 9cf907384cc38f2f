package parquet

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// manifestFormat is the version of Manifest. A newer one is refused.
const manifestFormat = 1

// Manifest is what manifest.json holds: one version of a tenant's publication. Paths are relative to its folder, with
// slashes. Fields may be added; format changes when one is removed or means something else.
type Manifest struct {
	Format  int       `json:"format"`
	Tenant  string    `json:"tenant"`
	Version int64     `json:"version"` // of the publication, counted
	MadeAt  time.Time `json:"made_at"`
	State   state     `json:"state"`
	Tables  []Table   `json:"tables"` // by schema and name
	Views   []View    `json:"views"`

	Retired []Retired `json:"retired,omitempty"` // by path
}

// Retired is a generation, in a bucket an object, that no table has any more, and since when. It goes after the grace period.
type Retired struct {
	Path string    `json:"path"`
	At   time.Time `json:"at"`
}

// Table is one published table.
type Table struct {
	Schema     string   `json:"schema"` // main or _atsync
	Name       string   `json:"name"`
	Comment    string   `json:"comment,omitempty"`
	Columns    []Column `json:"columns"`
	Link       string   `json:"link"`       // leads to the folder: tickets, _atsync/runs
	Folder     string   `json:"folder"`     // of the generation
	Generation int64    `json:"generation"` // counted for each table
	Rows       int64    `json:"rows"`
	Files      []File   `json:"files"` // by id
}

// Column is one column of a table or view.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`             // DuckDB's name of the type
	Source  string `json:"source,omitempty"` // Autotask's name of the field
	Comment string `json:"comment,omitempty"`
}

// File is one Parquet file.
type File struct {
	Path  string `json:"path"` // of the generation of its table
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	MinID *int64 `json:"min_id,omitempty"` // of tables that have ids; of _atsync.loads and _atsync.runs these
	MaxID *int64 `json:"max_id,omitempty"`
	From  *int64 `json:"from,omitempty"` // the file takes ids from here up to the next file's; none: from the least
	Sum   string `json:"sum"`            // of what the rows say of their version; of all columns where they say nothing
	Hash  string `json:"hash,omitempty"` // of the file, by hashFile; none in what an older atsync has written
}

// View is a view of the warehouse, as SQL that makes it.
type View struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Comment string   `json:"comment,omitempty"`
	SQL     string   `json:"sql"`
	Columns []Column `json:"columns"`
}

// table returns a table of an older version, or an empty one.
func (m *Manifest) table(schema, name string) Table {
	if m != nil {
		for _, t := range m.Tables {
			if t.Schema == schema && t.Name == name {
				return t
			}
		}
	}
	return Table{Schema: schema, Name: name}
}

// Bytes adds up what a version's files take.
func (m *Manifest) Bytes() (n int64) {
	for _, t := range m.Tables {
		for _, f := range t.Files {
			n += f.Bytes
		}
	}
	return n
}

// load reads the current version: nil if there is none, or none that can be read, which is then made anew.
func (p *Publisher) load() (*Manifest, error) {
	m, err := ReadManifest(p.opts.Folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil //nolint:nilnil // none is an answer
	case errors.Is(err, errDamaged):
		p.opts.Logger.Warn("the publication's manifest can't be read: everything is published anew", "tenant", p.opts.Tenant, "cause", err)
		return nil, nil //nolint:nilnil // as good as none
	case err != nil:
		return nil, err
	}
	return p.check(m, p.opts.Folder)
}

// check refuses a manifest of a newer atsync or of another tenant.
func (p *Publisher) check(m *Manifest, where string) (*Manifest, error) {
	switch {
	case m.Format > manifestFormat:
		return nil, p.refuse("use a newer atsync, or remove "+where+": it is made anew",
			"%s/%s has format %d, this atsync knows %d", where, ManifestName, m.Format, manifestFormat)
	case m.Tenant != p.opts.Tenant:
		return nil, p.refuse("give each tenant its own folder, or remove "+where, "%s belongs to the tenant %q", where, m.Tenant)
	}
	return m, nil
}

var errDamaged = errors.New("the manifest is damaged")

// ReadManifest reads a tenant's manifest.json. Without one the error is os.ErrNotExist.
func ReadManifest(dir string) (*Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, err
	}
	return parseManifest(raw)
}

func parseManifest(raw []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil || m.Format < 1 {
		return nil, errors.Join(errDamaged, err)
	}
	return &m, nil
}
