package schemas

import (
	"bytes"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// buffer holds one column's values in Arrow's layout. Only the slices of its type are in use. Rows that were never
// set are NULL; they are filled in when a later row is set or the buffer is flushed.
type buffer struct {
	typ   Type
	n     int              // rows filled in
	valid []byte           // bitmap of the rows that are not NULL
	ints  []int64          // Int, Timestamp
	decs  []decimal128.Num // Decimal
	bits  []byte           // Bool
	ends  []int32          // String, JSON: where each row's text ends
	text  []byte           // String, JSON
}

// pad fills up to n rows with NULL.
func (b *buffer) pad(n int) {
	for b.n < n {
		switch b.typ.Kind {
		case Int, Timestamp:
			b.ints = append(b.ints, 0)
		case Decimal:
			b.decs = append(b.decs, decimal128.Num{})
		case Bool:
		default:
			b.ends = append(b.ends, int32(len(b.text)))
		}
		b.n++
	}
}

// mark notes that row, which was just appended, is not NULL.
func (b *buffer) mark(row int) {
	b.valid = setBit(b.valid, row)
	b.n = row + 1
}

func (b *buffer) setInt(row int, v int64) {
	b.pad(row)
	b.ints = append(b.ints, v)
	b.mark(row)
}

func (b *buffer) setDecimal(row int, v decimal128.Num) {
	b.pad(row)
	b.decs = append(b.decs, v)
	b.mark(row)
}

func (b *buffer) setBool(row int, v bool) {
	b.pad(row)
	if v {
		b.bits = setBit(b.bits, row)
	}
	b.mark(row)
}

// endText makes what was appended to text since pad(row) the row's value.
func (b *buffer) endText(row int) {
	b.ends = append(b.ends, int32(len(b.text)))
	b.mark(row)
}

// truncate forgets the rows from n on.
func (b *buffer) truncate(n int) {
	if b.n <= n {
		return
	}
	b.n = n
	b.valid = cutBits(b.valid, n)
	switch b.typ.Kind {
	case Int, Timestamp:
		b.ints = b.ints[:n]
	case Decimal:
		b.decs = b.decs[:n]
	case Bool:
		b.bits = cutBits(b.bits, n)
	default:
		b.ends = b.ends[:n]
		b.text = b.text[:b.textLen(n)]
	}
}

// textLen returns the length of the first n rows' text.
func (b *buffer) textLen(n int) int {
	if n == 0 {
		return 0
	}
	return int(b.ends[n-1])
}

// retype changes a decimal's precision and scale; the values must fit, which they do if the new type is wider
// or if they came from it.
func (b *buffer) retype(to Type) {
	up := to.Scale - b.typ.Scale
	for i, v := range b.decs {
		switch {
		case up > 0:
			b.decs[i] = v.IncreaseScaleBy(int32(up))
		case up < 0:
			b.decs[i] = v.ReduceScaleBy(int32(-up), false)
		}
	}
	b.typ = to
}

// array hands the rows over to Arrow, without copying, and leaves the buffer empty.
func (b *buffer) array(rows int) arrow.Array {
	b.pad(rows)
	bufs := make([]*memory.Buffer, 2, 3)
	nulls := rows - countBits(b.valid)
	if nulls > 0 {
		bufs[0] = memory.NewBufferBytes(growBits(b.valid, rows))
	}
	switch b.typ.Kind {
	case Int, Timestamp:
		bufs[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(b.ints))
	case Decimal:
		bufs[1] = memory.NewBufferBytes(arrow.Decimal128Traits.CastToBytes(b.decs))
	case Bool:
		bufs[1] = memory.NewBufferBytes(growBits(b.bits, rows))
	default:
		offsets := make([]int32, rows+1)
		copy(offsets[1:], b.ends)
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))
		bufs = append(bufs, memory.NewBufferBytes(b.text))
	}
	data := array.NewData(arrowType(b.typ), rows, bufs, nil, nulls, 0)
	defer data.Release()
	*b = buffer{
		typ:   b.typ,
		valid: make([]byte, 0, len(b.valid)),
		ints:  make([]int64, 0, len(b.ints)),
		decs:  make([]decimal128.Num, 0, len(b.decs)),
		bits:  make([]byte, 0, len(b.bits)),
		ends:  b.ends[:0], // copied, and so still ours
		text:  make([]byte, 0, len(b.text)),
	}
	return array.MakeFromData(data)
}

func setBit(m []byte, i int) []byte {
	m = growBits(m, i+1)
	m[i>>3] |= 1 << (i & 7)
	return m
}

// growBits appends zero bytes until the bitmap has n bits.
func growBits(m []byte, n int) []byte {
	for len(m) < (n+7)>>3 {
		m = append(m, 0)
	}
	return m
}

// cutBits clears all bits from n on.
func cutBits(m []byte, n int) []byte {
	if len(m) < (n+7)>>3 {
		return m
	}
	m = m[:(n+7)>>3]
	if n&7 != 0 {
		m[len(m)-1] &= 1<<(n&7) - 1
	}
	return m
}

func countBits(m []byte) int {
	n := 0
	for _, b := range m {
		n += bits.OnesCount8(b)
	}
	return n
}

// allBits returns a bitmap of n ones.
func allBits(n int) []byte {
	return cutBits(bytes.Repeat([]byte{0xff}, (n+7)>>3), n)
}
