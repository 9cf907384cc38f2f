package duckdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/schemas"
)

// mostHeld is how many rows a load keeps in memory until it is clear that there are more. Most loads of a daemon read a few rows
// again that the table has already, and to ask for those is cheaper than to stage and to merge them.
const mostHeld = 200

// mayKnow reports whether the rows so far may turn out to be known: they are compared with a table, nothing is staged, no value of
// theirs or of the table's is a reject, and nobody asks what the stamps have missed.
func (l *load) mayKnow() bool {
	return !l.direct && l.target == nil && !l.known && l.rejected == 0 && len(l.rejects) == 0 && !l.spilled && l.spec.MissedSince.IsZero()
}

// hold keeps a portion in memory, or reports that it must be staged.
func (l *load) hold(p portion) bool {
	if !l.mayKnow() || l.fetched+p.rec.NumRows() > mostHeld {
		return false
	}
	p.rec.Retain()
	l.held = append(l.held, p)
	return true
}

// unhold stages what is held.
func (l *load) unhold(ctx context.Context) error {
	held := l.held
	l.held, l.known = nil, false
	for i, p := range held {
		err := l.send(ctx, p)
		p.rec.Release()
		if err != nil {
			for _, p := range held[i+1:] {
				p.rec.Release()
			}
			return err
		}
	}
	return nil
}

// sift looks whether the table has what is held exactly as it is, and stages it otherwise.
func (l *load) sift(ctx context.Context) error {
	if len(l.held) == 0 || l.known {
		return nil
	}
	known, err := l.knows(ctx)
	if err != nil {
		return err
	}
	if !known {
		return l.unhold(ctx)
	}
	l.known = true
	return nil
}

// knows reports whether every row that is held is stored alike and alive, in a table whose shape stays as it is.
func (l *load) knows(ctx context.Context) (bool, error) {
	to, changes := l.stored.grow(l.spec.Table.Columns)
	hashes := map[int64]int64{}
	for _, p := range l.held {
		want, err := shapeOf(p.rec.Schema(), l.spec.Table)
		if err != nil {
			return false, err
		}
		grown, more := to.grow(want)
		to, changes = grown, append(changes, more...)
		ids, sums := p.rec.Schema().FieldIndices("id"), p.rec.Schema().FieldIndices(schemas.ColRowHash)
		id, sum := p.rec.Column(ids[0]).(*array.Int64), p.rec.Column(sums[0]).(*array.Int64) // checkBatch has seen them
		for i := range int(p.rec.NumRows()) {
			if before, ok := hashes[id.Value(i)]; ok && before != sum.Value(i) {
				return false, nil
			}
			hashes[id.Value(i)] = sum.Value(i)
		}
	}
	if len(changes) > 0 || len(schemas.Diff(l.stored, to)) > 0 {
		return false, nil
	}
	for _, c := range l.stored {
		if c.PartialSince != 0 { // the hashes of stored rows say nothing of it
			return false, nil
		}
	}
	l.ids = l.ids[:0]
	pairs := make([]string, 0, len(hashes))
	for id, sum := range hashes {
		l.ids = append(l.ids, id)
		pairs = append(pairs, fmt.Sprintf("(%d, %d)", id, sum))
	}
	var n int
	err := l.w.db.QueryRowContext(ctx, `SELECT count(*) FROM `+mainTable(l.spec.Table.Name)+` t JOIN (VALUES `+strings.Join(pairs, ", ")+`) AS s(id, sum)
		ON t.id = s.id AND t._row_hash = s.sum WHERE t._deleted_at IS NULL`).Scan(&n)
	return n == len(pairs), err
}
