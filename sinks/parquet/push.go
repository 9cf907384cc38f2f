package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atsync/atsync/sinks/parquet/bucket"
)

// uploads is how many files are on their way at a time.
const uploads = 4

// leftover is how old an object has to be that no manifest names: a publication takes less.
const leftover = 24 * time.Hour

// push is one visit of a bucket.
type push struct {
	*Remote
	bucket  *bucket.Bucket
	there   *Manifest // nil: none
	raw     []byte    // of there
	version bucket.Version
}

// look reads the bucket's manifest and refuses one that is not the warehouse's own.
func (p *push) look(ctx context.Context) (err error) {
	p.there = nil
	if p.raw, p.version, err = p.bucket.Read(ctx, ManifestName); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if !p.owns(p.raw) {
		return p.foreign()
	}
	if p.there, err = parseManifest(p.raw); err != nil {
		return err
	}
	p.there, err = p.local.check(p.there, bucket.Location(p.opts.URL))
	return err
}

func (p *push) foreign() error {
	where := bucket.Location(p.opts.URL)
	return p.local.refuse("stop the other atsync, or give each its own sink.path; to go on here from what is published there, remove the warehouse beside "+
		p.opts.State+"; to publish anew over it, delete "+ManifestName+" there",
		"%s was published by another atsync, or by a newer copy of this warehouse", where)
}

// run brings the bucket up to the folder.
func (p *push) run(ctx context.Context) error {
	m, err := p.local.load()
	if err != nil || m == nil {
		return errors.Join(err, ctx.Err())
	}
	if p.there == nil {
		if err := p.probe(ctx); err != nil {
			return err
		}
	}
	objects, err := p.bucket.List(ctx)
	if err != nil {
		return err
	}
	next, todo, err := p.plan(m, objects)
	if err != nil {
		return err
	}
	if p.there != nil && len(todo) == 0 && same(p.there, next) {
		_, err := p.prune(ctx, p.there, objects, p.opts.Grace)
		return errors.Join(err, p.done(p.raw, p.there.MadeAt))
	}
	if err := p.upload(ctx, todo); err != nil {
		return err
	}
	next.Retired = p.retire(next, objects) // only now does their time begin
	if err := p.swap(ctx, next); err != nil {
		return err
	}
	_, err = p.prune(ctx, next, objects, p.opts.Grace)
	return err
}

// plan makes the bucket's next manifest of the folder's, and says which object is to be made of which file.
func (p *push) plan(m *Manifest, objects map[string]bucket.Object) (next *Manifest, todo map[string]string, err error) {
	made, todo := *m, map[string]string{}
	made.Retired = nil // the folder's
	made.Tables, made.Version, made.MadeAt = slices.Clone(m.Tables), 1, p.opts.Now().UTC().Truncate(time.Microsecond)
	if p.there != nil {
		made.Version = p.there.Version + 1
	}
	for i := range made.Tables {
		t := &made.Tables[i]
		last := p.there.table(t.Schema, t.Name)
		t.Files, t.Folder = slices.Clone(t.Files), t.Link
		for j := range t.Files {
			f := &t.Files[j]
			local := p.local.dir.path(f.Path)
			if f.Path = object(*t, *f, last, objects); f.Path == "" {
				if f.Path, err = objectName(t.Link, m.Tables[i].Files[j].Path, local); err != nil {
					return nil, nil, err
				}
			}
			if objects[f.Path].Bytes != f.Bytes {
				todo[f.Path] = local
			}
		}
	}
	return &made, todo, nil
}

// object returns the object that already holds the rows of a file, if it is there.
func object(t Table, f File, last Table, objects map[string]bucket.Object) string {
	if !sameColumns(t.Columns, last.Columns) {
		return ""
	}
	for _, o := range last.Files {
		if o.Sum == f.Sum && o.Rows == f.Rows && o.Bytes == f.Bytes && equal(o.MinID, f.MinID) && equal(o.MaxID, f.MaxID) &&
			strings.HasPrefix(path.Base(o.Path), strings.TrimSuffix(path.Base(f.Path), ".parquet")) && objects[o.Path].Bytes == o.Bytes {
			return o.Path
		}
	}
	return ""
}

// objectPattern is what objects of files are named: table, number of the file, and the beginning of the SHA-256 of what is in it.
var objectPattern = regexp.MustCompile(`^((?:_atsync/)?[^/]+)/(\d{6,}-\d{4,})-([0-9a-f]{32})\.parquet$`)

