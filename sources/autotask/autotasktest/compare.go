package autotasktest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// typed compiles a comparison with a value. As in SQL, no comparison with null is true, noteq included.
func (c *compiler) typed(cond *condition, slot int, k kind) (predicate, *apiError) {
	if cond.Op == "in" || cond.Op == "notIn" {
		return c.list(cond, slot, k)
	}
	if isNull(cond.Value) && k != kindFalse {
		return never, nil
	}
	switch cond.Op {
	case "beginsWith", "endsWith", "contains":
		return c.like(cond, slot), nil
	}
	switch k {
	case kindFalse:
		return c.boolean(cond, slot)
	case kindString:
		return c.text(cond, slot)
	}
	v, isBool, err := c.number(cond.Value, slot, k)
	if err != nil {
		return nil, err
	}
	if isBool { // a boolean against a number matches nothing (api.md §3)
		return never, nil
	}
	test := compareInt(cond.Op)
	t, want := c.t, k
	if slot == 0 {
		return func(i int) bool { return test(t.ids[i], v) }, nil
	}
	if hot := t.hotFor(slot); hot != nil {
		return func(i int) bool { return hot[i] != nullHot && test(hot[i], v) }, nil
	}
	udf := slot >= len(t.shape.fields)
	return func(i int) bool {
		cell := findCell(t.rows[i], slot)
		if udf && cell.kind == kindString { // UDFs hold text
			var ok bool
			if cell, ok = udfCell(cell, k); !ok {
				return false
			}
		}
		return cell.kind == want && test(cell.n, v)
	}, nil
}

func never(int) bool { return false }

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// udfCell reads a UDF's text as the type that its definition names.
func udfCell(cell rawCell, k kind) (rawCell, bool) {
	out, ok := convertText(unescape(cell.s), k)
	return rawCell{kind: out.kind, n: out.n}, ok
}

func compareInt(op string) func(a, b int64) bool {
	switch op {
	case "eq":
		return func(a, b int64) bool { return a == b }
	case "noteq":
		return func(a, b int64) bool { return a != b }
	case "gt":
		return func(a, b int64) bool { return a > b }
	case "gte":
		return func(a, b int64) bool { return a >= b }
	case "lt":
		return func(a, b int64) bool { return a < b }
	}
	return func(a, b int64) bool { return a <= b }
}

