package schemas

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// BodyKind says in which way a response body is no usable page.
type BodyKind uint8

// The kinds of unusable body.
const (
	NotPage   BodyKind = iota + 1 // empty, HTML, truncated, not JSON, no items
	APIErrors                     // a success status with an "errors" list (api.md §5)
	NoID                          // an item without an integer id
	Order                         // ids that do not ascend
)

// String names the kind.
func (k BodyKind) String() string {
	switch k {
	case NotPage:
		return "not a page"
	case APIErrors:
		return "API errors"
	case NoID:
		return "no id"
	case Order:
		return "order"
	}
	return fmt.Sprintf("BodyKind(%d)", uint8(k))
}

// BodyError says why a body was refused. Nothing of the body was kept.
type BodyError struct {
	Kind   BodyKind
	Item   int      // index of the item at fault, or -1
	Detail string   // printable; quotes at most 80 characters of a body, 500 of error texts
	Errors []string // APIErrors: the texts
}

// Error prints the detail.
func (e *BodyError) Error() string { return e.Detail }

// ErrFull is returned by Decode when a column's text could outgrow the 2 GiB that a batch can hold: call Flush first.
// After a Flush, only a body of more than 512 MiB still gets it.
var ErrFull = errors.New("the batch is full: flush it before decoding the next page")

// Decoder turns the response bodies of queries into rows of one table. It reads a body once, without reflection and
// without maps, into column buffers of its own.
//
// How a value becomes a cell. null, and "" in a column that is no text, are NULL. Int takes integers in any spelling
// (5, 5.0, 5e0, "5") and true and false as 1 and 0. Decimal takes numbers and numbers as text, exactly: one that
// needs more digits widens the column, up to 38 digits, for this batch and all that follow. Bool takes true, false,
// 0, 1 and these as text. Timestamp takes the spellings of api.md §5, cut to microseconds. String takes text as it
// is, and the literal text of anything else; JSON takes any literal. Everything else is NULL and a Reject.
// Text that is no text (lone surrogates, bytes that are no UTF-8) is kept with U+FFFD in those places and
// reported as a Reject too. Of a repeated key the last one counts. A key matches its column in any case, the name of a
// UDF exactly; keys and UDFs that no column takes are kept in _extra, one JSON object with sorted keys, unless they
// are null. A retired column whose key no row has is not in the batches, so that the sink keeps what it holds.
//
// A Decoder must not be used from two goroutines at once.
type Decoder struct {
	cols    []column
	extra   buffer
	hashes  []int64
	rejects []Reject
	rows    int           // complete ones in the buffers
	schema  *arrow.Schema // nil after a column was widened
	id      int           // position of the id's column, or -1
	fixed   bool          // no column may become wider
	keys    keyIndex
	udfs    keyIndex
	widened []widening // during this page

	udfHeads []lastKey // how the elements of userDefinedFields began the last time

	s       scanner
	h       hasher
	scratch []byte
	cur     item
}

// item is the state of the row that is being read.
type item struct {
	serial  uint64 // counts items over the decoder's life
	id      int64
	hasID   bool
	hash    uint64
	rejects int // how many there were before
	loose   []loose
}

// column is a buffer and what it takes to fill it.
type column struct {
	buffer
	Column
	seed   uint64
	serial uint64 // item that set it last; 0: the key has not been met
	hash   uint64 // contribution to that item's hash
}

// absent reports whether batches do without the column: it is retired, and no row has had its key.
func (c *column) absent() bool { return c.Retired && c.serial == 0 }

// widening remembers a decimal's type of before the page.
type widening struct {
	col *column
	was Type
}

// Targets of keys that are no column.
const (
	toNone = -1 // unknown
	toUDFs = -2 // userDefinedFields
)

const udfKey = "userDefinedFields"

