package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// patient connects to an instance whose statements are never interrupted: a context that ends is noticed before a statement
// begins and by those who use its rows. DuckDB loses count of who uses the client context of an interrupted statement, one time
// in five or so, and then the instance outlives its Close: it keeps the file open, and whoever opens the file in the
// same process waits for ever. Long statements need no interrupt: what they read of a feed ends with the feed's context.
type patient struct{ *duckdb.Connector }

// Connect implements driver.Connector.
func (p patient) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	return patientConn{conn.(*duckdb.Conn)}, nil
}

// patientConn has no PrepareContext, so that no statement goes past it.
type patientConn struct{ conn *duckdb.Conn }

var (
	_ driver.ExecerContext     = patientConn{}
	_ driver.QueryerContext    = patientConn{}
	_ driver.NamedValueChecker = patientConn{}
)

// ExecContext implements driver.ExecerContext.
func (c patientConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return c.conn.ExecContext(context.WithoutCancel(ctx), query, args)
}

// QueryContext implements driver.QueryerContext.
func (c patientConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return c.conn.QueryContext(context.WithoutCancel(ctx), query, args)
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c patientConn) CheckNamedValue(v *driver.NamedValue) error { return c.conn.CheckNamedValue(v) }

// Prepare implements driver.Conn; database/sql has no use for it here.
func (c patientConn) Prepare(query string) (driver.Stmt, error) { return c.conn.Prepare(query) }

// Begin implements driver.Conn.
func (c patientConn) Begin() (driver.Tx, error) {
	return nil, errors.New("transactions are statements here")
}

// Close implements driver.Conn.
func (c patientConn) Close() error { return c.conn.Close() }
