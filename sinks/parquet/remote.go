package parquet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/parquet/bucket"
)

// RemoteOptions says where a publication in a bucket is.
type RemoteOptions struct {
	Options        // Folder is where it is made on this machine, and stays for local readers
	URL     string // of the tenant's folder in a bucket: s3://bucket/lake/acme?region=eu-west-1
	State   string // file, beside the warehouse, that remembers which manifests there are the warehouse's own
}

// Remote publishes one tenant's warehouse to a bucket. What a Publisher makes in a folder is uploaded: each file once, under
// a name that no other content has; then manifest.json is swapped, if it is still the one that this warehouse wrote before.
// That is the commit point. It is safe for concurrent use, and several of one bucket are: one wins, the others get an error.
type Remote struct {
	opts  RemoteOptions
	local *Publisher

	mu sync.Mutex
}

var _ pipeline.Publisher = (*Remote)(nil)

// NewRemote returns a publisher of w. Nothing is read, written or asked yet.
func NewRemote(w Warehouse, opts RemoteOptions) *Remote {
	r := &Remote{opts: opts, local: NewPublisher(w, opts.Options)}
	r.opts.Options = r.local.opts
	return r
}

// Publish implements pipeline.Publisher: of a publication that fails on its way to the bucket, the next one goes on.
func (r *Remote) Publish(ctx context.Context) (pipeline.Publication, error) {
	return r.make(ctx, r.local.Publish)
}

// Recut does what Publisher.Recut does, and publishes that.
func (r *Remote) Recut(ctx context.Context) (pipeline.Publication, error) {
	return r.make(ctx, r.local.Recut)
}

func (r *Remote) make(ctx context.Context, local func(context.Context) (pipeline.Publication, error)) (pipeline.Publication, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	start := time.Now()
	pub, err := local(ctx)
	if err != nil {
		return pub, err
	}
	if err := r.with(ctx, func(p *push) error { return p.run(ctx) }); err != nil {
		return pipeline.Publication{}, r.fail("publish", err)
	}
	return pipeline.Publication{Path: bucket.Location(r.opts.URL), Bytes: pub.Bytes, Seconds: time.Since(start).Seconds()}, nil
}

// Pending reports whether readers of the bucket would see a difference. The bucket is not asked.
func (r *Remote) Pending(ctx context.Context) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.pushed() {
		return true, nil
	}
	return r.local.Pending(ctx)
}

// pushed reports whether what was made here last is in the bucket.
func (r *Remote) pushed() bool {
	s := r.state()
	return s.At != nil && s.Local == r.localSum()
}

func (r *Remote) localSum() string {
	raw, err := os.ReadFile(filepath.Join(r.opts.Folder, ManifestName))
	if err != nil {
		return "none"
	}
	return sumOf(raw)
}

// Published tells when the publication in the bucket was made; false if this warehouse has not published there.
func (r *Remote) Published() (time.Time, bool) {
	if at := r.state().At; at != nil {
		return *at, true
	}
	return time.Time{}, false
}

// Check reports what would keep Publish from writing. It writes and deletes one small object, and finds out with it whether the
// service heeds the conditions of writes.
func (r *Remote) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.local.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return r.fail("publish", r.with(ctx, func(p *push) error { return p.probe(ctx) }))
}

// Prune removes from folder and bucket what has been out of use for longer than grace, and from the bucket what killed publications
// left there a day ago or earlier. It returns how many generations and objects went.
func (r *Remote) Prune(ctx context.Context, grace time.Duration) (removed int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if removed, err = r.local.Prune(ctx, grace); err != nil {
		return removed, err
	}
	err = r.with(ctx, func(p *push) error {
		if p.there == nil {
			return nil
		}
		objects, err := p.bucket.List(ctx)
		if err != nil {
			return err
		}
		retired, err := p.prune(ctx, p.there, objects, grace)
		removed += retired
		if err != nil {
			return err
		}
		left, err := p.sweep(ctx, objects)
		removed += left
		return err
	})
	return removed, r.fail("prune", err)
}

// with opens the bucket and looks at what is there, which must be the warehouse's own.
func (r *Remote) with(ctx context.Context, work func(*push) error) (err error) {
	b, err := bucket.Open(ctx, r.opts.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	p := &push{Remote: r, bucket: b}
	if err := p.look(ctx); err != nil {
		return err
	}
	return work(p)
}

// fail names the tenant in an error.
func (r *Remote) fail(op string, err error) error {
	return located(r.opts.Tenant, wrap(r.opts.Tenant, bucket.Location(r.opts.URL), op, err))
}

func located(tenant string, err error) error {
	if e, ok := errors.AsType[*pipeline.Error](err); ok && e.Tenant == "" {
		named := *e
		named.Tenant = tenant
		return &named
	}
	return err
}

// remembered is what a State file holds.
type remembered struct {
	URL   string     `json:"url"`             // without options
	Sums  []string   `json:"sums"`            // of the manifests that may be in the bucket: the one that was written last, and one that was begun
	Local string     `json:"local,omitempty"` // sum of the folder's manifest that the last one was made from
	At    *time.Time `json:"at,omitempty"`    // when that was; none: never
}

// state returns what is remembered of the bucket.
func (r *Remote) state() (s remembered) {
	raw, err := os.ReadFile(r.opts.State)
	if err != nil || json.Unmarshal(raw, &s) != nil || s.URL != bucket.Location(r.opts.URL) {
		return remembered{URL: bucket.Location(r.opts.URL)}
	}
	return s
}

func (r *Remote) remember(s remembered) error {
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	dir := folder{root: filepath.Dir(r.opts.State)}
	return cmp.Or(os.MkdirAll(dir.root, 0o755), dir.write(filepath.Base(r.opts.State), raw))
}

// owns reports whether a manifest in the bucket is the warehouse's own.
func (r *Remote) owns(raw []byte) bool { return slices.Contains(r.state().Sums, sumOf(raw)) }

func sumOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
