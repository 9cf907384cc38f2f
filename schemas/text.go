package schemas

import (
	"unicode/utf16"
	"unicode/utf8"
)

// appendText appends the text of a string token. damaged says that something was no text, a lone surrogate or bytes
// that are no UTF-8, and was replaced by U+FFFD.
func appendText(dst []byte, t *token) (out []byte, damaged bool) {
	src := t.content()
	if !t.escaped && (!t.wide || utf8.Valid(src)) {
		return append(dst, src...), false
	}
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\\' && src[i+1] == 'u':
			r, n := unescape(src[i:])
			damaged = damaged || r == utf8.RuneError && !isReplacement(src[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		case c == '\\':
			dst = append(dst, unescapeByte(src[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			start := i
			for i < len(src) && src[i] != '\\' && src[i] < utf8.RuneSelf {
				i++
			}
			dst = append(dst, src[start:i]...)
		default:
			r, n := utf8.DecodeRune(src[i:])
			damaged = damaged || r == utf8.RuneError && n == 1
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst, damaged
}

// isReplacement reports whether b begins with an honest \ufffd.
func isReplacement(b []byte) bool {
	r, ok := hex4(b)
	return ok && r == utf8.RuneError
}

// unescape reads one \u escape, or the two of a surrogate pair. A lone surrogate is U+FFFD.
func unescape(b []byte) (r rune, n int) {
	r, _ = hex4(b)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := hex4(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func unescapeByte(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// appendRaw appends a value as sent, save that what is no text is replaced by U+FFFD, so that the result is
// well-formed JSON in UTF-8 for every reader.
func appendRaw(dst []byte, t *token) (out []byte, damaged bool) {
	if !t.escaped && (!t.wide || utf8.Valid(t.lit)) {
		return append(dst, t.lit...), false
	}
	for i := 0; i < len(t.lit); {
		c := t.lit[i]
		switch {
		case c == '\\' && t.lit[i+1] == 'u':
			r, n := unescape(t.lit[i:])
			if r == utf8.RuneError && !isReplacement(t.lit[i:]) {
				damaged = true
				dst = append(dst, `\ufffd`...)
			} else {
				dst = append(dst, t.lit[i:i+n]...)
			}
			i += n
		case c == '\\':
			dst = append(dst, t.lit[i:i+2]...)
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(t.lit[i:])
			damaged = damaged || r == utf8.RuneError && n == 1
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst, damaged
}

// appendQuoted appends text, which is UTF-8, as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
