package autotask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/atsync/atsync/pipeline"
)

// The operations, as errors, traces and logs name them.
const (
	opZone      = "zone"
	opLogin     = "login"
	opThreshold = "threshold"
	opVersion   = "version"
	opFields    = "fields"
	opUDFs      = "udfs"
	opQuery     = "query"
	opCount     = "count"
	opChildren  = "children"
	opAccess    = "access"
)

var (
	errTooLarge = errors.New("larger than allowed")
	errSlow     = errors.New("the time limit of a request was reached")
)

// mode says what a request must pass before it is sent, and who deals with a refused login.
type mode uint8

const (
	modeNormal mode = iota // waits for quota and for a running proof of the login
	modeLogin              // is the proof of the login: waits for no share of the quota
	modePoll               // asks for the server's count, and is given up where it would have to wait
	modeProof              // runs inside the auth procedure: waits for nothing, and hands failures back as they are
)

// request is one logical request; it may take several exchanges.
type request struct {
	entity    string // catalogue name, or empty
	op        string
	method    string
	path      string // below the zone's base URL
	url       string // instead of path: an address that gets no credentials
	object    string // whose threads it takes, if not those of path's first part
	anonymous bool
	mode      mode
	priority  pipeline.Priority
	body      []byte
	limit     int64                   // of the answer's bytes
	check     func(body []byte) error // of a 200; nil leaves it to the caller
}

// root is the collection that a request is about: "Tickets" of "Tickets/query".
func (rq *request) root() string {
	if rq.object != "" {
		return rq.object
	}
	root, _, _ := strings.Cut(rq.path, "/")
	return root
}

// endpoint names the object that the request's thread is counted for (api.md §7).
func (rq *request) endpoint() string { return strings.ToLower(rq.root()) }

// answer is what one exchange brought. buf is the caller's until it calls Client.drop.
type answer struct {
	status int
	header http.Header
	buf    *bytes.Buffer
	sent   time.Time
	epoch  uint64 // of the session, when it was sent
}

func (c *Client) drop(a answer) {
	if a.buf != nil {
		c.buffers.Put(a.buf)
	}
}

// attempt sends a request once, when quota, threads and session allow.
func (c *Client) attempt(ctx context.Context, rq *request, t *tries) (answer, *failure) {
	p, base, epoch, f := c.admit(ctx, rq, t)
	if f != nil {
		return answer{}, f
	}
	ans, err := c.exchange(ctx, rq, base)
	ans.epoch = epoch
	if err == nil {
		f = c.judge(rq, ans)
	}
	if p != nil {
		p.done(c.ending(err, f))
	}
	if err != nil {
		host := hostOf(base)
		if rq.url != "" {
			host = hostOf(rq.url)
		}
		return answer{}, networkFailure(ctx, host, err)
	}
	if f != nil {
		c.drop(ans)
		f.answer.buf = nil
		return answer{}, f
	}
	return ans, nil
}

// admit waits until a request may be sent, and tells where to. A request without credentials needs no permit:
// Autotask does not count it (api.md §2).
func (c *Client) admit(ctx context.Context, rq *request, t *tries) (p *permit, base string, epoch uint64, f *failure) {
	if rq.anonymous {
		return nil, "", 0, nil
	}
	for {
		if rq.mode != modeProof {
			if err := c.session.pass(ctx); err != nil {
				return nil, "", 0, &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: err}
			}
			if hold := c.session.held(); hold != nil {
				return nil, "", 0, heldFailure(hold)
			}
		}
		if p, f = c.acquire(ctx, rq, t); f != nil {
			return nil, "", 0, f
		}
		var open bool
		if base, epoch, open = c.session.enter(); open || rq.mode == modeProof {
			return p, base, epoch, nil
		}
		p.cancel()
	}
}

// ending tells the quota what became of an exchange.
func (c *Client) ending(err error, f *failure) ending {
	end := ending{answered: err == nil}
	if f == nil {
		return end
	}
	end.hour, end.threads = f.kind == kindHour, f.kind == kindThreads
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case end.hour:
		end.answered = false
		end.wait = jitter(c.limits.HourPause)
		if asked, ok := retryAfter(f.answer.header, time.Now()); ok {
			end.wait = asked
		}
		c.tally.hour++
	case end.threads:
		c.tally.threaded++
	}
	return end
}

// judge classifies an answer and checks its body.
func (c *Client) judge(rq *request, ans answer) *failure {
	body := ans.buf.Bytes()
	if f := classify(ans, body); f != nil {
		if c.creds.echoed([]byte(c.creds.redact(string(body)))) {
			f.err = &statusError{ans.status, hidden}
		}
		return f
	}
	if rq.check == nil {
		return nil
	}
	if texts := errorTexts(body); len(texts) > 0 {
		if c.creds.echoed([]byte(c.creds.redact(string(body)))) {
			texts = []string{hidden}
		}
		return textFailure(ans, texts)
	}
	if err := rq.check(body); err != nil {
		if at := bytes.TrimSpace(body); len(at) > 0 && at[0] == '<' {
			err = fmt.Errorf("%w: it is HTML", err)
		}
		return bodyFailure(ans, c.unquoted(body, err))
	}
	return nil
}

// exchange sends a request and reads the whole answer into a pooled buffer.
func (c *Client) exchange(ctx context.Context, rq *request, base string) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limits.RequestTimeout, errSlow)
	defer cancel()
	target := rq.url
	if target == "" {
		target = base + "/" + rq.path
	}
	var body io.Reader
	if rq.body != nil {
		body = bytes.NewReader(rq.body)
	}
	req, err := http.NewRequestWithContext(ctx, rq.method, target, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip") // unpacked by read, in half the time that the transport would take
	req.Header.Set("User-Agent", "atsync")
	if rq.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !rq.anonymous {
		username, code, secret := c.creds.values()
		req.Header.Set("ApiIntegrationCode", code)
		req.Header.Set("UserName", username)
		req.Header.Set("Secret", secret)
	}
	c.mu.Lock()
	c.requests[rq.entity]++
	if !rq.anonymous {
		c.tally.own[rq.priority]++
	}
	c.mu.Unlock()

	ans := answer{sent: time.Now()}
	resp, err := c.http.Do(req)
	if err == nil {
		ans.status, ans.header = resp.StatusCode, resp.Header
		ans.buf, err = c.read(resp, rq.limit)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if c.trace.Request != nil {
		info := pipeline.RequestInfo{Entity: rq.entity, Op: rq.op, Status: ans.status, Duration: time.Since(ans.sent)}
		if ans.buf != nil {
			info.Bytes = int64(ans.buf.Len())
		}
		if err != nil {
			info.Err = c.clean(err)
		}
		c.trace.Request(info)
	}
	return ans, err
}

// read takes in a body of at most limit bytes, unpacked. Of an error's body a megabyte is enough.
func (c *Client) read(resp *http.Response, limit int64) (*bytes.Buffer, error) {
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if !resp.Uncompressed && resp.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(resp.Body)
		if errors.Is(err, io.EOF) {
			unpacked, err = nil, nil // an empty body stays one
			body = http.NoBody
		}
		if err != nil {
			return nil, err
		}
		if unpacked != nil {
			body = unpacked
		}
	}
	short := resp.StatusCode != http.StatusOK
	if short {
		limit = 1 << 20
	}
	buf := c.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	if n := resp.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(body, limit+1))
	if err == nil && n > limit && !short {
		err = fmt.Errorf("%w (%d MiB)", errTooLarge, limit>>20)
	}
	if err != nil && !short {
		c.buffers.Put(buf)
		return nil, err
	}
	return buf, nil
}
