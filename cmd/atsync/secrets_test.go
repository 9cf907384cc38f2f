package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// spellings lists how values that must not be seen may turn up: as they are, cut off, and as JSON, a URL, base64
// or hexadecimal digits write them.
func spellings(values ...string) (out [][]byte) {
	for _, v := range values {
		quoted, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		for _, s := range []string{
			v, v[:min(len(v), 12)], strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", v), `"`),
			url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)),
			strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(v)), "="),
		} {
			out = append(out, []byte(s))
		}
	}
	return out
}

// holds returns the first of the spellings that stands in b, or "".
func holds(b []byte, hidden [][]byte) string {
	for _, h := range hidden {
		if bytes.Contains(b, h) {
			return string(h)
		}
	}
	return ""
}

// fileHolds is a step of filepath.WalkDir that fails for a file which holds what it must not.
func fileHolds(path string, d os.DirEntry, err error, hidden [][]byte) error {
	if err != nil || !d.Type().IsRegular() {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if found := holds(b, hidden); found != "" {
		return fmt.Errorf("%s holds %s", path, found)
	}
	return nil
}

// secretRig runs commands in this process against a simulator whose credentials are easy to mangle.
type secretRig struct {
	*testing.T
	server  *autotasktest.Server
	dir     string
	hidden  [][]byte
	outputs int
}

const (
	oddSecret = `p"w<7>&$#é\'~vT*2m/K=+9Lw`
	oddCode   = "Q7WERTYUIOPASDFGHJKLZXCVBNM"
)

func newSecretRig(t *testing.T) *secretRig {
	server := autotasktest.NewServer(autotasktest.WithClock(simulatedNow), autotasktest.WithGenerated(autotasktest.Tiny(), 7),
		autotasktest.WithCredentials("api@acme.example", oddCode, oddSecret), autotasktest.WithMaxFailedLogins(1000))
	t.Cleanup(server.Close)
	r := &secretRig{T: t, server: server, dir: t.TempDir(), hidden: spellings(oddSecret, oddCode)}
	config := fmt.Sprintf(`
data_dir: ./data
autotask: {discovery_url: %q}
sync: {entities: [Companies, Tickets, Resources]}
tenants:
  acme: {username: api@acme.example, integration_code: "env:CODE", secret: "env:SECRET", url: %q}
`, server.URL, server.BaseURL())
	if err := os.WriteFile(filepath.Join(r.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs one command line with these credentials and looks for them, and for the right ones, in what it prints.
func (r *secretRig) run(code, secret string, args ...string) int {
	r.Helper()
	var stdout, stderr bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, environ: []string{"CODE=" + code, "SECRET=" + secret}}
	args = append([]string{"--config", filepath.Join(r.dir, "config.yaml")}, args...)
	exit := run(context.WithoutCancel(r.Context()), e, args)
	hidden := append(spellings(code, secret), r.hidden...)
	for name, b := range map[string]*bytes.Buffer{"standard output": &stdout, "standard error": &stderr} {
		r.outputs += b.Len()
		if found := holds(b.Bytes(), hidden); found != "" {
			r.Errorf("%v: %s holds %s:\n%s", args, name, found, b)
		}
	}
	return exit
}

// TestSecretsStayHidden lets everything fail that can, at the highest verbosity and as JSON, and looks for secret and
// integration code in all output and in every file that is left. The server itself repeats what it was sent where a
// careless one might.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	echo := "login of api@acme.example with " + oddSecret + " and " + oddCode + " failed"
	quoted, err := json.Marshal(echo)
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]autotasktest.Fault{
		"error text":       {Do: autotasktest.Status(500, echo)},
		"refusal":          {Do: autotasktest.Status(500, "IntegrationCode is invalid: "+echo)},
		"rights":           {Entity: "Tickets", Do: autotasktest.Status(500, "no permission: "+echo)},
		"errors in 200":    {Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.Errors200(echo)},
		"framework":        {Do: autotasktest.Body(400, "application/json", `{"Message":`+string(quoted)+`}`)},
		"page":             {Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.Body(200, "text/html", "<html>"+echo)},
		"page as JSON":     {Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.Body(200, "application/json", `{"nothing":`+string(quoted)+`}`)},
		"metadata":         {Entity: "Tickets", Op: autotasktest.OpFields, Do: autotasktest.Body(200, "application/json", string(quoted))},
		"no right":         {Entity: "Tickets", Do: autotasktest.Status(403, echo)},
		"login":            {Op: autotasktest.OpThreshold, Do: autotasktest.Body(200, "application/json", string(quoted))},
		"wrong type":       {Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.WrongType("estimatedHours", `"abc"`)},
		"row without id":   {Entity: "Tickets", Op: autotasktest.OpQuery, Do: autotasktest.RowWithoutID()},
		"zone information": {Op: autotasktest.OpZone, Do: autotasktest.Status(500, "Zone information could not be determined: "+echo)},
	}
	r := newSecretRig(t)
	for name, f := range faults {
		r.server.Fault(f)
		for _, args := range [][]string{{"-v", "sync"}, {"--json", "-v", "sync", "--full"}, {"-v", "check", "--release"}, {"--json", "check"}} {
			if code := r.run(oddCode, oddSecret, args...); code == 0 && name != "zone information" && name != "wrong type" {
				t.Errorf("%s: %v exits 0", name, args)
			}
		}
		r.server.ClearFaults()
		r.run(oddCode, oddSecret, "check", "--release", "--no-rights")
	}
	for _, wrong := range [][2]string{
		{oddCode, "not-the-secret-of-anybody"}, {"NOTTHECODEOFANYBODYATALL000", oddSecret}, {oddSecret, oddCode},
		{`"` + oddCode + `"`, "'" + oddSecret + "'"}, {" " + oddCode, oddSecret + "\n"},
	} {
		for _, args := range [][]string{{"-v", "sync"}, {"--json", "-v", "check"}} {
			if code := r.run(wrong[0], wrong[1], args...); code == 0 {
				t.Errorf("%q: %v exits 0", wrong, args)
			}
		}
	}
	if code := r.run(oddCode, oddSecret, "-v", "sync", "--full"); code != 0 {
		t.Errorf("the last sync exits %d", code)
	}
	for _, args := range [][]string{{"status"}, {"--json", "status"}, {"runs", "--limit", "1000"}, {"--json", "runs"}, {"config", "show"},
		{"config", "check", "--json"}, {"sql", "FROM _atsync.runs"}, {"--json", "sql", "FROM _atsync.loads"}} {
		if code := r.run(oddCode, oddSecret, args...); code != 0 {
			t.Errorf("%v exits %d", args, code)
		}
	}
	err = filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d os.DirEntry, err error) error {
		return fileHolds(path, d, err, r.hidden)
	})
	if err != nil {
		t.Error(err)
	}
	if r.outputs < 10_000 {
		t.Errorf("only %d bytes were looked through", r.outputs)
	}
}
