package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// page reads a whole body: an object with a list "items". Of pageDetails only it matters whether there is a next
// page; other keys are passed over.
func (d *Decoder) page(body []byte, after *int64) (Page, error) {
	d.s.b, d.s.i = body, 0
	if d.s.word("\xef\xbb\xbf") { // byte order mark
		d.s.space()
	}
	if !d.s.take('{') {
		return Page{}, d.notPage("the body is no JSON object")
	}
	var page Page
	var found, next bool
	var key, val token
	for more := !d.s.empty('}'); more; {
		if !d.s.key(&key) {
			return Page{}, d.broken()
		}
		switch name := key.content(); {
		case equalFold(string(name), "items"):
			if found {
				return Page{}, d.notPage(`the body has two lists "items"`)
			}
			found = true
			var err error
			if page, err = d.items(after); err != nil {
				return Page{}, err
			}
		case !d.s.value(&val):
			return Page{}, d.broken()
		case equalFold(string(name), "pageDetails"):
			next = hasNext(val.lit)
		case equalFold(string(name), "errors"):
			if texts := errorTexts(val.lit); len(texts) > 0 {
				return Page{}, &BodyError{Kind: APIErrors, Item: -1, Errors: texts,
					Detail: "the API reports: " + printable(strings.Join(texts, "; "), 500)}
			}
		}
		var ok bool
		if more, ok = d.s.more('}'); !ok {
			return Page{}, d.broken()
		}
	}
	if !found {
		return Page{}, d.notPage(`the body has no list "items"`)
	}
	if d.s.peek(); d.s.i < len(body) {
		return Page{}, d.notPage(fmt.Sprintf("something follows the JSON object at byte %d", d.s.i))
	}
	page.More = next
	return page, nil
}

// hasNext reports whether pageDetails names a next page. The address itself is never used (api.md §4).
func hasNext(details []byte) bool {
	var d struct {
		Next *string `json:"nextPageUrl"`
	}
	return json.Unmarshal(details, &d) == nil && d.Next != nil && *d.Next != ""
}

// items reads the list of rows.
func (d *Decoder) items(after *int64) (Page, error) {
	var page Page
	if !d.s.take('[') { // null, too: the recorded empty answer is []
		return page, d.notPage(`"items" is no list`)
	}
	last := after
	for more := !d.s.empty(']'); more; {
		if err := d.item(page.Rows); err != nil {
			return page, err
		}
		id := d.cur.id
		if last != nil && id <= *last {
			return page, &BodyError{Kind: Order, Item: page.Rows,
				Detail: fmt.Sprintf("item %d: id %d does not exceed %d", page.Rows, id, *last)}
		}
		if page.Rows == 0 {
			page.FirstID = id
		}
		page.LastID = id
		page.Rows++
		last = &page.LastID
		var ok bool
		if more, ok = d.s.more(']'); !ok {
			return page, d.broken()
		}
	}
	return page, nil
}

// item reads one row into the buffers; n is its index in the page.
func (d *Decoder) item(n int) error {
	c := &d.cur
	*c = item{serial: c.serial + 1, rejects: len(d.rejects), loose: c.loose[:0]}
	if d.s.peek() != '{' {
		var val token
		if !d.s.value(&val) {
			return d.broken()
		}
		return &BodyError{Kind: NoID, Item: n, Detail: fmt.Sprintf("item %d is no object", n)}
	}
	d.s.i++
	if !d.fields() {
		return d.broken()
	}
	if !c.hasID {
		return &BodyError{Kind: NoID, Item: n, Detail: fmt.Sprintf("item %d has no integer id", n)}
	}
	d.writeExtra()
	for i := c.rejects; i < len(d.rejects); i++ {
		d.rejects[i].ID = c.id
	}
	d.hashes = append(d.hashes, int64(c.hash))
	d.rows++
	return nil
}

// fields reads an item's keys and values, up to and with its closing brace.
func (d *Decoder) fields() bool {
	var key, val token
	var ok bool
	for i, more := 0, !d.s.empty('}'); more; i++ {
		to := d.keys.guess(&d.s, i)
		if to == toNone {
			if !d.s.key(&key) {
				return false
			}
			to = d.keys.find(&key, i)
		}
		if to == toUDFs {
			if !d.udfList() {
				return false
			}
		} else {
			if !d.s.value(&val) {
				return false
			}
			if to == toNone {
				d.loosen(&key, &val, false)
			} else {
				if to == d.id {
					d.takeID(&val)
				}
				d.put(&d.cols[to], &val)
			}
		}
		if more, ok = d.s.more('}'); !ok {
			return false
		}
	}
	return true
}

// takeID notes the row's id, if the value is one.
func (d *Decoder) takeID(t *token) {
	d.cur.id, d.cur.hasID = 0, false
	if lit, ok := d.numeral(t); ok {
		d.cur.id, d.cur.hasID = integer(lit)
	}
}

// broken says that the text is no JSON at the scanner's place.
func (d *Decoder) broken() error {
	if d.s.i >= len(d.s.b) {
		return d.notPage(fmt.Sprintf("the body is truncated after %d bytes", len(d.s.b)))
	}
	return d.notPage(fmt.Sprintf("the body is no valid JSON at byte %d", d.s.i))
}

func (d *Decoder) notPage(what string) error {
	return &BodyError{Kind: NotPage, Item: -1, Detail: what + ": " + excerpt(d.s.b)}
}

// errorTexts reads the value of "errors": texts, or objects with a message (api.md §5). An empty list is none.
func errorTexts(raw []byte) []string {
	const most, longest = 20, 500
	var list []any
	if json.Unmarshal(raw, &list) != nil {
		var one any
		if json.Unmarshal(raw, &one) != nil || one == nil || one == "" {
			return nil
		}
		list = []any{one}
	}
	var texts []string
	for _, v := range list[:min(len(list), most)] {
		text, isText := v.(string)
		if m, ok := v.(map[string]any); ok {
			text, isText = m["message"].(string)
		}
		if !isText {
			b, err := json.Marshal(v)
			if err != nil {
				continue
			}
			text = string(b)
		}
		texts = append(texts, printable(text, longest))
	}
	return texts
}

// printable returns a text in one line of printable characters, cut to most of them.
func printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
			n++
		}
		for _, r := range word {
			if n++; n > most {
				b.WriteString("…")
				return b.String()
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
