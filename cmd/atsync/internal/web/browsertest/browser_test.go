//go:build pages

package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
	"github.com/atsync/atsync/cmd/atsync/internal/web"
	"github.com/atsync/atsync/cmd/atsync/internal/web/webtest"
)

//go:embed testdata/axe.min.js
var axe string

// pages are all kinds of page, by the name of their screenshot.
func pages() map[string]string {
	return map[string]string{"overview": "/", "tenant": "/tenant/acme", "hold": "/tenant/evergreen", "failed": "/tenant/globex", "new": "/tenant/juniper",
		"entity": "/tenant/acme/entity/Tickets", "hostile": "/tenant/cobalt/entity/Tickets", "unpublished": "/tenant/juniper/entity/Tickets", "run": "/tenant/acme/run/1400", "running": "/tenant/acme/run/1401",
		"quota": "/quota", "alerts": "/alerts", "missing": "/nothing/here"}
}

// shown are the pages whose pictures the documentation has.
func shown() []string { return []string{"overview", "tenant", "entity", "run", "alerts", "quota"} }

// screen is a size and a theme.
type screen struct {
	name          string
	width, height int64
	dark          bool
	checked       bool // each size and each theme is, once
}

func screens() []screen {
	return []screen{{"desktop-light", 1280, 800, false, false}, {"desktop-dark", 1280, 800, true, true}, {"phone-light", 390, 844, false, true}, {"phone-dark", 390, 844, true, false}}
}

// browser is a tab, and what was wrong in it.
type browser struct {
	ctx  context.Context //nolint:containedctx // it is the tab
	home *url.URL

	mu    sync.Mutex
	wrong []string
}

// open starts Chromium with one tab. It fails the test if there is none: `make pages` says what to install.
func open(t *testing.T, address string) *browser {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, timeout := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(func() { timeout(); cancel(); stop() })
	home, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{ctx: ctx, home: home}
	chromedp.ListenTarget(ctx, b.hear)
	b.do(t, network.Enable(), log.Enable(), runtime.Enable())
	return b
}

