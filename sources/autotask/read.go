package autotask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// A batch is handed over when it has this many rows, or came from this many bytes.
const (
	batchRows  = 4000
	batchBytes = 8 << 20
)

// Read fetches a slice page by page, each asked for by the last id of the one before, and ends after a page
// that is not full and names no next one. While a batch is emitted, the next page is already under way.
func (c *Client) Read(ctx context.Context, slice pipeline.Slice, emit func(pipeline.Batch) error) error {
	entity := slice.Table.Entity
	if entity.PerParent() {
		return c.readPerParent(ctx, slice, emit)
	}
	rq := request{entity: entity.Name, op: opQuery, method: http.MethodPost, path: entity.Path + "/query",
		limit: c.limits.PageBytes, priority: slice.Priority}
	q, err := newSliceQuery(slice, c.limits.PageSize)
	if err != nil {
		return c.fail(&rq, &failure{class: pipeline.ClassInternal, err: err})
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	r := &reader{c: c, rq: rq, query: q, dec: schemas.NewDecoder(slice.Table), after: slice.After, until: slice.Until, paged: slice.Paged}
	return r.run(ctx, emit)
}

// reader is one Read under way.
type reader struct {
	c     *Client
	rq    request
	query *sliceQuery
	dec   *schemas.Decoder
	after *int64 // last id seen
	until *int64
	paged bool // a batch a page

	bytes int64     // decoded since the last batch
	begun time.Time // when the batch's first page was asked for
	kept  [][]byte  // bodies since the last batch, if they are wanted
}

// flight is a page under way.
type flight struct {
	rq    *request
	tries tries
	done  chan struct{}
	ans   answer
	err   error
}

func (r *reader) run(ctx context.Context, emit func(pipeline.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var next *flight
	defer func() {
		cancel()
		if next != nil { // only if emit failed: wait for the page that nobody wants any more
			<-next.done
			r.c.drop(next.ans)
		}
	}()
	next, err := r.launch(ctx)
	if err != nil {
		return err
	}
	for {
		page, err := r.land(ctx, next)
		next = nil
		if err != nil {
			return err
		}
		// A page that is not full ends the slice, unless the server says that there is more.
		last := page.Rows == 0 || page.Rows < r.query.size && !page.More
		if !last {
			if next, err = r.launch(ctx); err != nil {
				return err
			}
		}
		if last || r.paged || r.dec.Rows() >= batchRows || r.bytes >= batchBytes {
			if err := r.flush(emit); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// launch asks for the next page without waiting for it.
func (r *reader) launch(ctx context.Context) (*flight, error) {
	rq := r.rq
	var err error
	if rq.body, err = r.query.page(r.after); err != nil {
		return nil, r.c.fail(&rq, &failure{class: pipeline.ClassInternal, err: err})
	}
	f := &flight{rq: &rq, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.ans, f.err = r.c.call(ctx, f.rq, &f.tries)
	}()
	return f, nil
}

// land waits for a page and decodes it. A body that is no proper page is asked for again, within the same
// bounds as a failed request: nothing of it has been kept.
func (r *reader) land(ctx context.Context, f *flight) (schemas.Page, error) {
	<-f.done
	for {
		if f.err != nil {
			return schemas.Page{}, f.err
		}
		body := f.ans.buf.Bytes()
		page, err := r.decode(body)
		if err == nil {
			if r.begun.IsZero() {
				r.begun = f.ans.sent.UTC()
			}
			r.bytes += int64(f.ans.buf.Len())
			if r.c.bodies && page.Rows > 0 {
				r.kept = append(r.kept, bytes.Clone(body))
			}
			r.c.drop(f.ans)
			if r.c.trace.Page != nil {
				r.c.trace.Page(r.rq.entity, page.Rows)
			}
			return page, nil
		}
		err = r.c.unquoted(body, err)
		r.c.drop(f.ans)
		f.ans.buf = nil
		if err := r.c.settle(ctx, f.rq, &f.tries, bodyFailure(f.ans, err)); err != nil {
			return schemas.Page{}, err
		}
		f.ans, f.err = r.c.call(ctx, f.rq, &f.tries)
	}
}

func (r *reader) decode(body []byte) (schemas.Page, error) {
	page, err := r.dec.Decode(body, r.after)
	if err == nil && page.Rows == 0 && page.More {
		err = &failure{kind: kindDisorder, class: pipeline.ClassSource, remedy: remedyReport,
			err: errors.New("an empty page names a next one")}
	}
	if err != nil || page.Rows == 0 {
		return page, err
	}
	if r.until != nil && page.LastID > *r.until {
		return page, &failure{kind: kindFinal, class: pipeline.ClassSource, remedy: remedyReport,
			err: fmt.Errorf("the page goes on to id %d, though only ids up to %d were asked for", page.LastID, *r.until)}
	}
	r.after = &page.LastID
	return page, nil
}

// flush hands over what has been decoded.
func (r *reader) flush(emit func(pipeline.Batch) error) error {
	record, rejects := r.dec.Flush()
	b := pipeline.Batch{Record: record, Rejects: rejects, ReadAt: r.begun, Bodies: r.kept}
	r.bytes, r.begun, r.kept = 0, time.Time{}, nil
	if record == nil {
		return nil
	}
	defer record.Release()
	return emit(b)
}

// Count asks how many rows a slice holds.
func (c *Client) Count(ctx context.Context, slice pipeline.Slice) (int64, error) {
	entity := slice.Table.Entity
	rq := &request{entity: entity.Name, op: opCount, method: http.MethodPost, path: entity.Path + "/query/count",
		limit: c.limits.MetadataBytes, priority: slice.Priority}
	q, err := newSliceQuery(slice, c.limits.PageSize)
	if err == nil && entity.PerParent() {
		err = errors.New("what is read parent by parent can't be counted")
	}
	if err == nil {
		rq.body, err = q.count(slice.After)
	}
	if err != nil {
		return 0, c.fail(rq, &failure{class: pipeline.ClassInternal, err: err})
	}
	if err := c.ready(ctx); err != nil {
		return 0, err
	}
	var n int64
	rq.check = func(body []byte) error {
		var a struct {
			Count *int64 `json:"queryCount"`
		}
		if err := json.Unmarshal(body, &a); err != nil || a.Count == nil {
			return errors.New("the answer holds no count")
		}
		n = *a.Count
		return nil
	}
	ans, err := c.call(ctx, rq, &tries{})
	c.drop(ans)
	return n, err
}

// Describe asks for an entity's live fields, and for its UDFs where it can have any. UDFs get the ids of their
// definitions, if these can be read.
func (c *Client) Describe(ctx context.Context, entity *schemas.Entity) (*schemas.Metadata, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if entity.Class == schemas.ClassChild {
		return c.describeChild(ctx, entity)
	}
	began := time.Now()
	var m *schemas.Metadata
	fields, err := c.information(ctx, entity, opFields, "fields", func(body []byte) (err error) {
		m, err = schemas.ParseMetadata(body, nil)
		return err
	})
	if err != nil || !entity.HasUDF {
		return m, err
	}
	_, err = c.information(ctx, entity, opUDFs, "userDefinedFields", func(body []byte) error {
		both, err := schemas.ParseMetadata(fields, body)
		if err == nil {
			m = both
		}
		return err
	})
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
		return m, nil // some entities lack the route (api.md §6)
	}
	if err == nil {
		err = c.identify(ctx, entity, m.UDFs, began)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// information asks for one part of an entity's entityInformation and returns its body.
func (c *Client) information(ctx context.Context, entity *schemas.Entity, op, part string, check func([]byte) error) ([]byte, error) {
	rq := &request{entity: entity.Name, op: op, method: http.MethodGet, limit: c.limits.MetadataBytes, check: check,
		path: entity.Path + "/entityInformation/" + part}
	ans, err := c.call(ctx, rq, &tries{})
	if err != nil {
		return nil, err
	}
	defer c.drop(ans)
	return bytes.Clone(ans.buf.Bytes()), nil
}
