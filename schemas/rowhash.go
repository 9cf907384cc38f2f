package schemas

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/xxh3"
)

// RowHashVersion numbers the algorithm of _row_hash. Hashes of different versions must not be compared.
//
// Version 1: the hash is the sum, modulo 2^64, of a contribution of each column that is not NULL, stored as a
// signed 64-bit integer. A contribution is XXH3-64 of the value's canonical bytes, seeded with XXH3-64 of the
// column's source: "f:" and the field's name in lower case, or "u:" and the UDF's name as it is. So
// neither the order of columns, nor a column that is NULL, nor the warehouse's name of a column has a part in it.
//
// Canonical bytes, integers little-endian: Int, Bool (0 or 1) and Timestamp (microseconds): 8 bytes. Decimal: without
// zeros at the end of its fraction; a whole number within 64 bits as an Int, else the magnitude in 16 bytes and
// one byte of scale, plus 128 if negative. String and JSON: the bytes. So widening a decimal changes nothing.
// A value that was rejected contributes XXH3-64 of its text as sent under the column's seed
// XOR rejectSeed, and _extra its bytes under extraSeed.
const RowHashVersion = 1

const (
	extraSeed  = 0x5f65787472610001
	rejectSeed = 0x72656a6563740001
)

func sourceSeed(c *Column) uint64 {
	if c.UDF {
		return xxh3.HashString("u:" + c.Source)
	}
	return xxh3.HashString("f:" + strings.ToLower(c.Source))
}

// hasher makes contributions; it owns the bytes that it hashes, so that they need no allocation.
type hasher struct{ b [17]byte }

func (h *hasher) int(v int64, seed uint64) uint64 {
	binary.LittleEndian.PutUint64(h.b[:8], uint64(v))
	return xxh3.HashSeed(h.b[:8], seed)
}

func (h *hasher) decimal(x *exact, seed uint64) uint64 {
	if x.scale == 0 {
		if v, ok := x.int64(); ok {
			return h.int(v, seed)
		}
	}
	binary.LittleEndian.PutUint64(h.b[:8], x.lo)
	binary.LittleEndian.PutUint64(h.b[8:16], x.hi)
	h.b[16] = byte(x.scale)
	if x.neg {
		h.b[16] |= 0x80
	}
	return xxh3.HashSeed(h.b[:], seed)
}
