package autotask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/atsync/atsync/pipeline"
)

const (
	defaultDiscovery = "https://webservices.autotask.net"
	autotaskDomain   = "autotask.net"
	restPath         = "/ATServicesRest"
	version          = "/V1.0" // pinned: V2.0 is advertised, but has no zoneInformation (api.md §2)
)

// Zone is where a tenant's REST API lives.
type Zone struct {
	Name       string // "America East 2"; empty if the zone was configured
	BaseURL    string // "https://webservices14.autotask.net/ATServicesRest/V1.0"
	Database   string // identity of the Autotask database behind it
	WebURL     string // of the web application, ending in a slash: "https://ww14.autotask.net/"; empty: unknown
	Configured bool   // the base URL is from the configuration, not from zoneInformation
}

// host is the zone's host, with its port if it has one.
func (z Zone) host() string { return hostOf(z.BaseURL) }

// root is the base URL without path.
func (z Zone) root() string { return strings.TrimSuffix(z.BaseURL, restPath+version) }

var (
	bareZone = regexp.MustCompile(`^(?:webservices)?0*([1-9][0-9]{0,2})$`)
	webHost  = regexp.MustCompile(`^ww([0-9]{1,3})(?:\.autotask\.net)?$`)
	restLike = regexp.MustCompile(`(?i)^/*(?:atservicesrest/*(?:v1\.0/*)?)?$`)
	hostLike = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
)

const zoneForms = "write webservices3, 3, webservices3.autotask.net, https://webservices3.autotask.net/ATServicesRest/V1.0, or leave it out"

// parseZone turns any of the accepted spellings of a zone into its base URL: a number, a name, a host,
// a REST URL with or without version and trailing slash, in any case. An empty one stays empty.
// Credentials may go to hosts of Autotask, to the loopback, and to the host named by discovery.
func parseZone(s, discovery string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return "", nil
	}
	if m := bareZone.FindStringSubmatch(s); m != nil {
		s = "webservices" + m[1] + "." + autotaskDomain
	}
	if m := webHost.FindStringSubmatch(s); m != nil {
		return "", fmt.Errorf("zone %q is a web host: its API is webservices%s", s, m[1])
	}
	switch s {
	case "webservices", "prde", "pres": // the un-numbered host, and the localised pre-releases (api.md §2)
		s += "." + autotaskDomain
	}
	if host, _, _ := strings.Cut(s, "/"); !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "", fmt.Errorf("zone %q is not known: %s", s, zoneForms)
	}
	base, err := parseRoot(s)
	if err != nil {
		return "", fmt.Errorf("zone %w: %s", err, zoneForms)
	}
	if isLoopback(hostname(base)) {
		return base, nil
	}
	if err := allowedHost(base, discovery); err != nil {
		return "", fmt.Errorf("zone %w", err)
	}
	return base, nil
}

// parseRoot reads a host or a URL and returns the base URL of the REST API on it. Plain HTTP is for loopback only.
func parseRoot(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL", s)
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case u.User != nil:
		return "", errors.New("must not hold a user or password")
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q must not have a query or fragment", s)
	case !hostLike.MatchString(host) && net.ParseIP(host) == nil:
		return "", fmt.Errorf("%q has no usable host", s)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(host)):
		return "", fmt.Errorf("%q must start with https:// (http:// is for the local machine only)", s)
	case !restLike.MatchString(u.Path):
		return "", fmt.Errorf("%q has a path that is not /ATServicesRest/V1.0", s)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + restPath + version, nil
}

// allowedHost refuses hosts that are neither Autotask's nor the one that discovery names. A host on the
// loopback is only believed if discovery is on the loopback too.
func allowedHost(base, discovery string) error {
	host := hostname(base)
	switch {
	case host == autotaskDomain || strings.HasSuffix(host, "."+autotaskDomain):
		return nil
	case discovery != "" && host == hostname(discovery):
		return nil
	case isLoopback(host) && isLoopback(hostname(discovery)):
		return nil
	}
	return fmt.Errorf("host %q is not one of autotask.net: no credentials go there unless discovery_url names it too", host)
}

