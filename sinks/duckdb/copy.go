package duckdb

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// copyVariable carries a copyJob to a child process.
const copyVariable = "ATSYNC_DUCKDB_COPY"

// A copyJob is what a child process copies: a file at rest and, if Log is set, its write-ahead log, which
// the child then folds into the copy. From the copy it drops what readers are not to see.
type copyJob struct {
	From, To string
	Log      bool
	Drop     []unfinished
}

// unfinished is an entity whose first load is not complete.
type unfinished struct{ Entity, Table string }

// CopyChild makes this process the child that copies a warehouse, if it was started as one: then it does not
// return. The process that writes to a warehouse must not open the file itself (see the package doc), so
// Publish starts its own executable again. main and TestMain call CopyChild before anything else.
func CopyChild() {
	raw, ok := os.LookupEnv(copyVariable)
	if !ok {
		return
	}
	var job copyJob
	err := json.Unmarshal([]byte(raw), &job)
	if err == nil {
		err = job.do()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run starts the child and waits for it.
func (j copyJob) run(ctx context.Context) error {
	self, err := executable()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(j)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Stderr = &report
	cmd.Env = []string{copyVariable + "=" + string(raw)} // and nothing else: it may hold secrets
	for _, name := range []string{"HOME", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("copy %s: %w: %s", j.From, err, strings.TrimSpace(report.String()))
	}
	if _, err := os.Stat(j.To); err != nil {
		return fmt.Errorf("the copying child left no file; does main call duckdb.CopyChild? %w", err)
	}
	return nil
}

// executable finds this program. On Linux the link works even after an upgrade has replaced the file.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	return os.Executable()
}

// do is the child's work.
func (j copyJob) do() error {
	if j.Log {
		if err := copyFile(j.From+".wal", j.To+".wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := copyFile(j.From, j.To); err != nil {
		return err
	}
	if !j.Log && len(j.Drop) == 0 {
		return nil
	}
	if err := fold(context.Background(), j.To, j.Drop); err != nil {
		return err
	}
	return syncFile(j.To)
}

// fold takes unfinished tables out of a copy, with all that is known of them, and checkpoints it, so that it needs no log.
func fold(ctx context.Context, path string, drop []unfinished) error {
	connector, err := duckdb.NewConnector(path+"?memory_limit=256MB&threads=1&storage_compatibility_version="+storageVersion, nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	for _, u := range drop {
		if err == nil {
			_, err = db.ExecContext(ctx, `DROP TABLE IF EXISTS `+mainTable(u.Table))
		}
		for _, known := range []string{"checkpoints", "columns", "rejects"} {
			if err == nil {
				_, err = db.ExecContext(ctx, `DELETE FROM _atsync.`+known+` WHERE entity = ?`, u.Entity)
			}
		}
	}
	if err == nil {
		_, err = db.ExecContext(ctx, "CHECKPOINT")
	}
	return errors.Join(err, db.Close())
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
