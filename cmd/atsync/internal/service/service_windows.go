package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/atsync/atsync/pipeline"
)

// failed wraps an error of the service manager's.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "service " + op, Err: err,
		Remedy: "do it as an administrator; services.msc shows whether there is such a service"}
}

// account may read and write little but what it is given: icacls gives it the configuration and the data.
const account = `NT AUTHORITY\LocalService`

// Started reports whether the service manager has started this process.
func Started() bool {
	is, err := svc.IsWindowsService()
	return err == nil && is
}

// Run does the work of a service until the service manager stops it. An error of the work is an event, and lets the service manager
// start it again.
func Run(ctx context.Context, work func(ctx context.Context, log io.Writer) error) error {
	log, err := eventlog.Open(Name)
	if err != nil {
		return failed("run", err)
	}
	defer func() { _ = log.Close() }() // the process ends
	return failed("run", svc.Run(Name, &handler{ctx: ctx, work: work, log: events{log}}))
}

// handler is a svc.Handler.
type handler struct {
	ctx  context.Context //nolint:containedctx // svc.Handler has none
	work func(ctx context.Context, log io.Writer) error
	log  events
}

// stopHint is how long the service manager is told that a stop may take.
const stopHint = 35 * time.Second

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.work(ctx, h.log) }()
	status := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	changes <- status
	for {
		select {
		case err := <-ended:
			if err != nil {
				_, _ = h.log.Write([]byte("level=ERROR " + err.Error()))
				return true, 1
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- status
			case svc.Stop, svc.Shutdown:
				status = svc.Status{State: svc.StopPending, WaitHint: uint32(stopHint.Milliseconds())}
				changes <- status
				cancel()
			}
		}
	}
}

// events is an io.Writer of which each write, a line of the log, becomes an event.
type events struct{ log *eventlog.Log }

// Write implements io.Writer.
func (e events) Write(line []byte) (int, error) {
	const id = 1
	text := string(bytes.TrimSpace(line))
	var err error
	switch {
	case bytes.Contains(line, []byte("level=ERROR")), bytes.Contains(line, []byte(`"level":"ERROR"`)):
		err = e.log.Error(id, text)
	case bytes.Contains(line, []byte("level=WARN")), bytes.Contains(line, []byte(`"level":"WARN"`)):
		err = e.log.Warning(id, text)
	default:
		err = e.log.Info(id, text)
	}
	return len(line), err
}

// Install makes a service that starts with the machine and runs the program with the arguments.
func Install(program string, args ...string) error {
	m, err := mgr.Connect()
	if err != nil {
		return failed("install", err)
	}
	defer func() { _ = m.Disconnect() }() // only a handle
	s, err := m.CreateService(Name, program, mgr.Config{StartType: mgr.StartAutomatic, DelayedAutoStart: true, ServiceStartName: account,
		DisplayName: Name, Description: "Syncs Autotask PSA into DuckDB"}, args...)
	if err != nil {
		return failed("install", err)
	}
	defer func() { _ = s.Close() }() // only a handle
	again := []mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: 10 * time.Second}, {Type: mgr.ServiceRestart, Delay: time.Minute}}
	err = errors.Join(s.SetRecoveryActions(again, uint32((24*time.Hour).Seconds())), s.SetRecoveryActionsOnNonCrashFailures(true),
		eventlog.InstallAsEventCreate(Name, eventlog.Info|eventlog.Warning|eventlog.Error))
	if err != nil {
		return failed("install", errors.Join(err, s.Delete()))
	}
	return nil
}

// Uninstall removes the service. Configuration and data stay.
func Uninstall() error {
	return failed("uninstall", with(func(s *mgr.Service) error {
		return errors.Join(s.Delete(), eventlog.Remove(Name))
	}))
}

// Start starts the service.
func Start() error { return failed("start", with(func(s *mgr.Service) error { return s.Start() })) }

// Stop stops the service and waits until it has ended.
func Stop(ctx context.Context) error {
	return failed("stop", with(func(s *mgr.Service) error {
		status, err := s.Control(svc.Stop)
		for err == nil && status.State != svc.Stopped {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(200 * time.Millisecond):
			}
			status, err = s.Query()
		}
		return err
	}))
}

// with opens the service for fn.
func with(fn func(*mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = m.Disconnect() }() // only a handle
	s, err := m.OpenService(Name)
	if err != nil {
		return fmt.Errorf("service %s: %w", Name, err)
	}
	defer func() { _ = s.Close() }() // only a handle
	return fn(s)
}
