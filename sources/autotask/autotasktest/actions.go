package autotasktest

import (
	"net"
	"net/http"
	"time"
)

// Action is what a [Fault] does to a request. The zero Action does nothing.
type Action struct {
	instead func(x *exchange) (response, bool) // answers; false: go on
	edit    pageEdit
	send    func(w http.ResponseWriter, r *http.Request, resp response)
}

// pageEdit changes an answer.
type pageEdit struct {
	again   bool   // forget the lower bound of ids
	reverse bool   // rows by falling id
	field   string // of one row in the middle …
	text    string // … becomes this JSON text; empty: the key is left out
	foreign string // nextPageUrl
	body    func([]byte) []byte
}

func answer(resp response) Action {
	return Action{instead: func(*exchange) (response, bool) { return resp, true }}
}

// Status answers with a status and, if there are texts, {"errors":[…]}; else the body is empty.
func Status(code int, texts ...string) Action {
	return Action{instead: func(x *exchange) (response, bool) {
		return x.fail(&apiError{status: code, texts: texts}), true
	}}
}

// RateLimited answers 429 as the service does when threads run out, with a Retry-After header if
// retryAfter is not empty.
func RateLimited(retryAfter string) Action {
	return Action{instead: func(x *exchange) (response, bool) {
		resp := x.fail(&apiError{status: 429, texts: []string{"The Autotask API thread threshold of 3 threads has been exceeded."}})
		if retryAfter != "" {
			resp.header = map[string]string{"Retry-After": retryAfter}
		}
		return resp, true
	}}
}

// Errors200 answers 200 with {"errors":[…]} (api.md §5).
func Errors200(texts ...string) Action { return Status(http.StatusOK, texts...) }

// HTML answers with a status and a web page, as gateways and maintenance windows do.
func HTML(code int) Action {
	return answer(response{status: code, contentType: "text/html", body: []byte(
		"<html><head><title>Service Unavailable</title></head><body><h1>The service is unavailable.</h1></body></html>\r\n")})
}

// EmptyBody answers 200 with no body at all.
func EmptyBody() Action { return answer(response{status: 200, contentType: jsonType}) }

// Body answers with any status, type and body.
func Body(code int, contentType, body string) Action {
	return answer(response{status: code, contentType: contentType, body: []byte(body)})
}

// InvalidJSON sends a whole HTTP answer whose JSON breaks off after two thirds.
func InvalidJSON() Action {
	return Action{edit: pageEdit{body: func(b []byte) []byte { return b[:len(b)*2/3] }}}
}

// Reset closes the connection without an answer; where it can, with a TCP reset.
func Reset() Action {
	return Action{instead: func(*exchange) (response, bool) { return response{}, true }, send: reset}
}

func reset(w http.ResponseWriter, _ *http.Request, _ response) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a plain handler: net/http aborts the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // makes Close send a reset
	}
	_ = conn.Close()
}

// Truncate announces the whole body and closes the connection after half of it.
func Truncate() Action {
	return Action{send: func(w http.ResponseWriter, _ *http.Request, resp response) {
		w.WriteHeader(resp.status)
		_, _ = w.Write(resp.body[:len(resp.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}
}

// Hang never answers. It ends when the client gives up or the server closes; until then the request
// holds its thread.
func Hang() Action {
	return Action{send: reset, instead: func(x *exchange) (response, bool) {
		select {
		case <-x.ctx().Done():
		case <-x.h.done:
		}
		return response{}, true
	}}
}

// Delay answers as usual, d later.
func Delay(d time.Duration) Action {
	return Action{instead: func(x *exchange) (response, bool) { x.sleep(d); return response{}, false }}
}

// Drip sends the body in pieces of chunk bytes, one every interval.
func Drip(chunk int, interval time.Duration) Action {
	return Action{send: func(w http.ResponseWriter, r *http.Request, resp response) {
		w.WriteHeader(resp.status)
		rc := http.NewResponseController(w)
		for b := resp.body; len(b) > 0; {
			n := min(max(chunk, 1), len(b))
			if _, err := w.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
			_ = rc.Flush()
			t := time.NewTimer(interval)
			select {
			case <-t.C:
			case <-r.Context().Done():
				t.Stop()
				return
			}
		}
	}}
}

// Call runs f, for example to change rows in the middle of a scan, and then answers as usual.
func Call(f func(Request)) Action {
	return Action{instead: func(x *exchange) (response, bool) {
		f(x.request(x.h.Now()))
		return response{}, false
	}}
}

// DuplicatePage forgets the lower bound of ids, so that a client that pages by id gets the first page again.
func DuplicatePage() Action { return Action{edit: pageEdit{again: true}} }

// UnorderedIDs sends a page's rows by falling id.
func UnorderedIDs() Action { return Action{edit: pageEdit{reverse: true}} }

// RowWithoutID leaves the id out of one row in the middle of the page.
func RowWithoutID() Action { return Action{edit: pageEdit{field: "id"}} }

// WrongType sends JSON text in place of a field's value in one row in the middle of the page:
// WrongType("estimatedHours", `"abc"`).
func WrongType(field, text string) Action { return Action{edit: pageEdit{field: field, text: text}} }

// ForeignNextURL makes nextPageUrl name another host. A client that sends its login there leaks it.
func ForeignNextURL(url string) Action { return Action{edit: pageEdit{foreign: url}} }
