package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/panics"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/pipeline"
)

// work does one job and keeps what came of it, for whoever looks and, if the warehouse could not be told, for the next one.
func (d *Daemon) work(ctx context.Context, s app.Start) error {
	t, m, ok := d.tenant(s.Job.Tenant)
	if !ok {
		return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: s.Job.Tenant, Op: string(s.Job.Kind), Err: errors.New("the tenant is not configured any more")}
	}
	began := time.Now().UTC()
	for _, skip := range s.Skipped {
		m.owe(skippedRun(skip))
	}
	logs := newJobLog(d.log, s)
	logs.logger.Info("job started", "trigger", string(s.Trigger), "due", s.Due)
	look := m.take()
	m.begin(s, began)
	var run pipeline.Run
	var err error
	if crash := panics.Try(func() { run, err = d.job(ctx, s.Job, t, m, logs, look) }); crash != nil {
		logs.logger.Error("a job crashed; the others go on", "panic", crash.Value, "stack", string(crash.Stack))
		err = &pipeline.Error{Class: pipeline.ClassInternal, Tenant: t.Name, Op: command(s.Job.Kind), Err: fmt.Errorf("it crashed: %v", crash.Value), Remedy: "please report this with the log"}
	}
	if err != nil && run.ID == 0 && pipeline.ClassOf(err) != pipeline.ClassCanceled {
		m.owe(failedRun(s, began, time.Now().UTC(), err))
	}
	m.end(s.Job.Kind, err)
	took := time.Since(began)
	tell(logs.logger, run, took, err)
	d.metrics.ran(t.Name, command(s.Job.Kind), outcome(run, err), run, took)
	return err
}

// job opens the tenant's warehouse, records what is owed to it, does what the job is for, and looks at what has become of
// the warehouse. The run is zero if it could not begin.
func (d *Daemon) job(ctx context.Context, job app.Job, t config.TenantConfig, m *memory, logs jobLog, look int) (run pipeline.Run, err error) {
	if job.Kind == app.Maintain {
		if err := d.maintain(ctx, t, m, logs); err != nil {
			return run, err
		}
	}
	site, err := d.opts.Open(ctx, t, d.trace(t.Name, m, logs), logs.logger)
	if err != nil {
		return run, err
	}
	defer func() {
		if closed := site.Close(); closed != nil {
			err = errors.Join(err, closed)
		}
	}()
	if err := record(ctx, m, site.Runner().Sink); err != nil {
		return run, err
	}
	run, err = d.perform(ctx, job, t, site)
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), lookWithin) // also after a stop: a page may still ask
	defer stop()
	facts, looked := site.Look(after, look)
	if looked != nil {
		return run, errors.Join(err, looked)
	}
	m.learn(facts)
	return run, err
}

// maintain looks after what the tenant has on disk, for which nobody may have the warehouse open. Its record is owed to the warehouse.
func (d *Daemon) maintain(ctx context.Context, t config.TenantConfig, m *memory, logs jobLog) error {
	began := time.Now().UTC()
	if err := d.opts.Maintain(ctx, t, logs.logger); err != nil {
		return err
	}
	m.owe(pipeline.Run{Tenant: t.Name, Command: command(app.Maintain), StartedAt: began, EndedAt: time.Now().UTC(), Status: pipeline.StatusOK})
	return nil
}

// outcome is how a job went, also if it has no run's record.
func outcome(run pipeline.Run, err error) pipeline.Status {
	switch {
	case run.Status != "" && run.Status != pipeline.StatusRunning && (err == nil || run.Status != pipeline.StatusOK):
		return run.Status
	case err == nil:
		return pipeline.StatusOK
	case pipeline.ClassOf(err) == pipeline.ClassCanceled:
		return pipeline.StatusInterrupted
	}
	return pipeline.StatusFailed
}

// perform does what a job is for.
func (d *Daemon) perform(ctx context.Context, job app.Job, t config.TenantConfig, site Site) (pipeline.Run, error) {
	if job.Kind == app.Release {
		if err := site.Release(ctx); err != nil {
			return pipeline.Run{}, err
		}
	}
	if job.Kind == app.Maintain {
		return pipeline.Run{}, nil // it is done
	}
	r := site.Runner()
	r.StopWithin = finishWithin
	if job.Kind == app.Verify {
		return r.Verify(ctx, pipeline.VerifyRequest{Entities: t.Entities, Repair: true})
	}
	entities := t.Entities
	if job.Group != "" || job.Kind == app.Sync && len(t.Schedules) > 1 {
		group, ok := t.Group(job.Group)
		if !ok {
			return pipeline.Run{}, &pipeline.Error{Class: pipeline.ClassConfig, Tenant: t.Name, Op: "sync", Err: fmt.Errorf("there is no group %q any more", job.Group)}
		}
		entities = group.Entities
	}
	return r.Sync(ctx, pipeline.SyncRequest{Entities: entities})
}

// tenant returns a tenant's settings as they are now, and what is remembered of it.
func (d *Daemon) tenant(name string) (config.TenantConfig, *memory, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[name]
	if !ok {
		return t, nil, false
	}
	m := d.memories[name]
	if m == nil {
		m = &memory{}
		d.memories[name] = m
	}
	return t, m, true
}

// lastRun tells when a job was last done, by whatever process: what was interrupted does not count.
func (d *Daemon) lastRun(ctx context.Context, job app.Job) (time.Time, error) {
	t, m, ok := d.tenant(job.Tenant)
	if !ok {
		return time.Time{}, nil
	}
	if err := d.recall(ctx, t, m); err != nil {
		return time.Time{}, err
	}
	var want []string
	if group, ok := t.Group(job.Group); ok && job.Kind == app.Sync {
		for _, e := range group.Entities {
			want = append(want, e.Name)
		}
	}
	return m.lastRun(command(job.Kind), want), nil
}

// recall reads what an earlier process has left of a tenant, once, before any job has its warehouse.
func (d *Daemon) recall(ctx context.Context, t config.TenantConfig, m *memory) error {
	m.file.Lock()
	defer m.file.Unlock()
	m.mu.Lock()
	known := m.recalled
	m.mu.Unlock()
	if known {
		return nil
	}
	facts, err := d.opts.Recall(ctx, t, MostRuns)
	if err != nil {
		return err
	}
	m.learn(facts)
	return nil
}
