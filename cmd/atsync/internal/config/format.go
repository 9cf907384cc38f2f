package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"golang.org/x/crypto/bcrypt"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/schemas"
)

// parseScalar turns text into the value of f's kind, checked.
func parseScalar(f field, text string) (any, *finding) {
	switch f.kind {
	case kindInt:
		n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil {
			return nil, wrong("write a whole number", "%q is not a whole number", text)
		}
		return n, checkRange(f.format, n)
	case kindBool:
		switch text {
		case "true", "True", "TRUE":
			return true, nil
		case "false", "False", "FALSE":
			return false, nil
		case "on", "yes", "y", "On", "Yes", "ON", "YES":
			return nil, wrong("write true", "%q is not true or false", text)
		case "off", "no", "n", "Off", "No", "OFF", "NO":
			return nil, wrong("write false", "%q is not true or false", text)
		}
		return nil, wrong("write true or false", "%q is not true or false", text)
	case kindDuration:
		return text, checkDuration(f.format, text)
	}
	return text, checkFormat(f.format, text)
}

func checkRange(format string, n int) *finding {
	var least, most int
	if _, err := fmt.Sscanf(format, "range=%d..%d", &least, &most); err == nil && (n < least || n > most) {
		return wrong(fmt.Sprintf("write %d to %d", least, most), "%d is out of range", n)
	}
	return nil
}

func checkDuration(format, text string) *finding {
	if _, err := strconv.ParseFloat(text, 64); err == nil && text != "0" {
		return wrong(fmt.Sprintf("write %ss or %sm", text, text), "%s has no unit", text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		fix := "write a number with a unit: 30s, 5m, 2h"
		if days, ok := strings.CutSuffix(text, "d"); ok {
			if n, err := strconv.Atoi(days); err == nil {
				fix = fmt.Sprintf("write %dh", 24*n)
			}
		}
		return wrong(fix, "%q is not a duration", text)
	}
	if least, ok := strings.CutPrefix(format, "min="); ok {
		if m, err := time.ParseDuration(least); err == nil && d < m {
			return wrong("write "+least+" or more", "%s is too short", text)
		}
	}
	return nil
}

// never is what stands in place of a schedule for what is not to be done.
const never = "never"

// checkFormat checks text against a format tag.
func checkFormat(format, text string) *finding {
	if choices, ok := strings.CutPrefix(format, "enum="); ok {
		return checkEnum(strings.Split(choices, "|"), text)
	}
	switch format {
	case "path", "sinkpath":
		return checkPath(text, format == "sinkpath")
	case "sink":
		return checkEnum([]string{SinkDuckDB, SinkParquet}, text)
	case "listen":
		return checkListen(text)
	case "mailserver":
		return checkServer(text)
	case "address":
		return checkAddress(text)
	case "url":
		return checkURL(text)
	case "zone":
		return checkZone(text)
	case "cron":
		return checkCron(text)
	case "cron or never":
		if text == never {
			return nil
		}
		return checkCron(text)
	case "timezone":
		if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" {
			return wrong("write an IANA name like UTC or Europe/Berlin", "unknown time zone %q", text)
		}
	case "entities":
		words := []string{text}
		if strings.HasPrefix(strings.TrimSpace(text), "-") {
			words = []string{schemas.PresetAll, text}
		}
		if _, err := schemas.Select(words); err != nil {
			return fromText(err.Error())
		}
	case "tenant", "group", "target":
		if !tenantName(text) {
			return wrong("write lower-case letters, digits and underscores, a letter first: "+slug(text), "%q can't be a %s's name", text, format)
		}
	case "hash":
		ref, err := secret.ParseRef(text)
		if err != nil {
			return fromText(err.Error())
		}
		if _, err := bcrypt.Cost([]byte(text)); err != nil && ref.IsLiteral() {
			return wrong("make one: atsync config password", "is no bcrypt hash")
		}
	case "ref":
		if _, err := secret.ParseRef(text); err != nil {
			return fromText(err.Error())
		}
	}
	return nil
}

func checkEnum(choices []string, text string) *finding {
	if slices.Contains(choices, text) {
		return nil
	}
	last := len(choices) - 1
	list := choices[last]
	if last > 0 {
		list = strings.Join(choices[:last], ", ") + " or " + list
	}
	return wrong("write "+list, "unknown value %q", text)
}

func checkPath(text string, sink bool) *finding {
	if strings.TrimSpace(text) == "" {
		return wrong("write a path", "is empty")
	}
	if strings.HasPrefix(text, "~") || strings.Contains(text, "$") {
		return wrong("write the path in full", "neither ~ nor $ is expanded in a path")
	}
	if strings.ContainsRune(text, 0) {
		return wrong("write a path", "holds a zero byte")
	}
	rest := text
	if sink {
		rest = strings.ReplaceAll(text, "{tenant}", "")
	}
	if i := strings.IndexAny(rest, "{}"); i >= 0 {
		if sink {
			return wrong("write {tenant}", "the only thing in braces can be {tenant}")
		}
		return wrong("leave out the braces", "nothing is replaced here")
	}
	if sink && isURL(text) {
		return checkBucket(text)
	}
	return nil
}

func checkListen(text string) *finding {
	const fix = "write host:port, like 127.0.0.1:8420"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong(fix, "%q is not an address", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return wrong(fix, "%q is not a port", port)
	}
	if strings.ContainsAny(host, " /@") {
		return wrong(fix, "%q is not a host", host)
	}
	return nil
}

func checkURL(text string) *finding {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return wrong("write https://host, like https://webservices3.autotask.net", "is not a URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return wrong("write https://host/path only", "holds more than a host and a path")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return wrong("write https://", "credentials are sent encrypted only, except to this machine")
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkZone takes whatever sources/autotask may make sense of; it refuses only what can't be a zone at all.
func checkZone(text string) *finding {
	if strings.Contains(text, "://") {
		return checkURL(text)
	}
	if text == "" || strings.ContainsAny(text, " \t@?#") {
		return wrong("write webservices3, 3, or leave it out", "%q is not a zone", text)
	}
	return nil
}

func checkCron(text string) *finding {
	const fix = `write minute hour day month weekday, like "*/15 * * * *", or "@hourly"`
	if strings.Contains(strings.ToUpper(text), "TZ=") {
		return wrong("write the zone under timezone", "the schedule holds a time zone")
	}
	schedule, err := parseCron(text)
	if err != nil {
		return wrong(fix, "bad schedule %q: %s", text, err)
	}
	if every, ok := schedule.(cron.ConstantDelaySchedule); ok && every.Delay < time.Minute {
		return wrong("write @every 1m or more", "%s is too often", text)
	}
	if schedule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return wrong("check day and month", "the schedule %q never fires", text)
	}
	return nil
}

// parseCron is cron.ParseStandard without its panics (robfig/cron issue 554).
func parseCron(text string) (schedule cron.Schedule, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return cron.ParseStandard(text)
}

// parseCronOrNever returns nil for never.
func parseCronOrNever(text string) (cron.Schedule, error) {
	if text == never {
		return nil, nil //nolint:nilnil // there is no schedule, and nothing is wrong
	}
	return parseCron(text)
}

func tenantName(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// TenantName returns the name that a tenant can have which is nearest to text.
func TenantName(text string) string { return slug(text) }

// slug makes the nearest tenant name of text.
func slug(text string) string {
	s := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, strings.ToLower(text))
	if s = strings.Trim(s, "_"); s == "" || s[0] < 'a' {
		s = "t" + s
	}
	return s
}
