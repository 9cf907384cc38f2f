package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	duckdb "github.com/duckdb/duckdb-go/v2"
)

// feedFunction is the table function through which batches enter: SELECT * FROM _atsync_feed(handle).
// It is registered once per warehouse, since a registration lives as long as the instance; a feed is a
// handle in a map and goes when its statement ends.
const feedFunction = "_atsync_feed"

var errNoFeed = errors.New("there is no feed")

// A portion is one record with the value of its rows' _synced_at.
type portion struct {
	rec    arrow.RecordBatch
	readAt time.Time
}

// A feed is the source of one INSERT … SELECT. DuckDB pulls from it on a thread of its own while the next
// batch is decoded. Its columns are named c0, c1 … (names from outside stay out of it); the last one is
// _synced_at.
type feed struct {
	ctx  context.Context // ends the wait for the next portion; an interrupt does not reach a callback
	cols []duckdb.ColumnInfo
	fill filler
	in   chan portion
	cur  portion
	pos  int
}

// filler writes rows [from, from+n) of a portion into a chunk.
type filler func(chunk duckdb.DataChunk, p portion, from, n int) error

// feeds holds the feeds of a warehouse that are in use.
type feeds struct {
	mu     sync.Mutex
	last   int64
	open   map[int64]*feed
	direct bool // vectors are written directly
}

// registerFeeds registers the table function and finds out which way of writing works with this DuckDB.
func registerFeeds(ctx context.Context, connector *duckdb.Connector) (*feeds, error) {
	ctx = context.WithoutCancel(ctx)                        // see patient
	db := sql.OpenDB(struct{ driver.Connector }{connector}) // the driver wants a connection of its own; closing it leaves the instance
	defer func() { _ = db.Close() }()                       // only releases the connection
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer discard(conn)
	f := &feeds{open: map[int64]*feed{}, direct: true}
	handle, err := duckdb.NewTypeInfo(duckdb.TYPE_BIGINT)
	if err != nil {
		return nil, err
	}
	err = duckdb.RegisterTableUDF(conn, feedFunction, duckdb.ChunkTableFunction{
		Config: duckdb.TableFunctionConfig{Arguments: []duckdb.TypeInfo{handle}},
		BindArguments: func(_ map[string]any, args ...any) (duckdb.ChunkTableSource, error) {
			return f.find(args)
		},
	})
	if err != nil {
		return nil, err
	}
	if err := f.selfTest(ctx, conn); err == nil {
		return f, nil
	}
	f.direct = false
	if err := f.selfTest(ctx, conn); err != nil {
		return nil, fmt.Errorf("self-test of the staging: %w", err)
	}
	return f, nil
}

func (f *feeds) find(args []any) (duckdb.ChunkTableSource, error) {
	id, ok := args[0].(int64)
	if !ok {
		return nil, errors.New("no handle")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, ok := f.open[id]
	if !ok {
		return nil, fmt.Errorf("%w %d", errNoFeed, id)
	}
	return fd, nil
}

// add opens a feed for records of the given schema and returns it with its handle.
func (f *feeds) add(ctx context.Context, schema *arrow.Schema) (*feed, int64, error) {
	fd := &feed{ctx: ctx, in: make(chan portion, 1), fill: fillValues}
	if f.direct {
		fd.fill = fillVectors
	}
	for i, field := range schema.Fields() {
		t, err := typeInfo(field.Type)
		if err != nil {
			return nil, 0, fmt.Errorf("column %s: %w", field.Name, err)
		}
		fd.cols = append(fd.cols, duckdb.ColumnInfo{Name: "c" + strconv.Itoa(i), T: t})
	}
	t, err := duckdb.NewTypeInfo(duckdb.TYPE_TIMESTAMP_TZ)
	if err != nil {
		return nil, 0, err
	}
	fd.cols = append(fd.cols, duckdb.ColumnInfo{Name: "synced_at", T: t})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.open[f.last] = fd
	return fd, f.last, nil
}

func (f *feeds) remove(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, id)
}

// ColumnInfos, Cardinality, Init and FillChunk implement duckdb.ChunkTableSource.
func (f *feed) ColumnInfos() []duckdb.ColumnInfo { return f.cols }

// Cardinality is unknown.
func (f *feed) Cardinality() *duckdb.CardinalityInfo { return nil }

// Init has nothing to prepare.
func (f *feed) Init() {}

// FillChunk writes the next rows. A panic would end the process, so it becomes an error.
func (f *feed) FillChunk(chunk duckdb.DataChunk) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("staging: %v", r)
		}
	}()
	for f.cur.rec == nil || f.pos >= int(f.cur.rec.NumRows()) {
		f.drop()
		select {
		case <-f.ctx.Done():
			return context.Cause(f.ctx)
		case p, ok := <-f.in:
			if !ok {
				return chunk.SetSize(0)
			}
			f.cur = p
		}
	}
	n := min(int(f.cur.rec.NumRows())-f.pos, duckdb.GetDataChunkCapacity())
	if err := f.fill(chunk, f.cur, f.pos, n); err != nil {
		return err
	}
	f.pos += n
	return chunk.SetSize(n)
}

// drop lets go of the current record.
func (f *feed) drop() {
	if f.cur.rec != nil {
		f.cur.rec.Release()
	}
	f.cur, f.pos = portion{}, 0
}

// drain releases what was never read. Only after the statement has ended.
func (f *feed) drain() {
	f.drop()
	for {
		select {
		case p, ok := <-f.in:
			if !ok {
				return
			}
			p.rec.Release()
		default:
			return
		}
	}
}

// typeInfo returns the DuckDB type in which an Arrow column enters.
func typeInfo(t arrow.DataType) (duckdb.TypeInfo, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		return duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	case *arrow.Int64Type:
		return duckdb.NewTypeInfo(duckdb.TYPE_BIGINT)
	case *arrow.BooleanType:
		return duckdb.NewTypeInfo(duckdb.TYPE_BOOLEAN)
	case *arrow.TimestampType:
		if t.Unit == arrow.Microsecond {
			return duckdb.NewTypeInfo(duckdb.TYPE_TIMESTAMP_TZ)
		}
	case *arrow.Decimal128Type:
		return duckdb.NewDecimalInfo(uint8(t.Precision), uint8(t.Scale))
	}
	return nil, fmt.Errorf("%w: no column can take %s", errBatch, t)
}

// bulk inserts one record into a table's columns, casting where the table is wider. It releases nothing.
func (f *feeds) bulk(s session, table string, columns []string, rec arrow.RecordBatch) error {
	if rec.NumRows() == 0 {
		return nil
	}
	fd, id, err := f.add(s.ctx, rec.Schema())
	if err != nil {
		return err
	}
	defer f.remove(id)
	defer fd.drain()
	rec.Retain()
	fd.in <- portion{rec: rec}
	close(fd.in)
	n, err := s.count(`INSERT INTO ` + table + ` (` + idents(columns) + `) SELECT ` + positions(len(columns)) +
		` FROM ` + feedFunction + `(` + strconv.FormatInt(id, 10) + `)`)
	if err == nil && n != rec.NumRows() {
		err = fmt.Errorf("%d of %d rows arrived in %s", n, rec.NumRows(), table)
	}
	return err
}

// positions returns "c0, c1, … c(n-1)".
func positions(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "c" + strconv.Itoa(i)
	}
	return strings.Join(names, ", ")
}
