package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/atsync/atsync/pipeline"
)

// ReadOptions bounds what reading may use.
type ReadOptions struct {
	MemoryLimit string // "512MB" by default
	Threads     int    // 2 by default
	TempDir     string // where large queries spill; a folder of its own below os.TempDir by default

	writable string // the one file that may be written
}

// OpenReader opens one publication, or a warehouse that no process has open, for reading only. Unqualified table
// names resolve. It sees the version that is there now for as long as it is open; open it anew for a newer one.
// Its statements are not interrupted when their context ends.
func OpenReader(ctx context.Context, path string) (*sql.DB, error) {
	return attach(ctx, map[string]string{"warehouse": path}, ReadOptions{}, func(c *duckdb.Connector) driver.Connector { return patient{c} })
}

// OpenSQL opens publications for queries from outside: each is attached read-only under its tenant's name. The
// instance is in memory and locked down: a query cannot write or read another file, attach, load an extension or
// change a setting. With one tenant its tables need no prefix.
// A warehouse that is open in this process or another is refused. Queries are interrupted when their context ends; for
// what that costs (see patient) this is for processes that end soon after.
func OpenSQL(ctx context.Context, publications map[string]string, opts ReadOptions) (*sql.DB, error) {
	return attach(ctx, publications, opts, func(c *duckdb.Connector) driver.Connector { return c })
}

// attach opens an instance in memory, attaches the publications and locks it down.
func attach(ctx context.Context, publications map[string]string, opts ReadOptions, manner func(*duckdb.Connector) driver.Connector) (*sql.DB, error) {
	for tenant, path := range publications {
		if err := checkReadable(tenant, path); err != nil {
			return nil, readError(tenant, path, err)
		}
	}
	var use string
	tenants := slices.Sorted(maps.Keys(publications))
	if len(tenants) == 1 {
		use = "USE " + ident(tenants[0])
	}
	ready := false
	connector, err := duckdb.NewConnector(":memory:", func(conn driver.ExecerContext) error {
		if !ready || use == "" { // the first connection comes before the tenant is attached
			return nil
		}
		_, err := conn.ExecContext(ctx, use, nil)
		return err
	})
	if err != nil {
		return nil, readError("", "", err)
	}
	gate := &gate{Connector: manner(connector)}
	db := sql.OpenDB(gate)
	files, err := lockDown(ctx, db, publications, tenants, opts)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	gate.shut.Store(files && opts.writable == "")
	ready = true
	return db, nil
}

// lockDown attaches the publications and closes the instance to everything else but
// the files that their views read, and tells whether there are such.
func lockDown(ctx context.Context, db *sql.DB, publications map[string]string, tenants []string, opts ReadOptions) (bool, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, readError("", "", err)
	}
	defer discard(conn)
	if opts.MemoryLimit == "" {
		opts.MemoryLimit = "512MB"
	}
	if opts.Threads <= 0 {
		opts.Threads = 2
	}
	if opts.TempDir == "" {
		opts.TempDir = filepath.Join(os.TempDir(), fmt.Sprintf("atsync-sql-%d-%d", os.Getpid(), time.Now().UnixNano()))
	}
	s := session{ctx, conn}
	for _, q := range []string{
		`SET GLOBAL memory_limit = ` + literal(opts.MemoryLimit), `SET GLOBAL threads = ` + strconv.Itoa(opts.Threads),
		`SET GLOBAL temp_directory = ` + literal(opts.TempDir), `SET GLOBAL TimeZone = 'UTC'`,
		`SET GLOBAL autoinstall_known_extensions = false`, `SET GLOBAL autoload_known_extensions = false`,
	} {
		if err := s.exec(q); err != nil {
			return false, readError("", "", err)
		}
	}
	for _, tenant := range tenants {
		if err := s.exec(`ATTACH ` + literal(publications[tenant]) + ` AS ` + ident(tenant) + ` (READ_ONLY)`); err != nil {
			return false, readError(tenant, publications[tenant], err)
		}
	}
	files, err := catalogued(ctx, conn, publications)
	if err != nil {
		return false, readError("", "", err)
	}
	if opts.writable != "" {
		files = append(files, literal(opts.writable))
	}
	allowed := `[` + strings.Join(files, ", ") + `]::VARCHAR[]`
	for _, q := range []string{`SET GLOBAL allowed_paths = ` + allowed, `SET GLOBAL enable_external_access = false`, `SET GLOBAL lock_configuration = true`} {
		if err := s.exec(q); err != nil {
			return false, readError("", "", err)
		}
	}
	return len(files) > 0, nil
}

