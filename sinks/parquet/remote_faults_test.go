package parquet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/parquet"
)

func (r *remote) load(t *testing.T, v int, ids ...int64) {
	t.Helper()
	if err := load(t.Context(), r.Sink, v, ids...); err != nil {
		t.Fatal(err)
	}
}

func (r *remote) publish(t *testing.T) {
	t.Helper()
	r.push(t)
	r.equal(t)
}

// push publishes and does not look at it, which takes its time with many rows.
func (r *remote) push(t *testing.T) {
	t.Helper()
	if _, err := r.publisher.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// equal compares the bucket with the warehouse.
func (r *remote) equal(t *testing.T) {
	t.Helper()
	got, _ := byManifest(t, r.store)(t, "items", "id")
	if diff := cmp.Diff(r.Rows(t, "items", "id"), got); diff != "" {
		t.Errorf("(-warehouse +bucket): %s", diff)
	}
}

// files returns the objects of a table.
func (s *store) files(t *testing.T, table string) []string {
	t.Helper()
	objects, err := s.open(t).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(objects)), func(name string) bool { return !strings.HasPrefix(name, table+"/") })
}

// answer lets the store answer with a status where the request is meant; nil ends that.
func (s *store) answer(code int, meant func(*http.Request) bool) {
	if meant == nil {
		s.fail.Store(nil)
		return
	}
	fail := func(r *http.Request) int {
		if meant(r) {
			return code
		}
		return 0
	}
	s.fail.Store(&fail)
}

func isManifest(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/"+parquet.ManifestName)
}

// TestRemoteErrors: what a bucket answers becomes an error that says what to do; the publication stays pending, and the next goes on.
func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	r.load(t, 1, upTo(0, 10)...)
	r.publish(t)
	r.load(t, 2, upTo(0, 10)...)
	for _, test := range []struct {
		code  int
		meant func(*http.Request) bool
		want  string
	}{
		{403, func(*http.Request) bool { return true }, "s3:PutObject"},
		{403, func(r *http.Request) bool { return r.Method == http.MethodPut }, "s3:PutObject"},
		{412, isManifest, "conditions of the bucket"},
		{503, isManifest, "the next run publishes"},
	} {
		s.answer(test.code, test.meant)
		_, err := r.publisher.Publish(t.Context())
		s.answer(0, nil)
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || e.Class != pipeline.ClassSink || e.Tenant != "acme" || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d: %v", test.code, err)
		}
		if pending, err := r.publisher.Pending(t.Context()); err != nil || !pending {
			t.Errorf("after %d: pending %v, %v", test.code, pending, err)
		}
		rows, _ := byManifest(t, s)(t, "items", "id")
		if len(rows) != 10 || !strings.HasSuffix(rows[0]["title"], "version 1") {
			t.Errorf("after %d: %d rows, the first %v", test.code, len(rows), rows[0])
		}
	}
	r.publish(t)
	if pending, err := r.publisher.Pending(t.Context()); err != nil || pending {
		t.Errorf("at the end: pending %v, %v", pending, err)
	}
}

// TestRemoteCut: whatever request of a publication is the last that gets through, a reader sees the old or the new version, and the
// next publication goes on.
func TestRemoteCut(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	r.load(t, 1, upTo(0, 10)...)
	r.publish(t)
	cuts := int64(0)
	for whole := false; !whole; cuts++ {
		v := int(cuts) + 2
		r.load(t, v, upTo(0, 10)...)
		s.cut(cuts)
		_, err := r.publisher.Publish(t.Context())
		whole = s.restore()
		if (err == nil) != whole {
			t.Errorf("cut after %d requests: %v", cuts, err)
		}
		rows, _ := byManifest(t, s)(t, "items", "id")
		version := strings.TrimPrefix(rows[0]["title"], "item 0, ")
		for _, row := range rows {
			if !strings.HasSuffix(row["title"], version) || len(rows) != 10 || whole && version != fmt.Sprint("version ", v) {
				t.Fatalf("cut after %d requests: version %d, %d rows, %v", cuts, v, len(rows), row)
			}
		}
	}
	if cuts < 7 {
		t.Errorf("a publication took %d requests", cuts-1)
	}
	r.equal(t)
}

// TestRemoteLostAnswer: a manifest that was written and whose answer was lost is known as the warehouse's own: by the next publication, and
// where the client sends it again (it does after 503) and is refused.
func TestRemoteLostAnswer(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusBadRequest, http.StatusServiceUnavailable} {
		s := newStore(t)
		r := newRemote(t, s, nil)
		r.load(t, 1, 1)
		r.publish(t)
		r.load(t, 2, 1)
		lost := false
		s.lose = func(r *http.Request) int {
			if !isManifest(r) || lost {
				return 0
			}
			lost = true
			return code
		}
		if _, err := r.publisher.Publish(t.Context()); !lost || (err == nil) != (code == http.StatusServiceUnavailable) {
			t.Errorf("%d in place of an answer: %v", code, err)
		}
		r.equal(t)
		r.load(t, 3, 1)
		r.publish(t)
	}
}

