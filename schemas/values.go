package schemas

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// maxRaw bounds Reject.Raw, in bytes.
const maxRaw = 4096

// Reasons of rejects.
const (
	reasonInt       = "not an integer"
	reasonRange     = "not within 64 bits"
	reasonNumber    = "not a number"
	reasonDigits    = "a number of more digits than a column can hold (38)"
	reasonBool      = "not true or false"
	reasonTimestamp = "not a timestamp of the years 0001 to 9999"
	reasonText      = "not valid Unicode: kept with U+FFFD in place of the damage"
)

// put makes a value the cell of the current row.
func (d *Decoder) put(c *column, t *token) {
	switch c.serial {
	case d.cur.serial:
		d.undo(c)
	case 0:
		d.schema = nil // a retired column is in the batches from now on
	}
	c.serial, c.hash = d.cur.serial, 0
	if t.kind == tokNull {
		return
	}
	var reason string
	switch c.typ.Kind {
	case Int:
		reason = d.putInt(c, t)
	case Decimal:
		reason = d.putDecimal(c, t)
	case Bool:
		reason = d.putBool(c, t)
	case Timestamp:
		reason = d.putTimestamp(c, t)
	default:
		d.putText(c, t)
	}
	if reason != "" {
		d.keep(c, xxh3.HashSeed(t.lit, c.seed^rejectSeed))
		d.reject(c.Name, c.Source, t, reason)
	}
}

// Misfit reports whether the value has another type than its column, which newer metadata may explain.
func (r Reject) Misfit() bool {
	switch r.Reason {
	case reasonInt, reasonNumber, reasonBool, reasonTimestamp:
		return true
	}
	return false
}

// undo forgets what an earlier key of the same row set.
func (d *Decoder) undo(c *column) {
	c.truncate(d.rows)
	d.cur.hash -= c.hash
	mine := d.rejects[d.cur.rejects:]
	kept := mine[:0]
	for _, r := range mine {
		if r.Column != c.Name {
			kept = append(kept, r)
		}
	}
	d.rejects = d.rejects[:d.cur.rejects+len(kept)]
}

// keep adds a contribution to the row's hash.
func (d *Decoder) keep(c *column, h uint64) {
	c.hash = h
	d.cur.hash += h
}

func (d *Decoder) putInt(c *column, t *token) string {
	var v int64
	switch t.kind {
	case tokTrue:
		v = 1
	case tokFalse:
	default:
		lit, ok := d.numeral(t)
		if !ok {
			return reasonInt
		}
		if lit == nil {
			return ""
		}
		if v, ok = integer(lit); !ok {
			if bytes.ContainsAny(lit, ".eE") {
				return reasonInt
			}
			return reasonRange
		}
	}
	c.setInt(d.rows, v)
	d.keep(c, d.h.int(v, c.seed))
	return ""
}

func (d *Decoder) putDecimal(c *column, t *token) string {
	lit, ok := d.numeral(t)
	if !ok {
		return reasonNumber
	}
	if lit == nil {
		return ""
	}
	x, ok := parseExact(lit)
	if !ok {
		return reasonDigits
	}
	if whole := c.typ.Precision - c.typ.Scale; x.scale > c.typ.Scale || x.whole() > whole {
		wider := decimalOf(max(whole, x.whole()), max(c.typ.Scale, x.scale))
		if wider.Kind != Decimal {
			return reasonDigits
		}
		if d.fixed {
			return "needs " + wider.SQL() + ", and the schema is frozen"
		}
		d.widened = append(d.widened, widening{c, c.typ})
		d.schema = nil
		c.retype(wider)
	}
	c.setDecimal(d.rows, x.at(c.typ.Scale))
	d.keep(c, d.h.decimal(&x, c.seed))
	return ""
}

func (d *Decoder) putBool(c *column, t *token) string {
	var v int64
	switch t.kind {
	case tokTrue:
		v = 1
	case tokFalse:
	default:
		text, ok := d.scalar(t)
		if !ok {
			return reasonBool
		}
		switch {
		case len(text) == 0:
			return ""
		case equalFold(string(text), "true"):
			v = 1
		case equalFold(string(text), "false"):
		case !isNumber(text):
			return reasonBool
		default:
			if v, ok = integer(text); !ok || v&^1 != 0 {
				return reasonBool
			}
		}
	}
	c.setBool(d.rows, v == 1)
	d.keep(c, d.h.int(v, c.seed))
	return ""
}

func (d *Decoder) putTimestamp(c *column, t *token) string {
	text, ok := d.scalar(t)
	if !ok || t.kind != tokString {
		return reasonTimestamp
	}
	if len(text) == 0 {
		return ""
	}
	v, ok := parseTimestamp(text)
	if !ok {
		return reasonTimestamp
	}
	c.setInt(d.rows, v)
	d.keep(c, d.h.int(v, c.seed))
	return ""
}

func (d *Decoder) putText(c *column, t *token) {
	c.pad(d.rows)
	start := len(c.text)
	var damaged bool
	if t.kind == tokString && c.typ.Kind == String {
		c.text, damaged = appendText(c.text, t)
	} else {
		c.text, damaged = appendRaw(c.text, t)
	}
	c.endText(d.rows)
	d.keep(c, xxh3.HashSeed(c.text[start:], c.seed))
	if damaged {
		d.reject(c.Name, c.Source, t, reasonText)
	}
}

// scalar returns the literal of a number, or the content of a string, which is valid until the next call.
func (d *Decoder) scalar(t *token) (text []byte, ok bool) {
	switch {
	case t.kind == tokNumber:
		return t.lit, true
	case t.kind != tokString:
		return nil, false
	case t.escaped:
		d.scratch, _ = appendText(d.scratch[:0], t)
		return d.scratch, true
	}
	return t.content(), true
}

// numeral returns the literal of a number, also of one that came as text; nil stands for empty text.
func (d *Decoder) numeral(t *token) (lit []byte, ok bool) {
	text, ok := d.scalar(t)
	switch {
	case !ok:
		return nil, false
	case len(text) == 0:
		return nil, true
	case t.kind == tokString && !isNumber(text):
		return nil, false
	}
	return text, true
}

// integer reads a JSON number whose value is an int64, however it is spelled; nil is none.
func integer(lit []byte) (int64, bool) {
	if len(lit) == 0 {
		return 0, false
	}
	if v, ok := parseInt(lit); ok {
		return v, true
	}
	x, ok := parseExact(lit)
	if !ok {
		return 0, false
	}
	return x.int64()
}

// reject notes a value of the current row, whose id may not be known yet.
func (d *Decoder) reject(column, field string, t *token, reason string) {
	d.rejects = append(d.rejects, Reject{Column: column, Field: field, Raw: rawText(t.lit), Reason: reason})
}

// rawText returns a literal as UTF-8, cut to maxRaw bytes.
func rawText(lit []byte) string {
	s := strings.ToValidUTF8(string(lit[:runeCut(lit)]), "\uFFFD")
	return s[:runeCut([]byte(s))]
}

// runeCut returns the length to which b is cut so that it has maxRaw bytes at most and no rune is cut in two.
func runeCut(b []byte) int {
	if len(b) <= maxRaw {
		return len(b)
	}
	for n := maxRaw; n > maxRaw-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			return n
		}
	}
	return maxRaw
}
