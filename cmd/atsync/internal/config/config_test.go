package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

var update = flag.Bool("update", false, "rewrite golden files")

const minimal = `tenants:
  acme:
    username: a@b.example
    integration_code: env:CODE
    secret: env:SECRET
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, environ ...string) *config.Config {
	t.Helper()
	cfg, err := config.Load(write(t, text), environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 80 {
		t.Fatal(len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		cfg, err := config.Load(file, nil)
		var problems config.Problems
		if cfg != nil || !errors.As(err, &problems) || len(problems) == 0 {
			t.Errorf("%s: %v, %v; want problems", file, cfg, err)
			continue
		}
		for _, p := range problems {
			if p.Line == 0 && !strings.Contains(p.What, "file is empty") || p.Fix == "" {
				t.Errorf("%s: no place or no remedy: %s", file, p)
			}
			all.WriteString(strings.TrimPrefix(filepath.ToSlash(p.Error()), "testdata/bad/") + "\n")
		}
	}
	golden(t, "bad.golden", all.String())
}

func TestFiveMistakesAtOnce(t *testing.T) {
	_, err := config.Load("testdata/bad/five-mistakes.yaml", nil)
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(filepath.ToSlash(p.Error()), "testdata/bad/"))
	}
	want := []string{
		`five-mistakes.yaml:1:1: data_dri: unknown key (did you mean data_dir?)`,
		`five-mistakes.yaml:3:13: sync.schedule: the schedule "0 0 30 2 *" never fires (check day and month)`,
		`five-mistakes.yaml:4:12: sync.overlap: 30 has no unit (write 30s or 30m)`,
		`five-mistakes.yaml:5:20: sync.entities[1]: unknown entity "Tickts" (did you mean "Tickets"?)`,
		`five-mistakes.yaml:7:3: tenants.acme.integration_code: is missing (write integration_code: env:ACME_INTEGRATION_CODE)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	cfg := load(t, minimal)
	dir := filepath.Dir(cfg.DataDir)
	want := &config.Config{
		DataDir:  filepath.Join(dir, "data"),
		Sink:     config.Sink{Type: "duckdb", Path: filepath.Join(dir, "data", "{tenant}.duckdb")},
		HTTP:     config.HTTP{Listen: "127.0.0.1:8420", Username: "atsync"},
		Autotask: config.Autotask{DiscoveryURL: "https://webservices.autotask.net"},
		Log:      config.Log{Level: "info", Format: "auto"},
		Sync: config.Sync{
			Schedule: "*/15 * * * *", Timezone: "UTC", Entities: []string{"core"}, Overlap: 5 * time.Minute, FullEvery: 168 * time.Hour, Threads: 2, KeepRuns: 9600 * time.Hour, Schema: "evolve",
			Verify: "@daily", Maintain: "@weekly",
		},
		Run: config.Run{MaxTenants: 4, CatchUp: "once"},
	}
	for name, pair := range map[string][2]any{
		"data_dir": {want.DataDir, cfg.DataDir}, "sink": {want.Sink, cfg.Sink}, "http": {want.HTTP, cfg.HTTP},
		"autotask": {want.Autotask, cfg.Autotask}, "log": {want.Log, cfg.Log}, "sync": {want.Sync, cfg.Sync}, "run": {want.Run, cfg.Run},
		"publish": {want.Publish, cfg.Publish}, "tenant's sync": {want.Sync, cfg.Tenants["acme"].Sync},
		"warnings": {config.Problems(nil), cfg.Warnings},
	} {
		if diff := cmp.Diff(pair[0], pair[1], cmp.AllowUnexported(secret.Ref{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTenantInheritsAndOverrides(t *testing.T) {
	cfg := load(t, "sync: {overlap: 7m, entities: [Tickets, Companies]}\nsink: {path: \"out/{tenant}/x.duckdb\"}\n"+minimal+`
    zone: 3
    sync: {schedule: "@hourly", threads_per_entity: 3}
  globex: {username: env:U, integration_code: "file:c", secret: "cmd:echo x", url: "https://localhost/x"}
`, "ATSYNC_TENANTS__GLOBEX__SYNC__OVERLAP=9m")
	acme, err := cfg.Tenant("acme")
	if err != nil {
		t.Fatal(err)
	}
	if acme.Overlap != 7*time.Minute || acme.Cron != "@hourly" || acme.Threads != 3 || acme.Zone != "3" ||
		acme.Location != time.UTC || len(acme.Entities) != 2 || acme.Entities[0].Name != "Companies" ||
		acme.PublishPath != filepath.Join(filepath.Dir(cfg.DataDir), "out", "acme", "x.duckdb") ||
		acme.WorkPath != filepath.Join(cfg.DataDir, "work", "acme.duckdb") {
		t.Errorf("acme: %+v", acme)
	}
	globex, err := cfg.Tenant("globex")
	if err != nil {
		t.Fatal(err)
	}
	if globex.Overlap != 9*time.Minute || globex.Cron != "*/15 * * * *" || globex.Threads != 2 ||
		globex.Secret.String() != "cmd:echo x" || globex.URL != "https://localhost/x" {
		t.Errorf("globex: %+v", globex)
	}
	if _, err := cfg.Tenant("globx"); pipeline.ClassOf(err) != pipeline.ClassConfig ||
		!strings.Contains(err.Error(), "did you mean globex? the configuration has acme, globex") {
		t.Errorf("unknown tenant: %v", err)
	}
}

func TestBucket(t *testing.T) {
	for path, want := range map[string][2]string{
		"s3://lake/msp/?region=eu-west-1":              {"s3://lake/msp/acme?region=eu-west-1", "s3://lake/msp/acme"},
		"gs://lake-{tenant}":                           {"gs://lake-acme", "gs://lake-acme"},
		"azblob://lake/{tenant}/x?storage_account=msp": {"azblob://lake/acme/x?storage_account=msp", "azblob://lake/acme/x"},
	} {
		cfg := load(t, "sink: {type: parquet, path: \""+path+"\"}\n"+minimal)
		acme, err := cfg.Tenant("acme")
		if err != nil {
			t.Fatal(err)
		}
		got := [2]string{acme.PublishURL, acme.Readers()}
		if dir := filepath.Join(cfg.DataDir, "lake", "acme"); got != want || acme.PublishDir != dir || acme.PublishPath != filepath.Join(dir, "catalog.duckdb") {
			t.Errorf("%s: %q, %s, %s", path, got, acme.PublishDir, acme.PublishPath)
		}
	}
}

func TestEnvironment(t *testing.T) {
	cfg := load(t, strings.Replace(minimal, "    secret: env:SECRET\n", "", 1),
		"PATH=/bin", "ATSYNC_CONFIG=x", "ATSYNC_DATA_DIR=/srv/atsync", "ATSYNC_SYNC__OVERLAP=1h",
		"ATSYNC_SYNC__THREADS_PER_ENTITY=1", "ATSYNC_TENANTS__ACME__SECRET=env:OTHER=", "ATSYNC_TENANTS__ACME__SECRET=env:OTHER")
	if cfg.DataDir != filepath.Clean("/srv/atsync") || cfg.Sink.Path != filepath.Join(cfg.DataDir, "{tenant}.duckdb") ||
		cfg.Sync.Overlap != time.Hour || cfg.Tenants["acme"].Sync.Overlap != time.Hour || cfg.Sync.Threads != 1 ||
		cfg.Tenants["acme"].Secret.String() != "env:OTHER" {
		t.Errorf("%+v", cfg)
	}
}

func TestBadEnvironment(t *testing.T) {
	_, err := config.Load(write(t, "data_dri: x\n"+minimal+"    zone: webservices3\n"), []string{
		"ATSYNC_SYNC__OVERLAP=30", "ATSYNC_SYNC__ENTITIES=core", "ATSYNC_SYNK__OVERLAP=5m", "ATSYNC_DATADIR=x",
		"ATSYNC_TENANTS__ACMEE__SECRET=x", "ATSYNC_SYNC__THREADS_PER_ENTITY=two", "ATSYNC_LOG__LEVEL=",
		"ATSYNC_TENANTS=x", "ATSYNC_TENANTS__ACME__URL=https://localhost", "ATSYNC_=x", "ATSYNC_SINK__TYPE=postgres",
	})
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, p := range problems {
		p.File = filepath.Base(p.File)
		if p.File == "." {
			p.File = ""
		}
		got.WriteString(p.Error() + "\n")
	}
	golden(t, "environment.golden", got.String())
}

func TestWarnings(t *testing.T) {
	cfg := load(t, `sync: {timezone: America/New_York, schedule: "30 2 * * *"}
tenants:
  acme: {username: u, integration_code: ABC, secret: "pa$$"}
`)
	var got []string
	for _, w := range cfg.Warnings {
		w.File = "config.yaml"
		got = append(got, w.Error())
	}
	want := []string{
		`config.yaml:1:46: sync.schedule: when the clocks change in America/New_York, a run at this hour is left out or made twice (both are harmless) (choose an hour before 1 or after 3, or the time zone UTC)`,
		`config.yaml:3:41: tenants.acme.integration_code: stands in the configuration itself (write env:NAME, file:/path or cmd:command)`,
		`config.yaml:3:54: tenants.acme.secret: stands in the configuration itself (write env:NAME, file:/path or cmd:command)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "there is no such file (name yours with --config or ATSYNC_CONFIG; atsync init makes one, and config.example.yaml shows all keys)",
		dir:                             "can't be read: ",
	} {
		_, err := config.Load(path, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path+": "+want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	expect := func(want, named string, environ ...string) {
		t.Helper()
		if got := config.Find(named, environ); got != want {
			t.Errorf("Find(%q, %v) = %q, want %q", named, environ, got, want)
		}
	}
	expect("config.yaml", "")
	for _, name := range []string{"atsync.yaml", "config.yaml"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(name, "")
	}
	expect("e.yaml", "", "ATSYNC_CONFIG=e.yaml")
	expect("config.yaml", "", "ATSYNC_CONFIG=")
	expect("f.yaml", "f.yaml", "ATSYNC_CONFIG=e.yaml")
}

func TestExampleLoads(t *testing.T) {
	cfg, err := config.Load("../../../../config.example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
	for _, name := range []string{"acme", "globex"} {
		if _, err := cfg.Tenant(name); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherEncodingsAndLineEnds(t *testing.T) {
	utf16 := []byte{0xff, 0xfe}
	for _, c := range minimal {
		utf16 = append(utf16, byte(c), 0)
	}
	for _, text := range []string{"\ufeff" + minimal, strings.ReplaceAll(minimal, "\n", "\r\n"), string(utf16)} {
		load(t, text)
	}
}

func TestAliases(t *testing.T) {
	cfg := load(t, "sync: &s {overlap: &o 7m, entities: &e [Tickets]}\npublish: {every: *o}\n"+minimal+"    sync: *s\n")
	if cfg.Publish.Every != 7*time.Minute || cfg.Tenants["acme"].Sync.Entities[0] != "Tickets" {
		t.Errorf("%+v", cfg)
	}
	_, err := config.Load(write(t, "tenants: &t {acme: *t}\n"), nil)
	if err == nil {
		t.Error("a tenant that holds itself is accepted")
	}
}
