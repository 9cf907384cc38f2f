package autotask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// readPerParent reads the rows of the parents that a slice names, one parent after the other; the first pages of the
// next ones are already under way. TicketHistory is asked by POST with the one filter that it takes (api.md §3),
// entities without a query by GET below their parent.
func (c *Client) readPerParent(ctx context.Context, slice pipeline.Slice, emit func(pipeline.Batch) error) error {
	entity := slice.Table.Entity
	r := &childReader{c: c, entity: entity, table: slice.Table, parents: slice.Window.In, dec: schemas.NewDecoder(slice.Table)}
	if w := slice.Window; len(w.In) == 0 || w.InField == "" || len(w.Stamps) > 0 || w.NewerID != nil || slice.After != nil || slice.Until != nil {
		rq := request{entity: entity.Name, op: opChildren}
		return c.fail(&rq, &failure{class: pipeline.ClassInternal, err: errors.New("it is read parent by parent, and the slice does not name parents alone")})
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	return r.run(ctx, emit)
}

// childReader is one read under way.
type childReader struct {
	c       *Client
	entity  *schemas.Entity
	table   *schemas.Table
	parents []int64
	dec     *schemas.Decoder

	bytes    int64     // decoded since the last batch
	begun    time.Time // when the batch's first page was asked for
	kept     [][]byte  // pages since the last batch, if they are wanted
	answered bool      // some parent had an answer other than 404
	lost     error     // a 404 of a route that may not be there
}

// childFlight is a page of one parent's rows under way.
type childFlight struct {
	flight
	parent int64
}

func (r *childReader) run(ctx context.Context, emit func(pipeline.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var ahead []*childFlight
	defer func() {
		cancel()
		for _, f := range ahead {
			<-f.done
			r.c.drop(f.ans)
		}
	}()
	for waiting := r.parents; len(waiting)+len(ahead) > 0; {
		for len(waiting) > 0 && len(ahead) < r.c.limits.ThreadsPerEntity {
			f, err := r.launch(ctx, waiting[0], "")
			if err != nil {
				return err
			}
			ahead, waiting = append(ahead, f), waiting[1:]
		}
		f := ahead[0]
		ahead = ahead[1:]
		if err := r.parent(ctx, f); err != nil {
			return err
		}
		if r.dec.Rows() >= batchRows || r.bytes >= batchBytes {
			if err := r.flush(emit); err != nil {
				return err
			}
		}
	}
	if r.lost != nil && !r.answered {
		if err := r.absent(ctx); err != nil {
			return err
		}
	}
	return r.flush(emit)
}

// launch asks for a page without waiting for it: the first one, or the one that path names.
func (r *childReader) launch(ctx context.Context, parent int64, path string) (*childFlight, error) {
	rq := &request{entity: r.entity.Name, op: opChildren, method: http.MethodGet, path: path, object: r.entity.Name, limit: r.c.limits.PageBytes}
	if path == "" {
		rq.path = strings.Replace(r.entity.ChildPath, "{parentId}", strconv.FormatInt(parent, 10), 1)
	}
	if r.entity.Queryable {
		rq.op, rq.method = opQuery, http.MethodPost
		if path == "" {
			rq.path = r.entity.Path + "/query"
		}
		var err error
		filter := condition{Op: opEq, Field: r.entity.ParentKey, Value: parent}
		if rq.body, err = json.Marshal(queryBody{Filter: []condition{filter}}); err != nil {
			return nil, r.c.fail(rq, &failure{class: pipeline.ClassInternal, err: err})
		}
	}
	f := &childFlight{flight: flight{rq: rq, done: make(chan struct{})}, parent: parent}
	go func() {
		defer close(f.done)
		f.ans, f.err = r.c.call(ctx, f.rq, &f.tries)
	}()
	return f, nil
}

// parent takes in all pages of one parent.
func (r *childReader) parent(ctx context.Context, f *childFlight) error {
	var after *int64
	seen := map[string]bool{strings.ToLower(f.rq.path): true}
	for {
		next, err := r.land(ctx, f, &after)
		if err != nil || next == "" {
			return err
		}
		path, err := r.c.below(next)
		if err == nil && seen[strings.ToLower(path)] {
			err = errors.New("a page names one as its next that was read already")
		}
		if err != nil {
			return r.c.fail(f.rq, &failure{class: pipeline.ClassSource, err: err, remedy: remedyReport})
		}
		seen[strings.ToLower(path)] = true
		if f, err = r.launch(ctx, f.parent, path); err != nil {
			return err
		}
		<-f.done
	}
}

// land waits for a page, decodes it and returns the address of the next one. A body that is no proper page is asked for
// again, within the bounds of a failed request. A 404 of a parent means that it has no rows.
func (r *childReader) land(ctx context.Context, f *childFlight, after **int64) (next string, err error) {
	<-f.done
	for {
		if status, ok := errors.AsType[*statusError](f.err); ok && status.status == http.StatusNotFound && !r.entity.Queryable {
			if text := strings.ToLower(status.text); strings.Contains(text, "no http resource") || strings.Contains(text, "html") {
				r.lost = f.err
			}
			return "", nil
		}
		if f.err != nil {
			return "", f.err
		}
		r.answered = true
		body := f.ans.buf.Bytes()
		rows := 0
		if rows, next, err = r.decode(body, f.parent, after); err == nil {
			if r.begun.IsZero() {
				r.begun = f.ans.sent.UTC()
			}
			r.bytes += int64(len(body))
			r.c.drop(f.ans)
			f.ans.buf = nil
			if r.c.trace.Page != nil {
				r.c.trace.Page(r.entity.Name, rows)
			}
			return next, nil
		}
		err = r.c.unquoted(body, err)
		r.c.drop(f.ans)
		f.ans.buf = nil
		if err := r.c.settle(ctx, f.rq, &f.tries, bodyFailure(f.ans, err)); err != nil {
			return "", err
		}
		f.ans, f.err = r.c.call(ctx, f.rq, &f.tries)
	}
}

func (r *childReader) decode(body []byte, parent int64, after **int64) (rows int, next string, err error) {
	items, next, err := r.items(body, parent)
	if err != nil {
		return 0, "", err
	}
	page, err := r.dec.Decode(items, *after)
	switch {
	case err != nil:
		return 0, "", err
	case page.Rows == 0 && next != "":
		return 0, "", &failure{kind: kindDisorder, class: pipeline.ClassSource, remedy: remedyReport,
			err: errors.New("an empty page names a next one")}
	case page.Rows > 0:
		*after = &page.LastID
		if r.c.bodies {
			r.kept = append(r.kept, bytes.Clone(items))
		}
	}
	return page.Rows, next, nil
}

// flush hands over what has been decoded, if all of it belongs to the parents that were asked for.
func (r *childReader) flush(emit func(pipeline.Batch) error) error {
	record, rejects := r.dec.Flush()
	b := pipeline.Batch{Record: record, Rejects: rejects, ReadAt: r.begun, Bodies: r.kept}
	r.bytes, r.begun, r.kept = 0, time.Time{}, nil
	if record == nil {
		return nil
	}
	defer record.Release()
	at := slices.IndexFunc(r.table.Columns, func(c schemas.Column) bool { return !c.UDF && strings.EqualFold(c.Source, r.entity.ParentKey) })
	if keys, ok := record.Column(max(at, 0)).(*array.Int64); ok && at >= 0 {
		for i := range keys.Len() {
			if keys.IsNull(i) || !slices.Contains(r.parents, keys.Value(i)) {
				rq := &request{entity: r.entity.Name, op: opChildren}
				return r.c.fail(rq, &failure{class: pipeline.ClassSource, remedy: remedyReport,
					err: fmt.Errorf("a row's %s is none of those that were asked for", r.entity.ParentKey)})
			}
		}
	}
	return emit(b)
}

// absent finds out, after a read that was answered by 404s alone, whether the zone has the entity at all.
func (r *childReader) absent(ctx context.Context) error {
	if !strings.Contains(r.entity.Path, "{") {
		_, err := r.c.information(ctx, r.entity, opFields, "fields", nil)
		return err
	}
	rq := &request{entity: r.entity.Name, op: opChildren}
	return r.c.fail(rq, &failure{class: pipeline.ClassAbsent, err: fmt.Errorf("this tenant's zone does not have the entity: %w", r.lost),
		remedy: "leave it out of sync.entities, or ignore this: it is read as soon as it is there"})
}

// below checks an address that an answer names and returns what follows the tenant's REST root in it: credentials go
// nowhere else.
func (c *Client) below(link string) (string, error) {
	base, err := url.Parse(c.session.zone().BaseURL)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(link)
	if err != nil {
		return "", errors.New("the address of the next page can't be read")
	}
	root := base.EscapedPath() + "/"
	path := u.EscapedPath()
	if u.Scheme != base.Scheme || !strings.EqualFold(u.Host, base.Host) || u.User != nil || u.Fragment != "" ||
		len(path) <= len(root) || !strings.EqualFold(path[:len(root)], root) || strings.Contains(u.Path, "..") {
		return "", fmt.Errorf("the answer names a next page on %q below %q, and credentials go to %s only", u.Host, u.Path, base)
	}
	path = path[len(root):]
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}

// describeChild returns the fields of an entity without a query: as the API tells them, where it does, and else those
// of the catalogue.
func (c *Client) describeChild(ctx context.Context, entity *schemas.Entity) (*schemas.Metadata, error) {
	m := &schemas.Metadata{}
	for _, f := range entity.Fields {
		m.Fields = append(m.Fields, schemas.MetaField{Name: f.Name, DataType: f.Type})
	}
	if strings.Contains(entity.Path, "{") {
		return m, nil
	}
	_, err := c.information(ctx, entity, opFields, "fields", func(body []byte) error {
		live, err := schemas.ParseMetadata(body, nil)
		if err == nil {
			m = live
		}
		return err
	})
	if pipeline.ClassOf(err) == pipeline.ClassAbsent { // its rows may be there all the same
		err = nil
	}
	return m, err
}
