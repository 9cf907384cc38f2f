package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/atsync/atsync/sinks/duckdb"
)

// TestMain lets this test binary be atsync itself: in scripts as the command "atsync", and as the child that
// copies a warehouse.
func TestMain(m *testing.M) {
	duckdb.CopyChild()
	testscript.Main(leakChecked{m}, map[string]func(){"atsync": main})
}

// leakChecked runs the tests and then looks for goroutines that were left behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	// Most of what these tests do is wait: for retries, for locks, for a server that hangs.
	if err := flag.Set("test.parallel", "6"); err != nil { // the command line, which is parsed later, wins
		panic(err)
	}
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// TestScripts runs testdata/script/*.txtar: the command line as a user meets it. One of them:
// go test ./cmd/atsync -run TestScripts/NAME. Scripts start in an empty folder with an empty environment.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands(),
		Condition:           scriptCondition(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[simulatorsKey{}] = map[string]*simulated{}
			e.Values[bucketKey{}] = &atomic.Pointer[atomic.Int64]{}
			return nil
		},
	})
}

// scriptCommands are what scripts can do beside running atsync. NAME is a simulator's, ENTITY and OP may be
// * for any.
//
//	exits CODE PROGRAM [ARG…]                 run a program and expect an exit code
//	says REGEXP                               what the last program printed, wherever to, has a line that matches
//	interrupt CODE NAME PROGRAM [ARG…]        the same, sending SIGINT as soon as a fault of NAME is met
//	simulator NAME [OPTION…]                  start a simulator with a tiny tenant; see scriptSimulator
//	shutdown NAME                             stop it: nobody listens there any more
//	fault NAME ENTITY OP KIND [TIMES]         let requests fail; see parseFault for KIND
//	fault NAME clear                          let none fail
//	hit NAME                                  wait until a request meets a fault that was set since
//	others NAME N                             other integrations make N requests
//	deny NAME ENTITY 401|403|500|none         take the right to an entity away, in one of the service's styles
//	move NAME OTHER                           move the API user to another zone
//	lock NAME, unlock NAME                    lock the API user as failed logins do; unlock
//	edit NAME update|insert|delete ENTITY N   change the first N rows, add N rows, delete the last N
//	edit NAME vanish ENTITY N                 delete the last N, with no row in a log of deletions
//	logins NAME N                             at most N refused logins since the simulator started or was locked
//	requests NAME N                           at most N requests since the last such line
//	equal NAME FILE ENTITY…                   the live rows in FILE are the simulator's, field for field
//	leakless NAME PATH…                       neither stdout, stderr nor any file below PATH holds its secrets
//	webhook NAME FILE                         start a server that keeps in FILE what was posted last; it sets NAME_URL
//	bucket NAME                               start an S3 service with a bucket; BUCKET_URL and the AWS_ variables are set
//	answers CODE                              it answers everything with a status from now on; 0: as it should
//	tmpfs DIR SIZE                            put a file system of that size there, where [tmpfs] says it can be done
func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	positive := func(least int, f func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < least {
				ts.Fatalf("used wrongly; scriptCommands lists the commands")
			}
			f(ts, args)
		}
	}
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits":     positive(2, scriptExits),
		"says":      positive(1, scriptSays),
		"interrupt": positive(3, scriptInterrupt),
		"simulator": positive(1, scriptSimulator),
		"shutdown":  positive(1, func(ts *testscript.TestScript, args []string) { simulatorOf(ts, args[0]).Close() }),
		"fault":     positive(2, scriptFault),
		"hit":       positive(1, scriptHit),
		"others":    positive(2, scriptOthers),
		"deny":      positive(3, scriptDeny),
		"move": positive(2, func(ts *testscript.TestScript, args []string) {
			simulatorOf(ts, args[0]).MoveTo(simulatorOf(ts, args[1]).Server)
		}),
		"lock":     positive(1, scriptLock),
		"unlock":   positive(1, func(ts *testscript.TestScript, args []string) { simulatorOf(ts, args[0]).Unlock() }),
		"edit":     positive(4, scriptEdit),
		"field":    positive(4, scriptField),
		"logins":   positive(2, scriptLogins),
		"requests": positive(2, scriptRequests),
		"equal":    positive(3, scriptEqual),
		"leakless": positive(2, scriptLeakless),
		"webhook":  positive(2, scriptWebhook),
		"tmpfs":    positive(2, scriptTmpfs),
		"bucket":   positive(1, scriptBucket),
		"answers":  positive(1, scriptAnswers),
	}
}

// scriptExits is the command exits. What the program printed is there for stdout and stderr, as after exec.
func scriptExits(ts *testscript.TestScript, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	if got := exitCode(err); got != args[0] {
		ts.Fatalf("%v exits %s, want %s", args[1:], got, args[0])
	}
}

// scriptSays is the command says.
func scriptSays(ts *testscript.TestScript, args []string) {
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if !re.MatchString(ts.ReadFile("stdout")) && !re.MatchString(ts.ReadFile("stderr")) {
		ts.Fatalf("nothing says %q", args[0])
	}
}

// scriptInterrupt is the command interrupt. The shell tells the number of the process that it turns into.
func scriptInterrupt(ts *testscript.TestScript, args []string) {
	s := simulatorOf(ts, args[1])
	pidFile := ts.MkAbs(".pid")
	ended := make(chan struct{})
	sent := make(chan error, 1)
	go func() {
		select {
		case <-s.met:
			sent <- signalPid(pidFile, os.Interrupt)
		case <-ended:
			sent <- fmt.Errorf("it ended before it met a fault")
		}
	}()
	err := ts.Exec("sh", append([]string{"-c", `echo $$ >.pid; exec "$@"`, "sh"}, args[2:]...)...)
	close(ended)
	ts.Check(<-sent)
	if got := exitCode(err); got != args[0] {
		ts.Fatalf("%v exits %s, want %s", args[2:], got, args[0])
	}
}

func signalPid(file string, sig os.Signal) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(sig)
}

// scriptCondition knows [tmpfs]: this user may mount a file system.
func scriptCondition() func(string) (bool, error) {
	tmpfs := sync.OnceValue(func() bool {
		dir, err := os.MkdirTemp("", "atsync-tmpfs")
		if err != nil {
			return false
		}
		defer func() { _ = os.Remove(dir) }()
		if mountTmpfs(dir, "1m") != nil {
			return false
		}
		return unmount(dir) == nil
	})
	return func(cond string) (bool, error) {
		if cond == "tmpfs" {
			return tmpfs(), nil
		}
		return false, fmt.Errorf("unknown condition %q", cond)
	}
}

func scriptTmpfs(ts *testscript.TestScript, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(mountTmpfs(dir, args[1]))
	ts.Defer(func() {
		if err := unmount(dir); err != nil {
			ts.Logf("%v", err)
		}
	})
}

func mountTmpfs(dir, size string) error {
	return tool("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir)
}

func unmount(dir string) error { return tool("umount", dir) }

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// scriptLeakless is the command leakless.
func scriptLeakless(ts *testscript.TestScript, args []string) {
	s := simulatorOf(ts, args[0])
	hidden := spellings(s.Secret, s.IntegrationCode)
	for _, name := range []string{"stdout", "stderr"} {
		if found := holds([]byte(ts.ReadFile(name)), hidden); found != "" {
			ts.Fatalf("%s holds %s", name, found)
		}
	}
	for _, path := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(path), func(path string, d os.DirEntry, err error) error {
			return fileHolds(path, d, err, hidden)
		}))
	}
}
