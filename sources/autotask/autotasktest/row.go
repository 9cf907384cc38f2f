package autotasktest

import (
	"encoding/binary"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// A row is stored as its values that are not null, in slot order (fields, then UDFs):
// uvarint(slot-previous slot)<<3|kind, then a zigzag varint for integers, decimals and times, or a
// length and text for strings and raw JSON. The id is kept beside it.

// cell is one value of a row.
type cell struct {
	kind kind
	n    int64
	s    string
}

func null() cell { return cell{kind: kindNull} }

// appendCells encodes cells[1:] (cells[0] is the id).
func appendCells(b []byte, cells []cell) []byte {
	prev := 0
	for slot := 1; slot < len(cells); slot++ {
		c := &cells[slot]
		if c.kind == kindNull {
			continue
		}
		b = binary.AppendUvarint(b, uint64(slot-prev)<<3|uint64(c.kind))
		prev = slot
		switch c.kind {
		case kindInt, kindDecimal, kindTime:
			b = binary.AppendVarint(b, c.n)
		case kindString, kindRaw:
			b = binary.AppendUvarint(b, uint64(len(c.s)))
			b = append(b, c.s...)
		}
	}
	return b
}

// rawCell is a stored value whose text still lies in the row.
type rawCell struct {
	kind kind
	n    int64
	s    []byte
}

// nextCell takes the first value off row and returns what is left.
func nextCell(row []byte, slot int) (int, rawCell, []byte) {
	var tag uint64
	if row[0] < 0x80 {
		tag, row = uint64(row[0]), row[1:]
	} else {
		var w int
		tag, w = binary.Uvarint(row)
		row = row[w:]
	}
	slot += int(tag >> 3)
	c := rawCell{kind: kind(tag & 7)}
	switch c.kind {
	case kindInt, kindDecimal, kindTime:
		n, w := binary.Varint(row)
		c.n, row = n, row[w:]
	case kindString, kindRaw:
		n, w := binary.Uvarint(row)
		c.s, row = row[w:w+int(n)], row[w+int(n):]
	}
	return slot, c, row
}

// findCell returns the value in slot, or a null.
func findCell(row []byte, want int) rawCell {
	slot := 0
	var c rawCell
	for len(row) > 0 {
		slot, c, row = nextCell(row, slot)
		if slot == want {
			return c
		}
		if slot > want {
			break
		}
	}
	return rawCell{kind: kindNull}
}

// decodeCells is the reverse of appendCells. It fills cells, whose length says how many slots there are.
func decodeCells(cells []cell, id int64, row []byte) {
	for i := range cells {
		cells[i] = null()
	}
	if len(cells) == 0 {
		return
	}
	cells[0] = cell{kind: kindInt, n: id}
	slot := 0
	var c rawCell
	for len(row) > 0 {
		slot, c, row = nextCell(row, slot)
		cells[slot] = cell{kind: c.kind, n: c.n, s: string(c.s)}
	}
}

// appendValue appends c as the API spells it (api.md §5): decimals with four places, times in UTC with
// the fraction's trailing zeros trimmed, with a Z or, as in 2020, without.
func appendValue(b []byte, c rawCell, zone bool) []byte {
	switch c.kind {
	case kindInt:
		return strconv.AppendInt(b, c.n, 10)
	case kindDecimal:
		return appendDecimal(b, c.n)
	case kindFalse:
		return append(b, "false"...)
	case kindTrue:
		return append(b, "true"...)
	case kindTime:
		b = append(b, '"')
		b = time.UnixMilli(c.n).UTC().AppendFormat(b, "2006-01-02T15:04:05.999")
		if zone {
			b = append(b, 'Z')
		}
		return append(b, '"')
	case kindString:
		b = append(b, '"')
		b = append(b, c.s...)
		return append(b, '"')
	case kindRaw:
		return append(b, c.s...)
	}
	return append(b, "null"...)
}

func appendDecimal(b []byte, n int64) []byte {
	if n < 0 {
		b = append(b, '-')
	}
	u := uint64(n)
	if n < 0 {
		u = -u
	}
	b = strconv.AppendUint(b, u/10000, 10)
	f := u % 10000
	return append(b, '.', byte('0'+f/1000), byte('0'+f/100%10), byte('0'+f/10%10), byte('0'+f%10))
}

// appendString appends s as a JSON string with quotes.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

// appendEscaped escapes s for a JSON string. Text that is not ASCII stays as it is, as in the recordings.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, w := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && w == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				start = i + w
			}
			i += w
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(b, s[start:]...)
}

// unescape is the reverse of appendEscaped, for comparisons.
func unescape(s []byte) string {
	plain := !slices.Contains(s, '\\')
	if plain {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			v, _ := strconv.ParseUint(string(s[i+1:i+5]), 16, 16)
			out = append(out, byte(v))
			i += 4
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}
