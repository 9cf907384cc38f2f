package daemon

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/atsync/atsync/cmd/atsync/internal/app"
	"github.com/atsync/atsync/pipeline"
)

// metrics counts what happens. Its names and labels are a contract: docs/metrics.md.
type metrics struct {
	registry *prometheus.Registry

	runs     *prometheus.CounterVec   // tenant, command, status
	seconds  *prometheus.HistogramVec // command
	skips    *prometheus.CounterVec   // tenant, command
	requests *prometheus.CounterVec   // tenant, op, status
	latency  *prometheus.HistogramVec // op
	retries  *prometheus.CounterVec   // tenant
	rows     *prometheus.CounterVec   // tenant, change
	streams  *prometheus.CounterVec   // tenant, status
	waited   *prometheus.CounterVec   // tenant
	refusals *prometheus.CounterVec   // tenant, limit
	holes    *prometheus.CounterVec   // tenant
}

func newMetrics(d *Daemon, version string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		runs:     counter("atsync_runs_total", "Runs that ended, by outcome.", "tenant", "command", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atsync_job_duration_seconds", Help: "How long jobs took, publication included.",
			Buckets: []float64{0.5, 1, 2.5, 5, 10, 30, 60, 150, 300, 900, 3600}}, []string{"command"}),
		skips:    counter("atsync_skipped_total", "Jobs that fell due and were not started.", "tenant", "command"),
		requests: counter("atsync_requests_total", "HTTP requests to Autotask; status 0: no answer.", "tenant", "op", "status"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "atsync_request_duration_seconds", Help: "How long Autotask took to answer.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}}, []string{"op"}),
		retries:  counter("atsync_retries_total", "Requests that were sent again.", "tenant"),
		rows:     counter("atsync_rows_total", "Rows by what became of them: fetched, inserted, updated, unchanged, deleted, rejected.", "tenant", "change"),
		streams:  counter("atsync_streams_total", "Entities that were worked on, by outcome.", "tenant", "status"),
		waited:   counter("atsync_quota_wait_seconds_total", "Time in which some request waited for quota.", "tenant"),
		refusals: counter("atsync_quota_refusals_total", "Answers that a limit is reached: hour or threads.", "tenant", "limit"),
		holes:    counter("atsync_holes_total", "Rows that verify found missing here or gone at the source.", "tenant"),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atsync_build_info", Help: "Always 1."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(build, m.runs, m.seconds, m.skips, m.requests, m.latency, m.retries, m.rows, m.streams, m.waited, m.refusals, m.holes,
		newGauges(d), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// forget drops the series of a tenant that is not configured any more.
func (m *metrics) forget(tenant string) {
	for _, v := range []*prometheus.CounterVec{m.runs, m.skips, m.requests, m.retries, m.rows, m.streams, m.waited, m.refusals, m.holes} {
		v.DeletePartialMatch(prometheus.Labels{"tenant": tenant})
	}
}

func (m *metrics) skipped(s app.Skip) {
	m.skips.WithLabelValues(s.Job.Tenant, command(s.Job.Kind)).Inc()
}

// ran counts a run that ended.
func (m *metrics) ran(tenant, command string, status pipeline.Status, run pipeline.Run, took time.Duration) {
	m.runs.WithLabelValues(tenant, command, string(status)).Inc()
	m.seconds.WithLabelValues(command).Observe(took.Seconds())
	if q := run.Quota; q != nil {
		m.waited.WithLabelValues(tenant).Add(max(q.WaitedSeconds, 0))
		m.refusals.WithLabelValues(tenant, "hour").Add(float64(max(q.HourRefusals, 0)))
		m.refusals.WithLabelValues(tenant, "threads").Add(float64(max(q.ThreadRefusals, 0)))
	}
}

func (m *metrics) request(tenant string, r pipeline.RequestInfo) {
	m.requests.WithLabelValues(tenant, r.Op, statusText(r.Status)).Inc()
	if r.Status != 0 {
		m.latency.WithLabelValues(r.Op).Observe(r.Duration.Seconds())
	}
}

// statusText is an HTTP status as label: what a server invents must not make a series of its own.
func statusText(status int) string {
	const digits = "0123456789"
	if status < 100 || status > 599 {
		return "0"
	}
	return string([]byte{digits[status/100], digits[status/10%10], digits[status%10]})
}

func (m *metrics) stream(tenant string, r pipeline.StreamReport) {
	m.streams.WithLabelValues(tenant, string(r.Status)).Inc()
	for change, n := range map[string]int64{"fetched": r.Fetched, "inserted": r.Inserted, "updated": r.Updated, "unchanged": r.Unchanged,
		"deleted": r.Deleted, "rejected": r.Rejected} {
		if n > 0 {
			m.rows.WithLabelValues(tenant, change).Add(float64(n))
		}
	}
	if r.Verify != nil && r.Verify.Holes > 0 {
		m.holes.WithLabelValues(tenant).Add(float64(r.Verify.Holes))
	}
}

// gauges are asked from the daemon when metrics are read.
type gauges struct {
	d     *Daemon
	descs map[string]*prometheus.Desc
}

func newGauges(d *Daemon) *gauges {
	g := &gauges{d, map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		g.descs[name] = prometheus.NewDesc("atsync_"+name, help, labels, nil)
	}
	add("lag_seconds", "Age of the tenant's oldest table; -1: some table was never read.", "tenant")
	add("fresh", "1 if every table of the tenant is as current as its objective demands.", "tenant")
	add("table_lag_seconds", "Age of a table that was read at least once.", "tenant", "table")
	add("table_objective_seconds", "How old the table may be.", "tenant", "table")
	add("last_success_timestamp_seconds", "When the tenant's newest run that was ok ended; missing: none is known.", "tenant")
	add("failures_in_a_row", "Jobs of the tenant that failed since the last good one of their kind: of the kind of which most did.", "tenant")
	add("on_hold", "1 while the tenant is on hold after a refused login.", "tenant")
	add("paused", "1 while the tenant is paused.", "tenant")
	add("running", "1 while a job of the tenant runs.", "tenant")
	add("waiting_jobs", "Jobs that wait for their turn.")
	add("quota_used", "Requests in the window of the tenant's Autotask database, of all integrations, when the last run ended.", "tenant", "database")
	add("quota_threshold", "Requests that the database allows per window.", "tenant", "database")
	add("warehouse_bytes", "Size of the private warehouse.", "tenant")
	add("publication_bytes", "Size of what is published.", "tenant")
	add("publication_timestamp_seconds", "When the publication was made; in a bucket, when it got there.", "tenant")
	add("alerts_firing", "Alerts that are firing now; tenant is empty for what concerns several.", "tenant", "kind")
	add("config_reload_ok", "0 if the last reload of the configuration failed.")
	add("config_loaded_timestamp_seconds", "When the configuration in force was read.")
	return g
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range g.descs {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	set := func(name string, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(g.descs[name], prometheus.GaugeValue, value, labels...)
	}
	reload := g.d.Reloaded()
	set("config_reload_ok", flag(reload.FailedAt.IsZero()))
	set("config_loaded_timestamp_seconds", seconds(reload.LoadedAt))
	set("waiting_jobs", float64(len(g.d.Waiting())))
	firing := map[[2]string]float64{}
	for _, a := range g.d.Alerts() {
		if !a.Event {
			firing[[2]string{a.Tenant, a.Kind}]++
		}
	}
	for labels, n := range firing {
		set("alerts_firing", n, labels[:]...)
	}
	for _, s := range g.d.Tenants() {
		g.tenant(set, s)
	}
}

func (g *gauges) tenant(set func(name string, value float64, labels ...string), s TenantState) {
	set("lag_seconds", s.Lag, s.Tenant)
	set("fresh", flag(s.Fresh), s.Tenant)
	set("failures_in_a_row", float64(s.Failures), s.Tenant)
	set("on_hold", flag(s.Hold != nil), s.Tenant)
	set("paused", flag(s.Paused), s.Tenant)
	set("running", flag(s.Running != nil), s.Tenant)
	now := time.Now()
	for _, t := range s.Tables {
		set("table_objective_seconds", t.Within, s.Tenant, t.Table)
		if !t.CompleteThrough.IsZero() {
			set("table_lag_seconds", max(now.Sub(t.CompleteThrough).Seconds(), 0), s.Tenant, t.Table)
		}
	}
	for _, run := range s.Runs {
		if run.Status == pipeline.StatusOK {
			set("last_success_timestamp_seconds", seconds(run.EndedAt), s.Tenant)
			break
		}
	}
	if q := s.Quota; q != nil {
		set("quota_used", float64(q.UsedAfter), s.Tenant, q.Database)
		set("quota_threshold", float64(q.Threshold), s.Tenant, q.Database)
	}
	t, _, ok := g.d.tenant(s.Tenant)
	if !ok {
		return
	}
	if info, err := os.Stat(t.WorkPath); err == nil { // looks at its size only: opening it would break DuckDB's lock
		set("warehouse_bytes", float64(info.Size()), s.Tenant)
	}
	if g.d.opts.Published == nil {
		return
	}
	if where, at, bytes := g.d.opts.Published(t); where != "" {
		set("publication_bytes", float64(bytes), s.Tenant)
		set("publication_timestamp_seconds", seconds(at), s.Tenant)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
