package autotasktest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/atsync/atsync/schemas"
)

// paging is the position that nextPageUrl and prevPageUrl carry (api.md §4). It holds no filter. The
// meaning of its lists is inferred: previousIds are the ids after which the pages so far began (-1: the
// beginning), nextIds holds the last id of the page that carried the link.
type paging struct {
	PageSize    int     `json:"pageSize"`
	PreviousIDs []int64 `json:"previousIds"`
	NextIDs     []int64 `json:"nextIds"`
}

// cursor says which page is wanted.
type cursor struct {
	size     int
	after    *int64 // nil: from the beginning
	previous []int64
}

// queryText returns the query: the body of a POST, the search parameter of a GET.
func (x *exchange) queryText() ([]byte, *apiError) {
	if x.search != nil {
		return []byte(*x.search), nil
	}
	query := x.r.URL.Query()
	search := query.Get("search")
	next := x.route.op == OpNext || x.route.op == OpPrevious
	switch x.r.Method {
	case http.MethodPost:
		if next && search != "" { // born of a GET
			return nil, methodNotAllowed(http.MethodPost)
		}
		return x.body, nil
	case http.MethodGet:
		if next && search == "" { // born of a POST: the filter is in its body (api.md §4)
			return nil, methodNotAllowed(http.MethodGet)
		}
		return []byte(search), nil
	}
	return nil, methodNotAllowed(x.r.Method)
}

func methodNotAllowed(method string) *apiError {
	return &apiError{status: http.StatusMethodNotAllowed,
		message: "The requested resource does not support http method '" + method + "'."}
}

// cursor reads the paging parameter of a next or previous page.
func (x *exchange) cursor(size int) (cursor, *apiError) {
	c := cursor{size: size, previous: []int64{-1}}
	if x.route.op != OpNext && x.route.op != OpPrevious {
		return c, nil
	}
	var p paging
	if json.Unmarshal([]byte(x.r.URL.Query().Get("paging")), &p) != nil || len(p.NextIDs) != 1 ||
		p.PageSize < 1 || p.PageSize > 500 || len(p.PreviousIDs) == 0 {
		return c, failf("Value cannot be null.\r\nParameter name: paging")
	}
	c.size = p.PageSize
	if x.route.op == OpPrevious {
		c.previous = p.PreviousIDs
		if last := p.PreviousIDs[len(p.PreviousIDs)-1]; len(p.PreviousIDs) > 1 {
			c.after = &last
		}
		return c, nil
	}
	c.after = &p.NextIDs[0]
	c.previous = append(p.PreviousIDs, p.NextIDs[0])
	return c, nil
}

// appendLinks appends the two links of pageDetails.
func (x *exchange) appendLinks(b []byte, c cursor, page hits) []byte {
	prev, next := "null", "null"
	if len(c.previous) > 1 {
		prev = x.pageURL("previous", paging{c.size, c.previous[:len(c.previous)-1], c.previous[len(c.previous)-1:]})
	}
	full := len(page.ids) == c.size && len(page.ids) > 0
	if page.more || full && x.h.emptyLastPage {
		next = x.pageURL("next", paging{c.size, c.previous, page.ids[len(page.ids)-1:]})
		if x.edit.foreign != "" {
			next = strconv.Quote(x.edit.foreign)
		}
	}
	b = append(append(b, `,"prevPageUrl":`...), prev...)
	return append(append(b, `,"nextPageUrl":`...), next...)
}

// pageURL is a link as JSON text. A GET carries its search along (api.md §4).
func (x *exchange) pageURL(which string, p paging) string {
	pos, err := json.Marshal(p)
	if err != nil {
		panic(err) // three plain fields always marshal
	}
	path := x.route.entity.Path
	child := x.route.entity.Class == schemas.ClassChild
	if child {
		path = strings.Replace(x.route.entity.ChildPath, "{parentId}", strconv.FormatInt(x.route.id, 10), 1)
	}
	u := x.h.origin(x.r) + "/ATServicesRest/V1.0/" + path + "/query/" + which + "?paging=" + urlEncode(string(pos))
	if child {
		return string(appendString(nil, u)) // its path says which rows
	}
	if x.search != nil {
		u += "&search=" + urlEncode(*x.search)
	} else if x.r.Method == http.MethodGet {
		u += "&search=" + urlEncode(x.r.URL.Query().Get("search"))
	}
	return string(appendString(nil, u))
}

// urlEncode escapes as the service does: lower-case hex, a plus for a space.
func urlEncode(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!*()", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
