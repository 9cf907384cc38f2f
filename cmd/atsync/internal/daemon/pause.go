package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/atsync/atsync/pipeline"
)

// pausedState is the file in the data folder that keeps who is paused.
type pausedState struct {
	Paused []string `json:"paused"`
}

func (d *Daemon) pausedFile() string { return filepath.Join(d.opts.Config.DataDir, "paused.json") }

// readPaused reads who is paused; no file: nobody.
func readPaused(file string) (map[string]bool, error) {
	out := map[string]bool{}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	var state pausedState
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.ClassSink, Op: "run", Err: fmt.Errorf("%s: %w", file, err),
			Remedy: "it says which tenants are paused; delete it, and pause them again"}
	}
	for _, tenant := range state.Paused {
		out[tenant] = true
	}
	return out, nil
}

// writePaused replaces the file, whole or not at all.
func writePaused(file string, paused map[string]bool) error {
	text, err := json.Marshal(pausedState{slices.Sorted(maps.Keys(paused))})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// Pause implements Control.
func (d *Daemon) Pause(tenant string) error { return d.setPaused(tenant, true) }

// Resume implements Control.
func (d *Daemon) Resume(tenant string) error { return d.setPaused(tenant, false) }

func (d *Daemon) setPaused(tenant string, paused bool) error {
	op, change := "resume", d.app.Resume
	if paused {
		op, change = "pause", d.app.Pause
	}
	if _, _, ok := d.tenant(tenant); !ok && paused {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: tenant, Op: op, Err: fmt.Errorf("there is no tenant %q", tenant)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	next := maps.Clone(d.paused)
	delete(next, tenant)
	if paused {
		next[tenant] = true
	}
	if err := writePaused(d.pausedFile(), next); err != nil {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: op, Err: err, Remedy: "data_dir must be a folder that can be written"}
	}
	d.paused = next
	change(tenant)
	d.log.Info("told to pause or resume", "tenant", tenant, "paused", paused)
	return nil
}
