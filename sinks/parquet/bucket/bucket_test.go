package bucket_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/parquet/bucket"
)

// objects is what a service holds that is played here: as much of Azure's and of Google's protocol as an object's
// reading, conditional writing and deleting takes.
type objects struct {
	mu      sync.Mutex
	content map[string][]byte
	version map[string]int64
	last    int64
}

// put writes an object if the condition holds; it returns the new version, 0 if it does not.
func (o *objects) put(key string, content []byte, holds func(version int64) bool) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !holds(o.version[key]) {
		return 0
	}
	o.last++
	o.content[key], o.version[key] = content, o.last+1000
	return o.version[key]
}

func (o *objects) get(key string) ([]byte, int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.content[key], o.version[key]
}

func (o *objects) remove(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.version[key]
	delete(o.content, key)
	delete(o.version, key)
	return ok
}

func azure(o *objects) http.HandlerFunc {
	etag := func(v int64) string { return fmt.Sprintf(`"0x%d"`, v) }
	return func(w http.ResponseWriter, r *http.Request) {
		refuse := func(code int, name string) {
			w.Header().Set("x-ms-error-code", name)
			w.WriteHeader(code)
		}
		key := strings.TrimPrefix(r.URL.Path, "/account/lake/")
		switch r.Method {
		case http.MethodPut:
			content, _ := io.ReadAll(r.Body)
			v := o.put(key, content, func(v int64) bool {
				return (r.Header.Get("If-None-Match") != "*" || v == 0) && (r.Header.Get("If-Match") == "" || r.Header.Get("If-Match") == etag(v))
			})
			if v == 0 && r.Header.Get("If-None-Match") == "*" {
				refuse(http.StatusConflict, "BlobAlreadyExists")
				return
			} else if v == 0 {
				refuse(http.StatusPreconditionFailed, "ConditionNotMet")
				return
			}
			w.Header().Set("ETag", etag(v))
			w.WriteHeader(http.StatusCreated)
		case http.MethodDelete:
			if !o.remove(key) {
				refuse(http.StatusNotFound, "BlobNotFound")
				return
			}
			w.WriteHeader(http.StatusAccepted)
		default:
			content, v := o.get(key)
			if v == 0 {
				refuse(http.StatusNotFound, "BlobNotFound")
				return
			}
			w.Header().Set("ETag", etag(v))
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			_, _ = w.Write(content)
		}
	}
}