// checkReadable refuses what must not be attached. The probe goes through the driver's cache of instances: that
// refuses a file which this process writes to, where attaching it would drop the writer's lock.
func checkReadable(tenant, path string) error {
	if slices.Contains(reservedNames(), strings.ToLower(tenant)) {
		return fmt.Errorf("DuckDB keeps the name %q for itself; rename the tenant", tenant)
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	dsn, err := dataSource(Options{Path: path, MemoryMB: 64, Threads: 1})
	if err != nil {
		return err
	}
	connector, err := duckdb.NewConnector(dsn+"&access_mode=READ_ONLY", nil)
	if err != nil {
		return err
	}
	return connector.Close()
}

// reservedNames are names of DuckDB's own databases and schemas: a database of that name makes them ambiguous.
func reservedNames() []string {
	return []string{"main", "memory", "system", "temp", "_atsync", "pg_catalog", "information_schema"}
}

func readError(tenant, path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: "open publication", Err: err,
			Remedy: "run `atsync sync` first: it makes the publication"}
	}
	if _, named := errors.AsType[*pipeline.Error](err); !named && path != "" && damaged(err) {
		return &pipeline.Error{Class: pipeline.ClassSink, Tenant: tenant, Op: "open publication", Err: err,
			Remedy: path + " is damaged: run `atsync sync`, which makes it anew"}
	}
	return wrap(Options{Path: path, Tenant: tenant}, "", "open publication", err)
}

// Queryer is what the readers of system tables need: a *sql.DB or *sql.Conn.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Runs returns the newest runs, newest first, from a database opened with OpenReader.
func Runs(ctx context.Context, db Queryer, limit int) ([]pipeline.Run, error) {
	runs, err := readRuns(ctx, db, limit)
	if err != nil {
		return nil, readError("", "", err)
	}
	return runs, nil
}

// LastRuns returns when the newest run of each command began that was not interrupted, from a database opened with OpenReader.
func LastRuns(ctx context.Context, db Queryer) (map[string]time.Time, error) {
	out, err := lastRuns(ctx, db)
	if err != nil {
		return nil, readError("", "", err)
	}
	return out, nil
}

// LastRuns returns when the newest run of each command began that was not interrupted.
func (w *Warehouse) LastRuns(ctx context.Context) (map[string]time.Time, error) {
	return LastRuns(ctx, w.db)
}

func lastRuns(ctx context.Context, db Queryer) (map[string]time.Time, error) {
	rows, err := db.QueryContext(ctx, `SELECT command, max(started_at) FROM _atsync.runs WHERE status IN ('ok', 'partial', 'failed') GROUP BY command`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	out := map[string]time.Time{}
	for rows.Next() {
		var command string
		var at time.Time
		if err := rows.Scan(&command, when(&at)); err != nil {
			return nil, err
		}
		out[command] = at
	}
	return out, rows.Err()
}

// Runs returns the newest runs, newest first.
func (w *Warehouse) Runs(ctx context.Context, limit int) ([]pipeline.Run, error) {
	return Runs(ctx, w.db, limit)
}

// Verifications returns the newest verifications, newest first, from a database opened with OpenReader.
func Verifications(ctx context.Context, db Queryer, limit int) ([]pipeline.Run, error) {
	runs, err := readRunsWhere(ctx, db, `WHERE command = 'verify' ORDER BY run_id DESC LIMIT ?`, limit)
	if err != nil {
		return nil, readError("", "", err)
	}
	return runs, nil
}

// ReadRun returns one run, nil if there is none of that number, from a database opened with OpenReader.
func ReadRun(ctx context.Context, db Queryer, id int64) (*pipeline.Run, error) {
	runs, err := readRunsWhere(ctx, db, `WHERE run_id = ?`, id)
	if err != nil {
		return nil, readError("", "", err)
	}
	if len(runs) == 0 {
		return nil, nil
	}
	return &runs[0], nil
}

func readRuns(ctx context.Context, db Queryer, limit int) ([]pipeline.Run, error) {
	return readRunsWhere(ctx, db, `ORDER BY run_id DESC LIMIT ?`, limit)
}

func readRunsWhere(ctx context.Context, db Queryer, clause string, arg any) (out []pipeline.Run, err error) {
	quota, err := quotaColumn(ctx, db)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT run_id, coalesce(tenant, ''), coalesce(command, ''), started_at, ended_at, status, requests,
		coalesce(error, ''), coalesce(error_class, ''), streams::VARCHAR, `+quota+` FROM _atsync.runs `+clause, arg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var r pipeline.Run
		var streams, quota string
		err := rows.Scan(&r.ID, &r.Tenant, &r.Command, when(&r.StartedAt), when(&r.EndedAt), &r.Status, &r.Requests,
			&r.Error, &r.ErrorClass, &streams, &quota)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(streams), &r.Streams); err != nil {
			return nil, fmt.Errorf("run %d: %w", r.ID, err)
		}
		if err := json.Unmarshal([]byte(quota), &r.Quota); err != nil {
			return nil, fmt.Errorf("run %d: %w", r.ID, err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// quotaColumn selects a run's quota, which a publication made before format 2 does not have.
func quotaColumn(ctx context.Context, db Queryer) (expr string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT 1 FROM pragma_table_info('_atsync.runs') WHERE name = 'quota'`)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	expr = `'null'`
	if rows.Next() {
		expr = `coalesce(quota::VARCHAR, 'null')`
	}
	return expr, rows.Err()
}

