package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// TenantConfig is everything that is set for one tenant, defaults and inheritance applied.
type TenantConfig struct {
	Name            string
	Username        secret.Ref
	IntegrationCode secret.Ref
	Secret          secret.Ref
	Zone            string // as written; empty: ask
	URL             string // as written; empty: use Zone or ask
	DiscoveryURL    string

	Schedules []ScheduleConfig // when the daemon syncs what: every entity is in one of them
	Schedule  cron.Schedule    // the tenant's own, to be asked with times in Location
	Cron      string           // the same as written
	Location  *time.Location
	Entities  []*schemas.Entity // of all schedules; parents before children
	Overlap   time.Duration
	Threads   int    // per entity
	Schema    string // evolve, warn or freeze

	Verify   cron.Schedule // nil: never; to be asked with times in Location
	Maintain cron.Schedule // nil: never; likewise

	FullEvery time.Duration // how long change stamps are trusted; 0: for ever

	KeepRaw  time.Duration // how long pages are kept in RawDir; 0: none are
	KeepRuns time.Duration // how long runs and loads are

	RawDir       string        // kept pages: data_dir/raw/NAME
	WorkPath     string        // the private warehouse: data_dir/work/NAME.duckdb
	SinkType     string        // SinkDuckDB or SinkParquet
	PublishPath  string        // the file that readers open: the published database, or the catalog of Parquet files
	PublishDir   string        // the tenant's folder of Parquet files; empty for other kinds
	PublishURL   string        // where those are published in a bucket: scheme://bucket/folder?options; empty: they are not
	PublishEvery time.Duration // 0: after every run that changed something
}

// TenantNames returns the names of all tenants, sorted.
func (c *Config) TenantNames() []string { return slices.Sorted(maps.Keys(c.Tenants)) }

// Tenant returns the settings of one tenant. An unknown name is an error of class config.
func (c *Config) Tenant(name string) (TenantConfig, error) {
	t, ok := c.Tenants[name]
	if !ok {
		names := c.TenantNames()
		remedy := "the configuration has " + strings.Join(names, ", ")
		if near := nearest(name, names); near != "" {
			remedy = "did you mean " + near + "? " + remedy
		}
		return TenantConfig{}, &pipeline.Error{
			Class: pipeline.ClassConfig, Err: fmt.Errorf("there is no tenant %q", name), Remedy: remedy,
		}
	}
	entities, err := schemas.Select(t.Sync.Entities)
	if err != nil {
		return TenantConfig{}, configError(name, err)
	}
	schedule, err := parseCron(t.Sync.Schedule)
	if err != nil {
		return TenantConfig{}, configError(name, err)
	}
	location, err := time.LoadLocation(t.Sync.Timezone)
	if err != nil {
		return TenantConfig{}, configError(name, err)
	}
	published, folder, remote := c.publication(name)
	out := TenantConfig{
		Name: name, Username: t.Username, IntegrationCode: t.IntegrationCode, Secret: t.Secret,
		Zone: t.Zone, URL: t.URL, DiscoveryURL: c.Autotask.DiscoveryURL,
		Schedule: schedule, Cron: t.Sync.Schedule, Location: location,
		Entities: entities, Overlap: t.Sync.Overlap, Threads: t.Sync.Threads, Schema: t.Sync.Schema,
		FullEvery: t.Sync.FullEvery,
		KeepRaw:   t.Sync.KeepRaw, KeepRuns: t.Sync.KeepRuns,
		RawDir:       filepath.Join(c.DataDir, "raw", name),
		WorkPath:     filepath.Join(c.DataDir, "work", name+".duckdb"),
		SinkType:     c.Sink.Type,
		PublishPath:  published,
		PublishDir:   folder,
		PublishURL:   remote,
		PublishEvery: c.Publish.Every,
	}
	if out.Verify, err = parseCronOrNever(t.Sync.Verify); err != nil {
		return TenantConfig{}, configError(name, err)
	}
	if out.Maintain, err = parseCronOrNever(t.Sync.Maintain); err != nil {
		return TenantConfig{}, configError(name, err)
	}
	if err := out.schedules(t.Sync); err != nil {
		return TenantConfig{}, configError(name, err)
	}
	return out, nil
}

// Resolver returns a resolver of this file's secret references: relative files are relative to the
// configuration's folder, and commands run in it.
func (c *Config) Resolver(environ []string) secret.Resolver {
	return secret.Resolver{Environ: environ, Dir: c.dir}
}

func configError(tenant string, err error) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Tenant: tenant, Op: "config", Err: err}
}
