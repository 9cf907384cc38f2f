package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/sourcegraph/conc/panics"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

// Sender delivers notices. It is safe for concurrent use.
type Sender struct {
	// Resolve turns the reference of an address or a password into itself. It is asked for each message.
	Resolve func(ctx context.Context, ref secret.Ref) (secret.String, error)

	mu      sync.Mutex
	hanging map[string]bool // addresses of targets that have not answered yet
}

// errHanging says that a target takes messages and never answers.
var errHanging = errors.New("it has not yet answered to the message before")

// Send delivers a message with all notices to a target, or gives up when ctx ends. What is wrong with the configuration is an
// error of ClassConfig, what is wrong with the target or the way to it one of ClassTransient. No error holds a secret.
func (s *Sender) Send(ctx context.Context, target config.AlertTarget, notices []Notice) error {
	service, to, message, err := s.service(ctx, target, notices)
	if err != nil {
		return err
	}
	if err := s.deliver(ctx, service, to, message); err != nil {
		return &pipeline.Error{Class: pipeline.ClassTransient, Op: "alert", Err: err, Remedy: remedy(target.Type)}
	}
	return nil
}

func remedy(kind string) string {
	if kind == config.TargetEmail {
		return "check server, from, to, username and password of the target"
	}
	return "check the target's url, and that this machine may reach it"
}

// service makes what delivers to a target, with what is to be sent and what identifies and betrays the target.
func (s *Sender) service(ctx context.Context, target config.AlertTarget, notices []Notice) (types.Service, address, string, error) {
	ref, what := target.URL, "url"
	if target.Type == config.TargetEmail {
		ref, what = target.Password, "password"
	}
	value := secret.String{}
	if !ref.Empty() {
		var err error
		if value, err = s.Resolve(ctx, ref); err != nil {
			return nil, address{}, "", misconfigured(fmt.Errorf("%s: %w", what, err))
		}
	}
	if target.Type == config.TargetEmail {
		return mailer(target, value, notices)
	}
	return poster(target.Type, value, notices)
}

func misconfigured(err error) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "alert", Err: err, Remedy: "correct the target below alerts.targets"}
}

// address is where a target is.
type address struct {
	id     string   // tells it from others
	hidden []string // what must not be shown
}

// errBadURL never quotes what it is about.
var errBadURL = errors.New("url: is no https:// address (http:// is for webhooks, and for this machine)")

// poster makes what posts JSON.
func poster(kind string, at secret.String, notices []Notice) (types.Service, address, string, error) {
	u, err := url.Parse(strings.TrimSpace(at.Reveal()))
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || kind != config.TargetWebhook && !loopback(u.Hostname())) {
		return nil, address{}, "", misconfigured(errBadURL)
	}
	to := address{id: u.String(), hidden: []string{u.String(), at.Reveal(), u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery}}
	if u.User != nil {
		to.hidden = append(to.hidden, u.User.String())
	}
	var body any
	switch kind {
	case config.TargetSlack:
		body = slackBody(notices)
	case config.TargetTeams:
		body = teamsBody(notices)
	default:
		body = webhookBody{Source: "atsync", Title: title(notices), Alerts: notices}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, to, "", err
	}
	service := new(generic.Service)
	if err := service.Initialize(genericURL(*u), nil); err != nil {
		return nil, to, "", misconfigured(errBadURL)
	}
	return service, to, string(text), nil
}

