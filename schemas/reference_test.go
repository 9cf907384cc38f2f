package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/atsync/atsync/schemas"
)

// cells is a row: column name to the value's text. NULL cells are absent.
type cells map[string]string

// refDecode is a slow decoder on encoding/json and math/big that the fast one must agree with, save for _extra
// and _row_hash. It returns the rows and, as "id/column", the rejects.
func refDecode(t *schemas.Table, body []byte, after *int64) ([]cells, []string, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !json.Valid(body) {
		return nil, nil, errors.New("not JSON")
	}
	top, err := pairs(body)
	if err != nil {
		return nil, nil, err
	}
	var items []json.RawMessage
	found := 0
	for _, kv := range top {
		switch strings.ToLower(kv.key) {
		case "items":
			found++
			if err := json.Unmarshal(kv.raw, &items); err != nil {
				return nil, nil, err
			}
			if items == nil {
				return nil, nil, errors.New("no list")
			}
		case "errors":
			if s := string(kv.raw); s != "null" && s != `""` && strings.Join(strings.Fields(s), "") != "[]" {
				return nil, nil, errors.New("API errors")
			}
		}
	}
	if found != 1 {
		return nil, nil, errors.New("no items")
	}
	var rows []cells
	var rejects []string
	for _, raw := range items {
		row, bad, err := refRow(t, raw)
		if err != nil {
			return nil, nil, err
		}
		id, err := strconv.ParseInt(row["id"], 10, 64)
		if err != nil || after != nil && id <= *after {
			return nil, nil, fmt.Errorf("id %q", row["id"])
		}
		after = &id
		rows = append(rows, row)
		for _, c := range bad {
			rejects = append(rejects, fmt.Sprintf("%d/%s", id, c))
		}
	}
	slices.Sort(rejects)
	return rows, rejects, nil
}

func refRow(t *schemas.Table, raw json.RawMessage) (cells, []string, error) {
	kvs, err := pairs(raw)
	if err != nil {
		return nil, nil, err
	}
	row, bad := cells{}, map[string]bool{}
	set := func(c *schemas.Column, raw json.RawMessage) {
		text, state := refValue(c.Type, raw)
		delete(row, c.Name)
		delete(bad, c.Name)
		if state != refNull && state != refReject {
			row[c.Name] = text
		}
		if state == refReject || state == refDamaged {
			bad[c.Name] = true
		}
	}
	for _, kv := range kvs {
		if kv.key == "userDefinedFields" || strings.EqualFold(kv.key, "userDefinedFields") {
			var list []json.RawMessage
			if json.Unmarshal(kv.raw, &list) != nil {
				continue
			}
			for _, el := range list {
				refUDF(t, el, set)
			}
			continue
		}
		if c := t.Column(kv.key); c != nil {
			if c.Source == "id" {
				if lit := string(kv.raw); lit == "true" || lit == "false" {
					return nil, nil, errors.New("boolean id")
				}
			}
			set(c, kv.raw)
		}
	}
	var names []string
	for c := range bad {
		names = append(names, c)
	}
	return row, names, nil
}

func refUDF(t *schemas.Table, el json.RawMessage, set func(*schemas.Column, json.RawMessage)) {
	kvs, err := pairs(el)
	if err != nil {
		return
	}
	name, value := json.RawMessage(nil), json.RawMessage("null")
	for _, kv := range kvs {
		switch strings.ToLower(kv.key) {
		case "name":
			name = kv.raw
		case "value":
			value = kv.raw
		}
	}
	var text *string
	if json.Unmarshal(name, &text) != nil || text == nil {
		return
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; c.UDF && c.Source == *text {
			set(c, value)
			return
		}
	}
}

type refState int

const (
	refOK refState = iota
	refNull
	refReject
	refDamaged
)

var refTime = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)(?:[tT ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?([zZ]|[+-]\d\d(?::?\d\d)?)?)?$`)

func refValue(typ schemas.Type, raw json.RawMessage) (string, refState) {
	lit := string(raw)
	if lit == "null" {
		return "", refNull
	}
	isText := lit[0] == '"'
	var text string
	if isText {
		if err := json.Unmarshal(raw, &text); err != nil {
			panic(err)
		}
	}
	if typ.Kind == schemas.String {
		switch {
		case isText && refHonest(lit):
			return text, refOK
		case isText:
			return text, refDamaged
		case refHonest(lit):
			return lit, refOK
		}
		return "?", refDamaged
	}
	if isText && text == "" {
		return "", refNull
	}
	num := lit
	if isText {
		num = text
	}
	switch typ.Kind {
	case schemas.Int:
		if lit == "true" {
			return "1", refOK
		}
		if lit == "false" {
			return "0", refOK
		}
		if r := refNumber(num); r != nil && r.IsInt() && r.Num().IsInt64() {
			return r.Num().String(), refOK
		}
	case schemas.Decimal:
		if r := refNumber(num); r != nil {
			return r.RatString(), refOK
		}
	case schemas.Bool:
		switch strings.ToLower(num) {
		case "true":
			return "true", refOK
		case "false":
			return "false", refOK
		}
		if r := refNumber(num); r != nil && r.IsInt() && (r.Num().String() == "0" || r.Num().String() == "1") {
			return strconv.FormatBool(r.Sign() > 0), refOK
		}
	case schemas.Timestamp:
		if isText {
			if us, ok := refMicros(text); ok {
				return strconv.FormatInt(us, 10), refOK
			}
		}
	}
	return "", refReject
}

// refHonest reports whether a literal holds neither invalid UTF-8 nor lone surrogates.
func refHonest(lit string) bool {
	if !utf8.ValidString(lit) {
		return false
	}
	lit = regexp.MustCompile(`\\[^u]`).ReplaceAllString(lit, "")
	lit = regexp.MustCompile(`(?i)\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`).ReplaceAllString(lit, "")
	return !regexp.MustCompile(`(?i)\\ud[89a-f]`).MatchString(lit)
}

var refNum = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$`)

