package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
)

// manifests decodes the documents of an example.
func manifests(t *testing.T, path string) (out []map[string]any) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(readDoc(t, path)))
	for {
		doc := map[string]any{}
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, doc)
	}
}

// dig follows keys and indexes into a document.
func dig(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch key := step.(type) {
		case string:
			m, _ := doc.(map[string]any)
			doc = m[key]
		case int:
			list, _ := doc.([]any)
			if key >= len(list) {
				t.Fatalf("%v: nothing at %d", path, key)
			}
			doc = list[key]
		}
	}
	return doc
}

// runsWith checks that a command line of an example is one of atsync's.
func runsWith(t *testing.T, args any) {
	t.Helper()
	if list, _ := args.([]any); len(list) != 3 || list[0] != "--config" || list[2] != "run" {
		t.Errorf("started with %v", args)
	}
}

func TestComposeExample(t *testing.T) {
	doc := manifests(t, "docs/deploy/compose.yaml")[0]
	service := dig(t, doc, "services", "atsync")
	runsWith(t, dig(t, service, "command"))
	cfg, err := config.Parse("config.yaml", []byte(readDoc(t, "docs/deploy/config.yaml")), nil)
	if err != nil {
		t.Fatal(err)
	}
	mounted, _ := dig(t, service, "secrets").([]any)
	for _, ref := range []string{cfg.Tenants["acme"].Secret.String(), cfg.Tenants["acme"].IntegrationCode.String(), cfg.HTTP.Token.String()} {
		name, ok := strings.CutPrefix(ref, "file:/run/secrets/")
		if !ok || !slices.Contains(mounted, any(name)) || dig(t, doc, "secrets", name, "file") == nil {
			t.Errorf("the configuration wants %s, which is not mounted", ref)
		}
	}
	if cfg.DataDir != "/data" || !slices.Contains(dig(t, service, "volumes").([]any), any("data:/data")) {
		t.Errorf("the data in %s is not kept", cfg.DataDir)
	}
}

func TestKubernetesExample(t *testing.T) {
	byKind := map[string]map[string]any{}
	for _, doc := range manifests(t, "docs/deploy/kubernetes.yaml") {
		byKind[dig(t, doc, "kind").(string)] = doc
	}
	text, _ := dig(t, byKind["ConfigMap"], "data", "config.yaml").(string)
	cfg, err := config.Parse("config.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{cfg.Tenants["acme"].Secret.String(), cfg.Tenants["acme"].IntegrationCode.String(), cfg.HTTP.Token.String()} {
		name, ok := strings.CutPrefix(ref, "file:/run/secrets/atsync/")
		if !ok || dig(t, byKind["Secret"], "stringData", name) == nil {
			t.Errorf("the configuration wants %s, which is in no secret", ref)
		}
	}
	spec := dig(t, byKind["Deployment"], "spec")
	if dig(t, spec, "replicas") != 1 || dig(t, spec, "strategy", "type") != "Recreate" {
		t.Error("two processes would share a data folder")
	}
	container := dig(t, spec, "template", "spec", "containers", 0)
	runsWith(t, dig(t, container, "args"))
	if dig(t, container, "livenessProbe", "httpGet", "path") != "/-/healthy" || dig(t, container, "ports", 0, "containerPort") != 8420 {
		t.Error("the probe asks what is not there")
	}
	if dig(t, byKind["PersistentVolumeClaim"], "metadata", "name") != dig(t, spec, "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName") {
		t.Error("the data is not kept")
	}
}

// TestSystemdUnit has systemd itself look at the unit where it is installed.
func TestSystemdUnit(t *testing.T) {
	text := readDoc(t, "docs/deploy/atsync.service")
	for _, line := range []string{"Type=notify", "ExecStart=/usr/local/bin/atsync --config /etc/atsync/config.yaml run", "ProtectSystem=strict"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // what can be said without it is said
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "atsync.service")
	text = strings.Replace(text, "/usr/local/bin/atsync", self, 1) // it wants a program that is there
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("atsync.service:")) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestReleaseConfiguration holds that what is packed is there.
func TestReleaseConfiguration(t *testing.T) {
	doc := manifests(t, ".goreleaser.yaml")[0]
	files, _ := dig(t, doc, "archives", 0, "files").([]any)
	contents, _ := dig(t, doc, "nfpms", 0, "contents").([]any)
	for _, c := range contents {
		files = append(files, dig(t, c, "src"))
	}
	if len(files) < 10 {
		t.Fatalf("packed: %v", files)
	}
	for _, file := range files {
		name := file.(string)
		if strings.HasPrefix(name, "dist-extra/") {
			continue // made by a hook
		}
		if found, err := filepath.Glob(filepath.Join("..", "..", name)); err != nil || len(found) == 0 {
			t.Errorf("%s is not there", name)
		}
	}
}
