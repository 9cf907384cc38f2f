// Package bucket reads and writes the objects of one folder of a bucket: of Amazon S3 and what speaks its protocol, of
// Azure Blob Storage, or of Google Cloud Storage.
//
// It signs in as the clients of these services do wherever they run: by variables of the environment, profiles, the
// role of the machine or container, a login of aws, az or gcloud. It promises that Swap replaces an object only if it
// is still the one that was read, that an object is there whole or not at all, and that errors name the remedy and hold
// no secret. It never keeps or logs a credential, and never makes or changes a bucket.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
)

// A part of an upload is held in memory.
const partBytes = 8 << 20

// How long a service may take for a small object, and for a file or a list. Without an end a publication could hang for ever.
const (
	answerWithin   = 2 * time.Minute
	transferWithin = 30 * time.Minute
)

// ErrChanged is what Swap returns if the object is not the one that was read.
var ErrChanged = errors.New("the object was changed by somebody else meanwhile")

// Version tells one state of an object from every other: an ETag, or a generation of Google's. "" is no object.
type Version string

// Object is one object as it is listed.
type Object struct {
	Key     string // below the folder
	Bytes   int64
	ModTime time.Time // by the service's clock
}

// Bucket is a folder of a bucket. It is safe for concurrent use.
type Bucket struct {
	objects *blob.Bucket
	prefix  string // "" or with a slash at its end
	where   string // the URL, without options
	scheme  string
}

// Open returns the folder at a URL like s3://bucket/folder?region=eu-west-1. Nothing is asked of the service yet.
func Open(ctx context.Context, where string) (*Bucket, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, fail("open", "the bucket", "", err)
	}
	b := &Bucket{prefix: strings.Trim(u.Path, "/"), where: Location(where), scheme: u.Scheme}
	if b.prefix != "" {
		b.prefix += "/"
	}
	u.Path = ""
	if b.objects, err = blob.OpenBucket(ctx, u.String()); err != nil {
		return nil, fail("open", b.where, b.scheme, err)
	}
	return b, nil
}

// Location is a bucket's URL without its options.
func Location(where string) string {
	where, _, _ = strings.Cut(where, "?")
	return strings.TrimRight(where, "/")
}

// Close releases connections.
func (b *Bucket) Close() error { return b.objects.Close() }

func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	return fail(op, b.where+"/"+key, b.scheme, err)
}

// Read returns an object with the version that it has. Without one the error is fs.ErrNotExist.
func (b *Bucket) Read(ctx context.Context, key string) (content []byte, v Version, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := b.objects.NewReader(ctx, b.prefix+key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) {
		return nil, "", fs.ErrNotExist
	}
	if err != nil {
		return nil, "", b.fail("read", key, err)
	}
	content, err = io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, "", b.fail("read", key, err)
	}
	if v = version(r); v == "" {
		return nil, "", b.fail("read", key, errors.New("the service sends no ETag: without one, two writers could not be told apart"))
	}
	return content, v, nil
}

// Swap writes an object if it still has the version old, or is still not there if old is "". Otherwise the error is ErrChanged.
func (b *Bucket) Swap(ctx context.Context, key string, content []byte, old Version) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	opts := &blob.WriterOptions{ContentType: "application/json", CacheControl: "no-cache", IfNotExist: old == "", BufferSize: partBytes, MaxConcurrency: 1}
	if old != "" {
		opts.BeforeWrite = onlyIf(old)
	}
	err := b.objects.Upload(ctx, b.prefix+key, bytes.NewReader(content), opts)
	gone := old != "" && gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) // as S3 says it
	if changed(err) || gone {
		return ErrChanged
	}
	return b.fail("write", key, err)
}

// Upload writes a file as an object, in place of one that may be there.
func (b *Bucket) Upload(ctx context.Context, key, path string) error {
	ctx, cancel := context.WithTimeout(ctx, transferWithin)
	defer cancel()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	opts := &blob.WriterOptions{ContentType: "application/vnd.apache.parquet", BufferSize: partBytes, MaxConcurrency: 1}
	return b.fail("write", key, b.objects.Upload(ctx, b.prefix+key, f, opts))
}

// Download writes an object to a new file. Without the object the error is fs.ErrNotExist.
func (b *Bucket) Download(ctx context.Context, key, path string) error {
	ctx, cancel := context.WithTimeout(ctx, transferWithin)
	defer cancel()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	r, err := b.objects.NewReader(ctx, b.prefix+key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) {
		return errors.Join(fs.ErrNotExist, f.Close())
	}
	if err != nil {
		return errors.Join(b.fail("read", key, err), f.Close())
	}
	defer func() { _ = r.Close() }() // what was read is checked by its length
	n, err := io.Copy(f, r)
	if err == nil && n != r.Size() {
		err = io.ErrUnexpectedEOF
	}
	if _, disk := errors.AsType[*fs.PathError](err); !disk {
		err = b.fail("read", key, err)
	}
	return errors.Join(err, f.Close())
}

// List returns all objects of the folder by key.
func (b *Bucket) List(ctx context.Context) (map[string]Object, error) {
	ctx, cancel := context.WithTimeout(ctx, transferWithin)
	defer cancel()
	found := map[string]Object{}
	for it := b.objects.List(&blob.ListOptions{Prefix: b.prefix}); ; {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, b.fail("list", "", err)
		}
		key := strings.TrimPrefix(o.Key, b.prefix)
		found[key] = Object{key, o.Size, o.ModTime.UTC()}
	}
}

// Delete removes an object. One that is gone already is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err := b.objects.Delete(ctx, b.prefix+key)
	if gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) {
		return nil
	}
	return b.fail("delete", key, err)
}
