package autotasktest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// kind is how a value is stored and compared.
type kind uint8

const (
	kindInt     kind = iota // n
	kindDecimal             // n ten-thousandths
	kindFalse
	kindTrue
	kindTime   // n milliseconds since 1970 UTC
	kindString // s, JSON-escaped, without its quotes
	kindRaw    // s, any JSON text
	kindNull   // never stored
)

// field is one property of an entity in the order of its rows.
type field struct {
	name      string // key in rows
	meta      string // spelling in metadata
	word      string // Autotask's dataType
	length    int
	reference string // singular
	required  bool
	readOnly  bool
	picklist  bool
	queryable bool
	hidden    bool // not in query rows: the bytes of attachments (api.md §9)
	unlisted  bool // in rows but not in metadata (api.md §13a)
	choices   []Choice
	parent    string // picklistParentValueField
}

// kind returns how well-formed values of f are stored.
func (f *field) kind() kind { return wordKind(f.word) }

func wordKind(word string) kind {
	switch word {
	case "integer", "long", "short":
		return kindInt
	case "decimal", "double":
		return kindDecimal
	case "boolean":
		return kindFalse
	case "datetime":
		return kindTime
	}
	return kindString
}

// shape is what an entity's rows look like. It is immutable: every change of schema makes a new one.
type shape struct {
	entity *schemas.Entity
	fields []field // id first, then alphabetically without regard to case
	udfs   []UDF
	index  map[string]int // lower-case field name -> slot

	nulls  string // `,"a":null,"b":null…` of all fields but id
	off    []int  // nulls[off[s]:off[s+1]] belongs to slot s
	udfKey []string
}

func newShape(e *schemas.Entity) *shape {
	s := &shape{entity: e}
	for i := range e.Fields {
		s.fields = append(s.fields, newField(e, &e.Fields[i]))
	}
	if !slices.ContainsFunc(s.fields, func(f field) bool { return f.name == "id" }) {
		s.fields = append(s.fields, field{name: "id", word: "long", hidden: true, unlisted: true})
	}
	return s.finish()
}

func newField(e *schemas.Entity, f *schemas.Field) field {
	out := field{name: f.Name, meta: f.Name, word: f.Type, length: f.MaxLength, queryable: true}
	if out.word == "" {
		out.word = "string"
	}
	out.required = f.Required != nil && *f.Required
	out.readOnly = f.ReadOnly != nil && *f.ReadOnly
	out.picklist = f.Picklist != nil && *f.Picklist
	if f.Reference != "" {
		out.reference = f.Reference
		if r, ok := schemas.Lookup(f.Reference); ok && r.Singular != "" {
			out.reference = r.Singular
		}
	}
	out.hidden = f.Type == "byte[]"
	if strings.HasSuffix(e.Name, "Attachments") {
		out.unlisted = f.Name == "parentType" || f.Name == "isTaskAttachment"
	}
	if out.choices = standardChoices(e.Name, f.Name); out.choices != nil {
		out.picklist = true
	} else if out.picklist {
		out.choices = plainChoices(f.Name, out.kind())
	}
	switch e.Name + "." + f.Name {
	case "ExpenseItems.glCode": // lower-camel by its first letter only (api.md §13a)
		out.meta = "gLCode"
	case "Tickets.subIssueType": // spelled so by the service although the field is issueType
		out.parent = "IssueType"
	case "Tickets.creatorType", "Tickets.lastActivityPersonType": // api.md §3
		out.queryable = false
	case "TicketHistory.id", "TicketHistory.action", "TicketHistory.date", "TicketHistory.detail", "TicketHistory.resourceID":
		out.queryable = false
	}
	return out
}

// finish sorts the fields and prepares the texts that encoding copies.
func (s *shape) finish() *shape {
	slices.SortStableFunc(s.fields, func(a, b field) int {
		if (a.name == "id") != (b.name == "id") {
			if a.name == "id" {
				return -1
			}
			return 1
		}
		return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name))
	})
	s.index = make(map[string]int, len(s.fields))
	s.off = make([]int, 0, len(s.fields)+1)
	var b strings.Builder
	for i, f := range s.fields {
		s.index[strings.ToLower(f.name)] = i
		s.off = append(s.off, b.Len())
		if f.name != "id" && !f.hidden {
			b.WriteString(`,` + strconv.Quote(f.name) + `:null`)
		}
	}
	s.off = append(s.off, b.Len())
	s.nulls = b.String()
	s.udfKey = make([]string, len(s.udfs))
	for i, u := range s.udfs {
		s.udfKey[i] = `{"name":` + string(appendString(nil, u.Name)) + `,"value":`
	}
	return s
}

// clone returns a copy whose fields and UDFs may be changed before finish is called on it.
func (s *shape) clone() *shape {
	return &shape{entity: s.entity, fields: slices.Clone(s.fields), udfs: slices.Clone(s.udfs)}
}

// udfSlot returns the position of a UDF: the one of exactly that name, else one whose name differs in case.
func (s *shape) udfSlot(name string) (int, bool) {
	i := slices.IndexFunc(s.udfs, func(u UDF) bool { return u.Name == name })
	if i < 0 {
		i = slices.IndexFunc(s.udfs, func(u UDF) bool { return strings.EqualFold(u.Name, name) })
	}
	return i, i >= 0
}

func (s *shape) slot(name string) (int, bool) {
	i, ok := s.index[strings.ToLower(name)]
	return i, ok
}
