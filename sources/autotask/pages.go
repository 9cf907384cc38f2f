package autotask

import (
	"bytes"
	"context"
	"net/http"
	"sync"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Pages returns a reader of single pages of a table. They are decoded one after the other, with one decoder, so that a
// column that one page widens is as wide in all that follow.
func (c *Client) Pages(table *schemas.Table) pipeline.Pages {
	entity := table.Entity
	return &pages{c: c, dec: schemas.NewDecoder(table), rq: request{entity: entity.Name, op: opQuery, method: http.MethodPost,
		path: entity.Path + "/query", limit: c.limits.PageBytes}}
}

type pages struct {
	c  *Client
	rq request

	mu  sync.Mutex
	dec *schemas.Decoder // empty but while a page is decoded
}

// Next fetches the first page of a slice.
func (p *pages) Next(ctx context.Context, slice pipeline.Slice) (pipeline.Page, error) {
	rq := p.rq
	q, err := newSliceQuery(slice, p.c.limits.PageSize)
	if err == nil {
		rq.body, err = q.page(slice.After)
	}
	if err != nil {
		return pipeline.Page{}, p.c.fail(&rq, &failure{class: pipeline.ClassInternal, err: err})
	}
	if err := p.c.ready(ctx); err != nil {
		return pipeline.Page{}, err
	}
	var t tries
	ans, err := p.c.call(ctx, &rq, &t)
	if err != nil {
		return pipeline.Page{}, err
	}
	var out pipeline.Page
	out.ReadAt, err = p.c.page(ctx, &rq, &t, ans, func(body []byte) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		page, err := decodePage(p.dec, body, slice.After, slice.Until)
		record, rejects := p.dec.Flush()
		if err != nil {
			if record != nil {
				record.Release() // rows beyond the slice's end
			}
			return err
		}
		out.Record, out.Rejects = record, rejects
		if p.c.bodies && record != nil {
			out.Bodies = [][]byte{bytes.Clone(body)}
		}
		out.First, out.Last, out.End = page.FirstID, page.LastID, q.ends(page)
		return nil
	})
	if err == nil && p.c.trace.Page != nil {
		p.c.trace.Page(rq.entity, out.Rows())
	}
	return out, err
}
