package autotasktest

import "strconv"

// appendRow appends row as a query sends it: id first, then every field, nulls included, then
// userDefinedFields. omitUDF leaves the latter out.
func (s *shape) appendRow(b []byte, id int64, row []byte, zone, omitUDF bool) []byte {
	b = append(b, '{')
	start := len(b)
	if !s.fields[0].hidden {
		b = strconv.AppendInt(append(b, `"id":`...), id, 10)
	}
	next, slot := 1, 0
	var c rawCell
	for len(row) > 0 {
		at, v, rest := nextCell(row, slot)
		if at >= len(s.fields) {
			break
		}
		slot, c, row = at, v, rest
		// The nulls before this field and this field's key lie side by side in nulls.
		if s.off[slot+1] > s.off[slot] {
			b = append(b, s.nulls[s.off[next]:s.off[slot+1]-len("null")]...)
			b = appendValue(b, c, zone)
			next = slot + 1
		}
	}
	b = append(b, s.nulls[s.off[next]:]...)
	if s.entity.HasUDF && !omitUDF {
		b = s.appendUDFs(b, row, slot, nil)
	}
	return closeObject(b, start)
}

// closeObject ends an object whose members may begin with a comma that has nothing before it.
func closeObject(b []byte, start int) []byte {
	if len(b) > start && b[start] == ',' {
		b = append(b[:start], b[start+1:]...)
	}
	return append(b, '}')
}

// appendUDFs appends ,"userDefinedFields":[…]. row is what is left of a row behind slot. All definitions
// appear, with null where there is no value; want, if not nil, says which of them.
func (s *shape) appendUDFs(b, row []byte, slot int, want []bool) []byte {
	b = append(b, `,"userDefinedFields":[`...)
	first := true
	for i := range s.udfs {
		value := rawCell{kind: kindNull}
		if len(row) > 0 {
			if at, c, rest := nextCell(row, slot); at == len(s.fields)+i {
				slot, value, row = at, c, rest
			}
		}
		if want != nil && !want[i] {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, s.udfKey[i]...)
		b = append(appendValue(b, value, true), '}')
	}
	return append(b, ']')
}

// projection is what a query's IncludeFields ask for, and what a fault does to single rows.
type projection struct {
	fields   []bool // by slot; nil: all
	udfs     []bool // by position; nil: all
	withData bool   // an attachment by id carries its bytes
}

// appendProjected is the slow form of appendRow. override replaces the value of one slot (-1: none) by
// JSON text; an empty text leaves the key out.
func (s *shape) appendProjected(b []byte, id int64, row []byte, zone, omitUDF bool, p projection, override int, text string) []byte {
	cells := make([]cell, len(s.fields)+len(s.udfs))
	decodeCells(cells, id, row)
	b = append(b, '{')
	start := len(b)
	for i := range s.fields {
		f := &s.fields[i]
		if p.fields != nil && !p.fields[i] || f.hidden && !p.withData {
			continue
		}
		if i == override && text == "" {
			continue
		}
		b = append(b, ',')
		b = append(strconv.AppendQuote(b, f.name), ':')
		if i == override {
			b = append(b, text...)
			continue
		}
		c := cells[i]
		b = appendValue(b, rawCell{kind: c.kind, n: c.n, s: []byte(c.s)}, zone)
	}
	if s.entity.HasUDF && !omitUDF {
		slot := 0
		for len(row) > 0 {
			at, _, rest := nextCell(row, slot)
			if at >= len(s.fields) {
				break
			}
			slot, row = at, rest
		}
		b = s.appendUDFs(b, row, slot, p.udfs)
	}
	return closeObject(b, start)
}

// anyUDF reports whether one of the rows has a value in a user-defined field.
func (s *shape) anyUDF(rows [][]byte) bool {
	for _, row := range rows {
		slot := 0
		for len(row) > 0 {
			if slot, _, row = nextCell(row, slot); slot >= len(s.fields) {
				return true
			}
		}
	}
	return false
}