// objectName names a file by what is in it.
func objectName(link, name, local string) (string, error) {
	sum, err := hashFile(local)
	if err != nil {
		return "", err
	}
	return link + "/" + strings.TrimSuffix(path.Base(name), ".parquet") + "-" + sum + ".parquet", nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// retire lists the objects that are still there and that a version has no use for, with the time since when.
func (p *push) retire(next *Manifest, objects map[string]bucket.Object) (out []Retired) {
	if p.there == nil {
		return nil
	}
	now, used := p.opts.Now().UTC().Truncate(time.Microsecond), map[string]bool{}
	for _, t := range next.Tables {
		for _, f := range t.Files {
			used[f.Path] = true
		}
	}
	at := map[string]time.Time{}
	for _, t := range p.there.Tables {
		for _, f := range t.Files {
			at[f.Path] = now
		}
	}
	for _, r := range p.there.Retired {
		at[r.Path] = r.At
	}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if _, ok := objects[name]; ok && !used[name] {
			out = append(out, Retired{name, at[name]})
		}
	}
	return out
}

func (p *push) upload(ctx context.Context, todo map[string]string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for _, name := range slices.Sorted(maps.Keys(todo)) {
		group.Go(func() error { return p.bucket.Upload(ctx, name, todo[name]) })
	}
	return group.Wait()
}

// swap is the commit point. What is about to be written is remembered before: of a write whose answer never came, the next visit
// knows that it was its own.
func (p *push) swap(ctx context.Context, next *Manifest) error {
	raw, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return err
	}
	s := p.state()
	s.Sums = []string{sumOf(raw)}
	if p.there != nil {
		s.Sums = append(s.Sums, sumOf(p.raw))
	}
	if err := p.remember(s); err != nil {
		return err
	}
	err = p.bucket.Swap(ctx, ManifestName, raw, p.version)
	if errors.Is(err, bucket.ErrChanged) { // by another, or by a request of ours that was sent twice
		before := p.version
		if err = p.look(ctx); err == nil && p.version == before {
			err = p.local.refuse("look at the conditions of the bucket's policies; if somebody deletes objects there meanwhile, run again",
				"%s refuses to replace %s, which nobody has changed", bucket.Location(p.opts.URL), ManifestName)
		} else if err == nil && sumOf(p.raw) != sumOf(raw) {
			err = p.foreign()
		}
	}
	if err != nil {
		return err
	}
	p.there = next
	return p.done(raw, next.MadeAt)
}

// done remembers that the bucket has what the folder has.
func (p *push) done(raw []byte, at time.Time) error {
	s := remembered{URL: bucket.Location(p.opts.URL), Sums: []string{sumOf(raw)}, Local: p.localSum(), At: &at}
	if old := p.state(); old.At != nil && old.At.Equal(at) && old.Local == s.Local && slices.Equal(old.Sums, s.Sums) {
		return nil
	}
	return p.remember(s)
}

// prune deletes objects that were retired longer than grace ago.
func (p *push) prune(ctx context.Context, m *Manifest, objects map[string]bucket.Object, grace time.Duration) (removed int, err error) {
	for _, r := range m.Retired {
		if _, ok := objects[r.Path]; !ok || grace >= 0 && p.opts.Now().Sub(r.At) < grace {
			continue
		}
		if err := p.bucket.Delete(ctx, r.Path); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// sweep deletes objects that look like atsync's and that no manifest names.
func (p *push) sweep(ctx context.Context, objects map[string]bucket.Object) (removed int, err error) {
	for _, t := range p.there.Tables {
		for _, f := range t.Files {
			delete(objects, f.Path)
		}
	}
	for _, r := range p.there.Retired {
		delete(objects, r.Path)
	}
	for name, o := range objects {
		if !objectPattern.MatchString(name) && !strings.HasPrefix(name, probePrefix) || p.opts.Now().Sub(o.ModTime) < leftover {
			continue
		}
		if err := p.bucket.Delete(ctx, name); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

const probePrefix = ".probe-"

// probe finds out with an object of its own whether the bucket can be written, and whether a second writer would be stopped.
func (p *push) probe(ctx context.Context) error {
	name := fmt.Sprintf(probePrefix+"%d-%d", os.Getpid(), p.opts.Now().UnixNano())
	if err := p.bucket.Swap(ctx, name, []byte("{}"), ""); err != nil {
		return err
	}
	again := p.bucket.Swap(ctx, name, []byte("{}"), "")
	over := p.bucket.Swap(ctx, name, []byte("{}"), p.bucket.Never())
	if err := p.bucket.Delete(ctx, name); err != nil {
		return err
	}
	for _, err := range []error{again, over} {
		switch {
		case err == nil:
			return p.local.refuse("use a service that heeds If-None-Match and If-Match, or let it be updated",
				"%s overwrites objects against the condition of a write: of two writers, both would win", bucket.Location(p.opts.URL))
		case !errors.Is(err, bucket.ErrChanged):
			return err
		}
	}
	return nil
}
