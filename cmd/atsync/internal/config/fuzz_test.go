package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
)

// FuzzLoad holds Load to: no panic, every error is Problems with a place, a loaded configuration is usable,
// and what it prints loads again.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "../../../../config.example.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "ATSYNC_SYNC__OVERLAP=5m")
	}
	f.Add([]byte(minimal), "ATSYNC_TENANTS__ACME__SECRET=x")
	path := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, []string{variable})
		if err != nil {
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || cfg != nil {
				t.Fatalf("%T %v, %v", err, err, cfg)
			}
			for _, p := range problems {
				if p.What == "" || p.File != "" && p.Line > 0 && p.Column < 1 {
					t.Fatalf("%+v", p)
				}
			}
			return
		}
		for _, name := range cfg.TenantNames() {
			if _, err := cfg.Tenant(name); err != nil {
				t.Fatal(err)
			}
		}
		out, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(path, nil); err != nil && !strings.Contains(err.Error(), "zone and url") {
			t.Fatalf("the printed configuration does not load: %v\n%s", err, out)
		}
	})
}
