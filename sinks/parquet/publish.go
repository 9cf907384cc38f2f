package parquet

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// generationManifest is a generation's own list of files. Readers of Parquet folders pass over names with an underscore.
const generationManifest = "_manifest.json"

// Publish brings the publication up to the newest commit. Files whose rows have not changed are kept; if nothing has
// changed at all, nothing is made. Commits go on meanwhile. Old versions are pruned after the grace period.
func (p *Publisher) Publish(ctx context.Context) (pipeline.Publication, error) {
	return p.make(ctx, func(Table) bool { return false })
}

// Recut writes the tables anew whose files are much smaller or larger than they should be by now.
func (p *Publisher) Recut(ctx context.Context) (pipeline.Publication, error) {
	return p.make(ctx, Table.outgrown)
}

func (p *Publisher) make(ctx context.Context, recut func(Table) bool) (pipeline.Publication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	start := time.Now()
	m, err := p.publish(ctx, recut)
	if err != nil {
		return pipeline.Publication{}, p.fail("publish", err)
	}
	return pipeline.Publication{Path: p.opts.Folder, Bytes: m.Bytes(), Seconds: time.Since(start).Seconds()}, nil
}

func (p *Publisher) publish(ctx context.Context, recut func(Table) bool) (*Manifest, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	old, err := p.load()
	if err != nil {
		return nil, err
	}
	if err := p.dir.prepare(); err != nil {
		return nil, err
	}
	if old != nil { // what is past its time makes room
		if err := p.prune(old, p.opts.Grace); err != nil {
			return nil, err
		}
	}
	m := &Manifest{Format: manifestFormat, Tenant: p.opts.Tenant, Version: 1, MadeAt: p.opts.Now().UTC().Truncate(time.Microsecond)}
	if old != nil {
		m.Version = old.Version + 1
	}
	current := false
	err = p.w.Export(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		if m.State, err = readState(ctx, conn); err != nil {
			return err
		}
		if m.Tables, m.Views, err = survey(ctx, conn); err != nil {
			return err
		}
		if err := p.tables(ctx, conn, m, old, recut); err != nil {
			return err
		}
		if current = old != nil && p.dir.intact(old) && same(old, m); current {
			return nil
		}
		return p.makeCatalog(ctx, conn, m)
	})
	if err == nil && current {
		return old, nil
	}
	if err == nil {
		err = p.commit(ctx, old, m)
	}
	if err != nil {
		return nil, errors.Join(err, p.discard(old, m))
	}
	return m, p.prune(m, p.opts.Grace)
}

// same reports whether two versions show the same.
func same(a, b *Manifest) bool {
	x, y := *a, *b
	x.Version, x.MadeAt, x.Retired, y.Version, y.MadeAt, y.Retired = 0, time.Time{}, nil, 0, time.Time{}, nil
	one, err1 := json.Marshal(x)
	two, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && slices.Equal(one, two)
}

// tables makes the next generation of each table that has changed, once it is known that all of them fit on the disk.
func (p *Publisher) tables(ctx context.Context, conn *sql.Conn, m, old *Manifest, recut func(Table) bool) error {
	kept := make([][]*File, len(m.Tables))
	need := int64(0)
	others, err := wholes(ctx, conn, m.Tables)
	if err != nil {
		return err
	}
	for i := range m.Tables {
		t := &m.Tables[i]
		last := old.table(t.Schema, t.Name)
		if kept[i], err = p.compare(ctx, conn, t, last, recut(last), others[t.Link]); err != nil {
			return fmt.Errorf("table %s: %w", t.Link, err)
		}
		need += p.needs(*t, last, kept[i])
	}
	if err := p.roomFor(need); err != nil {
		return err
	}
	for i := range m.Tables {
		if kept[i] == nil {
			continue
		}
		if err := p.write(ctx, conn, &m.Tables[i], kept[i]); err != nil {
			return fmt.Errorf("table %s: %w", m.Tables[i].Link, err)
		}
	}
	return nil
}

