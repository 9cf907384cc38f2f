package main

import (
	"crypto/tls"
	"database/sql"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// simulated is a simulator that a script or test has started.
type simulated struct {
	*autotasktest.Server
	met      chan struct{} // takes one element when a request meets a fault
	failed   int           // logins that had failed when counting began
	requests int           // requests when counting began
	edits    int
}

type simulatorsKey struct{}

func simulators(ts *testscript.TestScript) map[string]*simulated {
	return ts.Value(simulatorsKey{}).(map[string]*simulated)
}

func simulatorOf(ts *testscript.TestScript, name string) *simulated {
	s := simulators(ts)[name]
	if s == nil {
		ts.Fatalf("there is no simulator %s", name)
	}
	return s
}

// simulatedNow is where the clocks of simulators stand.
func simulatedNow() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

// scriptSimulator is the command simulator. The simulator lives as long as the script and sets NAME_URL (host),
// NAME_BASE (REST root), NAME_USER, NAME_CODE and NAME_SECRET, with NAME in capitals. The first one is also the
// discovery service, so that no script asks the real one. Options:
//
//	like=OTHER   answers from OTHER's rows
//	stranger     knows another API user than the usual one
//	codetext     answers a wrong integration code with a 500 and a text
//	tls          speaks HTTPS, with a certificate that only NAME.pem trusts
func scriptSimulator(ts *testscript.TestScript, args []string) {
	opts := []autotasktest.Option{autotasktest.WithClock(simulatedNow)}
	start, name := autotasktest.NewServer, args[0]
	data := autotasktest.WithGenerated(autotasktest.Tiny(), 7)
	for _, arg := range args[1:] {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "like":
			data = autotasktest.WithData(simulatorOf(ts, value).Data())
		case "stranger":
			opts = append(opts, autotasktest.WithCredentials("someone@else.example", "ANOTHERTRACKINGIDENTIFIER00", "another-secret-of-25-chars"))
		case "codetext":
			opts = append(opts, autotasktest.WithIntegrationCodeErrors())
		case "tls":
			start = autotasktest.NewTLSServer
		default:
			ts.Fatalf("simulator has no option %q", arg)
		}
	}
	s := &simulated{Server: start(append(opts, data)...), met: make(chan struct{}, 1)}
	ts.Defer(s.Close)
	all := simulators(ts)
	all[name] = s
	if len(all) == 1 {
		ts.Setenv("ATSYNC_AUTOTASK__DISCOVERY_URL", s.URL)
	}
	for key, value := range map[string]string{
		"URL": s.URL, "BASE": s.BaseURL(), "USER": s.Username, "CODE": s.IntegrationCode, "SECRET": s.Secret,
	} {
		ts.Setenv(strings.ToUpper(name)+"_"+key, value)
	}
	if strings.HasPrefix(s.URL, "https:") {
		ts.Check(writeCertificate(s.URL, ts.MkAbs(name+".pem")))
	}
}

