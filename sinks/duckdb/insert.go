package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/atsync/atsync/schemas"
)

// An insert is a running INSERT … SELECT.
type insert struct {
	feed *feed
	id   int64
	sent int64
	done chan struct{}
	rows int64 // that the statement inserted; valid, like err, once done is closed
	err  error
}

// send hands a record to the running insert, or to a new one if the record has other columns.
func (l *load) send(ctx context.Context, p portion) error {
	if l.insert != nil && !l.schema.Equal(p.rec.Schema()) {
		if err := l.finish(); err != nil {
			return err
		}
	}
	if l.insert == nil {
		if err := l.start(p.rec.Schema()); err != nil {
			return err
		}
	}
	p.rec.Retain()
	select {
	case l.insert.feed.in <- p:
		l.insert.sent += p.rec.NumRows()
		return nil
	case <-l.insert.done:
		p.rec.Release()
		if err := l.finish(); err != nil {
			return err
		}
		return errors.New("the insert ended early")
	case <-ctx.Done():
		p.rec.Release()
		return context.Cause(ctx)
	}
}

// start makes the target fit the schema and starts an insert into it.
func (l *load) start(schema *arrow.Schema) error {
	if err := l.w.growMemory(l.ctx); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	if err := l.fit(schema); err != nil {
		return err
	}
	names := make([]string, 0, schema.NumFields()+2)
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	names = append(names, schemas.ColSyncedAt)
	into, values := tempTable(stageTable), positions(schema.NumFields())+", synced_at"
	if l.direct {
		into = mainTable(l.spec.Table.Name)
		names = append(names, schemas.ColLoadID)
		values += ", " + strconv.FormatInt(l.loadID, 10)
	}
	fd, id, err := l.w.feeds.add(l.ctx, schema)
	if err != nil {
		return err
	}
	in := &insert{feed: fd, id: id, done: make(chan struct{})}
	query := `INSERT INTO ` + into + ` (` + idents(names) + `) SELECT ` + values + ` FROM ` + feedFunction + `(` + strconv.FormatInt(id, 10) + `)`
	go func() {
		defer close(in.done)
		in.rows, in.err = l.session().count(query)
	}()
	l.insert, l.schema = in, schema
	return nil
}

// fit creates or evolves what the batches go into.
func (l *load) fit(schema *arrow.Schema) error {
	want, err := shapeOf(schema, l.spec.Table)
	if err != nil {
		return err
	}
	if l.direct {
		return l.fitTable(want)
	}
	grown, changes := l.target.grow(want)
	if l.target == nil {
		defs := make([]string, 0, len(grown)+3)
		for _, c := range grown {
			defs = append(defs, ident(c.Name)+" "+c.Type.SQL())
		}
		for _, c := range systemColumns()[:3] {
			defs = append(defs, ident(c[0])+" "+c[1])
		}
		err = l.session().exec(`CREATE TEMP TABLE ` + ident(stageTable) + ` (` + strings.Join(defs, ", ") + `)`)
		l.target = grown
		return err
	}
	for _, c := range changes {
		if err := l.session().exec(alter(tempTable(stageTable), c)); err != nil {
			return err
		}
	}
	l.target = grown
	return nil
}

// fitTable creates or evolves the table itself, inside the load's transaction.
func (l *load) fitTable(want shape) error {
	from := l.target
	if from == nil {
		from = l.stored
	}
	to, changes := from.grow(l.spec.Table.Columns)
	to, more := to.grow(want)
	changes = append(changes, more...)
	if err := evolve(l.session(), l.spec.Table, from, to, changes); err != nil {
		return err
	}
	l.target = to
	return nil
}

// finish ends the running insert and returns its error.
func (l *load) finish() error {
	in := l.insert
	if in == nil {
		return nil
	}
	l.insert = nil
	close(in.feed.in)
	<-in.done
	l.w.feeds.remove(in.id)
	in.feed.drain()
	if in.err == nil && in.rows != in.sent {
		return fmt.Errorf("%d of %d staged rows arrived", in.rows, in.sent)
	}
	return in.err
}
