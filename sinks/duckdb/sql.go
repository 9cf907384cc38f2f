package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

func ident(name string) string   { return schemas.QuoteIdent(name) }
func literal(text string) string { return schemas.QuoteLiteral(text) }
func clean(s string) string      { return schemas.CleanText(s) }

// idents quotes names and joins them with commas.
func idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ident(n)
	}
	return strings.Join(quoted, ", ")
}

// A field is a column and the value that a row gets there: a string, a bool, an int64, a time or nil.
type field struct {
	column string
	value  any
}

// text writes the value into a statement: one with parameters is planned twice, before DuckDB knows their types and after.
func (f field) text() string {
	switch v := f.value.(type) {
	case nil:
		return "NULL"
	case string:
		return literal(v)
	case time.Time:
		return literal(v.UTC().Format("2006-01-02 15:04:05.999999") + "Z") // the column's type makes a time of it, quicker than a cast does
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		panic(fmt.Sprintf("column %s: no literal for a %T", f.column, v))
	}
}

// insertRow is the statement that adds a row.
func insertRow(table string, fields []field) string {
	columns, values := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		columns[i], values[i] = f.column, f.text()
	}
	return `INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(values, ", ") + `)`
}

// updateRow is the statement that changes rows.
func updateRow(table string, fields []field, where field) string {
	set := make([]string, len(fields))
	for i, f := range fields {
		set[i] = f.column + " = " + f.text()
	}
	return `UPDATE ` + table + ` SET ` + strings.Join(set, ", ") + ` WHERE ` + where.column + ` = ` + where.text()
}

// numbers joins integers with commas.
func numbers(values []int64) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(text, ", ")
}

// table names a table of the warehouse itself, temp one of the connection.
func mainTable(name string) string { return "main." + ident(name) }
func tempTable(name string) string { return "temp.main." + ident(name) }

// session is a connection with a transaction on it. Every statement's error is returned: in an aborted
// transaction DuckDB's COMMIT reports success.
type session struct {
	ctx  context.Context
	conn *sql.Conn
}

func (s session) exec(query string, args ...any) error {
	_, err := s.conn.ExecContext(s.ctx, query, args...)
	return err
}

// count runs a statement and returns how many rows it touched.
func (s session) count(query string, args ...any) (int64, error) {
	res, err := s.conn.ExecContext(s.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (s session) row(query string, args ...any) *sql.Row {
	return s.conn.QueryRowContext(s.ctx, query, args...)
}

// number runs a query that yields one integer.
func (s session) number(query string, args ...any) (n int64, err error) {
	err = s.row(query, args...).Scan(&n)
	return n, err
}

// end commits, or rolls back if err is set or the context has ended. Once the COMMIT is sent it is not interrupted.
func (s session) end(err error) error {
	if err == nil {
		err = context.Cause(s.ctx)
	}
	calm := context.WithoutCancel(s.ctx)
	if err == nil {
		_, err = s.conn.ExecContext(calm, "COMMIT")
	}
	if err != nil {
		_, _ = s.conn.ExecContext(calm, "ROLLBACK") // a failed COMMIT has rolled back already
	}
	return err
}

// write runs fn in a transaction of its own, alone among all commits.
func (w *Warehouse) write(ctx context.Context, fn func(session) error) error {
	defer w.memo.forgetStanding("")
	return w.record(ctx, fn)
}

// record is write for what no entity's standing depends on.
func (w *Warehouse) record(ctx context.Context, fn func(session) error) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	defer w.unlock()
	return w.transact(ctx, fn)
}

// transact runs fn in a transaction of its own. The caller holds the commit token.
func (w *Warehouse) transact(ctx context.Context, fn func(session) error) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer discard(conn)
	s := session{ctx, conn}
	if err := s.exec("BEGIN TRANSACTION"); err != nil {
		return err
	}
	if err := s.end(fn(s)); err != nil {
		return err
	}
	w.version.Add(1)
	return nil
}

// discard closes a connection for good, and with it its temporary tables and whatever transaction it had.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close() // reports only that the connection is gone
}

// instant makes a parameter of a time: NULL for the zero time.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}

// text makes a parameter of a string: NULL for the empty one.
func text(s string) any {
	if s == "" {
		return nil
	}
	return clean(s)
}

// when scans a nullable TIMESTAMPTZ.
func when(dst *time.Time) sql.Scanner { return timeScanner{dst} }

type timeScanner struct{ dst *time.Time }

// Scan implements sql.Scanner.
func (s timeScanner) Scan(v any) error {
	var n sql.NullTime
	if err := n.Scan(v); err != nil {
		return err
	}
	*s.dst = time.Time{}
	if n.Valid {
		*s.dst = n.Time.UTC()
	}
	return nil
}
