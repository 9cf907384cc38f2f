package autotasktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// apiError is a refusal. With no texts and no message the body is empty.
type apiError struct {
	status  int
	texts   []string // {"errors":[…]}
	message string   // {"Message":"…"}, the framework's own
	html    bool     // the web server's own
}

func failf(format string, args ...any) *apiError {
	return &apiError{status: 500, texts: []string{fmt.Sprintf(format, args...)}}
}

// queryBody is a query as it is sent. Names are matched without regard to case (api.md §3);
// unknown ones are ignored.
type queryBody struct {
	Filter        []condition     `json:"filter"`
	MaxRecords    json.RawMessage `json:"maxRecords"`
	IncludeFields []string        `json:"includeFields"`
}

// condition is a comparison or a group.
type condition struct {
	Op    string          `json:"op"`
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
	UDF   bool            `json:"udf"`
	Items []condition     `json:"items"`
}

const maxOr = 500 // OR conditions a query may hold (api.md §3)

const textNoFilter = "Value cannot be null.\r\nParameter name: filters"

// parseQuery reads a query, single-quoted JSON included, as the service does (api.md §3).
func parseQuery(text []byte) (queryBody, *apiError) {
	var q queryBody
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return q, failf(textNoFilter)
	}
	if err := json.Unmarshal(text, &q); err != nil {
		if json.Unmarshal(doubleQuoted(text), &q) != nil {
			return q, failf("Unable to parse the query: %s.", strings.ReplaceAll(err.Error(), `"`, "'"))
		}
	}
	if q.Filter == nil {
		return q, failf(textNoFilter)
	}
	if len(q.Filter) == 0 { // the service's text is not known (api.md §12)
		return q, failf("Invalid query syntax. At least one filter is required.")
	}
	return q, nil
}

// doubleQuoted turns single-quoted strings into double-quoted ones.
func doubleQuoted(text []byte) []byte {
	out := make([]byte, 0, len(text))
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != '\'' {
				out = append(out, c)
			}
			out = append(out, text[i])
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote, c = c, '"'
		case quote != 0 && c == quote:
			quote, c = 0, '"'
		case quote == '\'' && c == '"':
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return out
}