func writeCertificate(url, file string) error {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to fetch it
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	der := conn.ConnectionState().PeerCertificates[0].Raw
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// scriptFault is the command fault.
func scriptFault(ts *testscript.TestScript, args []string) {
	s := simulatorOf(ts, args[0])
	if args[1] == "clear" {
		s.ClearFaults()
		return
	}
	if len(args) < 4 {
		ts.Fatalf("usage: fault NAME ENTITY OP KIND [TIMES]")
	}
	times := 0
	if len(args) > 4 {
		var err error
		times, err = strconv.Atoi(args[4])
		ts.Check(err)
	}
	action, err := parseFault(args[3])
	ts.Check(err)
	name := func(s string) string { return strings.TrimSuffix(s, "*") }
	s.fault(autotasktest.Fault{Entity: name(args[1]), Op: autotasktest.Op(name(args[2])), Times: times, Do: action})
}

// fault sets a fault that tells s.met when a request comes its way.
func (s *simulated) fault(f autotasktest.Fault) {
	select {
	case <-s.met:
	default:
	}
	f.When = func(autotasktest.Request) bool {
		select {
		case s.met <- struct{}{}:
		default:
		}
		return true
	}
	s.Fault(f)
}

// parseFault reads KIND: a status alone (503) or with the text of an error (500:TEXT, 200:TEXT), or one of the
// names below.
func parseFault(text string) (autotasktest.Action, error) {
	name, arg, _ := strings.Cut(text, ":")
	if status, err := strconv.Atoi(name); err == nil {
		if arg == "" {
			return autotasktest.Status(status), nil
		}
		return autotasktest.Status(status, arg), nil
	}
	switch name {
	case "html":
		return autotasktest.HTML(http.StatusOK), nil
	case "truncate": // the connection breaks in the middle of the body
		return autotasktest.Truncate(), nil
	case "cut": // the JSON ends in its middle
		return autotasktest.InvalidJSON(), nil
	case "empty":
		return autotasktest.EmptyBody(), nil
	case "reset":
		return autotasktest.Reset(), nil
	case "noid":
		return autotasktest.RowWithoutID(), nil
	case "unordered":
		return autotasktest.UnorderedIDs(), nil
	case "wrongtype": // wrongtype:FIELD=JSON
		field, value, _ := strings.Cut(arg, "=")
		return autotasktest.WrongType(field, value), nil
	case "hang":
		return autotasktest.Hang(), nil
	}
	return autotasktest.Action{}, fmt.Errorf("unknown fault %q", text)
}

// scriptHit is the command hit.
func scriptHit(ts *testscript.TestScript, args []string) {
	select {
	case <-simulatorOf(ts, args[0]).met:
	case <-time.After(time.Minute):
		ts.Fatalf("no request met a fault")
	}
}

// scriptOthers is the command others.
func scriptOthers(ts *testscript.TestScript, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	simulatorOf(ts, args[0]).UseOthers(n)
}

// scriptDeny is the command deny.
func scriptDeny(ts *testscript.TestScript, args []string) {
	d, ok := map[string]autotasktest.Denial{
		"401": autotasktest.Denied401, "403": autotasktest.Denied403, "500": autotasktest.Denied500, "none": autotasktest.DeniedNot,
	}[args[2]]
	if !ok {
		ts.Fatalf("no way to deny: %s", args[2])
	}
	simulatorOf(ts, args[0]).Deny(args[1], d)
}

// scriptLock is the command lock.
func scriptLock(ts *testscript.TestScript, args []string) {
	s := simulatorOf(ts, args[0])
	for !s.Locked() {
		r, err := http.NewRequest(http.MethodGet, s.BaseURL()+"/Version", nil)
		ts.Check(err)
		r.Header.Set("UserName", s.Username)
		r.Header.Set("ApiIntegrationCode", s.IntegrationCode)
		r.Header.Set("Secret", "wrong")
		answer, err := s.Client().Do(r)
		ts.Check(err)
		ts.Check(answer.Body.Close())
	}
	s.failed = s.FailedLogins()
}

// scriptEdit is the command edit.
func scriptEdit(ts *testscript.TestScript, args []string) {
	s, entity := simulatorOf(ts, args[0]), args[2]
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	ids := s.Data().IDs(entity)
	if args[1] != "insert" && n > len(ids) {
		ts.Fatalf("%s has %d rows", entity, len(ids))
	}
	s.edits++
	for i := range n {
		value := map[string]any{textField(entity): fmt.Sprintf("edit %d of row %d 🛠", s.edits, i)}
		switch args[1] {
		case "update":
			s.Data().Update(entity, ids[i], value)
		case "insert":
			s.Data().Insert(entity, value)
		case "delete":
			s.Data().Delete(entity, ids[len(ids)-1-i])
		case "vanish":
			s.Data().DeleteQuietly(entity, ids[len(ids)-1-i])
		default:
			ts.Fatalf("no such edit: %s", args[1])
		}
	}
}

// textField names a field of an entity that takes any text.
func textField(entity string) string {
	e, ok := schemas.Lookup(entity)
	if !ok {
		panic("no entity " + entity)
	}
	for _, f := range e.Fields {
		if f.Type == "string" && (f.Picklist == nil || !*f.Picklist) {
			return f.Name
		}
	}
	panic(entity + " has no text")
}

// scriptLogins is the command logins.
func scriptLogins(ts *testscript.TestScript, args []string) {
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	s := simulatorOf(ts, args[0])
	if got := s.FailedLogins() - s.failed; got > most {
		ts.Fatalf("%d refused logins, at most %d are allowed", got, most)
	}
}

// scriptRequests is the command requests.
func scriptRequests(ts *testscript.TestScript, args []string) {
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	s := simulatorOf(ts, args[0])
	all := s.RequestCount()
	got := all - s.requests
	s.requests = all
	if got > most {
		ts.Fatalf("%d requests, at most %d are needed", got, most)
	}
}

// scriptEqual is the command equal.
func scriptEqual(ts *testscript.TestScript, args []string) {
	s := simulatorOf(ts, args[0])
	selected, err := schemas.Select(args[2:])
	ts.Check(err)
	var names []string
	for _, e := range selected {
		names = append(names, e.Name)
	}
	for _, difference := range differences(ts.MkAbs(args[1]), s.Data(), names) {
		ts.Fatalf("%s", difference)
	}
}

// differences lists how the live rows of a published file differ from the source, an entity each. It closes the file:
// while one is open, DuckDB shows every later reader of this process the same version.
func differences(path string, data *autotasktest.Data, entities []string) (out []string) {
	db, err := sql.Open("duckdb", path+"?access_mode=READ_ONLY")
	if err != nil {
		return []string{err.Error()}
	}
	columns, err := allColumns(db)
	if err != nil {
		out = append(out, err.Error())
	}
	for _, entity := range entities {
		if diff := compareEntity(db, data, entity, columns[entity]); diff != "" {
			out = append(out, entity+": "+diff)
		}
	}
	if err := db.Close(); err != nil {
		out = append(out, err.Error())
	}
	return out
}
