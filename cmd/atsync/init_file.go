package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
)

// initTemplate is the configuration that init writes.
const initTemplate = `# atsync configuration, made by atsync init. Relative paths are relative to this file's folder.
# docs/config.md explains every key; atsync config check looks for mistakes, atsync config show prints all values.

# atsync's own files, and what analysts open: {{ .Opened }}
data_dir: {{ yaml .DataDir }}
sink: { type: {{ yaml .Sink }} }
{{- if .Discovery }}

# Who is asked for a tenant's zone.
autotask:
  discovery_url: {{ yaml .Discovery }}
{{- end }}

# How every tenant is synced, unless it has a section sync of its own.
sync:
{{- if .Forecast }}
  # {{ .Forecast }}
{{- end }}
  schedule: {{ quote .Schedule }}  # minute hour day month weekday
  timezone: {{ yaml .Timezone }}  # of the schedule, and of dates in the views
  entities: [{{ range $i, $e := .Entities }}{{ if $i }}, {{ end }}{{ quote $e }}{{ end }}]  # presets core and all, names, patterns; "-Name" leaves one out

tenants:
  {{ .Tenant }}:
    username: {{ yaml .Username }}  # Username (Key)
    integration_code: {{ yaml .Code }}  # Tracking Identifier
    secret: {{ yaml .Secret }}  # Password (Secret)
{{- if .Zone }}
    zone: {{ yaml .Zone }}
{{- else if .Found }}
    # The zone is asked from Autotask; when this was written: {{ .Found }}
{{- end }}
`

// initValues fill the template.
type initValues struct {
	Opened, DataDir, Sink, Discovery string
	Forecast, Schedule, Timezone     string
	Entities                         []string
	Tenant, Username, Code, Secret   string
	Zone, Found                      string
}

// text is the configuration with a schedule and two references, or the secrets themselves while it is only tried.
func (d *draft) text(schedule, code, password string) ([]byte, error) {
	const unknown = "unknown" // yet
	v := initValues{
		Opened: filepath.Join(d.opts.dataDir, d.Tenant+".duckdb"), DataDir: d.opts.dataDir, Sink: d.opts.sink, Discovery: d.opts.discovery,
		Schedule: schedule, Timezone: d.opts.timezone, Entities: d.opts.entities,
		Tenant: d.Tenant, Username: d.opts.username, Code: code, Secret: password, Zone: d.opts.zone,
	}
	if d.opts.sink == config.SinkParquet {
		v.Opened = filepath.Join(d.opts.dataDir, "lake", d.Tenant)
	}
	v.Opened = oneLine(v.Opened)
	if len(v.Entities) == 0 {
		v.Entities = []string{"core"}
	}
	if v.Code == "" {
		v.Code = unknown
	}
	if v.Secret == "" {
		v.Secret = unknown
	}
	if f := d.Forecast; f != nil {
		v.Forecast = fmt.Sprintf("%s a day, about %d requests in the busiest hour of the %d that Autotask allows all integrations together.",
			runsWord(f.RunsPerDay), f.BusiestHour, f.Threshold)
	}
	if d.Zone != nil {
		v.Found = oneLine(strings.TrimSpace(d.Zone.Name + " " + d.Zone.URL))
	}
	t, err := template.New("config").Funcs(template.FuncMap{"yaml": scalar, "quote": quoted}).Parse(initTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// scalar writes a text as a YAML value, in quotes only where it needs them.
func scalar(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return quoted(s)
	}
	text, err := yaml.Marshal(s)
	return strings.TrimSpace(string(text)), err
}

func quoted(s string) (string, error) {
	text, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Value: s, Style: yaml.DoubleQuotedStyle})
	return strings.TrimSpace(string(text)), err
}

// write writes the configuration, and secrets that were given themselves into files of their own.
func (d *draft) write(ctx context.Context) error {
	if d.Schedule == "" {
		d.Schedule = schedules()[0]
	}
	if err := ctx.Err(); err != nil {
		return &pipeline.Error{Class: pipeline.ClassCanceled, Op: "init", Err: err}
	}
	if err := os.MkdirAll(filepath.Dir(d.file), 0o755); err != nil {
		return unwritable(err)
	}
	code, err := d.keep("integration_code", d.opts.code)
	if err != nil {
		return err
	}
	password, err := d.keep("secret", d.opts.secret)
	if err != nil {
		return err
	}
	text, err := d.text(d.Schedule, code, password)
	if err != nil {
		return err
	}
	return d.create(d.file, text)
}

// ownFile returns the file that a secret is written to if it was given itself.
func (d *draft) ownFile(key, given string) (file string, own bool) {
	ref, err := secret.ParseRef(given)
	return filepath.Join(filepath.Dir(d.file), "secrets", d.Tenant+"_"+key), err == nil && ref.IsLiteral()
}

// keep returns the reference to a secret. One that was given itself is written to a file.
func (d *draft) keep(key, given string) (string, error) {
	file, own := d.ownFile(key, given)
	if !own {
		return given, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", unwritable(err)
	}
	return "file:./secrets/" + filepath.Base(file), d.create(file, []byte(given+"\n"))
}

// create writes a file that only its owner can read, whole or not at all.
func (d *draft) create(file string, text []byte) (err error) {
	if err := d.free(file); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".") // readable by its owner alone
	if err != nil {
		return unwritable(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // nothing of it is to stay
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return unwritable(err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return unwritable(err)
	}
	d.Written = append(d.Written, file)
	return nil
}
