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
		last := r.query.ends(page)
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

// land waits for a page and decodes it.
func (r *reader) land(ctx context.Context, f *flight) (schemas.Page, error) {
	<-f.done
	if f.err != nil {
		return schemas.Page{}, f.err
	}
	var page schemas.Page
	sent, err := r.c.page(ctx, f.rq, &f.tries, f.ans, func(body []byte) (err error) {
		page, err = r.decode(body)
		if err == nil {
			r.bytes += int64(len(body))
			if r.c.bodies && page.Rows > 0 {
				r.kept = append(r.kept, bytes.Clone(body))
			}
		}
		return err
	})
	if err != nil {
		return page, err
	}
	if r.begun.IsZero() {
		r.begun = sent
	}
	if r.c.trace.Page != nil {
		r.c.trace.Page(r.rq.entity, page.Rows)
	}
	return page, nil
}

// page decodes an answer, which it takes over, and returns when it was asked for. A body that is no proper page is
// asked for again, within the same bounds as a failed request: nothing of it has been kept.
func (c *Client) page(ctx context.Context, rq *request, t *tries, ans answer, decode func(body []byte) error) (sent time.Time, err error) {
	for {
		body := ans.buf.Bytes()
		err := decode(body)
		if err == nil {
			c.drop(ans)
			return ans.sent.UTC(), nil
		}
		err = c.unquoted(body, err)
		c.drop(ans)
		ans.buf = nil
		if err := c.settle(ctx, rq, t, bodyFailure(ans, err)); err != nil {
			return time.Time{}, err
		}
		if ans, err = c.call(ctx, rq, t); err != nil {
			return time.Time{}, err
		}
	}
}

func (r *reader) decode(body []byte) (schemas.Page, error) {
	page, err := decodePage(r.dec, body, r.after, r.until)
	if err == nil && page.Rows > 0 {
		r.after = &page.LastID
	}
	return page, err
}

// decodePage adds a body's rows to the decoder if it is a proper page of the ids after < id <= until.
func decodePage(dec *schemas.Decoder, body []byte, after, until *int64) (schemas.Page, error) {
	page, err := dec.Decode(body, after)
	switch {
	case err != nil:
		return page, err
	case page.Rows == 0 && page.More:
		return page, &failure{kind: kindDisorder, class: pipeline.ClassSource, remedy: remedyReport,
			err: errors.New("an empty page names a next one")}
	case page.Rows > 0 && until != nil && page.LastID > *until:
		return page, &failure{kind: kindFinal, class: pipeline.ClassSource, remedy: remedyReport,
			err: fmt.Errorf("the page goes on to id %d, though only ids up to %d were asked for", page.LastID, *until)}
	}
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
		if err := json.Unmarshal(body, &a); err != nil || a.Count == nil || *a.Count < 0 {
			return errors.New("the answer holds no count")
		}
		n = *a.Count
		return nil
	}
	ans, err := c.call(ctx, rq, &tries{})
	c.drop(ans)
	return n, err
}

// Describe asks for an entity's live fields, and at the same time for its UDFs where it can have any, and once for the
// definitions of UDFs. UDFs get the ids of their definitions, if these can be read.
func (c *Client) Describe(ctx context.Context, entity *schemas.Entity) (*schemas.Metadata, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if entity.Class == schemas.ClassChild {
		return c.describeChild(ctx, entity)
	}
	began := time.Now()
	var udfs []byte
	var udfErr error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if entity.HasUDF {
			udfs, udfErr = c.information(ctx, entity, opUDFs, "userDefinedFields", func(body []byte) error {
				_, err := schemas.ParseMetadata([]byte(`{"fields":[{"name":"id","dataType":"integer"}]}`), body)
				return err
			})
		}
	}()
	foreseen := make(chan struct{})
	go func() {
		defer close(foreseen)
		if entity.HasUDF {
			c.foresee(ctx)
		}
	}()
	fields, err := c.information(ctx, entity, opFields, "fields", func(body []byte) error {
		_, err := schemas.ParseMetadata(body, nil)
		return err
	})
	<-asked
	<-foreseen
	if err != nil {
		return nil, err
	}
	if status, ok := errors.AsType[*statusError](udfErr); ok && status.status == http.StatusNotFound {
		udfs, udfErr = nil, nil // some entities lack the route (api.md §6)
	}
	if udfErr != nil {
		return nil, udfErr
	}
	m, err := schemas.ParseMetadata(fields, udfs)
	if err != nil {
		return nil, c.fail(&request{entity: entity.Name, op: opFields}, &failure{class: pipeline.ClassSource, err: err})
	}
	return m, c.identify(ctx, entity, m.UDFs, began)
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