// hear notes requests to other hosts, and everything that a console would show in red.
func (b *browser) hear(event any) {
	complain := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != b.home.Host && u.Scheme != "data" {
			complain("asked for %s", e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		complain("exception: %s", e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			complain("console: %s", e.Args[0].Value)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.URL, "/nothing/here") {
			complain("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// visit shows a page.
func (b *browser) visit(t *testing.T, path string) {
	t.Helper()
	b.do(t, chromedp.Navigate(b.home.JoinPath(path).String()), chromedp.WaitReady("#content"))
}

func (b *browser) set(t *testing.T, s screen) {
	t.Helper()
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	b.do(t, emulation.SetDeviceMetricsOverride(s.width, s.height, 1, s.width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// complaints returns what was wrong since it was last asked.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.wrong
	b.wrong = nil
	return out
}

// few are as many entities as it takes to see what long tables look like: axe-core's time grows with them.
func few() []string {
	return []string{"Tickets", "TimeEntries", "Companies", "CompanyLocations", "ContractServiceBundleUnits", "Contracts", "Resources", "Tasks", "InventoryItems"}
}

func start(t *testing.T, access web.Access) (*webtest.Fake, *httptest.Server) {
	t.Helper()
	f := webtest.NewOf(few()...)
	return f, serve(t, f, access)
}

func serve(t *testing.T, f *webtest.Fake, access web.Access) *httptest.Server {
	t.Helper()
	access.Listen = "127.0.0.1:0"
	p, err := web.New(web.Options{Control: f, Store: f, Access: access, Version: "1.2.3", Now: webtest.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server
}

// violation is what axe-core found.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// TestPages looks at every page: no violation of accessibility rules, nothing on the console, no request to
// another host, nothing that makes the page itself scroll sideways. With ATSYNC_SCREENSHOTS it writes pictures there.
func TestPages(t *testing.T) {
	folder := os.Getenv("ATSYNC_SCREENSHOTS")
	f := webtest.NewOf(few()...)
	if folder != "" {
		f = webtest.New()
	}
	server := serve(t, f, web.Access{})
	b := open(t, server.URL)
	for _, s := range screens() {
		b.set(t, s)
		for name, path := range pages() {
			photo := folder != "" && slices.Contains(shown(), name)
			if !photo && !s.checked {
				continue
			}
			b.visit(t, path)
			if photo {
				picture(t, b, filepath.Join(folder, name+"-"+s.name+".png"))
			}
			if s.checked {
				check(t, b, s.name+" "+name)
			}
		}
	}
}

// check looks at the page that is shown.
func check(t *testing.T, b *browser, what string) {
	t.Helper()
	var found string
	var overflow bool
	b.do(t, chromedp.Evaluate(axe+";0", nil),
		chromedp.Evaluate(`axe.run({runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"], resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations))`, &found,
			func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
		chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &overflow))
	var violations []violation
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("%s: %s (%s), %d times, first %s\n%s", what, v.ID, v.Help, len(v.Nodes), v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
	}
	if overflow {
		t.Errorf("%s: the page is wider than the screen", what)
	}
	for _, c := range b.complaints() {
		t.Errorf("%s: %s", what, c)
	}
}

func picture(t *testing.T, b *browser, file string) {
	t.Helper()
	var png []byte
	b.do(t, chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pressed clicks a button and waits for the page that it leads to.
func (b *browser) pressed(t *testing.T, selector string) string {
	t.Helper()
	var notice string
	b.do(t, chromedp.Click(selector, chromedp.ByQuery), chromedp.WaitReady("p.note.good", chromedp.ByQuery),
		chromedp.Text("p.note.good", &notice, chromedp.ByQuery))
	return notice
}

// TestControls uses every control with the mouse, and the main ones with the keyboard.
func TestControls(t *testing.T) {
	f, server := start(t, web.Access{})
	b := open(t, server.URL)
	b.set(t, screens()[0])
	for _, c := range []struct{ page, button, did, says string }{
		{"/", "#sync-delta_networks", "sync delta_networks", "sync will start"},
		{"/tenant/lumen", "#do-sync", "sync lumen", "sync will start"},
		{"/tenant/lumen", "#do-verify", "verify lumen", "verify will start"},
		{"/tenant/lumen", "#do-pause", "pause lumen", "Paused"},
		{"/tenant/lumen", "#do-resume", "resume lumen", "Resumed"},
		{"/tenant/evergreen", "#do-release", "release evergreen", "hold will be released"},
	} {
		b.visit(t, c.page)
		if says := b.pressed(t, c.button); !strings.Contains(says, c.says) {
			t.Errorf("%s on %s says %q", c.button, c.page, says)
		}
		if did := f.Did(); len(did) == 0 || did[len(did)-1] != c.did {
			t.Errorf("%s on %s did %v", c.button, c.page, did)
		}
	}
	if got := b.complaints(); got != nil {
		t.Error(got)
	}
	b.visit(t, "/tenant/acme") // where one runs already
	var refused string
	b.do(t, chromedp.Click("#do-sync", chromedp.ByQuery), chromedp.WaitReady(".note.bad strong", chromedp.ByQuery), chromedp.Text(".note.bad strong", &refused, chromedp.ByQuery))
	if !strings.Contains(refused, "still runs") {
		t.Errorf("a second sync is answered with %q", refused)
	}
	b.complaints() // the browser tells of the 409

	b.visit(t, "/")
	var rows int
	b.do(t, chromedp.Click("#show-problems", chromedp.ByQuery), chromedp.WaitReady(`#show-problems[aria-current]`, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelectorAll("table.tenants tbody tr").length`, &rows))
	if rows != 4 {
		t.Errorf("%d problems are shown", rows)
	}

	b.visit(t, "/tenant/kestrel")
	var first, focused string
	const active = `document.activeElement.id || document.activeElement.className`
	b.do(t, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(active, &first), chromedp.KeyEvent(kb.Enter), chromedp.Evaluate(active, &focused))
	if first != "skip" || focused != "content" {
		t.Errorf("the first Tab goes to %q, Enter then to %q", first, focused)
	}
	b.do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(active, &focused))
	if focused != "do-sync" {
		t.Errorf("two more lead to %q", focused)
	}
	b.do(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("p.note.good", chromedp.ByQuery))
	if did := f.Did(); did[len(did)-1] != "sync kestrel" {
		t.Errorf("by keyboard: %v", did)
	}
	if got := b.complaints(); got != nil {
		t.Error(got)
	}
}

// TestRefresh lets a page fetch itself anew: what changed is shown, what was opened stays open, charts are drawn again.
func TestRefresh(t *testing.T) {
	f, server := start(t, web.Access{})
	b := open(t, server.URL)
	b.set(t, screens()[0])
	b.visit(t, "/tenant/lumen/entity/Tickets")
	var charts int
	b.do(t, chromedp.WaitVisible(".chart canvas", chromedp.ByQuery), chromedp.Click("#d-days summary", chromedp.ByQuery))
	f.Change("lumen", func(s *daemon.TenantState) {
		for i := range s.Tables {
			s.Tables[i].Class = "changed meanwhile"
		}
	})
	b.do(t, chromedp.Evaluate(`htmx.trigger("#live", "refresh"); 0`, nil), chromedp.WaitVisible(`//small[.="changed meanwhile"]`, chromedp.BySearch),
		chromedp.WaitVisible("#d-days[open] table", chromedp.ByQuery), chromedp.WaitVisible(".chart canvas", chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelectorAll(".chart canvas").length`, &charts))
	if charts != 2 {
		t.Errorf("%d charts", charts)
	}
	if got := b.complaints(); got != nil {
		t.Error(got)
	}
}

// TestLogin logs in through the form, sees the page that was asked for, logs out; and finds no buttons in read-only mode.
func TestLogin(t *testing.T) {
	_, server := start(t, web.Access{Token: "a-token-of-a-test-only-0123456789", ReadOnly: true})
	b := open(t, server.URL)
	b.set(t, screens()[0])
	b.visit(t, "/tenant/lumen")
	check(t, b, "login")
	var title string
	var buttons int
	b.do(t, chromedp.SendKeys("#password", "wrong"+kb.Enter, chromedp.ByQuery), chromedp.WaitVisible(".note.bad", chromedp.ByQuery))
	b.complaints() // the browser tells of the 401
	b.do(t, chromedp.SendKeys("#password", "a-token-of-a-test-only-0123456789"+kb.Enter, chromedp.ByQuery), chromedp.WaitReady("#logout", chromedp.ByQuery),
		chromedp.Text("h1", &title, chromedp.ByQuery), chromedp.Evaluate(`document.querySelectorAll("#live button").length`, &buttons))
	if title != "lumen" || buttons != 0 {
		t.Errorf("after the login: %q with %d buttons", title, buttons)
	}
	check(t, b, "read-only tenant")
	b.do(t, chromedp.Click("#logout", chromedp.ByQuery), chromedp.WaitReady("#password", chromedp.ByQuery))
	b.visit(t, "/")
	b.do(t, chromedp.WaitReady("#password", chromedp.ByQuery))
}
