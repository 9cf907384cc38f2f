package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseMetadata reads the bodies of {Entity}/entityInformation/fields and, if the entity has that route (api.md §6),
// …/userDefinedFields; udfs may be nil. It is lenient with values (flags as 0/1 or text, numbers as text, null
// for anything, unknown keys) and strict with the shape: a body that is not an object with a list "fields", or that
// carries "errors", is an error, since a table must not be shaped by half an answer.
func ParseMetadata(fields, udfs []byte) (*Metadata, error) {
	m := new(Metadata)
	var err error
	if m.Fields, err = parseFields(fields); err != nil {
		return nil, fmt.Errorf("field metadata: %w", err)
	}
	if len(m.Fields) == 0 {
		return nil, errors.New("field metadata: the list is empty (the API user may lack the right to see this entity)")
	}
	if udfs != nil {
		if m.UDFs, err = parseFields(udfs); err != nil {
			return nil, fmt.Errorf("user-defined field metadata: %w", err)
		}
	}
	return m, nil
}

// wireField is MetaField as it may arrive.
type wireField struct {
	Name       wireText    `json:"name"`
	Label      wireText    `json:"label"`
	DataType   wireText    `json:"dataType"`
	Type       wireText    `json:"type"`
	Length     wireText    `json:"length"`
	Required   wireFlag    `json:"isRequired"`
	ReadOnly   wireFlag    `json:"isReadOnly"`
	Queryable  wireFlag    `json:"isQueryable"`
	Reference  wireFlag    `json:"isReference"`
	RefEntity  wireText    `json:"referenceEntityType"`
	Picklist   wireFlag    `json:"isPickList"`
	Values     wireChoices `json:"picklistValues"`
	ParentName wireText    `json:"picklistParentValueField"`
}

// wireChoice is PicklistValue as it may arrive.
type wireChoice struct {
	Value   wireText `json:"value"`
	Label   wireText `json:"label"`
	Parent  wireText `json:"parentValue"`
	Sort    wireText `json:"sortOrder"`
	Active  wireFlag `json:"isActive"`
	Default wireFlag `json:"isDefaultValue"`
	System  wireFlag `json:"isSystem"`
}

// wireChoices is a list of choices; anything else is none.
type wireChoices []wireChoice

// UnmarshalJSON fails only on a list of something else.
func (c *wireChoices) UnmarshalJSON(raw []byte) error {
	*c = nil
	if raw[0] != '[' {
		return nil
	}
	return json.Unmarshal(raw, (*[]wireChoice)(c))
}

// wireText is a string, number or boolean, kept as text; anything else is "".
type wireText string

// UnmarshalJSON never fails: what is no scalar counts as absent.
func (t *wireText) UnmarshalJSON(raw []byte) error {
	*t = ""
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = wireText(s)
	case '{', '[', 'n':
	default:
		*t = wireText(raw)
	}
	return nil
}

// wireFlag is true for true, "true", any number but 0, and such a number as text.
type wireFlag bool

// UnmarshalJSON never fails on a well-formed value.
func (f *wireFlag) UnmarshalJSON(raw []byte) error {
	var t wireText
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	word := strings.TrimSpace(string(t))
	n, err := strconv.ParseFloat(word, 64)
	*f = wireFlag(strings.EqualFold(word, "true") || err == nil && n != 0)
	return nil
}

func parseFields(body []byte) ([]MetaField, error) {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, fmt.Errorf("the answer is no JSON object: %s", excerpt(body))
	}
	var wire struct {
		Fields *[]*wireField   `json:"fields"`
		Errors json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(trimmed, &wire); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %s: %s", printable(err.Error(), 200), excerpt(body))
	}
	switch {
	case len(errorTexts(wire.Errors)) > 0:
		return nil, fmt.Errorf("the API reports: %s", strings.Join(errorTexts(wire.Errors), "; "))
	case wire.Fields == nil:
		return nil, fmt.Errorf(`the answer has no list "fields": %s`, excerpt(body))
	}
	out := make([]MetaField, 0, len(*wire.Fields))
	for _, w := range *wire.Fields {
		if w != nil && w.Name != "" {
			out = append(out, w.field())
		}
	}
	return out, nil
}

func (w *wireField) field() MetaField {
	f := MetaField{
		Name:            string(w.Name),
		Label:           string(w.Label),
		DataType:        string(w.DataType),
		Type:            string(w.Type),
		IsRequired:      bool(w.Required),
		IsReadOnly:      bool(w.ReadOnly),
		IsQueryable:     bool(w.Queryable),
		IsReference:     bool(w.Reference),
		ReferenceEntity: string(w.RefEntity),
		IsPicklist:      bool(w.Picklist),
		PicklistParent:  string(w.ParentName),
	}
	if n, err := strconv.ParseInt(string(w.Length), 10, 64); err == nil {
		f.Length = json.Number(strconv.FormatInt(n, 10))
	}
	for _, v := range w.Values {
		order, _ := strconv.ParseFloat(string(v.Sort), 64)
		f.PicklistValues = append(f.PicklistValues, PicklistValue{
			Value:       string(v.Value),
			Label:       string(v.Label),
			ParentValue: string(v.Parent),
			SortOrder:   int(max(-1<<31, min(1<<31-1, order))),
			IsActive:    bool(v.Active),
			IsDefault:   bool(v.Default),
			IsSystem:    bool(v.System),
		})
	}
	return f
}

// excerpt quotes the beginning of a body for an error text: printable ASCII only, at most 80 characters.
func excerpt(body []byte) string {
	const most = 80
	if len(bytes.TrimSpace(body)) == 0 {
		return "it is empty"
	}
	var b strings.Builder
	b.WriteString("it begins \"")
	for i, c := range body {
		if i == most {
			b.WriteString("…")
			break
		}
		if c < ' ' || c > '~' || c == '"' {
			c = '.'
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}
