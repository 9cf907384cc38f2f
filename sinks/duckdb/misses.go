package duckdb

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/atsync/atsync/schemas"
)

// missExamples is how many ids a row of _atsync.stamp_misses names.
const missExamples = 10

// unseen returns the condition that an incremental read since MissedSince would not have brought a staged row:
// none of its stamps is that late. It is false for loads that nobody asks this of.
func (l *load) unseen(prefix string) string {
	if l.spec.MissedSince.IsZero() {
		return "false"
	}
	since := literal(l.spec.MissedSince.UTC().Format("2006-01-02 15:04:05.999999+00")) + `::TIMESTAMPTZ`
	var late []string
	for _, field := range l.spec.Table.Reads().Stamps {
		c := l.spec.Table.Column(field)
		if staged := l.staged.find(c.Name); staged != nil && staged.Type.Kind == schemas.Timestamp {
			late = append(late, `coalesce(`+prefix+ident(c.Name)+` >= `+since+`, false)`)
		}
	}
	if len(late) == 0 {
		return "false" // the rows carry no stamps: that is not the stamps' doing
	}
	return `NOT (` + strings.Join(late, " OR ") + `)`
}

// recordMisses writes how many live rows a whole re-read found changed though an incremental one would not have.
func (l *load) recordMisses(s session, now time.Time) error {
	if l.spec.MissedSince.IsZero() {
		return nil
	}
	var compared, missed int64
	ids := []int64{}
	if !l.direct && l.fetched > 0 {
		where := ` FROM ` + tempTable(matchTable) + ` WHERE unseen AND NOT same AND NOT dead AND NOT older`
		err := s.row(`SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE unseen AND NOT same AND NOT dead AND NOT older) FROM `+
			tempTable(matchTable)).Scan(&compared, &missed)
		if err != nil {
			return err
		}
		found, err := queryIDs(s.ctx, s.conn, `SELECT id`+where+` ORDER BY id LIMIT ?`, missExamples)
		if err != nil {
			return err
		}
		ids = append(ids, found...)
	}
	examples, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return s.exec(`INSERT INTO _atsync.stamp_misses (entity, table_name, load_id, noted_at, compared, missed, example_ids) VALUES (?, ?, ?, ?, ?, ?, ?::JSON)`,
		l.spec.Table.Entity.Name, l.spec.Table.Name, l.loadID, now, compared, missed, string(examples))
}
