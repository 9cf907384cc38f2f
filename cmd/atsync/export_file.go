package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/atsync/atsync/pipeline"
)

// exporter writes files of published data.
type exporter struct {
	*env
	db    *sql.DB
	files map[string]string // publications by tenant
	force bool
	keep  []string // never to be replaced, or written into
}

// do writes one file: beside its place first, so that it is there whole or not at all.
func (x *exporter) do(ctx context.Context, j exportJob) (done exported, err error) {
	done = exported{Path: j.to, Source: j.source, Format: j.format}
	if j.to == "-" {
		out := bufio.NewWriterSize(x.stdout, 1<<16)
		done.Rows, err = x.stream(ctx, j, out)
		return done, errors.Join(err, out.Flush())
	}
	path, err := filepath.Abs(j.to)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err != nil {
		return done, exportError(j.to, err, "")
	}
	part := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.partial-%d", filepath.Base(path), os.Getpid()))
	defer func() { _ = os.Remove(part) }() // it has its name by then, or is not whole
	if j.format == "parquet" {
		done.Rows, err = x.parquet(ctx, j, part)
	} else {
		done.Rows, err = x.file(ctx, j, part)
	}
	if err != nil {
		return done, err
	}
	info, err := os.Stat(part)
	if err == nil {
		done.Bytes = info.Size()
		err = x.place(part, path)
	}
	if err != nil {
		return done, exportError(j.to, err, "")
	}
	return done, nil
}

// parquet lets DuckDB write the file.
func (x *exporter) parquet(ctx context.Context, j exportJob, part string) (int64, error) {
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) // says plainly what keeps it from being written
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return 0, exportError(j.to, err, "")
	}
	n, err := copyParquet(ctx, x.files, j.query, part)
	if err == nil {
		if err := syncFile(part); err != nil {
			return n, exportError(j.to, err, "")
		}
	}
	if _, ours := errors.AsType[*pipeline.Error](err); ours || err == nil {
		return n, err
	}
	if text := err.Error(); ctx.Err() == nil && (strings.HasPrefix(text, "IO Error") || strings.Contains(text, "No space left")) {
		return n, exportError(j.to, err, "")
	}
	return n, queryError(ctx, err)
}

// syncFile makes what another has written durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// file writes what is written row by row.
func (x *exporter) file(ctx context.Context, j exportJob, part string) (n int64, err error) {
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, exportError(j.to, err, "")
	}
	out := bufio.NewWriterSize(f, 1<<16)
	n, err = x.stream(ctx, j, out)
	if err == nil {
		if err = errors.Join(out.Flush(), f.Sync()); err != nil {
			err = exportError(j.to, err, "")
		}
	}
	return n, errors.Join(err, f.Close())
}

// stream writes the rows of a job to w.
func (x *exporter) stream(ctx context.Context, j exportJob, w io.Writer) (int64, error) {
	n, err := eachRow(ctx, x.db, j.query, func(types []*sql.ColumnType) (rowWriter, error) {
		switch j.format {
		case "csv":
			return newExportCSV(w, types)
		case "jsonl":
			return &jsonLines{w: w, types: types}, nil
		}
		return newSheet(w, types)
	})
	if _, ours := errors.AsType[*pipeline.Error](err); ours || err == nil {
		return n, err
	}
	return n, exportError(j.to, err, "")
}

// place gives a file its name. Without --force it never replaces one that has come since.
func (x *exporter) place(part, path string) error {
	if !x.force {
		err := os.Link(part, path)
		if err == nil || errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return os.Rename(part, path) // also where the file system has no links
}

// exportCSV writes RFC 4180: a header, CRLF, NULL as an empty field and empty text as "".
type exportCSV struct{ w io.Writer }

func newExportCSV(w io.Writer, types []*sql.ColumnType) (*exportCSV, error) {
	names := make([]any, len(types))
	for i, t := range types {
		names[i] = t.Name()
	}
	c := &exportCSV{w}
	return c, c.row(names)
}

func (c *exportCSV) row(values []any) error {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		if v == nil {
			continue
		}
		text := cell(v)
		if text == "" || strings.ContainsAny(text, ",\"\r\n") || text != strings.TrimSpace(text) {
			text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		}
		b.WriteString(text)
	}
	b.WriteString("\r\n")
	_, err := io.WriteString(c.w, b.String())
	return err
}

func (c *exportCSV) end() error { return nil }

// jsonLines writes an object a line.
type jsonLines struct {
	w     io.Writer
	types []*sql.ColumnType
}

func (j *jsonLines) row(values []any) error {
	object, err := jsonObject(j.types, values)
	if err != nil {
		return err
	}
	_, err = io.WriteString(j.w, object+"\n")
	return err
}

func (j *jsonLines) end() error { return nil }
