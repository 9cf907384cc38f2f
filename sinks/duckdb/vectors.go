package duckdb

import (
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// fillVectors writes DuckDB's vectors directly: a third of the cost of the setters. It relies on two
// unexported fields of the driver's DataChunk, which the self-test at opening proves for the linked version.
func fillVectors(chunk duckdb.DataChunk, p portion, from, n int) error {
	raw, projection, err := innards(chunk)
	if err != nil {
		return err
	}
	for i, col := range p.rec.Columns() {
		if at := int(projection.Index(i).Int()); at >= 0 {
			if err := fillVector(mapping.DataChunkGetVector(raw, mapping.IdxT(at)), col, from, n); err != nil {
				return err
			}
		}
	}
	if at := int(projection.Index(int(p.rec.NumCols())).Int()); at >= 0 {
		vec := mapping.DataChunkGetVector(raw, mapping.IdxT(at))
		fillConstant(cells[int64](vec, n), p.readAt)
	}
	return nil
}

// innards returns the native chunk and where each column of the feed is in it.
func innards(chunk duckdb.DataChunk) (mapping.DataChunk, reflect.Value, error) {
	v := reflect.ValueOf(chunk)
	native, projection := v.FieldByName("chunk"), v.FieldByName("projection")
	if !native.IsValid() || native.Kind() != reflect.Struct || !native.FieldByName("Ptr").IsValid() ||
		projection.Kind() != reflect.Slice {
		return mapping.DataChunk{}, reflect.Value{}, errors.New("the driver's DataChunk has another shape")
	}
	return mapping.DataChunk{Ptr: native.FieldByName("Ptr").UnsafePointer()}, projection, nil
}

// cells views a vector's memory.
func cells[T any](vec mapping.Vector, n int) []T {
	return unsafe.Slice((*T)(mapping.VectorGetData(vec)), n)
}

func fillConstant(dst []int64, at time.Time) {
	us := at.UnixMicro()
	for i := range dst {
		dst[i] = us
	}
}

func fillVector(vec mapping.Vector, col arrow.Array, from, n int) error {
	fillValidity(vec, col, from, n)
	switch col := col.(type) {
	case *array.Int64:
		copy(cells[int64](vec, n), col.Int64Values()[from:from+n])
	case *array.Timestamp:
		dst := cells[int64](vec, n)
		for i, v := range col.TimestampValues()[from : from+n] {
			dst[i] = int64(v)
		}
	case *array.Boolean:
		dst := cells[bool](vec, n)
		for i := range dst {
			dst[i] = col.Value(from + i)
		}
	case *array.String:
		for i := range n {
			if col.IsValid(from + i) {
				v := col.Value(from + i)
				mapping.VectorAssignStringElementLen(vec, mapping.IdxT(i), unsafe.Slice(unsafe.StringData(v), len(v)))
			}
		}
	case *array.Decimal128:
		fillDecimals(vec, col, from, n)
	default:
		return fmt.Errorf("%w: no column can take %s", errBatch, col.DataType())
	}
	return nil
}

// fillValidity copies the NULL bits. DuckDB's mask has Arrow's layout, in 64-bit words.
func fillValidity(vec mapping.Vector, col arrow.Array, from, n int) {
	mapping.VectorEnsureValidityWritable(vec)
	mask := unsafe.Slice((*byte)(mapping.VectorGetValidity(vec)), (n+63)/64*8)
	for i := range mask {
		mask[i] = 0xFF
	}
	if col.NullN() == 0 {
		return
	}
	bits := col.NullBitmapBytes()
	offset := col.Data().Offset() + from
	if offset%8 == 0 && n%8 == 0 {
		copy(mask[:n/8], bits[offset/8:])
		return
	}
	for i := range n {
		if col.IsNull(from + i) {
			mask[i/8] &^= 1 << (i % 8)
		}
	}
}

// A hugeint is DuckDB's 128-bit integer in memory.
type hugeint struct {
	lo uint64
	hi int64
}

// fillDecimals writes unscaled values in the width that DuckDB gives the precision.
func fillDecimals(vec mapping.Vector, col *array.Decimal128, from, n int) {
	values := col.Values()[from : from+n]
	switch p := col.DataType().(*arrow.Decimal128Type).Precision; {
	case p <= 4:
		dst := cells[int16](vec, n)
		for i, v := range values {
			dst[i] = int16(v.LowBits())
		}
	case p <= 9:
		dst := cells[int32](vec, n)
		for i, v := range values {
			dst[i] = int32(v.LowBits())
		}
	case p <= 18:
		dst := cells[int64](vec, n)
		for i, v := range values {
			dst[i] = int64(v.LowBits())
		}
	default:
		dst := cells[hugeint](vec, n)
		for i, v := range values {
			dst[i] = hugeint{v.LowBits(), v.HighBits()}
		}
	}
}

// fillValues writes through the driver's public setters, one cell at a time.
func fillValues(chunk duckdb.DataChunk, p portion, from, n int) error {
	cols := p.rec.Columns()
	for c, col := range cols {
		for i := range n {
			if err := chunk.SetValue(c, i, cellValue(col, from+i)); err != nil {
				return err
			}
		}
	}
	for i := range n {
		if err := chunk.SetValue(len(cols), i, p.readAt); err != nil {
			return err
		}
	}
	return nil
}

// cellValue returns a cell in the Go type that the setter of its column stores unchanged. A decimal is
// its unscaled integer: the setters ignore a scale.
func cellValue(col arrow.Array, row int) any {
	if col.IsNull(row) {
		return nil
	}
	switch col := col.(type) {
	case *array.Int64:
		return col.Value(row)
	case *array.Timestamp:
		return time.UnixMicro(int64(col.Value(row))).UTC()
	case *array.Boolean:
		return col.Value(row)
	case *array.String:
		return col.Value(row)
	case *array.Decimal128:
		v := col.Value(row)
		if col.DataType().(*arrow.Decimal128Type).Precision <= 18 {
			return int64(v.LowBits())
		}
		return v.BigInt()
	}
	panic("no setter for " + col.DataType().String())
}
