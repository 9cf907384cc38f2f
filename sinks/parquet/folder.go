package parquet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// folder is where a tenant's publication lives. All changes of files go through it, and all names are relative, with
// slashes: another kind of storage needs to do no more than this. Files and generations are never changed once made.
type folder struct {
	root  string
	plain bool // without links of any kind
}

func (d folder) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// newPrefix marks what is not finished yet, or not needed any more.
const newPrefix = ".new-"

// prepare makes the folder, proves that it can be written, and finds out which links it takes.
func (d *folder) prepare() error {
	probe := d.path(generations + "/" + newPrefix + "probe")
	if err := os.MkdirAll(filepath.Dir(probe), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(probe); err != nil {
		return err
	}
	if err := os.Mkdir(probe, 0o755); err != nil {
		return err
	}
	file := filepath.Join(probe, "file")
	if err := os.WriteFile(file, []byte("may this be written?"), 0o600); err != nil {
		return err
	}
	if os.Link(file, filepath.Join(probe, "hard")) != nil || os.Symlink("file", filepath.Join(probe, "soft")) != nil {
		d.plain = true
	}
	return os.RemoveAll(probe)
}

// begin makes an empty folder for a table's next generation and returns its name and number.
func (d folder) begin(link string) (name string, n int64, err error) {
	dir := generations + "/" + link
	if err := os.MkdirAll(d.path(dir), 0o755); err != nil {
		return "", 0, err
	}
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return "", 0, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) { // of a killed publication
			if err := os.RemoveAll(d.path(dir + "/" + e.Name())); err != nil {
				return "", 0, err
			}
		}
		if got, ok := generation(e.Name()); ok {
			n = max(n, got)
		}
	}
	name = fmt.Sprintf("%s/%s%06d", dir, newPrefix, n+1)
	return name, n + 1, os.Mkdir(d.path(name), 0o755)
}

// generation parses a generation's folder name.
func generation(name string) (int64, bool) {
	n, err := strconv.ParseInt(name, 10, 64)
	return n, err == nil && len(name) >= 6 && n > 0
}

// finish gives a generation its final name, which it returns. What is in it is durable after sync.
func (d folder) finish(name string) (string, error) {
	entries, err := os.ReadDir(d.path(name))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := os.Chmod(d.path(name+"/"+e.Name()), 0o444); err != nil {
			return "", err
		}
	}
	final := strings.Replace(name, "/"+newPrefix, "/", 1)
	return final, os.Rename(d.path(name), d.path(final))
}

// sync makes generations durable, many files at a time: the file system then writes them in one go.
func (d folder) sync(names []string) error {
	var paths []string
	for _, name := range names {
		entries, err := os.ReadDir(d.path(name))
		if err != nil {
			return err
		}
		for _, e := range entries {
			paths = append(paths, d.path(name+"/"+e.Name()))
		}
		paths = append(paths, d.path(name), filepath.Dir(d.path(name)))
	}
	errs := make([]error, len(paths))
	var all sync.WaitGroup
	for from := range syncers {
		all.Go(func() {
			for i := from; i < len(paths); i += syncers {
				errs[i] = syncPath(paths[i])
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

const syncers = 16

// share puts a file of an older generation into a new one.
func (d folder) share(from, to string) error {
	if !d.plain {
		return os.Link(d.path(from), d.path(to))
	}
	return d.copy(from, to)
}

func (d folder) copy(from, to string) error {
	src, err := os.Open(d.path(from))
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	dst, err := os.OpenFile(d.path(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// swing lets a table's link lead to a generation. This is the moment in which readers of the link see it.
func (d folder) swing(link, target string) error {
	if d.points(link, target) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.path(link)), 0o755); err != nil {
		return err
	}
	if d.plain {
		return d.replace(link, target)
	}
	if err := d.clear(link); err != nil {
		return err
	}
	part := d.path(link + newPrefix + "link")
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rel, err := filepath.Rel(filepath.Dir(d.path(link)), d.path(target))
	if err != nil {
		return err
	}
	if err := os.Symlink(rel, part); err != nil {
		return err
	}
	return os.Rename(part, d.path(link))
}

// clear removes a copy of a generation that stands where a link is wanted, and refuses any other folder.
func (d folder) clear(link string) error {
	if info, err := os.Lstat(d.path(link)); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // nothing is in the way
	}
	if !exists(d.path(link + "/" + generationManifest)) {
		return fmt.Errorf("%s is a folder that atsync did not make: move it away", d.path(link))
	}
	return os.RemoveAll(d.path(link))
}

// replace puts a copy of a generation in the place of a link: for file systems without links. For a moment between
// two renames the table has no folder; catalog and manifest don't go through it.
func (d folder) replace(link, target string) error {
	part, old := generations+"/"+link+"/"+newPrefix+"copy", generations+"/"+link+"/"+newPrefix+"old"
	for _, name := range []string{part, old} {
		if err := os.RemoveAll(d.path(name)); err != nil {
			return err
		}
	}
	if info, err := os.Lstat(d.path(link)); err == nil && info.IsDir() && !exists(d.path(link+"/"+generationManifest)) {
		return fmt.Errorf("%s is a folder that atsync did not make: move it away", d.path(link))
	}
	if err := os.Mkdir(d.path(part), 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.path(target))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.copy(target+"/"+e.Name(), part+"/"+e.Name()); err != nil {
			return err
		}
	}
	if err := os.Rename(d.path(link), d.path(old)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(os.Rename(d.path(part), d.path(link)), os.RemoveAll(d.path(old)))
}

// points reports whether a link leads to a generation: by its text, or as a copy by its manifest.
func (d folder) points(link, target string) bool {
	if to, err := os.Readlink(d.path(link)); err == nil {
		return !d.plain && filepath.Join(filepath.Dir(d.path(link)), to) == d.path(target)
	}
	got, err := os.ReadFile(d.path(link + "/" + generationManifest))
	want, wantErr := os.ReadFile(d.path(target + "/" + generationManifest))
	return d.plain && err == nil && wantErr == nil && slices.Equal(got, want)
}

// write replaces a small file by rename.
func (d folder) write(name string, content []byte) error {
	part := d.path(name + newPrefix + "part")
	if err := os.WriteFile(part, content, 0o644); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := syncPath(part); err != nil {
		return err
	}
	return d.rename(name+newPrefix+"part", name)
}

// rename puts a finished file in the place of an older one, durably.
func (d folder) rename(part, name string) error {
	if err := os.Rename(d.path(part), d.path(name)); err != nil {
		return err
	}
	return syncPath(filepath.Dir(d.path(name)))
}

// holds reports whether a file is there with the size that it was written with.
func (d folder) holds(f File) bool {
	info, err := os.Stat(d.path(f.Path))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Bytes
}

// whole reports whether a generation's folder holds its files and no others.
func (d folder) whole(t Table) bool {
	entries, err := os.ReadDir(d.path(t.Folder))
	if err != nil || t.Folder == "" || len(entries) != len(t.Files)+1 {
		return false
	}
	return !slices.ContainsFunc(t.Files, func(f File) bool { return !d.holds(f) })
}

// intact reports whether everything of a version is in its place.
func (d folder) intact(m *Manifest) bool {
	for _, t := range m.Tables {
		if !d.whole(t) || !d.linked(t) {
			return false
		}
	}
	return exists(d.path(CatalogName))
}

// linked reports whether a table's link leads to its generation, on a file system of either kind.
func (d folder) linked(t Table) bool {
	return d.points(t.Link, t.Folder) || (&folder{root: d.root, plain: !d.plain}).points(t.Link, t.Folder)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncPath makes a file or folder durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
