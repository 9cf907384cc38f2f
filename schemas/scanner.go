package schemas

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is how deep values may nest, as in encoding/json.
const maxDepth = 10000

// scanner walks over JSON text (RFC 8259, nothing beyond it). Its methods report false where the text is broken
// or ends; i then is near the place.
type scanner struct {
	b     []byte
	i     int
	stack []byte // closing brackets that skip still waits for
}

// tokenKind tells JSON values apart.
type tokenKind uint8

const (
	tokNull tokenKind = iota + 1
	tokTrue
	tokFalse
	tokNumber
	tokString
	tokNested // an object or an array
)

// token is one value. A string's content is lit without its quotes.
type token struct {
	lit     []byte // as sent
	kind    tokenKind
	escaped bool // a string, or something nested, with backslashes
	wide    bool // the same with bytes beyond ASCII
}

// merge notes in t what is in a part of it.
func (t *token) merge(part *token) {
	t.escaped = t.escaped || part.escaped
	t.wide = t.wide || part.wide
}

// content returns a string's text, still escaped.
func (t *token) content() []byte { return t.lit[1 : len(t.lit)-1] }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take skips white space and then c.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// more moves over a comma, after which another element is due, or over the closing bracket end.
func (s *scanner) more(end byte) (more, ok bool) {
	switch s.peek() {
	case ',':
		s.i++
		return true, true
	case end:
		s.i++
		return false, true
	}
	return false, false
}

// empty moves over the closing bracket end, if it follows at once.
func (s *scanner) empty(end byte) bool {
	if s.peek() != end {
		return false
	}
	s.i++
	return true
}

// value reads the value at i, after white space.
func (s *scanner) value(t *token) bool {
	c := s.peek()
	start := s.i
	t.escaped, t.wide = false, false
	ok := false
	switch {
	case c == '"':
		t.kind = tokString
		ok = s.str(t)
	case isDigit(c) || c == '-':
		t.kind = tokNumber
		ok = s.number()
	case c == 'n':
		t.kind = tokNull
		ok = s.word("null")
	case c == 't':
		t.kind = tokTrue
		ok = s.word("true")
	case c == 'f':
		t.kind = tokFalse
		ok = s.word("false")
	case c == '{' || c == '[':
		t.kind = tokNested
		ok = s.skip(t)
	}
	t.lit = s.b[start:s.i]
	return ok
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops marks, by the high bit of each of eight bytes, a quote, a backslash, a control character or a byte beyond
// ASCII. The lowest mark is right; marks above it may be false.
func stops(w uint64) uint64 {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w - ones*' ') | w) & highs
}

// str moves over the string at i.
func (s *scanner) str(t *token) bool {
	i := s.i + 1
	for {
		for i+8 <= len(s.b) {
			if m := stops(binary.LittleEndian.Uint64(s.b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(s.b) {
			s.i = len(s.b)
			return false
		}
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return true
		case c == '\\':
			n := escapeLen(s.b[i:])
			if n == 0 {
				s.i = i
				return false
			}
			t.escaped = true
			i += n
		case c < ' ':
			s.i = i
			return false
		case c >= utf8.RuneSelf:
			t.wide = true
			i++
		default:
			i++
		}
	}
}

// escapeLen returns the length of the escape that b begins with, or 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the code unit of an escape like \u00e9.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number moves over the number at i.
func (s *scanner) number() bool {
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i >= len(s.b):
		return false
	case s.b[s.i] == '0':
		s.i++
	case !s.digits():
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		return s.digits()
	}
	return true
}

// digits moves over one digit or more.
func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && isDigit(s.b[s.i]) {
		s.i++
	}
	return s.i > start
}

// skip moves over the object or array at i, however deep, without recursion.
func (s *scanner) skip(t *token) bool {
	s.stack = s.stack[:0]
	var inner token
	for {
		// A value is due.
		switch c := s.peek(); c {
		case '{', '[':
			if len(s.stack) == maxDepth {
				return false
			}
			s.i++
			s.stack = append(s.stack, c+2) // the closing bracket, in ASCII
			if s.peek() != c+2 {
				if c == '{' && !s.key(&inner) {
					return false
				}
				t.merge(&inner)
				continue
			}
			s.i++
			s.stack = s.stack[:len(s.stack)-1]
		default:
			if !s.value(&inner) {
				return false
			}
			t.merge(&inner)
		}
		// A value is done: a comma or closing brackets are due.
		for {
			if len(s.stack) == 0 {
				return true
			}
			end := s.stack[len(s.stack)-1]
			more, ok := s.more(end)
			if !ok || more && end == '}' && !s.key(&inner) {
				return false
			}
			if more {
				t.merge(&inner)
				break
			}
			s.stack = s.stack[:len(s.stack)-1]
		}
	}
}

// key moves over a key and its colon.
func (s *scanner) key(t *token) bool {
	if s.peek() != '"' {
		return false
	}
	start := s.i
	t.kind, t.escaped, t.wide = tokString, false, false
	if !s.str(t) {
		return false
	}
	t.lit = s.b[start:s.i]
	return s.take(':')
}
