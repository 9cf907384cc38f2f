package autotask

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// childAnswer is what a child path answers: a list, one item, or the object itself.
type childAnswer struct {
	Items       *[]json.RawMessage `json:"items"`
	Item        json.RawMessage    `json:"item"`
	PageDetails struct {
		Next string `json:"nextPageUrl"`
	} `json:"pageDetails"`
}

// items brings one parent's answer into the form of a page, and returns the address of the next one. Rows below a
// parent may lack an id or their parent's id, and come in any order: the parent's id stands in for both.
func (r *childReader) items(body []byte, parent int64) (page []byte, next string, err error) {
	var a childAnswer
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, "", errors.New("the body is no JSON object")
	}
	next = a.PageDetails.Next
	if r.entity.Queryable {
		return body, next, nil // the decoder says what is wrong with it
	}
	if texts := errorTexts(body); len(texts) > 0 {
		return nil, "", textFailure(answer{}, texts)
	}
	var rows []json.RawMessage
	switch {
	case a.Items != nil:
		rows = *a.Items
	case len(a.Item) > 0 && string(a.Item) != "null":
		rows = []json.RawMessage{a.Item}
	case a.Item == nil && !r.known(body):
		return nil, "", errors.New("the answer has neither items nor an item, and is no row either")
	case a.Item == nil:
		rows = []json.RawMessage{body}
	}
	type numbered struct {
		id  int64
		row json.RawMessage
	}
	list := make([]numbered, len(rows))
	for i, raw := range rows {
		if list[i].id, list[i].row, err = r.complete(raw, parent); err != nil {
			return nil, "", fmt.Errorf("item %d: %w", i, err)
		}
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.id, b.id) })
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i, n := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(n.row)
	}
	b.WriteString(`]}`)
	return b.Bytes(), next, nil
}

// known reports whether a body has a field of the entity.
func (r *childReader) known(body []byte) bool {
	var row map[string]json.RawMessage
	if json.Unmarshal(body, &row) != nil {
		return false
	}
	for key := range row {
		if r.table.Column(key) != nil {
			return true
		}
	}
	return false
}

// complete gives a row what it lacks of its id and its parent's, and returns its id.
func (r *childReader) complete(raw json.RawMessage, parent int64) (int64, json.RawMessage, error) {
	var row map[string]json.RawMessage
	if err := json.Unmarshal(raw, &row); err != nil || row == nil {
		return 0, nil, errors.New("it is no object")
	}
	id, changed := parent, false
	for _, name := range []string{r.entity.ParentKey, "id"} {
		has := false
		for key, value := range row {
			if !strings.EqualFold(key, name) {
				continue
			}
			if string(value) == "null" {
				delete(row, key)
				continue
			}
			has = true
			if name == "id" {
				n, err := strconv.ParseInt(strings.Trim(string(value), `"`), 10, 64)
				if err != nil {
					return 0, nil, fmt.Errorf("its id %.40q is no integer", value)
				}
				id = n
			}
		}
		if !has {
			row[name], changed = strconv.AppendInt(nil, parent, 10), true
		}
	}
	if !changed {
		return id, raw, nil
	}
	out, err := json.Marshal(row)
	return id, out, err
}
