package config

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/atsync/atsync/schemas"
)

// checker holds the rules that concern more than one value.
type checker struct {
	cfg  *Config
	doc  *document
	over *overrides
	k    *koanf.Koanf
}

func (c *checker) run() {
	c.required()
	names := c.cfg.TenantNames()
	c.sinkPath(names)
	c.http()
	c.alerts()
	c.entities("sync", c.cfg.Sync)
	c.groups("sync", c.cfg.Sync)
	c.dst("sync", c.cfg.Sync)
	for _, name := range names {
		t, path := c.cfg.Tenants[name], "tenants."+name
		if t.URL != "" && t.Zone != "" {
			c.report(path+".url", wrong("keep one of them", "zone and url are both set"))
		}
		c.entities(path+".sync", t.Sync)
		c.groups(path+".sync", t.Sync)
		c.dst(path+".sync", t.Sync)
		if t.IntegrationCode.IsLiteral() {
			c.warn(path+".integration_code", literal)
		}
		if t.Secret.IsLiteral() {
			c.warn(path+".secret", literal)
		}
	}
}

// sinkPath checks where the publication goes.
func (c *checker) sinkPath(names []string) {
	sink := c.cfg.Sink
	if c.isBad("sink.path") || c.isBad("sink.type") {
		return
	}
	work := filepath.Join(c.cfg.DataDir, "work")
	switch {
	case isURL(sink.Path) && sink.Type != SinkParquet:
		c.report("sink.type", wrong("write type: parquet", "a publication in a bucket is one of Parquet files"))
	case isURL(sink.Path):
	case sink.Type == SinkParquet && (sink.Path == work || strings.HasPrefix(sink.Path, work+string(filepath.Separator))),
		sink.Type == SinkDuckDB && filepath.Dir(sink.Path) == work:
		c.report("sink.path", wrong("write another folder", "%s is for atsync's own files", work))
	case sink.Type == SinkParquet && strings.HasSuffix(sink.Path, ".duckdb"):
		c.report("sink.path", wrong("write a folder, like ./data/lake, or type: duckdb", "names a file, and a parquet publication is a folder"))
	case sink.Type == SinkDuckDB && c.cfg.sinkFolder:
		c.report("sink.path", wrong("write a file, like ./data/{tenant}.duckdb", "names a folder, not a file"))
	case sink.Type == SinkDuckDB && len(names) > 1 && !strings.Contains(sink.Path, "{tenant}"):
		c.report("sink.path", wrong("write {tenant} into it, like ./data/{tenant}.duckdb",
			"the tenants %s would share one file", strings.Join(names, " and ")))
	}
}

// literal is the warning about a credential in the file.
var literal = finding{"stands in the configuration itself", "write env:NAME, file:/path or cmd:command"}

// http checks that nobody from elsewhere gets in without logging in.
func (c *checker) http() {
	h := c.cfg.HTTP
	host, _, err := net.SplitHostPort(h.Listen)
	if err == nil && !loopback(host) && h.PasswordHash.Empty() && h.Token.Empty() && !c.isBad("http.listen") && !c.anyBad("http") {
		c.report("http.listen", wrong("set http.password_hash (atsync config password makes one) or http.token, or listen on 127.0.0.1",
			"everybody who reaches this address could see and steer the daemon"))
	}
	if h.Token.IsLiteral() {
		c.warn("http.token", literal)
	}
}

// required reports what is missing.
func (c *checker) required() {
	if len(c.cfg.Tenants) == 0 && !c.anyBad("tenants") {
		c.report("tenants", wrong("write tenants: with a name and below it username, integration_code and secret",
			"there is no tenant"))
	}
	tenants, _ := c.doc.root.child("tenants")
	for _, name := range c.cfg.TenantNames() {
		base := "tenants." + name
		if c.isBad(base) {
			continue
		}
		for _, f := range tenants.fields {
			path := join(base, f.key)
			if !f.need || c.k.Exists(path) || c.isBad(path) {
				continue
			}
			p := c.problem(base, wrong("write "+f.key+": "+exampleOf(f.key, name), "is missing"))
			p.Path = path
			c.doc.problems = append(c.doc.problems, p)
		}
	}
}

func exampleOf(key, tenant string) string {
	if key == "username" {
		return "the API user's Username (Key)"
	}
	return "env:" + strings.ToUpper(tenant+"_"+key)
}

// entities checks a list as a whole; its words were checked one by one.
func (c *checker) entities(path string, s Sync) {
	at := path + ".entities"
	if c.isBad(at) || !c.own(at) {
		return
	}
	if _, err := schemas.Select(s.Entities); err != nil {
		c.report(at, fromText(err.Error()))
	}
}

// dst warns of schedules that a change of the clocks skips or doubles.
func (c *checker) dst(path string, s Sync) {
	if !c.own(path+".schedule") && !c.own(path+".timezone") || c.isBad(path+".schedule") || c.isBad(path+".timezone") {
		return
	}
	loc, err := time.LoadLocation(s.Timezone)
	hours := strings.Fields(s.Schedule)
	if err != nil || len(hours) != 5 || !slices.Contains([]string{"1", "2", "3"}, hours[1]) {
		return
	}
	_, january := time.Date(2026, 1, 1, 0, 0, 0, 0, loc).Zone()
	_, july := time.Date(2026, 7, 1, 0, 0, 0, 0, loc).Zone()
	if january != july {
		at := path + ".schedule"
		if !c.own(at) {
			at = path + ".timezone"
		}
		c.warn(at, finding{
			fmt.Sprintf("when the clocks change in %s, a run at this hour is left out or made twice (both are harmless)", s.Timezone),
			"choose an hour before 1 or after 3, or the time zone UTC",
		})
	}
}

// own reports whether a value is set by the file or the environment.
func (c *checker) own(path string) bool {
	_, file := c.doc.seen[path]
	return file || c.over.from[path] != ""
}

func (c *checker) isBad(path string) bool { return c.doc.bad[path] || c.over.bad[path] }

func (c *checker) anyBad(prefix string) bool {
	for path := range c.doc.bad {
		if path == prefix || strings.HasPrefix(path, prefix+".") {
			return true
		}
	}
	return false
}

func (c *checker) report(path string, f *finding) {
	c.doc.problems = append(c.doc.problems, c.problem(path, f))
}

func (c *checker) warn(path string, f finding) {
	c.cfg.Warnings = append(c.cfg.Warnings, c.problem(path, &f))
}

// problem places a finding where the value was set, or at the nearest section around it.
func (c *checker) problem(path string, f *finding) Problem {
	if name := c.over.from[path]; name != "" {
		return Problem{Path: name, What: f.what, Fix: f.fix}
	}
	p := Problem{File: c.doc.file, Line: 1, Column: 1, Path: path, What: f.what, Fix: f.fix}
	for at := path; at != ""; at = parent(at) {
		if pos, ok := c.doc.seen[at]; ok {
			p.Line, p.Column = pos.line, pos.column
			break
		}
	}
	return p
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// origins says where each value comes from.
func (c *checker) origins() map[string]string {
	out := map[string]string{}
	for path := range c.k.All() {
		out[path] = "default"
		if parts := strings.Split(path, "."); len(parts) >= 4 && parts[0] == "tenants" && parts[2] == "sync" {
			out[path] = "from sync"
		}
	}
	for path, pos := range c.doc.seen {
		out[path] = fmt.Sprintf("%s:%d", filepath.Base(c.doc.file), pos.line)
	}
	maps.Copy(out, c.over.from)
	return out
}
