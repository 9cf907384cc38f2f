package alert_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/cmd/atsync/internal/alert"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

// at is a reference to an address.
func at(t *testing.T, text string) secret.Ref {
	t.Helper()
	ref, err := secret.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func newSender(t *testing.T) *alert.Sender {
	s := &alert.Sender{Resolve: secret.Resolver{}.Resolve}
	t.Cleanup(s.CloseIdle)
	return s
}

func notices() []alert.Notice {
	since := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	return []alert.Notice{
		{State: alert.Resolved, Kind: alert.Hold, Tenant: "globex", Summary: "globex: on hold", Since: since, EndedAt: since.Add(2 * time.Hour)},
		{State: alert.Firing, Kind: alert.Failure, Tenant: "acme", Summary: "acme: 3 jobs failed: <b> & [x](http://evil)\u202e", Remedy: "atsync runs", Since: since},
	}
}

// hook is a server that keeps the request it got.
type hook struct {
	*httptest.Server
	got    chan *http.Request
	body   chan string
	status int
}

func newHook(t *testing.T, status int) *hook {
	h := &hook{got: make(chan *http.Request, 1), body: make(chan string, 1), status: status}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.got <- r
		h.body <- string(text)
		w.WriteHeader(h.status)
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(h.Close)
	return h
}

func TestPostsAreWhatEachTypeExpects(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string][]string{
		config.TargetWebhook: {`"source":"atsync"`, `"title":"atsync: 1 alerts, 1 resolved"`, `"state":"firing"`, `"kind":"failure"`, `"tenant":"acme"`,
			`"since":"2026-03-02T12:00:00Z"`, `"ended_at":"2026-03-02T14:00:00Z"`, `"remedy":"atsync runs"`},
		config.TargetSlack: {`{"text":"acme: 3 jobs failed: \u0026lt;b\u0026gt; \u0026amp; [x](http://evil)`, `→ atsync runs\nResolved after 2h0m0s: globex: on hold"}`},
		config.TargetTeams: {`"type":"message"`, `"application/vnd.microsoft.card.adaptive"`, `"type":"TextRun"`, `atsync: 1 alerts, 1 resolved`},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := newHook(t, http.StatusOK)
			target := config.AlertTarget{Type: kind, URL: at(t, h.URL+"/hook/s3cr3t?sig=a%2Fb&title=mine&api-version=1")}
			if err := newSender(t).Send(t.Context(), target, notices()); err != nil {
				t.Fatal(err)
			}
			r, body := <-h.got, <-h.body
			if r.Method != http.MethodPost || r.URL.Path != "/hook/s3cr3t" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			if diff := cmp.Diff(map[string][]string{"sig": {"a/b"}, "title": {"mine"}, "api-version": {"1"}}, map[string][]string(r.URL.Query())); diff != "" {
				t.Error(diff)
			}
			if !json.Valid([]byte(body)) {
				t.Errorf("no JSON: %s", body)
			}
			for _, text := range want {
				if !strings.Contains(body, text) {
					t.Errorf("%s lacks %s", body, text)
				}
			}
		})
	}
}

// TestErrorsOfTargetsShowNoAddress holds that whatever goes wrong, what an address is made of stays hidden.
func TestErrorsOfTargetsShowNoAddress(t *testing.T) {
	t.Parallel()
	refusing, nowhere := newHook(t, http.StatusForbidden), newHook(t, 0)
	nowhere.Close()
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer hanging.Close()
	defer close(hang)
	for _, c := range []struct {
		name, kind, url string
		class           pipeline.Class
		says            string
	}{
		{"refused", config.TargetSlack, refusing.URL + "/s3cr3t?k=s3cr3t", pipeline.ClassTransient, "403"},
		{"nobody there", config.TargetWebhook, nowhere.URL + "/s3cr3t", pipeline.ClassTransient, "connection refused"},
		{"no answer", config.TargetTeams, hanging.URL + "/s3cr3t", pipeline.ClassTransient, "no answer"},
		{"not encrypted", config.TargetSlack, "http://hooks.example.com/s3cr3t", pipeline.ClassConfig, "https"},
		{"no address", config.TargetWebhook, "s3cr3t", pipeline.ClassConfig, "https"},
		{"not to be parsed", config.TargetWebhook, "https://s3cr3t:s3cr3t@[", pipeline.ClassConfig, "https"},
		{"not there", config.TargetWebhook, "env:NOWHERE", pipeline.ClassConfig, "NOWHERE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			s := newSender(t)
			err := s.Send(ctx, config.AlertTarget{Type: c.kind, URL: at(t, c.url)}, notices())
			if err == nil || pipeline.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%v", err)
			}
			if c.name != "no answer" {
				return
			}
			err = s.Send(t.Context(), config.AlertTarget{Type: c.kind, URL: at(t, c.url)}, notices())
			if err == nil || !strings.Contains(err.Error(), "not yet answered") {
				t.Errorf("a second message: %v", err)
			}
		})
	}
}

// mailbox is a mail server for one message.
func mailbox(t *testing.T) (address string, got chan string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	got = make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer func() { _ = conn.Close() }()
		var all strings.Builder
		answer := func(line string) { fmt.Fprint(conn, line+"\r\n") }
		answer("220 here")
		data := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			all.WriteString(line + "\n")
			switch word, _, _ := strings.Cut(line, " "); {
			case data && line == ".":
				data = false
				answer("250 taken")
			case data:
			case word == "EHLO":
				answer("250-here")
				answer("250 AUTH PLAIN")
			case word == "AUTH":
				answer("235 welcome")
			case word == "DATA":
				data = true
				answer("354 go on")
			case word == "QUIT":
				answer("221 bye")
				got <- all.String()
				return
			default:
				answer("250 fine")
			}
		}
	}()
	return listener.Addr().String(), got
}

func TestMail(t *testing.T) {
	t.Parallel()
	server, got := mailbox(t)
	target := config.AlertTarget{Type: config.TargetEmail, Server: server, From: "atsync@example.com", To: []string{"ops+night@example.com"},
		Username: "me", Password: at(t, "pass/word?&")}
	one := notices()[1:]
	one[0].Summary = "acmé: évil\r\nBcc: x@example.com"
	if err := newSender(t).Send(t.Context(), target, one); err != nil {
		t.Fatal(err)
	}
	mail := <-got
	for _, text := range []string{"MAIL FROM:<atsync@example.com>", "RCPT TO:<ops+night@example.com>", "Subject: =?utf-8?q?atsync:_acm=C3=A9:_=C3=A9vil", "→ atsync runs",
		"AUTH PLAIN AG1lAHBhc3Mvd29yZD8m"} {
		if !strings.Contains(mail, text) {
			t.Errorf("the mail lacks %q:\n%s", text, mail)
		}
	}
	if strings.Contains(mail, "\nBcc:") {
		t.Errorf("a header was smuggled in:\n%s", mail)
	}
}
