package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
)

// Reload implements Control.
func (d *Daemon) Reload(ctx context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.systemd.reloading()
	defer d.systemd.ready()
	err := d.replace(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now().UTC()
	if err != nil {
		d.reload.FailedAt, d.reload.Error = now, err.Error()
		d.log.Error("the configuration is not reloaded; the old one stays in force", "error", err)
		return err
	}
	d.reload.LoadedAt, d.reload.FailedAt, d.reload.Error = now, time.Time{}, ""
	d.log.Info("the configuration is reloaded", "tenants", len(d.tenants), "after_restart", d.reload.Restart)
	return nil
}

// Reloaded implements Control.
func (d *Daemon) Reloaded() ReloadState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.reload
	s.Restart = slices.Clone(s.Restart)
	return s
}

// replace puts a new configuration into force, if all of it is right. Running jobs finish with the old one.
func (d *Daemon) replace(ctx context.Context) error {
	cfg, err := d.opts.Load()
	if err != nil {
		return err
	}
	tenants, entries, err := resolve(cfg, d.opts.Maintain != nil)
	if err != nil {
		return err
	}
	if was := d.opts.Config.DataDir; cfg.DataDir != was {
		return &pipeline.Error{Class: pipeline.ClassConfig, Op: "reload", Err: fmt.Errorf("data_dir has changed from %s to %s", was, cfg.DataDir),
			Remedy: "restart atsync run for that"}
	}
	if ctx.Err() != nil {
		return errors.Join(errors.New("stopping"), ctx.Err())
	}
	d.mu.Lock()
	d.cfg, d.tenants = cfg, tenants
	for name := range d.memories {
		if _, ok := tenants[name]; !ok { // a running job keeps its own; what it owes is lost with the tenant
			delete(d.memories, name)
			d.metrics.forget(name)
		}
	}
	d.reload.Restart = needRestart(d.opts.Config, cfg)
	d.mu.Unlock()
	d.app.Reload(ctx, entries, cfg.Run.MaxTenants)
	return nil
}

// needRestart names what a reload can't change.
func needRestart(was, is *config.Config) (keys []string) {
	if was.HTTP != is.HTTP {
		keys = append(keys, "http")
	}
	if was.Log != is.Log {
		keys = append(keys, "log")
	}
	if was.Run.CatchUp != is.Run.CatchUp {
		keys = append(keys, "run.catch_up")
	}
	return keys
}
