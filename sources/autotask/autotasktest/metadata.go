package autotasktest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// serveInfo answers {Entity}/entityInformation.
func (h *Handler) serveInfo(x *exchange) response {
	b := append([]byte(`{"info":`), h.info(x.route.entity)...)
	return x.json(append(b, '}'))
}

// serveEntities answers EntityInformation: every entity in one list.
func (h *Handler) serveEntities(x *exchange) response {
	b := []byte(`{"entityDescriptions":[`)
	first := true
	for _, e := range schemas.Catalogue() {
		if !e.Queryable || h.removed(e.Name) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, `{"info":`...), h.info(e)...), '}')
	}
	return x.json(append(b, "]}"...))
}

// info describes an entity. The access words are text, and the name is singular, as in captures of the
// live service (api.md §6, §12).
func (h *Handler) info(e *schemas.Entity) []byte {
	name := e.Singular
	if name == "" {
		name = e.Name
	}
	access := func(yes bool) string {
		if yes {
			return `"All"`
		}
		return `"None"`
	}
	query := access(e.Queryable)
	if word := h.sightWord(e); word != "" {
		query = word
	}
	hooks := false
	switch e.Name {
	case "Companies", "Contacts", "ConfigurationItems", "Tickets", "TicketNotes":
		hooks = true
	}
	writable := !strings.HasPrefix(e.Name, "Deleted") && e.Name != "TicketHistory" && e.Name != "BillingItems"
	b := append([]byte(`{"name":`), appendString(nil, name)...)
	for _, m := range []struct{ key, value string }{
		{"canCreate", strconv.FormatBool(writable)}, {"canDelete", strconv.FormatBool(e.Deletable)},
		{"canQuery", strconv.FormatBool(e.Queryable && query != `"None"`)}, {"canUpdate", strconv.FormatBool(writable)},
		{"userAccessForCreate", access(writable)}, {"userAccessForDelete", access(e.Deletable)},
		{"userAccessForQuery", query}, {"userAccessForUpdate", access(writable)},
		{"hasUserDefinedFields", strconv.FormatBool(e.HasUDF)}, {"supportsWebhookCallouts", strconv.FormatBool(hooks)},
	} {
		b = append(b, `,"`+m.key+`":`+m.value...)
	}
	return append(b, '}')
}

// serveFields answers entityInformation/fields: alphabetically, id among the others (api.md §13a).
func (h *Handler) serveFields(x *exchange) response {
	var s *shape
	h.data.read(x.entity(), func(t *table) { s = t.shape })
	fields := slices.Clone(s.fields)
	slices.SortStableFunc(fields, func(a, b field) int {
		return cmp.Compare(strings.ToLower(a.meta), strings.ToLower(b.meta))
	})
	b := []byte(`{"fields":[`)
	first := true
	for i := range fields {
		if fields[i].unlisted {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = fields[i].appendMeta(b)
	}
	return x.json(append(b, "]}"...))
}

func (f *field) appendMeta(b []byte) []byte {
	length := 0
	if f.word == "string" {
		length = f.length
	}
	b = appendKey(append(b, '{'), "name", f.meta)
	b = appendKey(append(b, ','), "dataType", f.word)
	b = append(b, `,"length":`+strconv.Itoa(length)...)
	b = appendFlag(b, "isRequired", f.required)
	b = appendFlag(b, "isReadOnly", f.readOnly)
	b = appendFlag(b, "isQueryable", f.queryable && !f.hidden)
	b = appendFlag(b, "isReference", f.reference != "")
	b = appendKey(append(b, ','), "referenceEntityType", f.reference)
	b = appendFlag(b, "isPickList", f.picklist)
	b = appendChoices(b, f.picklist, f.choices, true)
	b = appendKey(append(b, ','), "picklistParentValueField", f.parent)
	b = appendFlag(b, "isSupportedWebhookField", false)
	return append(b, '}')
}

// serveUDFs answers entityInformation/userDefinedFields. Attachments have no such route (api.md §6).
func (h *Handler) serveUDFs(x *exchange) response {
	if strings.HasSuffix(x.route.entity.Name, "Attachments") {
		return x.notFound()
	}
	var s *shape
	h.data.read(x.entity(), func(t *table) { s = t.shape })
	b := []byte(`{"fields":[`)
	for i, u := range s.udfs {
		if i > 0 {
			b = append(b, ',')
		}
		b = u.appendMeta(b)
	}
	return x.json(append(b, "]}"...))
}

// appendMeta describes a UDF: its type is called type, not dataType, and it has a label (api.md §6).
func (u *UDF) appendMeta(b []byte) []byte {
	b = appendKey(append(b, '{'), "name", u.Name)
	b = appendKey(append(b, ','), "label", u.Label)
	b = appendKey(append(b, ','), "type", u.Type)
	b = append(b, `,"length":`+strconv.Itoa(u.Length)...)
	b = appendKey(append(b, ','), "description", u.Description)
	b = appendFlag(b, "isRequired", false)
	b = appendFlag(b, "isReadOnly", false)
	b = appendFlag(b, "isQueryable", true)
	b = appendFlag(b, "isReference", false)
	b = appendKey(append(b, ','), "referenceEntityType", "")
	b = appendFlag(b, "isPickList", u.Choices != nil)
	b = appendChoices(b, u.Choices != nil, u.Choices, false)
	b = appendKey(append(b, ','), "picklistParentValueField", "")
	b = appendKey(append(b, ','), "defaultValue", "")
	b = appendFlag(b, "isSupportedWebhookField", false)
	return append(b, '}')
}

func appendKey(b []byte, key, value string) []byte {
	return appendString(append(b, `"`+key+`":`...), value)
}

func appendFlag(b []byte, key string, value bool) []byte {
	return strconv.AppendBool(append(b, `,"`+key+`":`...), value)
}

// appendChoices appends picklistValues: null where the field is no picklist. Without a parent, standard
// fields have an empty parentValue and user-defined ones null, as recorded.
func appendChoices(b []byte, picklist bool, choices []Choice, standard bool) []byte {
	b = append(b, `,"picklistValues":`...)
	if !picklist {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, c := range choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendKey(append(b, '{'), "value", c.Value)
		b = appendKey(append(b, ','), "label", c.Label)
		b = appendFlag(b, "isDefaultValue", c.Default)
		b = append(b, `,"sortOrder":`+strconv.Itoa(c.SortOrder)...)
		if c.Parent == "" && !standard {
			b = append(b, `,"parentValue":null`...)
		} else {
			b = appendKey(append(b, ','), "parentValue", c.Parent)
		}
		b = appendFlag(b, "isActive", !c.Inactive)
		b = appendFlag(b, "isSystem", c.System)
		b = append(b, '}')
	}
	return append(b, ']')
}

// serveModules answers Modules. Its content is not documented; the keys are the simulator's own.
func (h *Handler) serveModules(x *exchange) response {
	return x.json([]byte(`{"items":[{"module":"ServiceDesk","isActive":true},{"module":"Contracts","isActive":true},{"module":"Projects","isActive":true},{"module":"CRM","isActive":true},{"module":"Inventory","isActive":false}]}`))
}

func (x *exchange) notFound() response {
	return x.fail(&apiError{status: http.StatusNotFound,
		message: "No HTTP resource was found that matches the request URI '" + x.h.origin(x.r) + x.r.URL.Path + "'."})
}