// TestRemoteHangs: a service that takes requests and does not answer keeps nobody longer than they want to wait.
func TestRemoteHangs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	r.load(t, 1, 1)
	r.publish(t)
	r.load(t, 2, 1)
	for name, meant := range map[string]func(*http.Request) bool{
		"at once": func(*http.Request) bool { return true }, "uploads": func(r *http.Request) bool { return r.Method == http.MethodPut }, "the manifest": isManifest,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		hang := func(r *http.Request) int {
			if meant(r) {
				_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the client has gone
				cancel()
				<-r.Context().Done()
			}
			return 0
		}
		s.fail.Store(&hang)
		_, err := r.publisher.Publish(ctx)
		s.fail.Store(nil)
		if pipeline.ClassOf(err) != pipeline.ClassCanceled {
			t.Errorf("%s: %v", name, err)
		}
		rows, _ := byManifest(t, s)(t, "items", "id")
		if len(rows) != 1 || rows[0]["title"] != "item 1, version 1" {
			t.Errorf("%s: %v", name, rows)
		}
	}
	r.publish(t)
}

// TestRemoteWritesOnlyWhatChanged, also when the folder of this machine is gone.
func TestRemoteWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	r.load(t, 1, upTo(0, 20_000)...)
	r.push(t)
	before := s.files(t, "items")
	r.load(t, 2, upTo(19_900, 20_010)...)
	r.push(t)
	after := s.files(t, "items")
	if fresh := len(after) - len(before); len(before) < 5 || fresh < 1 || fresh > 2 {
		t.Errorf("%d objects, then %d more", len(before), fresh)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "lake")); err != nil {
		t.Fatal(err)
	}
	r.push(t)
	r.load(t, 3, 5)
	r.publish(t)
}

// TestRemoteDamage: what is deleted, cut or forgotten in the bucket is made good, and only atsync's own is ever deleted.
func TestRemoteDamage(t *testing.T) {
	t.Parallel()
	s, ahead := newStore(t), time.Duration(0)
	r := newRemote(t, s, func() time.Time { return time.Now().Add(ahead) })
	r.load(t, 1, upTo(0, 5)...)
	r.publish(t)
	b, file := s.open(t), s.files(t, "items")[0]
	stray := filepath.Join(t.TempDir(), "stray")
	if err := os.WriteFile(stray, []byte("stray"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"deleted":     func() error { return b.Delete(t.Context(), file) },
		"cut":         func() error { return b.Upload(t.Context(), file, stray) },
		"no manifest": func() error { return b.Delete(t.Context(), parquet.ManifestName) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.publisher.Publish(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.equal(t)
	}
	left := "items/000009-0001-" + strings.Repeat("0", 32) + ".parquet"
	for _, name := range []string{left, "items/mine.parquet", "notes.txt"} {
		if err := b.Upload(t.Context(), name, stray); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		ahead   time.Duration
		removed int
	}{{time.Hour, 0}, {25 * time.Hour, 1}, {25 * time.Hour, 0}} {
		ahead = test.ahead
		if n, err := r.publisher.Prune(t.Context(), parquet.DefaultGrace); err != nil || n != test.removed {
			t.Errorf("%v later %d were removed: %v", test.ahead, n, err)
		}
	}
	objects, err := b.List(t.Context())
	if _, ok := objects["notes.txt"]; err != nil || !ok || len(s.files(t, "items")) != 2 {
		t.Errorf("%v %v", objects, err)
	}
	r.equal(t)
}

// TestRemoteHydrateRefuses: a warehouse made of less than all, or of something else, would lack rows.
func TestRemoteHydrateRefuses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	r.load(t, 1, upTo(0, 5)...)
	r.publish(t)
	b, file := s.open(t), s.files(t, "items")[0]
	whole := filepath.Join(t.TempDir(), "whole")
	raw, _, err := b.Read(t.Context(), parquet.ManifestName)
	if err = errors.Join(err, b.Download(t.Context(), file, whole)); err != nil {
		t.Fatal(err)
	}
	changed := whole + "2"
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(changed, content, 0o600); err != nil {
		t.Fatal(err)
	}
	hydrate := func() error {
		opts := r.options()
		dir := t.TempDir()
		opts.Folder, opts.State = filepath.Join(dir, "lake"), filepath.Join(dir, "state.json")
		made, err := parquet.HydrateRemote(t.Context(), opts, filepath.Join(dir, "w.duckdb"))
		if err == nil && !made {
			t.Error("nothing was made")
		}
		return err
	}
	manifest := func(from, to string) error {
		_, v, err := b.Read(t.Context(), parquet.ManifestName)
		return errors.Join(err, b.Swap(t.Context(), parquet.ManifestName, []byte(strings.Replace(string(raw), from, to, 1)), v))
	}
	for name, test := range map[string]struct {
		damage, mend func() error
		want         string
	}{
		"no file":     {func() error { return b.Delete(t.Context(), file) }, func() error { return b.Upload(t.Context(), file, whole) }, "is missing"},
		"other file":  {func() error { return b.Upload(t.Context(), file, changed) }, func() error { return b.Upload(t.Context(), file, whole) }, "is not what was written there"},
		"newer":       {func() error { return manifest(`"format": 1`, `"format": 2`) }, func() error { return manifest("", "") }, "use a newer atsync"},
		"tenant":      {func() error { return manifest(`"tenant": "acme"`, `"tenant": "globex"`) }, func() error { return manifest("", "") }, "belongs to the tenant"},
		"not JSON":    {func() error { return manifest(`{`, `[`) }, func() error { return manifest("", "") }, "delete it there"},
		"a path":      {func() error { return manifest(`"link": "items"`, `"link": "../items"`) }, func() error { return manifest("", "") }, "is damaged"},
		"unavailable": {func() error { s.answer(403, func(*http.Request) bool { return true }); return nil }, func() error { s.answer(0, nil); return nil }, "s3:GetObject"},
	} {
		if err := test.damage(); err != nil {
			t.Fatal(err)
		}
		if err := hydrate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := test.mend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := hydrate(); err != nil {
		t.Error(err)
	}
}