// pageSize reads MaxRecords: 500 unless it says otherwise.
func (q *queryBody) pageSize() (int, *apiError) {
	text := strings.Trim(string(q.MaxRecords), `" `)
	if text == "" || text == "null" {
		return 500, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 500 {
		return 0, failf("maxCountOfRecordsToReturn must be between 1 and 500")
	}
	return n, nil
}

// predicate says whether row i of a table meets a condition.
type predicate func(i int) bool

// filter is a compiled query: rows with lo <= id <= hi that meet match (nil: all of them). ids, if not
// nil, are the only ids that can match, sorted.
type filter struct {
	lo, hi int64
	ids    []int64
	match  predicate
	proj   projection
	narrow bool // IncludeFields was given
}

// compiler turns conditions into predicates over one table, which must stay locked as long as they live.
type compiler struct {
	t    *table
	ors  int
	udfs map[string]bool
}

// compile checks a query against the table's shape and prepares it.
func (t *table) compile(q queryBody) (*filter, *apiError) {
	if t.shape.entity.Name == "TicketHistory" && !historyQuery(q.Filter) {
		return nil, failf("TicketHistory can only be queried by a single ticketID with the eq operator.")
	}
	c := &compiler{t: t, udfs: map[string]bool{}}
	f := &filter{lo: math.MinInt64, hi: math.MaxInt64}
	var all []predicate
	for i := range q.Filter {
		if done, err := c.bound(f, &q.Filter[i]); err != nil {
			return nil, err
		} else if done {
			continue
		}
		p, err := c.condition(&q.Filter[i], false)
		if err != nil {
			return nil, err
		}
		if p != nil {
			all = append(all, p)
		}
	}
	if c.ors > maxOr {
		return nil, failf("Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions.")
	}
	f.match = every(all)
	return f, t.include(f, q.IncludeFields)
}

// historyQuery reports whether the filter is the only one that TicketHistory takes (api.md §3).
func historyQuery(conds []condition) bool {
	return len(conds) == 1 && strings.EqualFold(conds[0].Field, "ticketID") && conds[0].Op == "eq" && !conds[0].UDF
}

// include resolves IncludeFields: names of fields and of user-defined fields, in any case.
func (t *table) include(f *filter, names []string) *apiError {
	if len(names) == 0 {
		return nil
	}
	s := t.shape
	f.narrow = true
	f.proj.fields, f.proj.udfs = make([]bool, len(s.fields)), make([]bool, len(s.udfs))
	for _, name := range names {
		if slot, ok := s.slot(name); ok {
			f.proj.fields[slot] = true
		} else if i, ok := s.udfSlot(name); ok {
			f.proj.udfs[i] = true
		} else {
			return s.unknown(name)
		}
	}
	return nil
}

func (s *shape) unknown(name string) *apiError {
	return failf("Unable to find %s in the %s Entity.", name, s.singular())
}

func (s *shape) singular() string {
	if s.entity.Singular != "" {
		return s.entity.Singular
	}
	return s.entity.Name
}

// bound turns a top-level condition on the id into a range, which needs no look at the rows.
func (c *compiler) bound(f *filter, cond *condition) (done bool, err *apiError) {
	if cond.UDF || !strings.EqualFold(cond.Field, "id") {
		return false, nil
	}
	switch cond.Op {
	case "exist":
		return true, nil
	case "in":
		list, err := c.intList(cond, 0)
		if err != nil {
			return false, err
		}
		c.ors += len(list)
		if f.ids != nil {
			return false, nil
		}
		slices.Sort(list)
		f.ids = slices.Compact(list)
		return true, nil
	case "eq", "gt", "gte", "lt", "lte":
	default:
		return false, nil
	}
	v, isBool, err := c.intValue(cond.Value, &c.t.shape.fields[0])
	if err != nil || isBool {
		return false, err
	}
	switch cond.Op {
	case "eq":
		f.lo, f.hi = max(f.lo, v), min(f.hi, v)
	case "gt":
		f.lo = max(f.lo, v+1)
	case "gte":
		f.lo = max(f.lo, v)
	case "lt":
		f.hi = min(f.hi, v-1)
	case "lte":
		f.hi = min(f.hi, v)
	}
	return true, nil
}

// every is true where all predicates are; nil if there are none.
func every(ps []predicate) predicate {
	switch len(ps) {
	case 0:
		return nil
	case 1:
		return ps[0]
	}
	return func(i int) bool {
		for _, p := range ps {
			if !p(i) {
				return false
			}
		}
		return true
	}
}

func anyOf(ps []predicate) predicate {
	if len(ps) < 2 {
		return every(ps)
	}
	return func(i int) bool {
		for _, p := range ps {
			if p(i) {
				return true
			}
		}
		return false
	}
}

// condition compiles a comparison or group. Nil without an error means that it was dropped: the service
// drops what has an operator that it does not know and runs the rest (api.md §3).
func (c *compiler) condition(cond *condition, inOr bool) (predicate, *apiError) {
	switch cond.Op {
	case "and", "or":
		var ps []predicate
		for i := range cond.Items {
			p, err := c.condition(&cond.Items[i], inOr || cond.Op == "or")
			if err != nil {
				return nil, err
			}
			if p != nil {
				ps = append(ps, p)
			}
		}
		if cond.Op == "or" {
			return anyOf(ps), nil
		}
		return every(ps), nil
	case "eq", "noteq", "gt", "gte", "lt", "lte", "beginsWith", "endsWith", "contains", "exist", "notExist", "in", "notIn":
	default:
		return nil, nil
	}
	if inOr && cond.Op != "in" && cond.Op != "notIn" {
		c.ors++
	}
	return c.comparison(cond)
}

func (c *compiler) comparison(cond *condition) (predicate, *apiError) {
	s := c.t.shape
	var slot int
	var k kind
	if cond.UDF {
		i, ok := s.udfSlot(cond.Field)
		if !ok {
			return nil, s.unknown(cond.Field)
		}
		if c.udfs[strings.ToLower(cond.Field)] = true; len(c.udfs) > 1 { // api.md §3; the text is not known
			return nil, failf("Invalid query syntax. Only one user-defined field can be queried at a time.")
		}
		slot, k = len(s.fields)+i, wordKind(s.udfs[i].Type)
	} else {
		var ok bool
		if slot, ok = s.slot(cond.Field); !ok || s.fields[slot].hidden {
			return nil, s.unknown(cond.Field)
		}
		if !s.fields[slot].queryable { // the text is not known
			return nil, failf("The field %s in the %s Entity is not queryable.", s.fields[slot].name, s.singular())
		}
		k = s.fields[slot].kind()
	}
	switch cond.Op {
	case "exist", "notExist":
		want := cond.Op == "exist"
		return c.present(slot, want), nil
	}
	return c.typed(cond, slot, k)
}

// present is true where the value is not null (want) or is null (!want).
func (c *compiler) present(slot int, want bool) predicate {
	t := c.t
	if slot == 0 {
		return func(int) bool { return want }
	}
	return func(i int) bool { return (findCell(t.rows[i], slot).kind != kindNull) == want }
}