// compare finds the files that t is to have, and for each the old one that already holds its rows, or nil. If the last generation
// has all of it, that is t's, and the result is nil. whole is what is known of a table that is not an entity's, as of one file.
func (p *Publisher) compare(ctx context.Context, conn *sql.Conn, t *Table, last Table, recut bool, whole File) ([]*File, error) {
	for _, part := range []string{t.Schema, t.Name} {
		if part == "" || path.Base(part) != part || part[0] == '.' {
			return nil, p.refuse("report this", "%q can't be the name of a table's folder", part)
		}
	}
	old := slices.Clone(last.Files)
	if recut {
		old = nil
	}
	if !sameColumns(last.Columns, t.Columns) { // a folder's files have the same columns
		for i := range old {
			old[i].Sum = ""
		}
	}
	files := []File{whole}
	if t.cut(whole.Rows) {
		var err error
		if files, err = t.measure(ctx, conn, old); err != nil {
			return nil, err
		}
	}
	kept := make([]*File, len(files))
	changed := len(files) != len(old) || t.Comment != last.Comment
	for i, f := range files {
		t.Rows += f.Rows
		if kept[i] = p.keep(f, old); kept[i] == nil {
			changed = true
		}
	}
	if !changed && p.dir.whole(last) {
		t.Files, t.Folder, t.Generation = last.Files, last.Folder, last.Generation
		return nil, nil
	}
	t.Files = files
	return kept, nil
}

// keep returns the old file that holds exactly the rows of f, if it is still there.
func (p *Publisher) keep(f File, old []File) *File {
	for i := range old {
		o := old[i]
		if o.Sum == f.Sum && o.Rows == f.Rows && equal(o.MinID, f.MinID) && equal(o.MaxID, f.MaxID) && p.dir.holds(o) {
			return &o
		}
	}
	return nil
}

func equal(a, b *int64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// write makes a generation of files that are kept and files that are new.
func (p *Publisher) write(ctx context.Context, conn *sql.Conn, t *Table, kept []*File) error {
	dir, n, err := p.dir.begin(t.Link)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(p.dir.path(dir)) }() // by another name if it is finished; the next publication cleans up
	final := path.Join(generations, t.Link, fmt.Sprintf("%06d", n))
	for i := range t.Files {
		f := &t.Files[i]
		name := fmt.Sprintf("%06d-%04d.parquet", n, i+1)
		if kept[i] != nil {
			name = path.Base(kept[i].Path)
			err = p.dir.share(kept[i].Path, dir+"/"+name)
			f.Bytes, f.Hash = kept[i].Bytes, kept[i].Hash
		} else if f.Bytes, err = p.copyOut(ctx, conn, t, *f, dir+"/"+name); err == nil {
			f.Hash, err = hashFile(p.dir.path(dir + "/" + name))
		}
		if err != nil {
			return err
		}
		f.Path = path.Join(final, name)
	}
	t.Folder, t.Generation = final, n
	if err := p.describe(dir, *t); err != nil {
		return err
	}
	_, err = p.dir.finish(dir)
	return err
}

// describe writes a generation's own manifest.
func (p *Publisher) describe(dir string, t Table) error {
	raw, err := json.MarshalIndent(struct {
		MadeAt time.Time `json:"made_at"`
		Table
	}{p.opts.Now().UTC(), t}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.dir.path(dir+"/"+generationManifest), raw, 0o644)
}

// rowGroup is how many rows a row group gets at most: all of a file, mostly. Smaller ones took 40 % more CPU and a third more bytes. Rows of
// one row group may come in any order.
const rowGroup = 61_440

// dictionary is how many values of a column may be in a dictionary: more took as much again as they spared.
const dictionary = 1000