// genericURL is an address as the library wants it: with its own settings in the query, and what the address has of the same
// names marked.
func genericURL(u url.URL) *url.URL {
	query := u.Query()
	for _, key := range []string{"contenttype", "disabletls", "messagekey", "method", "template", "title", "titlekey"} {
		if values, ok := query[key]; ok {
			query.Del(key)
			query["__"+key] = values
		}
	}
	query.Set("@Content-Type", "application/json")
	if u.Scheme == "http" {
		query.Set("disabletls", "yes")
	}
	u.Scheme, u.RawQuery, u.Fragment = generic.Scheme, query.Encode(), ""
	return &u
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// mailer makes what sends a mail.
func mailer(target config.AlertTarget, password secret.String, notices []Notice) (types.Service, address, string, error) {
	query := url.Values{
		"fromaddress": {target.From}, "fromname": {"atsync"}, "toaddresses": {strings.Join(target.To, ",")}, "clienthost": {"auto"},
		"subject": {mime.QEncoding.Encode("utf-8", title(notices))},
	}
	u := &url.URL{Scheme: smtp.Scheme, Host: target.Server, Path: "/", RawQuery: query.Encode()}
	to := address{id: target.Server + " " + strings.Join(target.To, ",")}
	if target.Username != "" {
		u.User = url.UserPassword(target.Username, password.Reveal())
		to.hidden = append(to.hidden, password.Reveal())
	}
	service := new(smtp.Service)
	if err := service.Initialize(u, nil); err != nil {
		return nil, to, "", misconfigured(errors.New("the target is no mailbox"))
	}
	return service, to, strings.Join(lines(notices), "\n") + "\n", nil
}

// deliver sends, in a goroutine of its own: the library knows no context. At most one waits for an answer of each target.
func (s *Sender) deliver(ctx context.Context, service types.Service, to address, message string) error {
	s.mu.Lock()
	if s.hanging[to.id] {
		s.mu.Unlock()
		return errHanging
	}
	if s.hanging == nil {
		s.hanging = map[string]bool{}
	}
	s.hanging[to.id] = true
	s.mu.Unlock()
	sent := make(chan error, 1)
	go func() {
		var err error
		if crash := panics.Try(func() { err = service.Send(message, &types.Params{}) }); crash != nil {
			err = crash.AsError()
		}
		s.mu.Lock()
		delete(s.hanging, to.id)
		s.mu.Unlock()
		sent <- err
	}()
	select {
	case err := <-sent:
		return to.clean(err)
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
}

// quotedURL is how errors of net/http begin.
var quotedURL = regexp.MustCompile(`(Get|Post|Put) "[^"]*": `)

// clean takes what must not be shown out of an error.
func (a address) clean(err error) error {
	if err == nil {
		return nil
	}
	text := quotedURL.ReplaceAllString(err.Error(), "")
	for _, h := range a.hidden {
		if len(h) > 3 {
			text = strings.ReplaceAll(text, h, "(hidden)")
		}
	}
	text = strings.TrimPrefix(text, generic.ErrSendFailed.Error()+": ")
	text = strings.TrimPrefix(text, generic.ErrUnexpectedStatus.Error()+": ")
	return errors.New(quote(text))
}

// CloseIdle closes the connections that are kept for the next message.
func (*Sender) CloseIdle() { http.DefaultClient.CloseIdleConnections() }

// webhookBody is what a webhook gets. It is a contract: docs/alerts.md.
type webhookBody struct {
	Source string   `json:"source"` // "atsync"
	Title  string   `json:"title"`
	Alerts []Notice `json:"alerts"`
}

// slackBody is a message for Slack's incoming webhooks, and what understands the same.
func slackBody(notices []Notice) any {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return map[string]string{"text": escape.Replace(strings.Join(lines(notices), "\n"))}
}

// teamsBody is a message with an adaptive card, as workflows in Teams expect it. Its text is shown as it is.
func teamsBody(notices []Notice) any {
	run := func(text string, bold bool) map[string]any {
		one := map[string]any{"type": "TextRun", "text": text}
		if bold {
			one["weight"] = "Bolder"
		}
		return map[string]any{"type": "RichTextBlock", "inlines": []any{one}}
	}
	blocks := []any{run(title(notices), true)}
	for _, line := range lines(notices) {
		blocks = append(blocks, run(line, false))
	}
	return map[string]any{"type": "message", "attachments": []any{map[string]any{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content":     map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": blocks},
	}}}
}