// literal returns a value's text: strings without quotes, numbers and booleans as written.
func literal(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// number reads a value for an integer, decimal or datetime field. Numeric text is coerced; other text
// fails with the database's own words (api.md §3).
func (c *compiler) number(raw json.RawMessage, slot int, k kind) (v int64, isBool bool, err *apiError) {
	word := "int"
	if slot < len(c.t.shape.fields) {
		f := &c.t.shape.fields[slot]
		if k == kindInt {
			return c.intValue(raw, f)
		}
	}
	text := literal(raw)
	switch k {
	case kindTime:
		if t, ok := parseTime(text); ok {
			return t.UnixMilli(), false, nil
		}
		return 0, false, failf("Conversion failed when converting date and/or time from character string.")
	case kindDecimal:
		word = "numeric"
		if n, ok := parseDecimal(text); ok {
			return n, false, nil
		}
	default:
		if n, e := strconv.ParseInt(text, 10, 64); e == nil {
			return n, false, nil
		}
	}
	if text == "true" || text == "false" {
		return 0, true, nil
	}
	return 0, false, conversion(text, word)
}

func conversion(text, word string) *apiError {
	return failf("Conversion failed when converting the varchar value '%s' to data type %s.", text, word)
}

func (c *compiler) intValue(raw json.RawMessage, f *field) (v int64, isBool bool, err *apiError) {
	text := strings.TrimSpace(literal(raw))
	if n, e := strconv.ParseInt(text, 10, 64); e == nil {
		return n, false, nil
	}
	if s := string(raw); s == "true" || s == "false" {
		return 0, true, nil
	}
	word := "int"
	if f.word == "long" {
		word = "bigint"
	}
	return 0, false, conversion(literal(raw), word)
}

// boolean takes true and false only; anything else is an error, null included (api.md §3).
func (c *compiler) boolean(cond *condition, slot int) (predicate, *apiError) {
	text := string(cond.Value)
	if text != "true" && text != "false" {
		return nil, conversion(literal(cond.Value), "bit")
	}
	want := boolCell(text == "true").kind
	equal := cond.Op == "eq"
	t := c.t
	return func(i int) bool {
		k := findCell(t.rows[i], slot).kind
		return (k == kindTrue || k == kindFalse) && (k == want) == equal
	}, nil
}

// text compares as the database's collation does: without regard to case or trailing spaces (api.md §3).
func (c *compiler) text(cond *condition, slot int) (predicate, *apiError) {
	want := fold(literal(cond.Value))
	test := compareInt(cond.Op)
	t := c.t
	return func(i int) bool {
		cell := findCell(t.rows[i], slot)
		if cell.kind == kindNull {
			return false
		}
		return test(int64(strings.Compare(fold(cellText(cell)), want)), 0)
	}, nil
}

func fold(s string) string { return strings.ToLower(strings.TrimRight(s, " ")) }

// cellText is a value's text as a text comparison sees it.
func cellText(c rawCell) string {
	if c.kind == kindString {
		return unescape(c.s)
	}
	return strings.Trim(string(appendValue(nil, c, true)), `"`)
}

func (c *compiler) like(cond *condition, slot int) predicate {
	want := strings.ToLower(literal(cond.Value))
	test := strings.Contains
	switch cond.Op {
	case "beginsWith":
		test = strings.HasPrefix
	case "endsWith":
		test = strings.HasSuffix
	}
	t := c.t
	return func(i int) bool {
		cell := findCell(t.rows[i], slot)
		if slot == 0 {
			cell = rawCell{kind: kindInt, n: t.ids[i]}
		}
		return cell.kind != kindNull && test(strings.ToLower(cellText(cell)), want)
	}
}

// values splits the value of in and notIn. A single value counts as a list of one.
func values(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	return []json.RawMessage{raw}
}

func (c *compiler) intList(cond *condition, slot int) ([]int64, *apiError) {
	var out []int64
	for _, raw := range values(cond.Value) {
		v, isBool, err := c.intValue(raw, &c.t.shape.fields[slot])
		if err != nil {
			return nil, err
		}
		if !isBool {
			out = append(out, v)
		}
	}
	if out == nil {
		out = []int64{}
	}
	return out, nil
}

// list compiles in and notIn; each element counts as an OR condition.
func (c *compiler) list(cond *condition, slot int, k kind) (predicate, *apiError) {
	elements := values(cond.Value)
	c.ors += len(elements)
	if len(elements) > maxOr {
		return nil, nil // the caller refuses the query for its number of OR conditions
	}
	negate := cond.Op == "notIn"
	if k == kindInt && slot < len(c.t.shape.fields) {
		return c.intSet(cond, slot, negate)
	}
	var any []predicate
	for _, raw := range elements {
		p, err := c.typed(&condition{Op: "eq", Field: cond.Field, Value: raw, UDF: cond.UDF}, slot, k)
		if err != nil {
			return nil, err
		}
		any = append(any, p)
	}
	present := c.present(slot, true)
	return func(i int) bool {
		hit := slices.ContainsFunc(any, func(p predicate) bool { return p(i) })
		return hit != negate && present(i)
	}, nil
}

func (c *compiler) intSet(cond *condition, slot int, negate bool) (predicate, *apiError) {
	list, err := c.intList(cond, slot)
	if err != nil {
		return nil, err
	}
	set := make(map[int64]struct{}, len(list))
	for _, v := range list {
		set[v] = struct{}{}
	}
	t := c.t
	hot := t.hotFor(slot)
	return func(i int) bool {
		v := t.ids[i]
		switch {
		case slot == 0:
		case hot != nil:
			if v = hot[i]; v == nullHot {
				return false
			}
		default:
			cell := findCell(t.rows[i], slot)
			if cell.kind != kindInt {
				return false
			}
			v = cell.n
		}
		_, in := set[v]
		return in != negate
	}, nil
}