// layout returns how many rows a row group of a file gets, and whether they are written in order. A file of one row group is
// written as soon as its last row is there, by the only task that takes them, and so mostly by the thread that waits for it: while another
// thread writes it, in the end, that one waits without sleeping, which took 60 % more CPU.
func (f File) layout() (group int64, ordered bool) {
	if f.Rows > rowGroup {
		return rowGroup, true
	}
	return max(f.Rows, 1), false
}

// copyOut writes one file and returns its size.
func (p *Publisher) copyOut(ctx context.Context, conn *sql.Conn, t *Table, f File, name string) (int64, error) {
	about, err := json.Marshal(t.Columns)
	if err != nil {
		return 0, err
	}
	to := p.dir.path(name)
	if exists(to) { // DuckDB would write into it, and by its other names it may be published
		return 0, fmt.Errorf("%s is there already", to)
	}
	group, ordered := f.layout()
	res, err := conn.ExecContext(ctx, fmt.Sprintf(`COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE %d, PRESERVE_ORDER %t,
		DICTIONARY_SIZE_LIMIT %d, USE_TMP_FILE false, KV_METADATA {atsync_table: %s, atsync_comment: %s, atsync_columns: %s})`,
		t.query(f), literal(to), group, ordered, dictionary, literal(t.Name), literal(t.Comment), literal(string(about))))
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err == nil && n != f.Rows {
		err = fmt.Errorf("%s has %d rows, %d expected", path.Base(to), n, f.Rows)
	}
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// commit makes a version visible: each table by its link, all together by the catalog. The manifest comes last: as long as it
// names the old version, a publication that was killed is made again.
func (p *Publisher) commit(ctx context.Context, old, m *Manifest) error {
	defer func() { _ = os.Remove(p.dir.path(partCatalog)) }() // by another name if all went well
	if err := p.dir.sync(fresh(old, m)); err != nil {
		return err
	}
	m.Retired = p.retire(old, m)
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err // from here on it is done in milliseconds
	}
	for _, t := range m.Tables {
		if err := p.dir.swing(t.Link, t.Folder); err != nil {
			return err
		}
	}
	if err := p.dir.rename(partCatalog, CatalogName); err != nil {
		return err
	}
	if err := p.dir.write(ManifestName, raw); err != nil {
		return err
	}
	return p.unlink(old, m)
}

// fresh returns the folders of m that old does not have.
func fresh(old, m *Manifest) (names []string) {
	for _, t := range m.Tables {
		if t.Folder != "" && old.table(t.Schema, t.Name).Folder != t.Folder {
			names = append(names, t.Folder)
		}
	}
	return names
}

// discard removes the generations of a version that did not come about, but for those that readers may have seen already.
func (p *Publisher) discard(old, m *Manifest) error {
	var errs []error
	for _, name := range fresh(old, m) {
		if !slices.ContainsFunc(m.Tables, func(t Table) bool { return t.Folder == name && p.dir.linked(t) }) {
			errs = append(errs, os.RemoveAll(p.dir.path(name)))
		}
	}
	return errors.Join(errs...)
}

// unlink removes the links of tables that there are no longer.
func (p *Publisher) unlink(old, m *Manifest) error {
	if old == nil {
		return nil
	}
	for _, t := range old.Tables {
		if m.table(t.Schema, t.Name).Link != "" {
			continue
		}
		if err := os.RemoveAll(p.dir.path(t.Link)); err != nil {
			return err
		}
	}
	return nil
}

// Prune removes what has been out of use for longer than grace and returns how many generations went.
func (p *Publisher) Prune(ctx context.Context, grace time.Duration) (removed int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, err := p.load()
	if err != nil || m == nil || !p.dir.intact(m) { // after a killed publication links may lead to what the manifest does not name yet
		return 0, p.fail("prune", err)
	}
	before := p.count(m)
	err = cmp.Or(context.Cause(ctx), p.prune(m, grace))
	return before - p.count(m), p.fail("prune", err)
}
