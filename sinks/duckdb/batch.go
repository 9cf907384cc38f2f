package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/atsync/atsync/schemas"
)

// errBatch marks a batch that breaks the decoder's promises.
var errBatch = errors.New("unusable batch")

// checkBatch proves what DuckDB would take unchecked: the id, UTF-8 (broken text would become NULL),
// decimals within their precision and times that are not infinite.
func checkBatch(rec arrow.RecordBatch) error {
	schema := rec.Schema()
	seen := map[string]bool{}
	for i, col := range rec.Columns() {
		name := schema.Field(i).Name
		if key := strings.ToLower(name); seen[key] {
			return fmt.Errorf("%w: two columns %s", errBatch, name)
		} else {
			seen[key] = true
		}
		if err := checkColumn(col); err != nil {
			return fmt.Errorf("%w: column %s: %w", errBatch, name, err)
		}
	}
	for _, name := range []string{"id", schemas.ColRowHash} {
		at := schema.FieldIndices(name)
		if len(at) == 0 {
			return fmt.Errorf("%w: no column %s", errBatch, name)
		}
		col := rec.Column(at[0])
		if _, ok := col.(*array.Int64); !ok || col.NullN() > 0 {
			return fmt.Errorf("%w: column %s is %s with %d NULLs, not a whole BIGINT", errBatch, name, col.DataType(), col.NullN())
		}
	}
	return nil
}

func checkColumn(col arrow.Array) error {
	switch col := col.(type) {
	case *array.String:
		return checkText(col)
	case *array.Decimal128:
		return checkDecimals(col)
	case *array.Timestamp:
		for i := range col.Len() {
			if v := int64(col.Value(i)); col.IsValid(i) && (v == math.MaxInt64 || v <= -math.MaxInt64) {
				return fmt.Errorf("row %d: infinite time", i)
			}
		}
	}
	return nil
}

func checkText(col *array.String) error {
	for i := range col.Len() {
		if col.IsValid(i) && !utf8.ValidString(col.Value(i)) {
			return fmt.Errorf("row %d: text is not UTF-8", i)
		}
	}
	return nil
}

func checkDecimals(col *array.Decimal128) error {
	p := col.DataType().(*arrow.Decimal128Type).Precision
	limit := decimal128.GetScaleMultiplier(int(p))
	for i := range col.Len() {
		if col.IsNull(i) {
			continue
		}
		if v := col.Value(i).Abs(); v.Cmp(limit) >= 0 || v.Sign() < 0 {
			return fmt.Errorf("row %d: decimal has more than %d digits", i, p)
		}
	}
	return nil
}

// typeOf returns the warehouse type of an Arrow column; known is the column as the table knows it, or nil.
func typeOf(t arrow.DataType, known *schemas.Column) (schemas.Type, error) {
	switch t := t.(type) {
	case *arrow.StringType:
		if known != nil && known.Type.Kind == schemas.JSON {
			return known.Type, nil
		}
		return schemas.Type{Kind: schemas.String}, nil
	case *arrow.Int64Type:
		return schemas.Type{Kind: schemas.Int}, nil
	case *arrow.BooleanType:
		return schemas.Type{Kind: schemas.Bool}, nil
	case *arrow.TimestampType:
		return schemas.Type{Kind: schemas.Timestamp}, nil
	case *arrow.Decimal128Type:
		return schemas.Type{Kind: schemas.Decimal, Precision: int(t.Precision), Scale: int(t.Scale)}, nil
	}
	return schemas.Type{}, fmt.Errorf("%w: no column can take %s", errBatch, t)
}

// selfTest sends one value of every type, its edges and NULL through the feed and compares what arrives.
func (f *feeds) selfTest(ctx context.Context, conn *sql.Conn) error {
	rec := testRecord()
	defer rec.Release()
	fd, id, err := f.add(ctx, rec.Schema())
	if err != nil {
		return err
	}
	defer f.remove(id)
	defer fd.drain()
	rec.Retain()
	fd.in <- portion{rec: rec, readAt: time.UnixMicro(1).UTC()}
	close(fd.in)
	var got string
	err = conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT string_agg(concat_ws('|', synced_at, c0, c1, c2, c3, c4, c5, c6, c7), ';')
		FROM %s(%d)`, feedFunction, id)).Scan(&got)
	if err != nil {
		return err
	}
	if got != testText {
		return fmt.Errorf("sent %q, got %q", testText, got)
	}
	return nil
}

const testText = "1970-01-01 00:00:00.000001+00|-9223372036854775808|exactly12byt|0001-01-01 00:00:00+00|true|-9.99|-12345.6789" +
	"|-99999999999999.9999|-12345678901234567890123456789012345.678" +
	";1970-01-01 00:00:00.000001+00|9007199254740993|dreizehn äöü €" +
	"|9999-12-31 23:59:59.999999+00|false|9.99|12345.6789|99999999999999.9999|12345678901234567890123456789012345.678" +
	";1970-01-01 00:00:00.000001+00"

// testRecord holds testText: the edges, and a row of NULLs.
func testRecord() arrow.RecordBatch {
	decimals := [][2]int32{{3, 2}, {9, 4}, {18, 4}, {38, 3}}
	fields := []arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "t", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}
	for i, d := range decimals {
		fields = append(fields, arrow.Field{Name: fmt.Sprint("d", i), Nullable: true,
			Type: &arrow.Decimal128Type{Precision: d[0], Scale: d[1]}})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{math.MinInt64, 9007199254740993}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"exactly12byt", "dreizehn äöü €"}, nil)
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	b.Field(2).(*array.TimestampBuilder).AppendValues([]arrow.Timestamp{
		arrow.Timestamp(first.UnixMicro()), arrow.Timestamp(last.UnixMicro())}, nil)
	b.Field(3).(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
	long, _ := new(big.Int).SetString("12345678901234567890123456789012345678", 10)
	unscaled := []decimal128.Num{decimal128.FromI64(999), decimal128.FromI64(123456789),
		decimal128.FromI64(999999999999999999), decimal128.FromBigInt(long)}
	for i, v := range unscaled {
		b.Field(4+i).(*array.Decimal128Builder).AppendValues([]decimal128.Num{v.Negate(), v}, nil)
	}
	for i := range b.Fields() {
		b.Field(i).AppendNull()
	}
	return b.NewRecordBatch()
}
