package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
)

// gate lets connections run nothing but queries once it is shut. DuckDB's allowed_paths can't tell reading from writing: where
// views read files, a COPY could write to these very files, and to root a read-only file is like any other.
type gate struct {
	driver.Connector
	shut atomic.Bool
}

// Connect implements driver.Connector.
func (g *gate) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(queryConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection is a %T", c), c.Close())
	}
	return &gatedConn{conn, g}, nil
}

// Close closes the database.
func (g *gate) Close() error {
	c, ok := g.Connector.(interface{ Close() error })
	if !ok {
		return nil
	}
	return c.Close()
}

// queryConn is what the driver's connections can do, and those of patient.
type queryConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
}

// gatedConn has no PrepareContext, so that no statement goes past it.
type gatedConn struct {
	queryConn
	gate *gate
}

// ExecContext implements driver.ExecerContext.
func (c *gatedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.check(ctx, query); err != nil {
		return nil, err
	}
	return c.queryConn.ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (c *gatedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.check(ctx, query); err != nil {
		return nil, err
	}
	return c.queryConn.QueryContext(ctx, query, args)
}

// Prepare implements driver.Conn.
func (c *gatedConn) Prepare(query string) (driver.Stmt, error) {
	if err := c.check(context.Background(), query); err != nil {
		return nil, err
	}
	return c.queryConn.Prepare(query)
}

// errNoQuery is what becomes of a statement that is no query. The words are those of DuckDB's own refusals.
var errNoQuery = errors.New("Permission Error: only queries can be run here: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, " + //nolint:staticcheck // as DuckDB writes it
	"EXPLAIN of these, and PIVOT with the values listed (IN)")

// explain is what may stand before a query.
var explain = regexp.MustCompile(`(?i)^\s*EXPLAIN\s+(ANALYZE\s+)?`)

func (c *gatedConn) check(ctx context.Context, query string) error {
	if !c.gate.shut.Load() {
		return nil
	}
	err := c.judge(ctx, query)
	if errors.Is(err, errUnparsable) {
		return nil // DuckDB runs nothing of it and says best what is wrong
	}
	return err
}

var errUnparsable = errors.New("the query can't be parsed")

// judge refuses everything that DuckDB's parser does not take for queries alone.
func (c *gatedConn) judge(ctx context.Context, query string) (err error) {
	query = query[len(explain.FindString(query)):]
	rows, err := c.queryConn.QueryContext(ctx, `SELECT j->>'error', coalesce(j->>'error_type', '') FROM (SELECT json_serialize_sql(`+literal(query)+`) AS j)`, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	answer := make([]driver.Value, 2)
	if err := rows.Next(answer); err != nil {
		return err
	}
	switch {
	case answer[0] == "false":
		return nil
	case answer[1] == "parser":
		return errUnparsable
	}
	return errNoQuery
}
