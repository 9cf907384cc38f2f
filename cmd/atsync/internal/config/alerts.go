package config

import (
	"maps"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

// Alerts says what the daemon tells whom when something is wrong.
type Alerts struct {
	Failures int                    `koanf:"failures" format:"range=1..1000" default:"3" doc:"After how many failed jobs of a tenant in a row it is told."`
	Quota    int                    `koanf:"quota" format:"range=1..100" default:"90" doc:"From how many percent of an Autotask database's requests an hour on it is told, all integrations together."`
	Repeat   time.Duration          `koanf:"repeat" format:"min=0s" default:"24h" doc:"How often what stays wrong is told again. 0s: never."`
	Targets  map[string]AlertTarget `koanf:"targets" format:"target" doc:"Who is told, by a name of your choice: lower-case letters, digits and underscores, a letter first."`
}

// The types of targets.
const (
	TargetWebhook = "webhook"
	TargetSlack   = "slack"
	TargetTeams   = "teams"
	TargetEmail   = "email"
)

// AlertTarget is somebody who is told.
type AlertTarget struct {
	Type     string     `koanf:"type" format:"enum=webhook|slack|teams|email" need:"true" doc:"webhook: JSON by POST; slack: an incoming webhook; teams: a workflow that posts webhook requests to a channel; email."`
	URL      secret.Ref `koanf:"url" format:"ref" secret:"true" doc:"webhook, slack, teams: the address to post to. Who knows it can post, too, so it may be a reference: env:NAME, file:/path, cmd:command args."`
	Server   string     `koanf:"server" format:"mailserver" doc:"email: the mail server, host:port. Port 465 is encrypted from the start, others as soon as the server offers it."`
	From     string     `koanf:"from" format:"address" doc:"email: the sender's address."`
	To       []string   `koanf:"to" format:"address" doc:"email: who gets it."`
	Username string     `koanf:"username" doc:"email: the user name at the mail server, if it wants one."`
	Password secret.Ref `koanf:"password" format:"ref" secret:"true" doc:"email: the password that goes with it. A reference: env:NAME, file:/path, cmd:command args."`
	Kinds    []string   `koanf:"kinds" format:"enum=failure|stale|quota|drift|guard|hold" doc:"What is told; left out: everything. Of failure, stale, quota, drift, guard, hold."`
}

// alerts checks that every target has what its type needs, and nothing else.
func (c *checker) alerts() {
	if !c.own("alerts.targets") || c.anyBad("alerts.targets") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Alerts.Targets)) {
		t, at := c.cfg.Alerts.Targets[name], "alerts.targets."+name
		mailed := t.Type == TargetEmail
		set := map[string]bool{"url": !t.URL.Empty(), "server": t.Server != "", "from": t.From != "", "to": len(t.To) > 0,
			"username": t.Username != "", "password": !t.Password.Empty()}
		if t.Type == "" {
			c.report(at, wrong("write type: webhook, slack, teams or email", "has no type"))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(set)) {
			needed := mailed && (key == "server" || key == "from" || key == "to") || !mailed && key == "url"
			switch {
			case needed && !set[key]:
				c.report(at, wrong("write "+key+": "+targetExample(key), "is of type %s and has no %s", t.Type, key))
			case set[key] && mailed == (key == "url"):
				c.report(at+"."+key, wrong("take the line out", "means nothing to the type %s", t.Type))
			}
		}
		if t.Username != "" != !t.Password.Empty() {
			c.report(at, wrong("write both or none", "has one of username and password"))
		}
		if t.URL.IsLiteral() && t.Type != TargetWebhook {
			c.warn(at+".url", finding{"stands in the configuration itself, and who knows it can post", "write env:NAME, file:/path or cmd:command"})
		}
		if t.Password.IsLiteral() {
			c.warn(at+".password", literal)
		}
	}
}

func targetExample(key string) string {
	return map[string]string{"url": "env:ALERTS_URL", "server": "mail.example.com:587", "from": "atsync@example.com", "to": "[ops@example.com]"}[key]
}

// checkServer checks the address of a server that is called, not listened on.
func checkServer(text string) *finding {
	const fix = "write host:port, like mail.example.com:587"
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, " /@") {
		return wrong(fix, "%q is no server's address", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return wrong(fix, "%q is not a port", port)
	}
	return nil
}

// checkAddress checks a bare e-mail address.
func checkAddress(text string) *finding {
	if a, err := mail.ParseAddress(text); err != nil || a.Address != text || strings.ContainsAny(text, ", ") {
		return wrong("write ops@example.com", "%q is no e-mail address", text)
	}
	return nil
}
