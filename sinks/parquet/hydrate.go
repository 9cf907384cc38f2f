package parquet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Hydrate makes the warehouse file to, which must not exist, from the publication in a folder: rows, checkpoints,
// tombstones, history and views. It reports false if there is no publication. A file that is missing or damaged is an error.
func Hydrate(ctx context.Context, dir, tenant, to string) (bool, error) {
	m, err := (&Publisher{opts: Options{Folder: dir, Tenant: tenant}}).loadWhole()
	if m == nil || err != nil {
		return false, wrap(tenant, dir, "hydrate", err)
	}
	err = build(ctx, to, func(b builder) error {
		for _, t := range m.Tables {
			if err := b.fill(t, dir); err != nil {
				return fmt.Errorf("table %s: %w", t.Link, err)
			}
		}
		return b.views((&Manifest{Views: m.Views}).entries(dir), func(entry) error { return nil })
	})
	if err != nil {
		return false, wrap(tenant, dir, "hydrate", errors.Join(err, os.RemoveAll(to), os.RemoveAll(to+".wal")))
	}
	return true, wrap(tenant, dir, "hydrate", syncPath(to))
}

// loadWhole reads the manifest and refuses what is damaged: a warehouse made of it would lack rows.
func (p *Publisher) loadWhole() (*Manifest, error) {
	m, err := ReadManifest(p.opts.Folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil //nolint:nilnil // none is an answer
	case errors.Is(err, errDamaged):
		return nil, p.refuse("put the manifest back, or remove "+p.opts.Folder+" and sync: everything is read anew", "%w", err)
	case err != nil:
		return nil, err
	}
	dir, remedy := folder{root: p.opts.Folder}, "put the file back, or remove "+p.opts.Folder+" and sync: everything is read anew"
	for _, t := range m.Tables {
		for _, f := range t.Files {
			if !dir.holds(f) {
				return nil, p.refuse(remedy, "%s is missing or has another size than %d bytes", f.Path, f.Bytes)
			}
			if f.Hash == "" {
				continue
			}
			if got, err := hashFile(dir.path(f.Path)); err != nil || got != f.Hash {
				return nil, errors.Join(err, p.refuse(remedy, "%s is not what was written there", f.Path))
			}
		}
	}
	return p.check(m, p.opts.Folder)
}

// fill makes a table with its rows.
func (b builder) fill(t Table, dir string) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = ident(c.Name) + " " + c.Type
	}
	if err := b.exec(`CREATE TABLE `+t.name()+` (`+strings.Join(columns, ", ")+`)`,
		`INSERT INTO `+t.name()+` SELECT `+t.selectList()+` FROM `+t.scan(dir)); err != nil {
		return err
	}
	var n int64
	if err := b.conn.QueryRowContext(b.ctx, `SELECT count(*) FROM `+t.name()).Scan(&n); err != nil {
		return err
	}
	if n != t.Rows {
		return fmt.Errorf("%d rows came of %d", n, t.Rows)
	}
	return b.comments("TABLE", t.name(), t.Comment, t.Columns)
}
