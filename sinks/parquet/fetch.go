package parquet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/atsync/atsync/sinks/parquet/bucket"
)

// HydrateRemote makes the warehouse file to, which must not exist, from the publication in a bucket, whose files it keeps in
// opts.Folder. It reports false if there is no publication. If what is in the folder already is at least as new, that is taken.
func HydrateRemote(ctx context.Context, opts RemoteOptions, to string) (bool, error) {
	r := NewRemote(nil, opts)
	if err := r.fetch(ctx); err != nil {
		return false, r.fail("hydrate", err)
	}
	return Hydrate(ctx, r.opts.Folder, r.opts.Tenant, to)
}

// fetch brings the folder up to the bucket.
func (r *Remote) fetch(ctx context.Context) (err error) {
	b, err := bucket.Open(ctx, r.opts.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	raw, _, err := b.Read(ctx, ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if mine, err := r.local.loadWhole(); r.owns(raw) && err == nil && mine != nil {
		return nil
	}
	m, err := parseManifest(raw)
	if err != nil {
		return r.local.refuse("put "+ManifestName+" back, or delete it there and sync: everything is read anew", "%s: %w", bucket.Location(r.opts.URL), err)
	}
	if m, err = r.local.check(m, bucket.Location(r.opts.URL)); err != nil {
		return err
	}
	for _, name := range []string{ManifestName, CatalogName, generations} {
		if err := os.RemoveAll(r.local.dir.path(name)); err != nil {
			return err
		}
	}
	for i := range m.Tables {
		if err := r.fetchTable(ctx, b, &m.Tables[i]); err != nil {
			return err
		}
	}
	m.Retired = nil
	local, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := errors.Join(r.local.dir.sync(fresh(nil, m)), r.local.dir.write(ManifestName, local)); err != nil {
		return err
	}
	return r.remember(remembered{URL: bucket.Location(r.opts.URL), Sums: []string{sumOf(raw)}, Local: sumOf(local), At: &m.MadeAt})
}

// fetchTable makes a table's generation of its objects.
func (r *Remote) fetchTable(ctx context.Context, b *bucket.Bucket, t *Table) error {
	dir := path.Join(generations, t.Link)
	if !fs.ValidPath(t.Link) || t.Link == "." || t.Generation < 1 {
		return r.damaged("it names a table %q of generation %d", t.Link, t.Generation)
	}
	part, final := fmt.Sprintf("%s/%s%06d", dir, newPrefix, t.Generation), fmt.Sprintf("%s/%06d", dir, t.Generation)
	if err := os.MkdirAll(r.local.dir.path(part), 0o755); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for i := range t.Files {
		f := &t.Files[i]
		parts := objectPattern.FindStringSubmatch(f.Path)
		if parts == nil || parts[1] != t.Link {
			return errors.Join(r.damaged("it names a file %q", f.Path), group.Wait())
		}
		name, local, sum := f.Path, parts[2]+".parquet", parts[3]
		f.Path = path.Join(final, local)
		group.Go(func() error {
			to := r.local.dir.path(path.Join(part, local))
			if err := b.Download(ctx, name, to); errors.Is(err, fs.ErrNotExist) {
				return r.damaged("%s is missing", name)
			} else if err != nil {
				return err
			}
			if got, err := hashFile(to); err != nil || got != sum {
				return errors.Join(err, r.damaged("%s is not what was written there", name))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	t.Folder = final
	if err := r.local.describe(part, *t); err != nil {
		return err
	}
	_, err := r.local.dir.finish(part)
	return err
}

func (r *Remote) damaged(format string, args ...any) error {
	return r.local.refuse("put back what is missing there, or delete "+ManifestName+" there and sync: everything is read anew",
		"the publication in %s is damaged: %w", bucket.Location(r.opts.URL), fmt.Errorf(format, args...))
}
