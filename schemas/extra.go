package schemas

import (
	"bytes"
	"slices"

	"github.com/zeebo/xxh3"
)

// loose is a value of the current row that no column takes.
type loose struct {
	key []byte // unescaped
	val token
	udf bool
}

// loosen notes a value for _extra. A null is noted too, since it may take back an earlier value of its key.
func (d *Decoder) loosen(key, val *token, udf bool) {
	l := loose{val: *val, udf: udf}
	if key.kind == tokString {
		l.key, _ = appendText(nil, key)
	}
	d.cur.loose = append(d.cur.loose, l)
}

// udfList reads the value of userDefinedFields: null, or a list of {name, value} (api.md §5). What has another
// shape is kept in _extra.
func (d *Decoder) udfList() bool {
	if d.s.peek() != '[' {
		var val token
		if !d.s.value(&val) {
			return false
		}
		d.cur.loose = append(d.cur.loose, loose{key: []byte(udfKey), val: val})
		return true
	}
	d.s.i++
	var ok bool
	for i, more := 0, !d.s.empty(']'); more; i++ {
		if !d.knownUDF(i) && !d.udf(i) {
			return false
		}
		if more, ok = d.s.more(']'); !ok {
			return false
		}
	}
	return true
}

// knownUDF moves over the i-th element of userDefinedFields if it begins as the one that stood there the last time:
// {"name":"…","value": up to the value. Rows have hundreds of them, most of them null. Else nothing is done.
func (d *Decoder) knownUDF(i int) bool {
	if i >= len(d.udfHeads) {
		return false
	}
	head := &d.udfHeads[i]
	rest := d.s.b[d.s.i:]
	if head.lit == "" || len(rest) <= len(head.lit)+len("null}") || string(rest[:len(head.lit)]) != head.lit {
		return false
	}
	start, c := d.s.i, &d.cols[head.to]
	d.s.i += len(head.lit)
	if string(rest[len(head.lit):len(head.lit)+len("null}")]) == "null}" && c.serial != 0 && c.serial != d.cur.serial {
		d.s.i += len("null}")
		c.serial, c.hash = d.cur.serial, 0
		return true
	}
	var value token
	if !d.s.value(&value) || d.s.i >= len(d.s.b) || d.s.b[d.s.i] != '}' {
		d.s.i = start
		return false
	}
	d.s.i++
	d.put(c, &value)
	return true
}

// rememberUDF notes how the i-th element began, if it is of the usual form.
func (d *Decoder) rememberUDF(i int, from int, name, value *token, to int) {
	if i >= maxOrder || len(name.lit) > maxKeyLit {
		return
	}
	const before, between = `{"name":`, `,"value":`
	head := before + string(name.lit) + between
	at := d.s.b[from:]
	if len(at) < len(head)+len(value.lit) || string(at[:len(head)]) != head || !bytes.HasPrefix(at[len(head):], value.lit) {
		return
	}
	for len(d.udfHeads) <= i {
		d.udfHeads = append(d.udfHeads, lastKey{})
	}
	d.udfHeads[i] = lastKey{lit: head, to: to}
}

// udf reads the i-th element of userDefinedFields.
func (d *Decoder) udf(i int) bool {
	var key, val, name, value token
	if d.s.peek() != '{' {
		if !d.s.value(&val) {
			return false
		}
		d.loosen(&name, &val, true)
		return true
	}
	from := d.s.i
	d.s.i++
	var ok bool
	for more := !d.s.empty('}'); more; {
		if !d.s.key(&key) || !d.s.value(&val) {
			return false
		}
		switch k := key.content(); {
		case equalFold(string(k), "name"):
			name = val
		case equalFold(string(k), "value"):
			value = val
		}
		if more, ok = d.s.more('}'); !ok {
			return false
		}
	}
	if value.kind == 0 {
		value = token{kind: tokNull}
	}
	if name.kind == tokString {
		if to := d.udfs.find(&name, i); to != toNone {
			d.put(&d.cols[to], &value)
			d.rememberUDF(i, from, &name, &value, to)
			return true
		}
	}
	d.loosen(&name, &value, true)
	return true
}

// writeExtra makes the row's loose values its cell of _extra.
func (d *Decoder) writeExtra() {
	all := d.cur.loose
	if len(all) == 0 {
		return
	}
	var fields, udfs []loose
	var damaged bool
	for _, l := range all {
		if l.udf {
			udfs = append(udfs, l)
		} else {
			fields = append(fields, l)
		}
	}
	if udfs = settle(udfs); len(udfs) > 0 {
		var obj []byte
		obj, damaged = appendObject(nil, udfs)
		fields = append(fields, loose{key: []byte(udfKey), val: token{lit: obj, kind: tokNested, escaped: true, wide: true}})
	}
	if fields = settle(fields); len(fields) == 0 {
		return
	}
	d.extra.pad(d.rows)
	start := len(d.extra.text)
	text, bad := appendObject(d.extra.text, fields)
	d.extra.text = text
	d.extra.endText(d.rows)
	d.cur.hash += xxh3.HashSeed(text[start:], extraSeed)
	if damaged || bad {
		d.reject(ColExtra, ColExtra, &token{lit: text[start:]}, reasonText)
	}
}

// settle sorts by key, keeps the last of equal keys, and leaves out what is null then.
func settle(ls []loose) []loose {
	slices.SortStableFunc(ls, func(a, b loose) int { return bytes.Compare(a.key, b.key) })
	out := ls[:0]
	for i, l := range ls {
		if i+1 < len(ls) && bytes.Equal(l.key, ls[i+1].key) || l.val.kind == tokNull {
			continue
		}
		out = append(out, l)
	}
	return out
}

// appendObject appends a JSON object of the values as sent.
func appendObject(dst []byte, ls []loose) (out []byte, damaged bool) {
	dst = append(dst, '{')
	for i := range ls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, ls[i].key), ':')
		var bad bool
		dst, bad = appendRaw(dst, &ls[i].val)
		damaged = damaged || bad
	}
	return append(dst, '}'), damaged
}