// refNumber returns a JSON number's value if it needs no more than 38 digits.
func refNumber(s string) *big.Rat {
	if !refNum.MatchString(s) {
		return nil
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if !strings.ContainsAny(s[:i], "123456789") {
			return new(big.Rat)
		}
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 2000 || e < -2000 {
			return nil // none of the tests' literals is that long
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	scale := 0
	for x := new(big.Rat).Set(r); !x.IsInt(); scale++ {
		if scale > 38 {
			return nil
		}
		x.Mul(x, big.NewRat(10, 1))
	}
	x := new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if len(strings.TrimPrefix(x.Num().String(), "-")) > 38 || scale > 38 {
		return nil
	}
	return r
}

func refMicros(s string) (int64, bool) {
	m := refTime.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n := func(s string) int { v, _ := strconv.Atoi(s); return v }
	year, month, day := n(m[1]), n(m[2]), n(m[3])
	at := time.Date(year, time.Month(month), day, n(m[4]), n(m[5]), n(m[6]), 0, time.UTC)
	if at.Month() != time.Month(month) || at.Day() != day || year < 1 || n(m[4]) > 23 || n(m[5]) > 59 || n(m[6]) > 59 {
		return 0, false
	}
	us := at.UnixMicro() + int64(n((m[7] + "000000")[:6]))
	if z := strings.ReplaceAll(m[8], ":", ""); len(z) > 1 {
		hours, minutes := n(z[1:3]), n((z + "00")[3:5])
		if hours > 23 || minutes > 59 {
			return 0, false
		}
		off := int64(hours*60+minutes) * 60e6
		if z[0] == '-' {
			off = -off
		}
		us -= off
	}
	y := time.UnixMicro(us).UTC().Year()
	return us, y >= 1 && y <= 9999
}

// pair is one key of an object.
type pair struct {
	key string
	raw json.RawMessage
}

func pairs(obj []byte) ([]pair, error) {
	dec := json.NewDecoder(bytes.NewReader(obj))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("no object")
	}
	var out []pair
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		out = append(out, pair{key.(string), raw})
	}
	if _, err := dec.Token(); err != nil && err != io.EOF {
		return nil, err
	}
	return out, nil
}

// rowsOf turns a batch into cells. _extra and _row_hash are cells like any other.
func rowsOf(t testing.TB, batch arrow.RecordBatch) []cells {
	t.Helper()
	if batch == nil {
		return nil
	}
	rows := make([]cells, batch.NumRows())
	for i := range rows {
		rows[i] = cells{}
	}
	for ci, col := range batch.Columns() {
		name := batch.ColumnName(ci)
		for i := range rows {
			if !col.IsNull(i) {
				rows[i][name] = cellText(t, col, i)
			}
		}
	}
	return rows
}

func cellText(t testing.TB, col arrow.Array, i int) string {
	t.Helper()
	switch col := col.(type) {
	case *array.String:
		return col.Value(i)
	case *array.Int64:
		return strconv.FormatInt(col.Value(i), 10)
	case *array.Boolean:
		return strconv.FormatBool(col.Value(i))
	case *array.Timestamp:
		return strconv.FormatInt(int64(col.Value(i)), 10)
	case *array.Decimal128:
		typ := col.DataType().(*arrow.Decimal128Type)
		v := col.Value(i)
		if !v.FitsInPrecision(typ.Precision) {
			t.Fatalf("row %d: %s does not fit %s", i, v.BigInt(), typ)
		}
		pow := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(typ.Scale)), nil)
		return new(big.Rat).SetFrac(v.BigInt(), pow).RatString()
	}
	t.Fatalf("unexpected array %T", col)
	return ""
}

// plain drops the cells that the reference does not make, and checks that they are sound.
func plain(t testing.TB, rows []cells) []cells {
	t.Helper()
	for _, r := range rows {
		if x, ok := r[schemas.ColExtra]; ok && (!json.Valid([]byte(x)) || !utf8.ValidString(x) || !refHonest(x)) {
			t.Fatalf("_extra is not sound: %q", x)
		}
		if _, ok := r[schemas.ColRowHash]; !ok {
			t.Fatal("a row has no hash")
		}
		for name, v := range r {
			if !utf8.ValidString(v) {
				t.Fatalf("%s is no UTF-8: %q", name, v)
			}
		}
		delete(r, schemas.ColExtra)
		delete(r, schemas.ColRowHash)
	}
	return rows
}
