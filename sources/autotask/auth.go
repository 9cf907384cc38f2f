package autotask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/atsync/atsync/pipeline"
)

const remedyAuth = "compare username, secret and integration_code with the API user in Autotask (Admin > Resources (Users)) and see " +
	"that it is active and not locked; correct the configuration, or, if it is right, end the hold with: atsync check --release"

// session is what the client knows of its login. A refused login is dealt with by one goroutine, while
// every other request waits: repeated failures lock the API user for all integrations (api.md §1).
type session struct {
	mu       sync.Mutex
	z        Zone
	hold     *pipeline.Hold
	loggedIn bool
	epoch    uint64        // rises when the login was proven after a doubt, or the zone moved
	doubt    chan struct{} // open while a refused login is looked into
}

func (s *session) zone() Zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.z
}

func (s *session) setZone(z Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.z = z
}

func (s *session) held() *pipeline.Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hold
}

// enter returns where to send a request, and whether one may be sent.
func (s *session) enter() (base string, epoch uint64, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.z.BaseURL, s.epoch, s.doubt == nil && s.hold == nil
}

// pass waits while a refused login is looked into.
func (s *session) pass(ctx context.Context) error {
	for {
		s.mu.Lock()
		doubt := s.doubt
		s.mu.Unlock()
		if doubt == nil {
			return nil
		}
		select {
		case <-doubt:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// heldFailure is what every request gets while the tenant is on hold.
func heldFailure(h *pipeline.Hold) *failure {
	return &failure{kind: kindFinal, class: pipeline.ClassAuth, // the reason has remedy and hints
		err: fmt.Errorf("on hold since %s, nothing was sent: %s", h.Since.UTC().Format(time.RFC3339), h.Reason)}
}

// Login proves the credentials with one request, which also tells the server's clock and quota. Until it has
// succeeded once nothing else is sent; other methods call it where nobody did. It starts a run: retries
// and lowered threads are given back.
func (c *Client) Login(ctx context.Context) (pipeline.Login, error) {
	if err := c.loginLock.lock(ctx); err != nil {
		return pipeline.Login{}, c.canceled("", opLogin, err)
	}
	defer c.loginLock.unlock()
	return c.login(ctx)
}

// ready logs in, if nobody did.
func (c *Client) ready(ctx context.Context) error {
	if c.loggedIn() {
		return nil
	}
	if err := c.loginLock.lock(ctx); err != nil {
		return c.canceled("", opLogin, err)
	}
	defer c.loginLock.unlock()
	if c.loggedIn() {
		return nil
	}
	_, err := c.login(ctx)
	return err
}

func (c *Client) loggedIn() bool {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.loggedIn
}

func (c *Client) login(ctx context.Context) (pipeline.Login, error) {
	rq := &request{op: opLogin, mode: modeLogin}
	if hold := c.session.held(); hold != nil {
		if hold.Fingerprint == c.creds.Fingerprint() {
			return pipeline.Login{}, c.fail(rq, heldFailure(hold))
		}
		if err := c.lift(ctx); err != nil {
			return pipeline.Login{}, err
		}
	}
	if _, err := c.Zone(ctx); err != nil {
		return pipeline.Login{}, err
	}
	c.renew()
	p, err := c.probe(ctx, &request{op: opLogin, mode: modeLogin}, &tries{})
	if err != nil {
		return pipeline.Login{}, err
	}
	if p.at.IsZero() {
		return pipeline.Login{}, c.fail(rq, &failure{class: pipeline.ClassSource,
			err:    errors.New("the answer has no Date header, and checkpoints need Autotask's clock"),
			remedy: "a proxy on the way takes it off: have it kept"})
	}
	c.session.mu.Lock()
	c.session.loggedIn = true
	c.session.mu.Unlock()
	z := c.session.zone()
	return pipeline.Login{ServerTime: p.at, BaseURL: z.BaseURL, WebURL: z.WebURL, ZoneName: z.Name, Database: z.Database,
		Threshold: p.threshold, Used: p.used, WindowMins: p.windowMins}, nil
}

// proof is what a request that needs no right on any entity brought.
type proof struct {
	usage
	at time.Time // server's clock
}

// probe asks ThresholdInformation, which proves the login and tells the quota; if the user may not read it,
// Version does the former.
func (c *Client) probe(ctx context.Context, rq *request, t *tries) (proof, error) {
	var p proof
	rq.method, rq.path, rq.limit = http.MethodGet, "ThresholdInformation", 1<<20
	rq.check = func(body []byte) error {
		var a struct {
			Threshold *int64 `json:"externalRequestThreshold"`
			Mins      int64  `json:"requestThresholdTimeframe"`
			Used      int64  `json:"currentTimeframeRequestCount"`
		}
		if err := json.Unmarshal(body, &a); err != nil || a.Threshold == nil {
			return errors.New("the answer holds no threshold")
		}
		p.usage = usage{threshold: *a.Threshold, used: a.Used, windowMins: a.Mins}
		c.counted(p.usage)
		return nil
	}
	ans, err := c.call(ctx, rq, t)
	if status, ok := errors.AsType[*statusError](err); ok && noProof(err, status) {
		rq.path = "Version"
		rq.check = func(body []byte) error { _, err := parseVersion(body); return err }
		ans, err = c.call(ctx, rq, t)
		if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound && rq.mode != modeProof {
			return p, c.fail(rq, &failure{class: pipeline.ClassConfig,
				err:    fmt.Errorf("%s is not Autotask's REST API (HTTP 404)", c.session.zone().BaseURL),
				remedy: "correct the tenant's zone or url: " + zoneForms})
		}
	}
	if err != nil {
		return p, err
	}
	if at, err := http.ParseTime(ans.header.Get("Date")); err == nil {
		p.at = at.UTC()
	}
	c.drop(ans)
	return p, nil
}

// counted takes over what the server counts, while the request that asked still is under way.
func (c *Client) counted(u usage) {
	c.quota.Load().record(u)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.tally.counted && u.threshold > 0 {
		c.tally.before, c.tally.counted = u.used, true
	}
}

// noProof reports whether an answer speaks of the right to ThresholdInformation, not of the login.
func noProof(err error, status *statusError) bool {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.class == pipeline.ClassRights || f.kind == kindNotFound
	}
	return pipeline.ClassOf(err) == pipeline.ClassRights || status.status == http.StatusNotFound
}

// poll refreshes the quota for a request of some priority, with one exchange that waits for nothing. What goes wrong
// with it is no reason to stop, unless the login is refused.
func (c *Client) poll(ctx context.Context, priority pipeline.Priority) *failure {
	_, err := c.probe(ctx, &request{op: opThreshold, mode: modePoll, priority: priority}, &tries{attempts: c.limits.Attempts - 1})
	switch pipeline.ClassOf(err) {
	case pipeline.ClassCanceled:
		return &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: context.Cause(ctx)}
	case pipeline.ClassAuth:
		if hold := c.session.held(); hold != nil {
			return heldFailure(hold)
		}
	}
	if err != nil {
		c.log.DebugContext(ctx, "the quota can't be read", "cause", err)
	}
	return nil
}

// reauthorize deals with a refused login (api.md §1): one goroutine looks the zone up and proves the login,
// the others wait for it. Nil means to ask again, which a request does once.
func (c *Client) reauthorize(ctx context.Context, rq *request, t *tries, f *failure) error {
	s := &c.session
	for {
		s.mu.Lock()
		switch {
		case s.hold != nil:
			hold := s.hold
			s.mu.Unlock()
			return c.fail(rq, heldFailure(hold))
		case s.doubt != nil:
			s.mu.Unlock()
			if err := s.pass(ctx); err != nil {
				return c.canceled(rq.entity, rq.op, err)
			}
			continue
		case s.epoch > f.answer.epoch && !t.proven && f.kind == kindUnauthorized:
			s.mu.Unlock()
			t.proven = true
			return nil
		}
		doubt := make(chan struct{})
		s.doubt = doubt
		s.mu.Unlock()

		moved, err := c.prove(ctx, rq, t, f)
		s.mu.Lock()
		s.doubt = nil
		if err == nil {
			s.epoch++
		}
		s.mu.Unlock()
		close(doubt)
		if err != nil {
			return err
		}
		if moved && !t.proven {
			t.proven = true
			return nil
		}
		return c.fail(rq, &failure{class: pipeline.ClassRights, remedy: remedyRights,
			err: errors.New("HTTP 401 for this entity alone: the login works, but may not read it")})
	}
}

// prove finds out what a refused login means: the zone moved, a right is missing (both nil), or the
// credentials are refused, which places the hold.
func (c *Client) prove(ctx context.Context, rq *request, t *tries, f *failure) (moved bool, err error) {
	if f.kind == kindRefused || (rq.mode == modeLogin || rq.mode == modePoll) && t.proven {
		return false, c.refuse(ctx, rq, f.err.Error())
	}
	old, detail := c.session.zone(), ""
	z, err := c.lookup(ctx, &tries{attempts: max(0, c.limits.Attempts-2)})
	switch {
	case err == nil && z.BaseURL != old.BaseURL:
		moved = true
		z.Configured = old.Configured
		c.setZone(z)
		c.log.WarnContext(ctx, "the tenant is in another zone", "was", old.host(), "is", z.host(), "configured", old.Configured)
		if c.onMove != nil && c.zone != "" {
			if err := c.onMove(context.WithoutCancel(ctx), Move{From: c.zone, To: z.BaseURL}); err != nil {
				c.log.WarnContext(ctx, "the zone that was found could not be kept", "cause", err)
			}
		}
	case pipeline.ClassOf(err) == pipeline.ClassCanceled:
		return false, err
	case pipeline.ClassOf(err) == pipeline.ClassAuth:
		detail = ", and zoneInformation does not know the user name"
	}
	if rq.mode == modeLogin || rq.mode == modePoll {
		if moved {
			return true, nil
		}
		return false, c.refuse(ctx, rq, f.err.Error()+" from "+old.host()+detail)
	}
	_, err = c.probe(ctx, &request{op: opLogin, mode: modeProof}, &tries{})
	if p, ok := errors.AsType[*failure](err); ok {
		if p.kind == kindUnauthorized || p.kind == kindRefused {
			return false, c.refuse(ctx, rq, p.err.Error()+" from "+c.session.zone().host()+detail)
		}
	}
	if err != nil {
		return false, c.fail(rq, &failure{class: pipeline.ClassOf(err), remedy: remedyLater,
			err: fmt.Errorf("%w, and whether the login still works can't be seen: %w", f.err, err)})
	}
	return moved, nil
}

// refuse places the hold: from now on no request is sent.
func (c *Client) refuse(ctx context.Context, rq *request, cause string) error {
	remedy := remedyAuth
	if strings.Contains(strings.ToLower(cause), "integrationcode") {
		remedy = "set integration_code to the Tracking Identifier of the API user, then run again"
	}
	f := &failure{class: pipeline.ClassAuth, remedy: remedy,
		err: fmt.Errorf("the login is refused by Autotask (%s)", c.creds.redact(cause))}
	hold := &pipeline.Hold{Since: time.Now().UTC(), Fingerprint: c.creds.Fingerprint(),
		Reason: f.err.Error() + ": " + c.creds.withHints(remedy)}
	c.session.mu.Lock()
	c.session.hold = hold
	c.session.loggedIn = false
	c.session.mu.Unlock()
	err := c.fail(rq, f)
	if c.onHold != nil {
		if kept := c.onHold(context.WithoutCancel(ctx), hold); kept != nil {
			err = errors.Join(err, fmt.Errorf("and the hold could not be kept: %w", kept))
		}
	}
	return err
}

// lift ends a hold of other credentials.
func (c *Client) lift(ctx context.Context) error {
	if c.onHold != nil {
		if err := c.onHold(ctx, nil); err != nil {
			return err
		}
	}
	c.session.mu.Lock()
	c.session.hold = nil
	c.session.mu.Unlock()
	c.log.InfoContext(ctx, "the hold is lifted: the credentials have changed")
	return nil
}

// VersionInfo is what Autotask says of the release behind a zone.
type VersionInfo struct {
	Major, Minor, Build string
}

// String prints "2026.3 build 1.2".
func (v VersionInfo) String() string { return v.Major + "." + v.Minor + " build " + v.Build }

// Version asks for the release behind the zone: one request that needs no right on any entity.
func (c *Client) Version(ctx context.Context) (VersionInfo, error) {
	var v VersionInfo
	if err := c.ready(ctx); err != nil {
		return v, err
	}
	rq := &request{op: opVersion, method: http.MethodGet, path: "Version", limit: 1 << 20}
	rq.check = func(body []byte) (err error) { v, err = parseVersion(body); return err }
	ans, err := c.call(ctx, rq, &tries{})
	c.drop(ans)
	return v, err
}

func parseVersion(body []byte) (VersionInfo, error) {
	var a struct {
		Major json.RawMessage `json:"majorVersion"`
		Minor json.RawMessage `json:"minorVersion"`
		Build json.RawMessage `json:"build"`
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Major == nil {
		return VersionInfo{}, errors.New("the answer holds no version")
	}
	text := func(raw json.RawMessage) string { return strings.Trim(string(bytes.TrimSpace(raw)), `"`) }
	return VersionInfo{Major: text(a.Major), Minor: text(a.Minor), Build: text(a.Build)}, nil
}
