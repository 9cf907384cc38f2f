package duckdb

import (
	"fmt"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

// describe brings _atsync.columns and schema_changes up to date with what a load did to its table. It
// reports whether analysts see a difference.
func (l *load) describe(s session, now time.Time) (bool, error) {
	from, to := l.stored, l.target
	changes := schemas.Diff(from, to)
	if from == nil {
		changes = nil
		if err := l.note(s, now, schemas.Change{Kind: "table"}); err != nil {
			return false, err
		}
	}
	for _, c := range changes {
		if err := l.note(s, now, c); err != nil {
			return false, err
		}
	}
	if err := l.noteFrozen(s, now); err != nil {
		return false, err
	}
	for i, c := range from {
		if to[i] != c {
			if err := l.describeColumn(s, to[i], now); err != nil {
				return false, err
			}
		}
	}
	return from == nil || len(changes) > 0, l.describeNew(s, len(from), now)
}

// note adds a row to _atsync.schema_changes.
func (l *load) note(s session, now time.Time, c schemas.Change) error {
	renamed := ""
	if c.OldName != "" {
		renamed = c.Source
	}
	return s.exec(`INSERT INTO _atsync.schema_changes (load_id, changed_at, entity, table_name, change, column_name, old_type, new_type, old_name, new_name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, l.loadID, now, l.spec.Table.Entity.Name, l.spec.Table.Name, string(c.Kind), text(c.Column),
		text(c.OldType), text(c.NewType), text(c.OldName), text(renamed))
}

// noteFrozen notes each change that the table is kept from, once.
func (l *load) noteFrozen(s session, now time.Time) error {
	for _, c := range l.spec.Frozen {
		known, err := s.number(`SELECT count(*) FROM _atsync.schema_changes WHERE entity = ? AND change = 'frozen' AND column_name = ?
			AND old_type IS NOT DISTINCT FROM ? AND new_type IS NOT DISTINCT FROM ?`, l.spec.Table.Entity.Name, clean(c.Column), text(c.OldType), text(c.NewType))
		if err != nil {
			return err
		}
		if known > 0 {
			continue
		}
		c.Kind = "frozen"
		if err := l.note(s, now, c); err != nil {
			return err
		}
	}
	return nil
}

// describeColumn brings the row of a column up to date.
func (l *load) describeColumn(s session, c schemas.Column, now time.Time) error {
	l.renewed = true
	return s.exec(`UPDATE _atsync.columns SET source = ?, udf = ?, type = ?, reference = ?, picklist = ?, queryable = ?, in_metadata = ?,
		udf_id = nullif(?, 0), retired_at = CASE WHEN ? THEN coalesce(retired_at, ?) END, partial_since = nullif(?, 0)
		WHERE entity = ? AND column_name = ?`,
		clean(c.Source), c.UDF, c.Type.SQL(), text(c.Reference), c.Picklist, c.Queryable, c.InMetadata,
		c.UDFID, c.Retired, now, c.PartialSince, l.spec.Table.Entity.Name, clean(c.Name))
}

// describeNew adds the rows of the columns from the n-th on, in one statement: a table may have hundreds.
func (l *load) describeNew(s session, n int, now time.Time) error {
	if n == len(l.target) {
		return nil
	}
	l.renewed = true
	rows := make([]string, 0, len(l.target)-n)
	for i, c := range l.target[n:] {
		reference := "NULL"
		if c.Reference != "" {
			reference = literal(c.Reference)
		}
		rows = append(rows, fmt.Sprintf("(%d, %s, %s, %t, %s, %s, %t, %t, %t, nullif(%d, 0), %t, nullif(%d, 0))", n+i+1, literal(c.Name),
			literal(c.Source), c.UDF, literal(c.Type.SQL()), reference, c.Picklist, c.Queryable, c.InMetadata, c.UDFID, c.Retired, c.PartialSince))
	}
	return s.exec(`INSERT INTO _atsync.columns (entity, table_name, ordinal, column_name, source, udf, type, reference, picklist, queryable,
			in_metadata, load_id, added_at, udf_id, retired_at, partial_since)
		SELECT ?, ?, c0, c1, c2, c3, c4, c5, c6, c7, c8, ?, ?::TIMESTAMPTZ, c9, CASE WHEN c10 THEN ?::TIMESTAMPTZ END, c11
		FROM (VALUES `+strings.Join(rows, ", ")+`) AS v(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)`,
		l.spec.Table.Entity.Name, l.spec.Table.Name, l.loadID, now, now)
}
