package parquet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
)

func (h *harness) load(t *testing.T, v int, ids ...int64) {
	t.Helper()
	if err := load(t.Context(), h.Sink, v, ids...); err != nil {
		t.Fatal(err)
	}
}

func (h *harness) publish(t *testing.T) parquet.Table {
	t.Helper()
	if _, err := h.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.equal(t)
	return h.table(t, "items")
}

// equal compares what catalog and link show with the warehouse, by sums over all rows; TestPublisher looks at every value.
func (h *harness) equal(t *testing.T) {
	t.Helper()
	all := func(from string) string {
		return `(SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(hash(t)) AS hashes FROM ` + from + ` AS t)`
	}
	want := h.Rows(t, all("items"))
	catalog, err := duckdb.OpenReader(t.Context(), filepath.Join(h.out, parquet.CatalogName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = catalog.Close() }() // only read
	if diff := cmp.Diff(want, dump(t, catalog, all("items"))); diff != "" {
		t.Errorf("by catalog (-warehouse +publication): %s", diff)
	}
	folder, err := filepath.EvalSymlinks(filepath.Join(h.out, "items"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, openMemory(t), all(`read_parquet('`+folder+`/*.parquet')`))); diff != "" {
		t.Errorf("by link (-warehouse +publication): %s", diff)
	}
}

func (h *harness) table(t *testing.T, link string) parquet.Table {
	t.Helper()
	m, err := parquet.ReadManifest(h.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range m.Tables {
		if table.Link == link {
			return table
		}
	}
	t.Fatalf("no table %s in the manifest", link)
	return parquet.Table{}
}

// kept counts the files of b that are files of a, as the file system sees them.
func (h *harness) kept(t *testing.T, a, b parquet.Table) (n int) {
	t.Helper()
	for _, f := range b.Files {
		for _, o := range a.Files {
			x, err1 := os.Stat(filepath.Join(h.out, f.Path))
			y, err2 := os.Stat(filepath.Join(h.out, o.Path))
			if err1 == nil && err2 == nil && os.SameFile(x, y) {
				n++
			}
		}
	}
	return n
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	h.load(t, 1, upTo(0, 20_000)...)
	first := h.publish(t)
	h.apart(t)
	if len(first.Files) != 5 || first.Rows != 20_000 || *first.Files[4].MaxID != 19_999 {
		t.Fatalf("%d files: %+v", len(first.Files), first.Files)
	}
	h.load(t, 2, upTo(19_000, 20_100)...)
	second := h.publish(t)
	if n := h.kept(t, first, second); n != 4 || len(second.Files) != 6 {
		t.Errorf("%d files kept of %d", n, len(second.Files))
	}
	h.load(t, 3, 5, 12_345)
	third := h.publish(t)
	h.apart(t)
	if n := h.kept(t, second, third); n != 4 {
		t.Errorf("%d files kept after two scattered changes", n)
	}
	fourth := h.publish(t)
	if diff := cmp.Diff(third, fourth); diff != "" {
		t.Errorf("nothing was committed: %s", diff)
	}
}

// apart holds that no id lies in the ranges of two row groups: a reader who looks for some ids opens few of them.
func (h *harness) apart(t *testing.T) {
	t.Helper()
	rows := dump(t, openMemory(t), `(SELECT count(*) FILTER (least <= before) AS overlaps, count(*) AS n FROM (
		SELECT stats_min::BIGINT AS least, max(stats_max::BIGINT) OVER (ORDER BY stats_min::BIGINT ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
		FROM parquet_metadata('`+h.out+`/items/*.parquet') WHERE path_in_schema = 'id'))`)
	if rows[0]["overlaps"] != "0" || rows[0]["n"] == "0" {
		t.Error(rows)
	}
}

func TestRecut(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	for i := range int64(6) { // the end of the table grows a little at a time, and its beginning later
		h.load(t, 1, upTo(10_000+i*500, 10_000+(i+1)*500)...)
		h.publish(t)
	}
	h.load(t, 1, upTo(0, 9_000)...)
	grown := h.publish(t)
	for _, f := range grown.Files {
		if f.Rows > 8_000 {
			t.Errorf("a file of %d rows", f.Rows)
		}
	}
	if _, err := h.publisher.Recut(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.equal(t)
	if cut := h.table(t, "items"); cut.Rows != 12_000 || len(cut.Files) > 7 {
		t.Errorf("%d rows in %d files", cut.Rows, len(cut.Files))
	}
}

func TestGraceAndPruning(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h := newHarness(t, parquet.Options{Grace: time.Hour, Now: func() time.Time { return now }})
	var folders []string
	for v := range 4 {
		h.load(t, v, 1, 2, 3)
		folders = append(folders, filepath.Join(h.out, h.publish(t).Folder))
		now = now.Add(25 * time.Minute)
	}
	there := func() (out []bool) {
		for _, f := range folders {
			_, err := os.Stat(f)
			out = append(out, err == nil)
		}
		return out
	}
	// the first was replaced 75 minutes before now, but 50 before the last publication looked
	if diff := cmp.Diff([]bool{true, true, true, true}, there()); diff != "" {
		t.Error(diff)
	}
	if n, err := h.publisher.Prune(t.Context(), time.Hour); err != nil || n == 0 {
		t.Errorf("%d pruned, %v", n, err)
	}
	if diff := cmp.Diff([]bool{false, true, true, true}, there()); diff != "" {
		t.Error(diff)
	}
	if _, err := h.publisher.Prune(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]bool{false, false, false, true}, there()); diff != "" {
		t.Error(diff)
	}
	h.equal(t)
}

// TestGraceAfterFailures: what readers may have open stays for its time, however long publications have failed since.
func TestGraceAfterFailures(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	stop := func() {}
	h := newHarness(t, parquet.Options{Now: func() time.Time { stop(); return now }})
	generations := func() string {
		entries, err := os.ReadDir(filepath.Join(h.out, ".generations", "items"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	expect := func(when, want string) {
		t.Helper()
		if got := generations(); got != want {
			t.Errorf("%s there is %s, want %s", when, got, want)
		}
	}
	h.load(t, 1, 1)
	h.publish(t)

	ctx, cancel := context.WithCancel(t.Context())
	h.load(t, 2, 1)
	stop = func() {
		if _, err := os.Stat(filepath.Join(h.out, ".generations", "items", "000002")); err == nil { // written, and not seen by anybody
			cancel()
		}
	}
	if _, err := h.publisher.Publish(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop = func() {}
	expect("after a publication that was interrupted", "000001")

	catalog := filepath.Join(h.out, parquet.CatalogName)
	if err := errors.Join(os.Rename(catalog, catalog+".away"), os.Mkdir(catalog, 0o755), os.Mkdir(filepath.Join(catalog, "in the way"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.publisher.Publish(t.Context()); err == nil {
		t.Fatal("the catalog took the place of a folder")
	}
	expect("after one that failed once links were swung", "000001 000002")

	now = now.Add(2 * time.Hour)
	if err := errors.Join(os.RemoveAll(catalog), os.Rename(catalog+".away", catalog)); err != nil {
		t.Fatal(err)
	}
	h.publish(t)
	expect("after the next one", "000001 000002 000003")
	now = now.Add(59 * time.Minute)
	h.publish(t)
	expect("within the hour", "000001 000002 000003")
	now = now.Add(time.Minute)
	h.publish(t)
	expect("after it", "000003")
}

// TestDamage: what was done to the folder by hand is found and made good by the next publication.
func TestDamage(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	h.load(t, 1, upTo(0, 4_500)...)
	h.publish(t)
	for _, c := range []struct {
		name   string
		damage func(table parquet.Table) error
	}{
		{"a file deleted", func(table parquet.Table) error { return os.Remove(filepath.Join(h.out, table.Files[1].Path)) }},
		{"a file truncated", func(table parquet.Table) error { return os.Truncate(filepath.Join(h.out, table.Files[0].Path), 100) }},
		{"a stray file", func(table parquet.Table) error {
			return os.WriteFile(filepath.Join(h.out, table.Folder, "stray.parquet"), []byte("PAR1 not"), 0o600)
		}},
		{"the link deleted", func(parquet.Table) error { return os.Remove(filepath.Join(h.out, "items")) }},
		{"the catalog deleted", func(parquet.Table) error { return os.Remove(filepath.Join(h.out, parquet.CatalogName)) }},
		{"the manifest cut", func(parquet.Table) error { return os.Truncate(filepath.Join(h.out, parquet.ManifestName), 50) }},
		{"the manifest deleted", func(parquet.Table) error { return os.Remove(filepath.Join(h.out, parquet.ManifestName)) }},
		{"generations deleted", func(parquet.Table) error { return os.RemoveAll(filepath.Join(h.out, ".generations")) }},
		{"everything deleted", func(parquet.Table) error { return os.RemoveAll(h.out) }},
	} {
		if err := c.damage(h.table(t, "items")); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if pending, err := h.publisher.Pending(t.Context()); err != nil || !pending {
			t.Errorf("%s: pending %v, error %v", c.name, pending, err)
		}
		h.publish(t)
		if pending, err := h.publisher.Pending(t.Context()); err != nil || pending {
			t.Errorf("%s, made good: pending %v, error %v", c.name, pending, err)
		}
	}
}

// TestFullDisk: what would not fit is not begun, and says what to do.
func TestFullDisk(t *testing.T) {
	free := int64(1 << 40)
	h := newHarness(t, parquet.Options{Free: func(string) (int64, bool) { return free, true }})
	h.load(t, 1, 1)
	before := h.publish(t)
	h.load(t, 2, 1, 2)
	free = 3 << 20
	_, err := h.publisher.Publish(t.Context())
	if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Class != pipeline.ClassSink || !strings.Contains(e.Remedy, "free space") || !strings.Contains(err.Error(), "3 MB left") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(before, h.table(t, "items")); diff != "" {
		t.Errorf("a publication that did not fit: %s", diff)
	}
	free = 1 << 40
	h.publish(t)
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *harness) error
		want  string
	}{
		"a manifest of a newer atsync": {func(h *harness) error {
			return edit(filepath.Join(h.out, parquet.ManifestName), `"format": 1`, `"format": 2`)
		}, "use a newer atsync"},
		"another tenant's": {func(h *harness) error {
			return edit(filepath.Join(h.out, parquet.ManifestName), `"tenant": "acme"`, `"tenant": "globex"`)
		}, "its own folder"},
		"a file in the folder's place": {func(h *harness) error {
			return errors.Join(os.RemoveAll(h.out), os.WriteFile(h.out, nil, 0o600))
		}, "is a file"},
		"somebody's folder in a table's place": {func(h *harness) error {
			link := filepath.Join(h.out, "items")
			return errors.Join(os.Remove(link), os.Mkdir(link, 0o755))
		}, "sync"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, parquet.Options{})
			h.load(t, 1, 1)
			h.publish(t)
			if err := c.spoil(h); err != nil {
				t.Fatal(err)
			}
			h.load(t, 2, 1)
			_, err := h.publisher.Publish(t.Context())
			e, ok := errors.AsType[*pipeline.Error](err)
			if !ok || e.Class != pipeline.ClassSink || e.Tenant != "acme" || !strings.Contains(e.Remedy, c.want) {
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
}

func edit(path, from, to string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(raw), from, to, 1)), 0o600)
}

// TestPlain: without links of any kind a table's folder is a copy of its generation.
func TestPlain(t *testing.T) {
	h := newHarness(t, parquet.Options{Plain: true})
	for v := range 3 {
		h.load(t, v, upTo(int64(v)*1_500, 4_500)...)
		h.publish(t)
		if info, err := os.Lstat(filepath.Join(h.out, "items")); err != nil || !info.IsDir() {
			t.Fatalf("%v, %v", info, err)
		}
	}
	if pending, err := h.publisher.Pending(t.Context()); err != nil || pending {
		t.Errorf("pending %v, error %v", pending, err)
	}
	linked := parquet.NewPublisher(h.warehouse, parquet.Options{Folder: h.out, Tenant: "acme"})
	h.load(t, 4, 7)
	if _, err := linked.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.equal(t)
}

// TestHydrateRefusesDamage: a warehouse made of half a publication would pass for whole.
func TestHydrateRefusesDamage(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	h.load(t, 1, upTo(0, 4_500)...)
	name := filepath.Join(h.out, h.publish(t).Files[1].Path)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/3] ^= 4 // a reader might well not notice
	for what, raw := range map[string][]byte{"truncated": good[:60], "one bit": flipped} {
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "w.duckdb")
		made, err := parquet.Hydrate(t.Context(), h.out, "acme", to)
		if e, ok := errors.AsType[*pipeline.Error](err); made || !ok || !strings.Contains(e.Remedy, "put the file back") {
			t.Errorf("%s: %v, %v", what, made, err)
		}
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a file was left", what)
		}
	}
}

// TestUnfinishedIsLeftOut: readers see a table when its first load is complete, and no view that needs it before.
func TestUnfinishedIsLeftOut(t *testing.T) {
	h := newHarness(t, parquet.Options{})
	h.load(t, 1, 1, 2, 3)
	e := items()
	e.Name = "Gadgets"
	rec, table := batch(t, e, `{"id":1,"title":"first"}`)
	defer rec.Release()
	l, err := h.Sink.Begin(t.Context(), pipeline.LoadSpec{RunID: 1, Table: table, Class: e.Class, Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Stage(t.Context(), pipeline.Batch{Record: rec, ReadAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	last := int64(1)
	progress := &pipeline.Progress{StartedAt: time.Now(), Left: []pipeline.Range{{After: &last}}}
	if err := l.Flush(t.Context(), pipeline.Checkpoint{Progress: progress}); err != nil {
		t.Fatal(err)
	}
	h.publish(t)
	read := byCatalog(t, h.out)
	for _, name := range []string{"gadgets", "v_gadgets"} {
		if rows, ok := read(t, name); ok {
			t.Errorf("%s is published: %v", name, rows)
		}
	}
	if cp, _ := read(t, "_atsync.checkpoints", "entity"); len(cp) != 1 {
		t.Errorf("checkpoints: %v", cp)
	}
	if _, err := l.Commit(t.Context(), pipeline.Commit{}); err != nil {
		t.Fatal(err)
	}
	h.publish(t)
	if rows, ok := byCatalog(t, h.out)(t, "v_gadgets", "id"); !ok || len(rows) != 1 {
		t.Errorf("when it is complete: %v", rows)
	}
}
