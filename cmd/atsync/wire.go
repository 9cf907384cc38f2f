package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask"
)

// site is one tenant with its source, its private warehouse and its publication. This file is the only
// one that names concrete sources and sinks for them.
type site struct {
	cfg       config.TenantConfig
	source    *autotask.Client
	warehouse *duckdb.Warehouse
	publisher *duckdb.Publisher
	creds     autotask.Credentials
}

// wiring is what all sites of a command share.
type wiring struct {
	secrets   secret.Resolver
	transport http.RoundTripper
	trace     *pipeline.Trace
	log       *slog.Logger
}

// open resolves the tenant's secrets and opens its parts. Nothing is sent to Autotask yet.
func (w wiring) open(ctx context.Context, cfg config.TenantConfig) (*site, error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return nil, err
	}
	warehouse, err := duckdb.Open(ctx, duckdb.Options{Path: cfg.WorkPath, Tenant: cfg.Name, Logger: w.log})
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, warehouse: warehouse, publisher: duckdb.NewPublisher(warehouse, cfg.PublishPath), creds: creds}
	if s.source, err = w.client(ctx, cfg, creds, warehouse); err != nil {
		return nil, errors.Join(err, warehouse.Close())
	}
	return s, nil
}

// client makes the tenant's source; the warehouse keeps its hold.
func (w wiring) client(ctx context.Context, cfg config.TenantConfig, creds autotask.Credentials, warehouse *duckdb.Warehouse) (*autotask.Client, error) {
	hold, err := warehouse.Hold(ctx)
	if err != nil {
		return nil, err
	}
	return autotask.New(autotask.Config{
		Tenant:       cfg.Name,
		Credentials:  creds,
		Zone:         cmp.Or(cfg.URL, cfg.Zone),
		DiscoveryURL: cfg.DiscoveryURL,
		Transport:    w.transport,
		Trace:        w.trace,
		Logger:       w.log,
		Hold:         hold,
		OnHold:       warehouse.SetHold,
		Limits:       autotask.Limits{ThreadsPerEntity: cfg.Threads},
	})
}

func (w wiring) credentials(ctx context.Context, cfg config.TenantConfig) (autotask.Credentials, error) {
	var values [3]string
	for i, ref := range []secret.Ref{cfg.Username, cfg.IntegrationCode, cfg.Secret} {
		v, err := w.secrets.Resolve(ctx, ref)
		if err != nil {
			return autotask.Credentials{}, &pipeline.Error{
				Class: pipeline.ClassConfig, Tenant: cfg.Name, Op: []string{"username", "integration_code", "secret"}[i], Err: err,
			}
		}
		values[i] = v.Reveal()
	}
	return autotask.NewCredentials(values[0], values[1], values[2]), nil
}

// runner returns the pipeline that syncs the site.
func (s *site) runner(trace *pipeline.Trace) *pipeline.Runner {
	return &pipeline.Runner{
		Tenant:    s.cfg.Name,
		Source:    s.source,
		Sink:      s.warehouse,
		Publisher: s.publisher,
		Trace:     trace,
		Overlap:   s.cfg.Overlap,

		PublishEvery: s.cfg.PublishEvery,
	}
}

// Close closes everything that open opened.
func (s *site) Close() error {
	return errors.Join(s.source.Close(), s.warehouse.Close())
}
