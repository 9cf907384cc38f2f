package autotasktest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Fields are the values of a row for [Data.Insert] and [Data.Update], by field name (any case).
// Integers, float64 (kept to four places), bool, string, time.Time and nil are taken; numbers may be
// given as text ("12.3400"), times as RFC 3339 with or without a zone; a json.RawMessage is sent exactly
// as it is. The key "udf:" + name sets a user-defined field, whose values are text or nil.
type Fields map[string]any

const udfPrefix = "udf:"

// cellOf converts v for a field of the given kind. It panics with a text that names where.
func cellOf(v any, k kind, where string) cell {
	c, ok := convert(v, k)
	if !ok {
		panic(fmt.Sprintf("autotasktest: %s cannot hold %#v", where, v))
	}
	return c
}

func convert(v any, k kind) (cell, bool) {
	switch v := v.(type) {
	case nil:
		return null(), true
	case json.RawMessage:
		return cell{kind: kindRaw, s: string(v)}, true
	case time.Time:
		return timeCell(v), k == kindTime || k == kindString
	case bool:
		return boolCell(v), k == kindFalse
	case string:
		return convertText(v, k)
	case float64:
		return convertFloat(v, k)
	}
	n, ok := integer(v)
	switch k {
	case kindInt:
		return cell{kind: kindInt, n: n}, ok
	case kindDecimal:
		return cell{kind: kindDecimal, n: n * 10000}, ok
	case kindString:
		return cell{kind: kindString, s: strconv.FormatInt(n, 10)}, ok
	}
	return cell{}, false
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint32:
		return int64(v), true
	}
	return 0, false
}

func convertFloat(v float64, k kind) (cell, bool) {
	switch k {
	case kindDecimal:
		return cell{kind: kindDecimal, n: int64(math.Round(v * 10000))}, true
	case kindInt:
		return cell{kind: kindInt, n: int64(v)}, v == math.Trunc(v)
	}
	return cell{}, false
}

func convertText(v string, k kind) (cell, bool) {
	switch k {
	case kindInt:
		n, err := strconv.ParseInt(v, 10, 64)
		return cell{kind: kindInt, n: n}, err == nil
	case kindDecimal:
		n, ok := parseDecimal(v)
		return cell{kind: kindDecimal, n: n}, ok
	case kindTime:
		t, ok := parseTime(v)
		return cell{kind: kindTime, n: t.UnixMilli()}, ok
	case kindFalse:
		return boolCell(v == "true"), v == "true" || v == "false"
	}
	return stringCell(v), true
}

func stringCell(s string) cell {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return cell{kind: kindString, s: string(appendEscaped(nil, s))}
		}
	}
	return cell{kind: kindString, s: s}
}

func boolCell(v bool) cell {
	if v {
		return cell{kind: kindTrue}
	}
	return cell{kind: kindFalse}
}

func timeCell(t time.Time) cell { return cell{kind: kindTime, n: t.UnixMilli()} }

// parseDecimal reads a number with at most four places that matter into ten-thousandths.
func parseDecimal(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" && frac == "" {
		return 0, false
	}
	frac = strings.TrimRight(frac, "0")
	if len(frac) > 4 || len(whole) > 14 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+(frac + "0000")[:4], 10, 63)
	if err != nil {
		return 0, false
	}
	if neg {
		return -int64(n), true
	}
	return int64(n), true
}

// parseTime reads the spellings that filters may use (api.md §5): with or without fraction, with Z, an
// offset or nothing (then UTC), and dates alone.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// recast converts a stored value to another kind after a change of type; what does not fit becomes null.
func recast(c cell, to kind) cell {
	if c.kind == kindNull || c.kind == kindRaw || c.kind == to || c.kind == kindTrue && to == kindFalse {
		return c
	}
	text := string(appendValue(nil, rawCell{kind: c.kind, n: c.n, s: []byte(c.s)}, true))
	switch c.kind {
	case kindString:
		text = unescape([]byte(c.s))
	case kindTime:
		text = strings.Trim(text, `"`)
	}
	if to == kindInt {
		text = strings.TrimSuffix(text, ".0000")
	}
	if out, ok := convertText(text, to); ok {
		return out
	}
	return null()
}
