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

// spellings lists how values that must not be seen may turn up: every run of 8 characters, so that cutting off and
// masking does not hide them, and how JSON, a URL, base64 or hexadecimal digits write the whole.
func spellings(values ...string) (out [][]byte) {
	for _, v := range values {
		quoted, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		for _, s := range []string{
			strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", v), `"`),
			url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)),
			strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(v)), "="),
		} {
			out = append(out, []byte(s))
		}
		for i := range max(1, len(v)-7) {
			out = append(out, []byte(v[i:min(len(v), i+8)]))
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
	oddCode   = "Q7ZKXJ4VWPB9TMHQ2RDLNF8GSYC"
)

func newSecretRig(t *testing.T) *secretRig {
	server := autotasktest.NewServer(autotasktest.WithClock(simulatedNow), autotasktest.WithGenerated(autotasktest.Tiny(), 7),
		autotasktest.WithCredentials("api@acme.example", oddCode, oddSecret), autotasktest.WithMaxFailedLogins(1000))
	t.Cleanup(server.Close)
	r := &secretRig{T: t, server: server, dir: t.TempDir(), hidden: spellings(oddSecret, oddCode)}
	config := fmt.Sprintf(`
data_dir: ./data
autotask: {discovery_url: %q}
sync: {entities: [Companies, Tickets, Resources, Contacts, Contracts, Products, Roles, Invoices, Services, Surveys, Projects, TimeEntries]}
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
// integration code in all output and in every file that is left. The server repeats what it was sent wherever a
// careless one, or a proxy on the way, might.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	echo := "login of api@acme.example with " + oddSecret + " and " + oddCode + " failed"
	quoted, err := json.Marshal(echo)
	if err != nil {
		t.Fatal(err)
	}
	query, anyOp := autotasktest.OpQuery, autotasktest.Op("")
	body := func(status int, format string) autotasktest.Action {
		if strings.HasPrefix(format, "<") {
			return autotasktest.Body(status, "text/html", fmt.Sprintf(format, echo))
		}
		return autotasktest.Body(status, "application/json", fmt.Sprintf(format, quoted))
	}
	for name, faults := range map[string][]autotasktest.Fault{
		"entities": {
			{Entity: "Tickets", Op: query, Do: body(200, "<html><body>%s")},
			{Entity: "Companies", Op: query, Do: autotasktest.Errors200(echo)},
			{Entity: "Resources", Op: query, Do: body(200, `{"nothing":%s}`)},
			{Entity: "Contacts", Do: autotasktest.Status(403, echo)},
			{Entity: "Contracts", Do: body(400, `{"Message":%s}`)},
			{Entity: "Products", Op: autotasktest.OpFields, Do: body(200, "%s")},
			{Entity: "Roles", Do: autotasktest.Status(500, "no permission: "+echo)},
			{Entity: "Invoices", Do: autotasktest.Status(500, echo)},
			{Entity: "Services", Op: query, Do: autotasktest.RowWithoutID()},
			{Entity: "Surveys", Op: query, Do: body(200, "%s")},
			{Entity: "Projects", Op: query, Do: body(200, `{"items":[{"id":%s}],"pageDetails":{}}`)},
			{Entity: "TimeEntries", Op: query, Do: autotasktest.WrongType("hoursWorked", `"abc"`)},
		},
		"refusal":   {{Op: anyOp, Do: autotasktest.Status(500, "IntegrationCode is invalid: "+echo)}},
		"threshold": {{Op: autotasktest.OpThreshold, Do: body(200, "%s")}},
		"gateway":   {{Op: anyOp, Do: body(503, "<html><body>%s")}},
		"not found": {{Op: anyOp, Do: body(404, "<html><body>%s")}},
		"zone":      {{Op: autotasktest.OpZone, Do: autotasktest.Status(500, "Zone information could not be determined: "+echo)}},
	} {
		for _, args := range [][]string{{"-v", "sync"}, {"--json", "-v", "sync"}, {"-v", "check"}, {"--json", "-v", "check"}} {
			t.Run(name+" "+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				r := newSecretRig(t)
				for _, f := range faults {
					r.server.Fault(f)
				}
				code, secret := oddCode, oddSecret
				if name == "zone" {
					secret = "m4~Xw8!rTq2#Lz6@Pn9$Vb3%K"
				}
				if exit := r.run(code, secret, args...); exit == 0 {
					t.Error("exits 0")
				}
				r.look()
			})
		}
	}
}

// TestWrongCredentialsStayHidden does the same for values that are wrong: they may be right elsewhere.
func TestWrongCredentialsStayHidden(t *testing.T) {
	t.Parallel()
	r := newSecretRig(t)
	for _, wrong := range [][2]string{
		{oddCode, "m4~Xw8!rTq2#Lz6@Pn9$Vb3%K"}, {"5HWLQ9XJ2VTRB7KPZM4NDGC8FSY", oddSecret}, {oddSecret, oddCode},
		{`"` + oddCode + `"`, "'" + oddSecret + "'"}, {" " + oddCode, oddSecret + "\n"}, {oddCode, oddSecret + "\x00"},
	} {
		for _, args := range [][]string{{"-v", "sync"}, {"--json", "-v", "check"}} {
			if exit := r.run(wrong[0], wrong[1], args...); exit == 0 {
				t.Errorf("%q: %v exits 0", wrong, args)
			}
		}
	}
	if exit := r.run(oddCode, oddSecret, "-v", "sync"); exit != 0 {
		t.Errorf("with the right values it exits %d", exit)
	}
	r.look()
}

// look searches what the other commands tell, and every file.
func (r *secretRig) look() {
	r.Helper()
	for _, args := range [][]string{{"--json", "status"}, {"--json", "runs"}, {"runs", "1"}, {"config", "show"}, {"config", "check", "--json"}} {
		r.run(oddCode, oddSecret, args...)
	}
	err := filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d os.DirEntry, err error) error {
		return fileHolds(path, d, err, r.hidden)
	})
	if err != nil {
		r.Error(err)
	}
	if r.outputs < 2000 {
		r.Errorf("only %d bytes were looked through", r.outputs)
	}
}