// NewDecoder returns a decoder for a table's rows.
func NewDecoder(t *Table) *Decoder {
	d := &Decoder{
		cols:  make([]column, len(t.Columns)),
		extra: buffer{typ: Type{Kind: JSON}},
		id:    -1,
		fixed: t.Fixed,
	}
	var fields, udfs []string
	var fieldAt, udfAt []int
	for i, c := range t.Columns {
		d.cols[i] = column{buffer: buffer{typ: c.Type}, Column: c, seed: sourceSeed(&c)}
		if c.UDF {
			// A retired UDF may have left its name to a live one.
			if at := slices.Index(udfs, c.Source); at < 0 {
				udfs, udfAt = append(udfs, c.Source), append(udfAt, i)
			} else if d.cols[udfAt[at]].Retired {
				udfAt[at] = i
			}
			continue
		}
		if equalFold(c.Source, "id") {
			d.id = i
		}
		fields, fieldAt = append(fields, c.Source), append(fieldAt, i)
	}
	// Last, so that no column can stand for the list of UDFs.
	fields, fieldAt = append(fields, udfKey), append(fieldAt, toUDFs)
	d.keys = newKeyIndex(fields, fieldAt)
	d.udfs = newKeyIndex(udfs, udfAt)
	d.udfs.folded = nil // two UDFs may differ in case alone, and only one of them be known yet
	return d
}

// Rows returns how many rows wait to be flushed.
func (d *Decoder) Rows() int { return d.rows }

// Decode adds the rows of one query's response body (api.md §5). It takes all of them or, if it returns an error,
// none. Ids must ascend and, if after is not nil, exceed it. The error is a *BodyError, or ErrFull.
// The body is not kept.
func (d *Decoder) Decode(body []byte, after *int64) (Page, error) {
	if !d.room(len(body)) {
		return Page{}, ErrFull
	}
	rows, rejects := d.rows, len(d.rejects)
	d.widened = d.widened[:0]
	page, err := d.page(body, after)
	d.s.b = nil
	if err != nil {
		d.rollback(rows, rejects)
		return Page{}, err
	}
	return page, nil
}

// room reports whether a body of n bytes fits: replacing one byte by U+FFFD makes three of it.
func (d *Decoder) room(n int) bool {
	longest := len(d.extra.text)
	for i := range d.cols {
		longest = max(longest, len(d.cols[i].text))
	}
	return longest+4*n <= math.MaxInt32
}

// rollback forgets all that came after the given counts.
func (d *Decoder) rollback(rows, rejects int) {
	d.rows = rows
	for i := range d.cols {
		d.cols[i].truncate(rows)
	}
	d.extra.truncate(rows)
	d.hashes = d.hashes[:rows]
	d.rejects = d.rejects[:rejects]
	for _, v := range slices.Backward(d.widened) {
		v.col.retype(v.was)
		d.schema = nil
	}
}

// Flush returns the rows decoded since the last Flush as one batch with the schema of ArrowSchema, and their rejects
// in the order of the rows. The batch is nil if there are none; else the caller releases it. Decimals may be wider
// than in the table that the decoder was made for: the batch's schema says so.
func (d *Decoder) Flush() (arrow.RecordBatch, []Reject) {
	rejects := d.rejects
	d.rejects = nil
	if d.rows == 0 {
		return nil, rejects
	}
	if d.schema == nil {
		d.schema = ArrowSchema(d.columns())
	}
	arrays := make([]arrow.Array, 0, len(d.cols)+2)
	for i := range d.cols {
		if !d.cols[i].absent() {
			arrays = append(arrays, d.cols[i].array(d.rows))
		}
	}
	hashes := buffer{typ: Type{Kind: Int}, n: d.rows, ints: d.hashes, valid: allBits(d.rows)}
	d.hashes = make([]int64, 0, len(d.hashes))
	arrays = append(arrays, d.extra.array(d.rows), hashes.array(d.rows))
	batch := array.NewRecordBatch(d.schema, arrays, int64(d.rows))
	for _, a := range arrays {
		a.Release()
	}
	d.rows = 0
	return batch, rejects
}

// columns returns the columns that batches have, with their present types.
func (d *Decoder) columns() []Column {
	out := make([]Column, 0, len(d.cols))
	for i := range d.cols {
		if !d.cols[i].absent() {
			c := d.cols[i].Column
			c.Type = d.cols[i].typ
			out = append(out, c)
		}
	}
	return out
}
