package parquet

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of how many rows a file gets.
const (
	mostRows  = 50_000
	leastRows = 4_000
	wantFiles = 20 // of a table
	wantNew   = 4  // more, since the newest tenth of a table, where most changes are, is cut finer
)

// fileRows is how many rows a file of a table gets, and one of its newest tenth.
func fileRows(rows int64) (most, newest int64) {
	return min(max(rows/wantFiles, leastRows), mostRows), min(max(rows/10/wantNew, leastRows), mostRows)
}

// measure compares the ranges of a table's old files with its rows: the result has a File for each range as it is now,
// without path and size. Ranges that have outgrown a file are cut, and the end of the table is cut as it grows; those that have no rows
// any more are left out.
func (t Table) measure(ctx context.Context, conn *sql.Conn, old []File) ([]File, error) {
	if len(old) == 0 {
		return t.measureFirst(ctx, conn)
	}
	bounds := []*int64{nil}
	for _, f := range old {
		if f.From != nil {
			bounds = append(bounds, f.From)
		}
	}
	files, err := t.measureRanges(ctx, conn, bounds)
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, f := range files {
		total += f.Rows
	}
	most, newest := fileRows(total)
	cut := bounds[:0:0]
	for i, f := range files {
		cut = append(cut, f.From)
		size, limit := most, 2*most
		if i == len(files)-1 {
			size, limit = newest, newest
		}
		if f.Rows > limit {
			more, err := t.cuts(ctx, conn, f, size, 0)
			if err != nil {
				return nil, err
			}
			cut = append(cut, more...)
		}
	}
	if len(cut) == len(files) {
		return files, nil
	}
	return t.measureRanges(ctx, conn, cut)
}

// measureFirst cuts a table that has no files yet.
func (t Table) measureFirst(ctx context.Context, conn *sql.Conn) ([]File, error) {
	whole, err := t.measureRanges(ctx, conn, []*int64{nil})
	if err != nil || whole[0].Rows == 0 {
		return whole, err
	}
	most, newest := fileRows(whole[0].Rows)
	cut, err := t.cuts(ctx, conn, whole[0], most, newest)
	if err != nil {
		return nil, err
	}
	return t.measureRanges(ctx, conn, append([]*int64{nil}, cut...))
}

// measureRanges counts and sums up the rows of ranges that begin at the given keys, in one pass, of an entity's over narrow columns. Ranges
// without rows are left out, but for one of an empty table.
func (t Table) measureRanges(ctx context.Context, conn *sql.Conn, from []*int64) ([]File, error) {
	files := make([]File, len(from))
	key := t.key()
	rows, sum := `SELECT *, `, entitySum
	if !t.keyed() {
		rows, sum = `SELECT `+key+`, hash(t) AS row_hash, `, `coalesce(sum(row_hash), 0)::VARCHAR`
	}
	res, err := conn.QueryContext(ctx, `SELECT n, count(*), min(`+key+`), max(`+key+`), `+sum+` FROM (`+rows+rangeOf(key, from, 0)+` AS n FROM `+t.name()+` AS t) GROUP BY n`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Close() }() // res.Err tells
	for res.Next() {
		var n, least, greatest int64
		var f File
		if err := res.Scan(&n, &f.Rows, &least, &greatest, &f.Sum); err != nil {
			return nil, err
		}
		f.From, f.MinID, f.MaxID = from[n], &least, &greatest
		files[n] = f
	}
	if err := res.Err(); err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f File) bool { return f.Rows == 0 })
	if len(files) == 0 {
		return []File{{Sum: "0"}}, nil
	}
	files[0].From = nil
	return files, nil
}

// rangeOf is the SQL of the number of the range that a key is in, as a search by halves.
func rangeOf(key string, from []*int64, first int) string {
	if len(from) == 1 {
		return strconv.Itoa(first)
	}
	half := len(from) / 2
	return fmt.Sprintf("CASE WHEN %s < %d THEN %s ELSE %s END", key, *from[half], rangeOf(key, from[:half], first), rangeOf(key, from[half:], first+half))
}

// cuts returns the ids at which a range is cut into files of so many rows; newest, if not 0, is how many those of its last
// tenth get.
func (t Table) cuts(ctx context.Context, conn *sql.Conn, f File, most, newest int64) (at []*int64, err error) {
	tail := f.Rows
	if newest > 0 {
		tail = (f.Rows - f.Rows/10) / most * most
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(`SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM (SELECT %s AS id FROM %s) WHERE id BETWEEN %d AND %d)
		WHERE n > 0 AND CASE WHEN n < %[5]d THEN n %% %[6]d ELSE (n - %[5]d) %% %[7]d END = 0 ORDER BY id`,
		t.key(), t.name(), *f.MinID, *f.MaxID, tail, most, max(newest, 1)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		at = append(at, &id)
	}
	return at, rows.Err()
}

// outgrown reports whether a table's files are far from the size that they would get today.
func (t Table) outgrown() bool {
	most, newest := fileRows(t.Rows)
	if want := t.Rows/most + t.Rows/10/newest + 2; int64(len(t.Files)) > 2*want {
		return true
	}
	return slices.ContainsFunc(t.Files, func(f File) bool { return f.Rows > 2*most })
}

// sameColumns reports whether files of one version of a table have the columns of another.
func sameColumns(a, b []Column) bool { return slices.Equal(a, b) }

const jsonType = "JSON"

// query is the SQL of a file's rows.
func (t Table) query(f File) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = ident(c.Name)
		if c.Type == jsonType { // not every reader knows Parquet's JSON
			names[i] += "::VARCHAR AS " + ident(c.Name)
		}
	}
	q := "SELECT " + strings.Join(names, ", ") + " FROM " + t.from()
	if f.MinID != nil {
		q += fmt.Sprintf(" WHERE %s BETWEEN %d AND %d", t.key(), *f.MinID, *f.MaxID)
	}
	if _, ordered := f.layout(); !ordered {
		return q + fmt.Sprintf(" LIMIT %d", f.Rows+1) // one task; a row too many would be noticed
	}
	if f.MinID != nil { // within a row group, order is of no use to readers, and sorting costs a third more
		q += " ORDER BY " + t.key()
	}
	return q
}
