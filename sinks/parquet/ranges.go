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
	leastRows = 2_000
	wantFiles = 25 // of a table: so many that its newest twentieth is two or three of them
)

// fileRows is how many rows a file of a table gets.
func fileRows(rows int64) int64 { return min(max(rows/wantFiles, leastRows), mostRows) }

// measure compares the ranges of a table's old files with its rows: the result has a File for each range as it is now,
// without path and size. Ranges that have outgrown a file are cut, and the end of the table is cut as it grows.
func (t Table) measure(ctx context.Context, conn *sql.Conn, old []File) ([]File, error) {
	if !t.keyed() {
		f := File{}
		err := conn.QueryRowContext(ctx, `SELECT count(*), `+t.sum()+` FROM `+t.from()+` AS t`).Scan(&f.Rows, &f.Sum)
		return []File{f}, err
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
	most := fileRows(total)
	cut := bounds[:0:0]
	for i, f := range files {
		cut = append(cut, f.From)
		last := i == len(files)-1
		if f.Rows > 2*most || last && f.Rows > most {
			more, err := t.cuts(ctx, conn, f, most)
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

// measureRanges counts and sums up the rows of ranges that begin at the given ids, in one pass over narrow columns.
func (t Table) measureRanges(ctx context.Context, conn *sql.Conn, from []*int64) ([]File, error) {
	files := make([]File, len(from))
	for i := range files {
		files[i] = File{From: from[i], Sum: "0"}
	}
	// Of rows that lie in order already, as after a first load, sorting would be a third of the cost of writing them.
	rows, err := conn.QueryContext(ctx, `SELECT n, count(*), min(id), max(id), `+t.sum()+`,
			bool_and(coalesce(id > before OR n <> n_before, true)) AND count(*) FILTER (n_before IS DISTINCT FROM n) = 1
		FROM (SELECT *, lag(n) OVER () AS n_before, lag(id) OVER () AS before FROM (SELECT `+versionColumns()+`, `+rangeOf(from, 0)+` AS n FROM `+t.name()+`)) AS t GROUP BY n`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		var n, count, least, greatest int64
		var sum string
		var sorted bool
		if err := rows.Scan(&n, &count, &least, &greatest, &sum, &sorted); err != nil {
			return nil, err
		}
		f := &files[n]
		f.Rows, f.MinID, f.MaxID, f.Sum = count, &least, &greatest, sum
		f.Sorted = sorted
	}
	return files, rows.Err()
}

// rangeOf is the SQL of the number of the range that an id is in, as a search by halves.
func rangeOf(from []*int64, first int) string {
	if len(from) == 1 {
		return strconv.Itoa(first)
	}
	half := len(from) / 2
	return fmt.Sprintf("CASE WHEN id < %d THEN %s ELSE %s END", *from[half], rangeOf(from[:half], first), rangeOf(from[half:], first+half))
}

// cuts returns the ids at which a range is cut into files of so many rows.
func (t Table) cuts(ctx context.Context, conn *sql.Conn, f File, most int64) (at []*int64, err error) {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(`SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM %s WHERE id BETWEEN %d AND %d)
		WHERE n > 1 AND n %% %d = 1 ORDER BY id`, t.name(), *f.MinID, *f.MaxID, most))
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
	most := fileRows(t.Rows)
	if int64(len(t.Files)) > 2*(t.Rows/most+1) {
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
	switch {
	case !t.keyed():
		return q
	case f.Rows == 0:
		return q + " WHERE false"
	}
	q += fmt.Sprintf(" WHERE id BETWEEN %d AND %d", *f.MinID, *f.MaxID)
	if !f.Sorted {
		q += " ORDER BY id"
	}
	return q
}
