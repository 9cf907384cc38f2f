// Package config reads the one configuration file into a typed, checked [Config].
//
// The file is YAML; scalars of it can be overridden by ATSYNC_… variables of the environment, with "__"
// between the parts of a path (ATSYNC_SYNC__OVERLAP). Everything that can be wrong is described once, by the
// types of this package and their tags: Load, the JSON Schema and the printed configuration follow them.
//
// The package promises that Load reports every mistake at once, each with line and column and what to write
// instead ([Problems]), and that a Config it returns is complete and valid. Nothing in it prints a secret.
// It never resolves a secret, never opens a connection and reads no file but the configuration.
package config

import (
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/secret"
)

// Config is the whole configuration, with defaults filled in. Relative paths in the file are relative to
// the file's folder; here they are joined to it. A Config is not changed once loaded.
//
// Tags: koanf is the key, doc its description, default its default as in the file, format the further check
// of a value (see checkFormat), need marks a key that has to be there.
type Config struct {
	DataDir  string            `koanf:"data_dir" format:"path" default:"./data" doc:"Folder for atsync's own files: the private warehouses, locks. Relative to this file."`
	Sink     Sink              `koanf:"sink" doc:"Where the data is published for analysts."`
	Publish  Publish           `koanf:"publish" doc:"When the warehouse is published."`
	HTTP     HTTP              `koanf:"http" doc:"The daemon's status pages, health checks and metrics."`
	Autotask Autotask          `koanf:"autotask" doc:"What all tenants have in common on Autotask's side."`
	Log      Log               `koanf:"log" doc:"What is logged, and how."`
	Alerts   Alerts            `koanf:"alerts" doc:"Whom the daemon tells when something is wrong, and when it is right again."`
	Run      Run               `koanf:"run" doc:"How the daemon works: atsync run."`
	Sync     Sync              `koanf:"sync" doc:"How every tenant is synced, unless the tenant says otherwise."`
	Tenants  map[string]Tenant `koanf:"tenants" format:"tenant" need:"true" doc:"The Autotask tenants by a name of your choice: lower-case letters, digits and underscores, a letter first. It becomes the name of the tenant's file and schema."`

	// Warnings are findings that don't keep atsync from working. Sorted like Problems.
	Warnings Problems `koanf:"-"`

	origins map[string]string // path -> "config.yaml:3", "ATSYNC_DATA_DIR" or "default"
	raw     map[string]any    // the tree that this was decoded from, unredacted
	dir     string            // the file's folder

	sinkFolder bool // sink.path was written with a slash at its end
}

// The kinds of publications.
const (
	SinkDuckDB  = "duckdb"
	SinkParquet = "parquet"
)

// Sink says where the data goes.
type Sink struct {
	Type string `koanf:"type" format:"sink" default:"duckdb" doc:"Kind of publication: duckdb, one database file per tenant; or parquet, a folder of Parquet files per tenant."`
	Path string `koanf:"path" format:"sinkpath" doc:"duckdb: the published file; {tenant} stands for the tenant's name. parquet: the folder that gets a folder per tenant, or that of a bucket as a URL: s3://bucket/folder?region=eu-west-1, azblob://container/folder?storage_account=name, gs://bucket/folder. Default: {tenant}.duckdb or lake in data_dir. Relative to this file."`
}

// Publish says when a warehouse is published.
type Publish struct {
	Every time.Duration `koanf:"every" format:"min=0s" default:"0s" doc:"Publish at most this often; 0s: after every run that changed something."`
}

// HTTP configures the daemon's web side.
type HTTP struct {
	Listen       string     `koanf:"listen" format:"listen" default:"127.0.0.1:8420" doc:"Address to listen on, host:port. One that other machines can reach needs a password or a token."`
	Username     string     `koanf:"username" default:"atsync" doc:"User name that goes with the password."`
	PasswordHash secret.Ref `koanf:"password_hash" format:"hash" secret:"true" doc:"bcrypt hash of the password that the pages, the API and metrics ask for; atsync config password makes one. May be a reference like secret."`
	Token        secret.Ref `koanf:"token" format:"ref" secret:"true" doc:"Token of 20 characters or more that does in place of a password: Authorization: Bearer. A reference: env:NAME, file:/path, cmd:command args."`
	ReadOnly     bool       `koanf:"read_only" default:"false" doc:"Show only: nothing can be started, paused, released or reloaded over HTTP."`
}

// Autotask holds what is common to all tenants.
type Autotask struct {
	DiscoveryURL string `koanf:"discovery_url" format:"url" default:"https://webservices.autotask.net" doc:"Host that is asked for a tenant's zone."`
}

// Log configures logging.
type Log struct {
	Level  string `koanf:"level" format:"enum=debug|info|warn|error" default:"info" doc:"Least level that is logged."`
	Format string `koanf:"format" format:"enum=auto|text|json" default:"auto" doc:"Form of a log line; auto: coloured on a terminal, text elsewhere."`
}