func google(o *objects) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refuse := func(code int) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error":{"code":%d,"message":"no"}}`, code)
		}
		path := r.URL.EscapedPath()
		key, _ := url.PathUnescape(path[strings.LastIndex(path, "/o/")+len("/o/"):])
		switch r.Method {
		case http.MethodPost:
			_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
			parts := multipart.NewReader(r.Body, params["boundary"])
			var head struct{ Name string }
			about, err := parts.NextPart()
			if err == nil {
				err = json.NewDecoder(about).Decode(&head)
			}
			if err != nil {
				refuse(http.StatusBadRequest)
				return
			}
			body, _ := parts.NextPart()
			content, _ := io.ReadAll(body)
			v := o.put(head.Name, content, func(v int64) bool {
				want := r.URL.Query().Get("ifGenerationMatch")
				return want == "" || want == strconv.FormatInt(v, 10)
			})
			if v == 0 {
				refuse(http.StatusPreconditionFailed)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"bucket":"lake","name":%q,"generation":"%d","size":"%d"}`, head.Name, v, len(content))
		case http.MethodDelete:
			if !o.remove(key) {
				refuse(http.StatusNotFound)
			}
		default:
			if !strings.Contains(path, "/o/") {
				key, _ = url.PathUnescape(strings.TrimPrefix(path, "/lake/"))
			}
			content, v := o.get(key)
			if v == 0 {
				refuse(http.StatusNotFound)
				return
			}
			w.Header().Set("X-Goog-Generation", strconv.FormatInt(v, 10))
			w.Header().Set("X-Goog-Metageneration", "1")
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			_, _ = w.Write(content)
		}
	}
}

// serve starts a service and returns the URL of a folder there.
func serve(t *testing.T, kind string) string {
	t.Helper()
	start := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	o := &objects{content: map[string][]byte{}, version: map[string]int64{}}
	switch kind {
	case "azblob":
		t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
		t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
		return "azblob://lake/msp/acme?protocol=http&domain=" + strings.TrimPrefix(start(azure(o)), "http://")
	case "gs":
		t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(start(google(o)), "http://"))
		return "gs://lake/msp/acme"
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("lake"); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		t.Setenv(name, value)
	}
	return "s3://lake/msp/acme?use_path_style=true&endpoint=" + start(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
}

func open(t *testing.T, where string) *bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// TestSwap: of two who have read the same version, one wins, on each service.
func TestSwap(t *testing.T) {
	for _, kind := range []string{"s3", "azblob", "gs"} {
		t.Run(kind, func(t *testing.T) {
			b := open(t, serve(t, kind))
			ctx := t.Context()
			swap := func(when, content string, old bucket.Version, want error) {
				t.Helper()
				if err := b.Swap(ctx, "manifest.json", []byte(content), old); !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Fatalf("%s: %v, want %v", when, err, want)
				}
			}
			read := func(want string) bucket.Version {
				t.Helper()
				content, v, err := b.Read(ctx, "manifest.json")
				if err != nil || string(content) != want || v == "" {
					t.Fatalf("%q, version %q: %v; want %q", content, v, err, want)
				}
				return v
			}
			if _, _, err := b.Read(ctx, "manifest.json"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("nothing there: %v", err)
			}
			swap("over nothing, when there is nothing and something is expected", "0", b.Never(), bucket.ErrChanged)
			swap("the first", "1", "", nil)
			swap("another first", "2", "", bucket.ErrChanged)
			one := read("1")
			swap("the second", "2", one, nil)
			swap("another second", "3", one, bucket.ErrChanged)
			two := read("2")
			swap("over a version that never was", "3", b.Never(), bucket.ErrChanged)
			if again := read("2"); again != two {
				t.Errorf("version %q, then %q", two, again)
			}
			for range 2 { // that it is gone already is no error
				if err := b.Delete(ctx, "manifest.json"); err != nil {
					t.Error(err)
				}
			}
			swap("over one that is gone", "4", two, bucket.ErrChanged)
		})
	}
}

// TestParts: a file that goes in parts arrives whole.
func TestParts(t *testing.T) {
	b, dir := open(t, serve(t, "s3")), t.TempDir()
	content := make([]byte, 17<<20)
	for i := range content {
		content[i] = byte(i >> 10)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	err := b.Upload(t.Context(), "x/large.parquet", filepath.Join(dir, "file"))
	if err = cmp.Or(err, b.Download(t.Context(), "x/large.parquet", filepath.Join(dir, "back"))); err != nil {
		t.Fatal(err)
	}
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	if err != nil || !bytes.Equal(content, back) {
		t.Errorf("%d bytes came back, %v", len(back), err)
	}
	if objects, err := b.List(t.Context()); err != nil || objects["x/large.parquet"].Bytes != int64(len(content)) {
		t.Errorf("%v, %v", objects, err)
	}
}

// TestErrors: what a service answers becomes an error with a remedy, and without a secret.
func TestErrors(t *testing.T) {
	url := serve(t, "s3")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for name, where := range map[string][2]string{
		"no bucket": {strings.Replace(url, "lake", "other", 1), "status 404 NoSuchBucket (create the bucket"},
		"an option": {"s3://lake/msp?regoin=s3cret", "unknown query parameter"},
		"a scheme":  {"ftp://lake/msp?key=s3cret", "no driver registered"},
		"no URL":    {"s3://lake/%zz?key=s3cret", "invalid URL escape"},
	} {
		err := func() error {
			b, err := bucket.Open(t.Context(), where[0])
			if err == nil {
				defer func() { _ = b.Close() }()
				_, err = b.List(t.Context())
			}
			return err
		}()
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || e.Class != pipeline.ClassSink || !strings.Contains(err.Error(), where[1]) || strings.Contains(err.Error(), "s3cret") || e.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoCredentials: what the machine answers that has no role to give is not taken for the bucket's answer.
func TestNoCredentials(t *testing.T) {
	url := serve(t, "s3")
	for _, code := range []int{http.StatusForbidden, http.StatusNotFound} {
		machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		defer machine.Close()
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.URL)
		_, _, err := open(t, url).Read(t.Context(), "x")
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || !strings.Contains(e.Remedy, "credentials of the process") || !strings.Contains(err.Error(), "credentials") {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// TestHangs: what does not answer in time is told so, whatever it was doing.
func TestHangs(t *testing.T) {
	started := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the client has gone
		if strings.HasSuffix(r.URL.Path, "/half") {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(make([]byte, 500))
			w.(http.Flusher).Flush()
		}
		started <- struct{}{}
		<-r.Context().Done()
	}))
	defer s.Close()
	url := serve(t, "s3")
	url = url[:strings.Index(url, "endpoint=")] + "endpoint=" + s.URL
	b, file := open(t, url), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(context.Context) error{
		"read":            func(ctx context.Context) error { _, _, err := b.Read(ctx, "x"); return err },
		"read half":       func(ctx context.Context) error { _, _, err := b.Read(ctx, "half"); return err },
		"download half":   func(ctx context.Context) error { return b.Download(ctx, "half", file+"2") },
		"list":            func(ctx context.Context) error { _, err := b.List(ctx); return err },
		"swap":            func(ctx context.Context) error { return b.Swap(ctx, "x", []byte("{}"), "") },
		"swap over other": func(ctx context.Context) error { return b.Swap(ctx, "x", []byte("{}"), b.Never()) },
		"upload":          func(ctx context.Context) error { return b.Upload(ctx, "x", file) },
		"delete":          func(ctx context.Context) error { return b.Delete(ctx, "x") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		err := ask(ctx)
		cancel()
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || e.Class != pipeline.ClassSink || !strings.Contains(e.Remedy, "does not answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(started) == 0 {
		t.Error("nobody asked")
	}
}