// isLoopback reports whether a host name is this machine.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

func hostname(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// Move is a configured zone and the one in which the tenant was found instead, as base URLs.
type Move struct{ From, To string }

// to returns where to go instead of base, or "" if nothing is known or it can't be trusted.
func (m Move) to(base, discovery string) string {
	if base == "" || m.From != base {
		return ""
	}
	to, err := parseRoot(m.To)
	if err != nil || allowedHost(to, discovery) != nil {
		return ""
	}
	return to
}

// zoneAnswer is zoneInformation's body (api.md §2). ci names the database.
type zoneAnswer struct {
	ZoneName string      `json:"zoneName"`
	URL      string      `json:"url"`
	WebURL   string      `json:"webUrl"`
	CI       json.Number `json:"ci"`
}

// Zone returns where the tenant's API is: as configured, or found by zoneInformation, which needs no login.
// It is asked for once.
func (c *Client) Zone(ctx context.Context) (Zone, error) {
	if z := c.session.zone(); z.BaseURL != "" {
		return z, nil
	}
	if err := c.zoneLock.lock(ctx); err != nil {
		return Zone{}, c.canceled("", opZone, err)
	}
	defer c.zoneLock.unlock()
	if z := c.session.zone(); z.BaseURL != "" {
		return z, nil
	}
	z, err := c.lookup(ctx, &tries{})
	if err != nil {
		return Zone{}, err
	}
	c.setZone(z)
	return z, nil
}

// lookup asks zoneInformation. It sends the user name, and no credentials.
func (c *Client) lookup(ctx context.Context, t *tries) (Zone, error) {
	var z Zone
	username := c.creds.Username()
	rq := &request{
		op: opZone, method: http.MethodGet, limit: 1 << 20, anonymous: true,
		url: c.discovery + restPath + version + "/zoneInformation?user=" + url.QueryEscape(username),
	}
	rq.check = func(body []byte) error {
		var a zoneAnswer
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&a); err != nil || a.URL == "" {
			return errors.New("the answer holds no zone")
		}
		base, err := parseRoot(a.URL)
		if err == nil {
			err = allowedHost(base, c.discovery)
		}
		if err != nil {
			return &failure{kind: kindFinal, class: pipeline.ClassSource,
				err:    fmt.Errorf("zoneInformation names an address that can't be trusted: %w", err),
				remedy: "check autotask.discovery_url, or set the tenant's zone"}
		}
		z = Zone{Name: a.ZoneName, BaseURL: base, Database: database(base, a.CI.String(), username), WebURL: webURL(a.WebURL, base, c.discovery)}
		return nil
	}
	ans, err := c.call(ctx, rq, t)
	if err != nil {
		return Zone{}, err
	}
	c.drop(ans)
	return z, nil
}

var zoneHost = regexp.MustCompile(`^https://webservices([1-9][0-9]{0,2})\.autotask\.net/`)

// webURL returns where a zone's web application is: as zoneInformation says, if that is a host to be trusted, else by
// the zone's number (webservices14 and ww14 belong together, api.md §2), else "".
func webURL(told, base, discovery string) string {
	u, err := url.Parse(strings.TrimSpace(told))
	if err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())) {
		if root := u.Scheme + "://" + strings.ToLower(u.Host) + "/"; allowedHost(root, discovery) == nil {
			return root
		}
	}
	if m := zoneHost.FindStringSubmatch(base); m != nil {
		return "https://ww" + m[1] + "." + autotaskDomain + "/"
	}
	return ""
}

// WebURL returns where people open the tenant's Autotask, as far as that is known already: "" before the zone is.
func (c *Client) WebURL() string { return c.session.zone().WebURL }

// database identifies the Autotask database behind a zone: by ci where zoneInformation told it, else by the
// user name's domain, which a tenant's API users share.
func database(base, ci, username string) string {
	if ci != "" && ci != "0" {
		return hostOf(base) + "/" + ci
	}
	_, domain, _ := strings.Cut(username, "@")
	if domain == "" {
		domain = username
	}
	return hostOf(base) + "/" + strings.ToLower(domain)
}
