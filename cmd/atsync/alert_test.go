package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// scriptWebhook is the command webhook: it starts a server that writes what is posted to it into a file, and sets NAME_URL.
func scriptWebhook(ts *testscript.TestScript, args []string) {
	file := ts.MkAbs(args[1])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o600)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(strings.ToUpper(args[0])+"_URL", server.URL+"/hidden-address")
}

// TestADaemonTellsOfARefusedLogin holds that what goes wrong reaches a target, once, and that nobody is shown where that is.
func TestADaemonTellsOfARefusedLogin(t *testing.T) {
	t.Parallel()
	v := newVictimOf(t, autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7)), "Roles")
	posted := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		posted <- fmt.Sprint(r.URL.Path, " ", string(text), " ", err)
	}))
	defer hook.Close()
	file := filepath.Join(v.dir, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(text), "env:SECRET", "env:CODE", 1) + fmt.Sprintf("alerts: {targets: {ops: {type: webhook, url: \"%s/hidden-address\"}}}\n", hook.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := v.daemon()
	d.says(`"told of an alert"`)
	body := <-posted
	for _, part := range []string{"/hidden-address ", `"kind":"hold"`, `"tenant":"acme"`, `"state":"firing"`, "Tracking Identifier"} {
		if !strings.Contains(body, part) {
			t.Errorf("posted was %s, without %s", body, part)
		}
	}
	d.stop()
	kept, err := os.ReadFile(filepath.Join(v.dir, "data", "alerts.json"))
	if err != nil || !strings.Contains(string(kept), `"hold acme"`) {
		t.Errorf("kept: %s, %v", kept, err)
	}
	all := d.logged() + string(kept)
	if found := holds([]byte(all), spellings(v.server.Secret, v.server.IntegrationCode)); found != "" || strings.Contains(all, "hidden-address") {
		t.Errorf("a secret or an address shows: %s", found)
	}
	if len(posted) > 0 {
		t.Errorf("it was told again: %s", <-posted)
	}
}
