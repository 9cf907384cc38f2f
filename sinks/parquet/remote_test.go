package parquet_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/atsync/atsync/pipeline/pipelinetest"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sinks/parquet"
	"github.com/atsync/atsync/sinks/parquet/bucket"
)

// setCredentials lets this process, and those that it starts, sign in to every store.
func setCredentials() {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
}

// store is an S3 service in this process, with one bucket, that can be told to fail.
type store struct {
	*httptest.Server
	fail atomic.Pointer[func(*http.Request) int] // an answer in place of the service's, 0: none

	lose    func(*http.Request) int // what is answered although something else is done, 0: nothing; set while nobody asks
	left    atomic.Int64            // requests until the line is cut, while cutting
	cutting atomic.Bool
}

// cut cuts the line after n requests.
func (s *store) cut(n int64) {
	s.left.Store(n)
	s.cutting.Store(true)
}

// restore ends that and reports whether the line was never cut.
func (s *store) restore() bool {
	s.cutting.Store(false)
	return s.left.Load() >= 0
}

func newStore(t *testing.T) *store {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("lake"); err != nil {
		t.Fatal(err)
	}
	service := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	s := &store{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cutting.Load() {
			if s.left.Add(-1) < 0 {
				w.WriteHeader(http.StatusForbidden) // which the client does not try again
				return
			}
		}
		if s.lose != nil {
			if code := s.lose(r); code != 0 {
				service.ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(code)
				return
			}
		}
		if fail := s.fail.Load(); fail != nil {
			if code := (*fail)(r); code != 0 {
				w.WriteHeader(code)
				return
			}
		}
		service.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *store) url() string { return "s3://lake/msp/acme?use_path_style=true&endpoint=" + s.URL }

func (s *store) open(t *testing.T) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), s.url())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// manifest is what the bucket's readers look at first.
func (s *store) manifest(t *testing.T) (m parquet.Manifest) {
	t.Helper()
	raw, _, err := s.open(t).Read(t.Context(), parquet.ManifestName)
	if err = cmp.Or(err, json.Unmarshal(raw, &m)); err != nil {
		t.Fatal(err)
	}
	return m
}

// remote is a warehouse with its publication in a bucket.
type remote struct {
	pipelinetest.PublisherHarness
	store     *store
	warehouse *duckdb.Warehouse
	publisher *parquet.Remote
	dir       string
	now       func() time.Time
}

func newRemote(t *testing.T, s *store, now func() time.Time) *remote {
	t.Helper()
	r := &remote{store: s, dir: t.TempDir(), now: now}
	r.start(t)
	t.Cleanup(func() {
		if err := r.warehouse.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Rows = func(t *testing.T, table string, by ...string) []map[string]string {
		var rows []map[string]string
		if err := r.warehouse.Export(t.Context(), func(_ context.Context, conn *sql.Conn) error {
			rows = dump(t, conn, table, by...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	r.Hydrate = func(t *testing.T) { // onto an empty disk
		if err := errors.Join(r.warehouse.Close(), os.RemoveAll(r.dir)); err != nil {
			t.Fatal(err)
		}
		r.start(t)
	}
	return r
}

func (r *remote) options() parquet.RemoteOptions {
	return parquet.RemoteOptions{Options: parquet.Options{Folder: filepath.Join(r.dir, "lake", "acme"), Tenant: "acme", Now: r.now},
		URL: r.store.url(), State: filepath.Join(r.dir, "work", "acme.bucket.json")}
}

func (r *remote) start(t *testing.T) {
	t.Helper()
	w, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(r.dir, "work", "acme.duckdb"), Tenant: "acme", LockWait: -1,
		Hydrate: func(ctx context.Context, to string) (bool, error) { return parquet.HydrateRemote(ctx, r.options(), to) }})
	if err != nil {
		t.Fatal(err)
	}
	r.warehouse, r.publisher = w, parquet.NewRemote(w, r.options())
	r.Sink, r.Publisher = w, r.publisher
}

// byManifest reads as somebody does who has the bucket's manifest: only what it names.
func byManifest(t *testing.T, s *store) reader {
	t.Helper()
	b, m, db := s.open(t), s.manifest(t), openMemory(t)
	return func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
		for _, m := range m.Tables {
			if strings.ReplaceAll(m.Link, "/", ".") != table {
				continue
			}
			dir := t.TempDir()
			for _, f := range m.Files {
				if err := b.Download(t.Context(), f.Path, filepath.Join(dir, filepath.Base(f.Path))); err != nil {
					t.Fatal(err)
				}
			}
			return dump(t, db, `(FROM read_parquet('`+dir+`/*.parquet'))`, by...), true
		}
		return nil, false
	}
}

// TestRemotePublisher holds the publication in a bucket to what is asked of every publisher.
func TestRemotePublisher(t *testing.T) {
	t.Parallel()
	pipelinetest.TestPublisher(t, func(t *testing.T) *pipelinetest.PublisherHarness {
		s, ahead := newStore(t), time.Duration(0)
		r := newRemote(t, s, func() time.Time { return time.Now().Add(ahead) })
		r.Full = func(t *testing.T) func() { return pipelinetest.LimitFiles(t, 4<<10) }
		r.Pass = func(*testing.T) { ahead += parquet.DefaultGrace }
		r.Versions = func(t *testing.T) (n int) {
			objects, err := s.open(t).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for name := range objects {
				if strings.HasPrefix(name, "widgets/") {
					n++
				}
			}
			return n
		}
		r.Published = func(t *testing.T, table string, by ...string) ([]map[string]string, bool) {
			return byManifest(t, s)(t, table, by...)
		}
		r.Hold = func(t *testing.T) func(*testing.T, string, ...string) []map[string]string {
			read := byManifest(t, s)
			return func(t *testing.T, table string, by ...string) []map[string]string {
				rows, _ := read(t, table, by...)
				return rows
			}
		}
		return &r.PublisherHarness
	})
}

// TestRemoteQuery runs the query that docs/outputs.md gives to readers with DuckDB, on a copy of the folder.
func TestRemoteQuery(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r := newRemote(t, s, nil)
	for v := range 3 { // objects of older versions lie beside
		r.load(t, v+1, upTo(0, 9_000)...)
		r.push(t)
	}
	b, dir := s.open(t), t.TempDir()
	objects, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range objects {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), b.Download(t.Context(), name, to)); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := os.ReadFile("../../docs/outputs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(docs), "SET VARIABLE root")
	query, _, _ = strings.Cut("SET VARIABLE root"+query, "```")
	query = strings.NewReplacer("s3://msp-lake/autotask/acme", dir, "t.link = 'tickets'", "t.link = 'items'").Replace(query)
	conn, err := openMemory(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // the test is over
	set, ask := query[:strings.LastIndex(query, "SELECT count(*)")], query[strings.LastIndex(query, "SELECT count(*)"):]
	if _, err := conn.ExecContext(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRowContext(t.Context(), ask).Scan(&n); err != nil || n != 9_000 {
		t.Errorf("%d rows: %v", n, err)
	}
}
