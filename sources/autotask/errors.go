package autotask

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// kind says how a failed exchange is dealt with.
type kind uint8

const (
	kindFinal        kind = iota + 1 // asking again would give the same answer
	kindTransient                    // no answer, or one that says that the service is down
	kindUnusable                     // a 2xx that is not what was asked for
	kindDisorder                     // a page whose rows have no id or wrong order
	kindOdd                          // a 500 with a text that is not known
	kindUnauthorized                 // 401: login, zone, or a right on this entity (api.md §1)
	kindRefused                      // a text that says that the login is wrong
	kindUnknownUser                  // zoneInformation does not know the user: no login was tried
	kindNotFound                     // 404: this entity may not exist here
	kindThreads                      // too many requests at once on one entity
	kindHour                         // too many requests in the hour
	kindSpent                        // waiting for quota did not help
	kindCanceled                     // the caller gave up
)

// failure is one failed exchange, before it is known whether it will be retried.
type failure struct {
	kind   kind
	class  pipeline.Class // of the final error
	err    error
	remedy string
	answer answer // what was answered, without body
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

const (
	remedyLater  = "Autotask or the way to it is down: try again later; status.kaseya.com tells about outages"
	remedyRights = "give the API user's security level View rights on this entity, or leave it out of sync.entities"
	remedyQuota  = "the limit counts all integrations of the tenant over the last 60 minutes: run later, find out which one uses it up, or make the schedule sparser"
	remedyReport = "run again; if it stays, report it with the entity's name"
)

// finalText is an error text that no repetition will change (api.md §10).
type finalText struct {
	part   string // lower case
	kind   kind
	class  pipeline.Class
	remedy string
}

func finalTexts() []finalText {
	return []finalText{
		{"thread threshold", kindThreads, pipeline.ClassQuota, ""},
		{"integrationcode is invalid", kindRefused, pipeline.ClassAuth, ""}, // refuse words the remedy
		{"zone information could not be determined", kindUnknownUser, pipeline.ClassAuth, ""},
		{"permission", kindFinal, pipeline.ClassRights, remedyRights},
		{"unable to find", kindFinal, pipeline.ClassSource,
			"this tenant does not know that field or entity: run atsync sync --full for it, which reads its field list anew"},
		{"conversion failed", kindFinal, pipeline.ClassSource, "a filter does not fit the field's type: report it"},
		{"maxcountof", kindFinal, pipeline.ClassSource, "the page size must be between 1 and 500"},
		{"invalid query syntax", kindFinal, pipeline.ClassSource, "a filter has too many conditions: report it"},
	}
}

// classify judges the status and the error texts of an answer; nil means a usable 2xx, whose body the
// caller checks.
func classify(ans answer, body []byte) *failure {
	status := ans.status
	if status == http.StatusOK {
		return nil
	}
	texts := errorTexts(body)
	if _, ok := known(texts); ok || status >= 500 && len(texts) > 0 {
		return textFailure(ans, texts)
	}
	f := &failure{answer: ans, err: newStatusError(status, texts, body)}
	switch {
	case status == http.StatusUnauthorized:
		f.kind, f.class = kindUnauthorized, pipeline.ClassAuth
	case status == http.StatusForbidden:
		f.kind, f.class, f.remedy = kindFinal, pipeline.ClassRights, remedyRights
	case status == http.StatusNotFound:
		f.kind, f.class = kindNotFound, pipeline.ClassSource
		f.remedy = "the entity exists, but this call on it does not: " + remedyReport
	case status == http.StatusTooManyRequests:
		f.kind, f.class = kindHour, pipeline.ClassQuota
	case status == http.StatusRequestTimeout:
		f.kind, f.class, f.remedy = kindTransient, pipeline.ClassTransient, remedyLater
	case status >= 300 && status < 400:
		f.kind, f.class = kindFinal, pipeline.ClassSource
		f.err = &statusError{status, fmt.Sprintf("a redirect to %q, and credentials never follow a redirect", hostOf(ans.header.Get("Location")))}
		f.remedy = "check the tenant's zone, and for a proxy or captive portal on the way"
	case status >= 500:
		f.kind, f.class, f.remedy = kindTransient, pipeline.ClassTransient, remedyLater
	case status > 200 && status < 300:
		f.kind, f.class, f.remedy = kindUnusable, pipeline.ClassSource, remedyReport
	default:
		f.kind, f.class, f.remedy = kindFinal, pipeline.ClassSource, remedyReport
	}
	return f
}

// textFailure judges an answer by its error texts, whatever its status.
func textFailure(ans answer, texts []string) *failure {
	f := &failure{kind: kindOdd, class: pipeline.ClassSource, remedy: remedyReport, answer: ans,
		err: newStatusError(ans.status, texts, nil)}
	if t, ok := known(texts); ok {
		f.kind, f.class, f.remedy = t.kind, t.class, t.remedy
	}
	return f
}

// known finds the first text of a known meaning.
func known(texts []string) (finalText, bool) {
	for _, text := range texts {
		low := strings.ToLower(text)
		for _, t := range finalTexts() {
			if strings.Contains(low, t.part) {
				return t, true
			}
		}
	}
	return finalText{}, false
}

// errorTexts returns the texts of an {"errors":[…]} body; objects with a message are tolerated (api.md §5).
func errorTexts(body []byte) []string {
	head := bytes.TrimLeft(body[:min(len(body), 64)], " \t\r\n\ufeff")
	if !bytes.HasPrefix(head, []byte("{")) || len(body) > 1<<20 || !bytes.Contains(bytes.ToLower(body[:min(len(body), 4096)]), []byte(`"errors"`)) {
		return nil
	}
	var a struct {
		Errors []json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &a) != nil {
		return nil
	}
	var texts []string
	for _, raw := range a.Errors {
		var s string
		var o struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &s) != nil {
			if json.Unmarshal(raw, &o) != nil {
				continue
			}
			s = o.Message
		}
		if s = tidy(s); s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

// statusError is an answer that says no.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.text) }

// newStatusError words an answer. Of a body that is no list of errors it says what it looks like, not what it says.
func newStatusError(status int, texts []string, body []byte) error {
	e := &statusError{status: status, text: strings.ToLower(http.StatusText(status))}
	body = bytes.TrimSpace(body)
	var framework struct{ Message string }
	switch {
	case len(texts) > 0:
		e.text = strings.Join(texts, "; ")
	case len(body) == 0:
		e.text += " (empty body)"
	case body[0] == '<':
		e.text += " (HTML instead of JSON)"
	case json.Unmarshal(body, &framework) == nil && framework.Message != "":
		e.text = tidy(framework.Message)
	}
	return e
}

// tidy makes a foreign text fit for one line.
func tidy(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}

// bodyFailure judges the error of a check on a 2xx body.
func bodyFailure(ans answer, err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		f.answer = ans
		return f
	}
	f := &failure{kind: kindUnusable, class: pipeline.ClassSource, err: err, answer: ans,
		remedy: "a proxy on the way or an outage of Autotask may be the cause; " + remedyReport}
	be, ok := errors.AsType[*schemas.BodyError](err)
	if !ok {
		return f
	}
	switch be.Kind {
	case schemas.NoID, schemas.Order:
		f.kind, f.remedy = kindDisorder, "the page can't be trusted and nothing of it was kept; "+remedyReport
	case schemas.APIErrors:
		var texts []string
		for _, text := range be.Errors {
			texts = append(texts, tidy(text))
		}
		return textFailure(ans, texts)
	}
	return f
}

// hidden stands for a text that must not be shown.
const hidden = "the answer can't be used, and is not quoted because it repeats the credentials"

// unquoted takes out of an error what it quotes of a body that repeats the credentials.
func (c *Client) unquoted(body []byte, err error) error {
	if _, ours := errors.AsType[*failure](err); ours || !c.creds.echoed(body) {
		return err
	}
	if be, ok := errors.AsType[*schemas.BodyError](err); ok {
		return &schemas.BodyError{Kind: be.Kind, Item: be.Item, Detail: hidden, Errors: []string{hidden}}
	}
	return errors.New(hidden)
}

// networkFailure judges an exchange that got no answer, in one sentence.
func networkFailure(ctx context.Context, host string, err error) *failure {
	if ctx.Err() != nil {
		return &failure{kind: kindCanceled, class: pipeline.ClassCanceled, err: context.Cause(ctx)}
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	f := &failure{kind: kindTransient, class: pipeline.ClassTransient, remedy: remedyLater}
	var (
		dns      *net.DNSError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, errTooLarge):
		f.kind, f.class, f.err = kindFinal, pipeline.ClassSource, fmt.Errorf("the answer of %s is %w", host, err)
		f.remedy = remedyReport
	case errors.As(err, &dns) && dns.IsNotFound:
		f.err = fmt.Errorf("host %s does not exist (DNS): %w", host, err)
		f.remedy = "check the tenant's zone, autotask.discovery_url and this machine's DNS"
	case errors.As(err, &dns):
		f.err = fmt.Errorf("host %s can't be looked up (DNS): %w", host, err)
		f.remedy = "check this machine's DNS and network"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		f.kind, f.class = kindFinal, pipeline.ClassSource
		f.err = fmt.Errorf("%s does not speak TLS on that port: %w", host, err)
		f.remedy = "correct the address; http:// is allowed for this machine only"
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.As(err, &alert):
		f.kind, f.class = kindFinal, pipeline.ClassSource
		f.err = fmt.Errorf("no trusted TLS connection to %s: %w", host, err)
		f.remedy = "check this machine's clock and its CA certificates; if a proxy inspects TLS, add its CA to them; verification is never switched off"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.err = fmt.Errorf("host %s refuses connections: %w", host, err)
		f.remedy = "check the tenant's zone, firewall and proxy settings (HTTPS_PROXY)"
		if name, _, _ := strings.Cut(host, ":"); isLoopback(name) {
			f.remedy = "nothing listens there; if it is the demo's simulator, start it with: atsync demo --serve, and take its new address from its config.yaml"
		}
	case errors.Is(err, errSlow), isTimeout(err):
		f.err = fmt.Errorf("no answer from %s in time: %w", host, err)
		f.remedy = "check firewall and proxy settings (HTTPS_PROXY); if others work, Autotask is slow: try again later"
	default:
		f.err = fmt.Errorf("connection to %s failed: %w", host, err)
	}
	return f
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// fail makes the final error of a request.
func (c *Client) fail(rq *request, f *failure) error {
	remedy := f.remedy
	if f.class == pipeline.ClassAuth && remedy != "" {
		remedy = c.creds.withHints(remedy)
	}
	return &pipeline.Error{Class: f.class, Tenant: c.tenant, Entity: rq.entity, Op: rq.op, Err: c.clean(f.err), Remedy: remedy}
}

// canceled makes the error of a call that its caller gave up.
func (c *Client) canceled(entity, op string, err error) error {
	return &pipeline.Error{Class: pipeline.ClassCanceled, Tenant: c.tenant, Entity: entity, Op: op, Err: err}
}

// clean makes sure that an error's text holds no credential; only one that does loses its chain.
func (c *Client) clean(err error) error {
	if text := err.Error(); c.creds.redact(text) != text {
		return errors.New(c.creds.redact(text))
	}
	return err
}