// Run says how the daemon works.
type Run struct {
	MaxTenants int    `koanf:"max_tenants" format:"range=1..64" default:"4" doc:"How many tenants the daemon works on at a time."`
	CatchUp    string `koanf:"catch_up" format:"enum=once|none" default:"once" doc:"When the daemon starts and a run was missed, or there never was one: once makes up for it at once with one run; none waits for the next time."`
}

// Sync says how a tenant is synced. In a Config's tenants it is complete: what a tenant leaves out is
// taken from the top-level section.
type Sync struct {
	Schedule  string        `koanf:"schedule" format:"cron" default:"*/15 * * * *" doc:"When the daemon syncs: five cron fields (minute hour day month weekday), or @hourly, @daily, @weekly, @every 30m."`
	Timezone  string        `koanf:"timezone" format:"timezone" default:"UTC" doc:"Time zone of the schedule and of dates in the views, an IANA name like Europe/Berlin."`
	Entities  []string      `koanf:"entities" format:"entities" default:"core" doc:"What to sync: the presets core and all, entity names, patterns like Ticket*; a leading - leaves one out."`
	Overlap   time.Duration `koanf:"overlap" format:"min=0s" default:"5m" doc:"How far each read reaches back before the last one, for records that became visible late."`
	FullEvery time.Duration `koanf:"full_every" format:"min=0s" default:"168h" doc:"How long change stamps are trusted: after this long an entity is read whole once and compared, up to a quarter earlier so that not all are due at once. 0s: never."`
	Threads   int           `koanf:"threads_per_entity" format:"range=1..3" default:"2" doc:"Requests at a time for one entity. Autotask allows 3 per API user and entity, for all integrations together."`
	KeepRaw   time.Duration `koanf:"keep_raw" format:"min=0s" default:"0s" doc:"How long the pages that Autotask sent are kept in data_dir/raw, packed, for atsync sync --from-raw; more than full_every, so that a whole read is among them. atsync maintain removes older ones. 0s: none are kept."`
	KeepRuns  time.Duration `koanf:"keep_runs" format:"min=24h" default:"9600h" doc:"How long runs and loads stay in _atsync.runs and _atsync.loads; atsync maintain removes older ones, but never the newest of an entity. Syncs and loads that found nothing new go after 100 days at the latest."`
	Schema    string        `koanf:"schema" format:"enum=evolve|warn|freeze" default:"evolve" doc:"When fields change in Autotask: evolve adds and widens columns; warn does so and says it in the run's report; freeze leaves tables as they are and keeps new fields in _extra."`

	Verify      string           `koanf:"verify" format:"cron or never" default:"@daily" doc:"When the daemon compares the rows with Autotask's and mends what differs: a schedule, or never."`
	Maintain    string           `koanf:"maintain" format:"cron or never" default:"@weekly" doc:"When the daemon looks after what is on disk, as atsync maintain does: a schedule, or never."`
	FreshWithin time.Duration    `koanf:"fresh_within" format:"min=0s" default:"0s" doc:"How old data may be until the daemon reports that it is not ready. 0s: twice the longest pause of the schedule and 15 minutes."`
	Groups      map[string]Group `koanf:"groups" format:"group" doc:"Entities with a schedule of their own, by a name of your choice: lower-case letters, digits and underscores, a letter first."`
}

// Group gives some entities another schedule. They are synced whether or not entities names them.
type Group struct {
	Schedule string   `koanf:"schedule" format:"cron" need:"true" doc:"When the daemon syncs these entities, in the time zone of sync."`
	Entities []string `koanf:"entities" format:"entities" need:"true" doc:"What belongs to the group: presets, names, patterns like entities of sync. An entity belongs to one group at most."`
}

// Tenant is one Autotask tenant and its API user.
type Tenant struct {
	Username        secret.Ref `koanf:"username" format:"ref" need:"true" doc:"The API user's Username (Key). May be a reference like secret."`
	IntegrationCode secret.Ref `koanf:"integration_code" format:"ref" need:"true" secret:"true" doc:"The API tracking identifier: 27 characters. A reference: env:NAME, file:/path, cmd:command args."`
	Secret          secret.Ref `koanf:"secret" format:"ref" need:"true" secret:"true" doc:"The API user's Password (Secret Key). A reference: env:NAME, file:/path, cmd:command args."`
	Zone            string     `koanf:"zone" format:"zone" doc:"The tenant's zone: webservices3, 3, or its host. Left out: asked from Autotask."`
	URL             string     `koanf:"url" format:"url" doc:"The tenant's REST root in place of zone, like https://webservices3.autotask.net/ATServicesRest/V1.0."`
	Sync            Sync       `koanf:"sync" doc:"What differs from the top-level section sync for this tenant."`
}