// Freshness says how current one table is.
type Freshness struct {
	Tenant          string        `json:"tenant"`
	Table           string        `json:"table"`
	Entity          string        `json:"entity"`
	Class           string        `json:"class"`
	CompleteThrough time.Time     `json:"complete_through,omitzero"` // zero: never complete
	LastSuccessAt   time.Time     `json:"last_success_at,omitzero"`  // zero: never
	Lag             time.Duration `json:"lag"`                       // now minus CompleteThrough, 0 if that is zero
}

// ReadFreshness returns how current each table is, by entity, from a database opened with OpenReader.
func ReadFreshness(ctx context.Context, db Queryer) ([]Freshness, error) {
	out, err := readFreshness(ctx, db)
	if err != nil {
		return nil, readError("", "", err)
	}
	return out, nil
}

// Freshness returns how current each table is, by entity.
func (w *Warehouse) Freshness(ctx context.Context) ([]Freshness, error) {
	return ReadFreshness(ctx, w.db)
}

func readFreshness(ctx context.Context, db Queryer) (out []Freshness, err error) {
	rows, err := db.QueryContext(ctx, `SELECT tenant, coalesce("table", ''), entity, coalesce(class, ''), complete_through, last_success_at,
		coalesce(epoch_us(now()) - epoch_us(complete_through), 0) FROM _atsync.freshness`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var f Freshness
		var lag int64
		if err := rows.Scan(&f.Tenant, &f.Table, &f.Entity, &f.Class, when(&f.CompleteThrough), when(&f.LastSuccessAt), &lag); err != nil {
			return nil, err
		}
		f.Lag = time.Duration(lag) * time.Microsecond
		out = append(out, f)
	}
	return out, rows.Err()
}

// ReadHold returns the tenant's auth hold, or nil, from a database opened with OpenReader.
func ReadHold(ctx context.Context, db Queryer) (hold *pipeline.Hold, err error) {
	rows, err := db.QueryContext(ctx, `SELECT since, reason, fingerprint FROM _atsync.holds`)
	if err != nil {
		return nil, readError("", "", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		hold = &pipeline.Hold{}
		if err := rows.Scan(when(&hold.Since), &hold.Reason, &hold.Fingerprint); err != nil {
			return nil, readError("", "", err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, readError("", "", err)
	}
	return hold, nil
}

// LiveRows counts the rows of a table that are not tombstoned, from a database opened with OpenReader.
func LiveRows(ctx context.Context, db Queryer, table string) (n int64, err error) {
	rows, err := db.QueryContext(ctx, `SELECT count(*) FROM `+ident(table)+` WHERE _deleted_at IS NULL`)
	if err != nil {
		return 0, readError("", "", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, readError("", "", err)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, readError("", "", err)
	}
	return n, nil
}
