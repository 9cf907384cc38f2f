package schemas

import "strings"

// CleanText makes a text fit for SQL and for a warehouse's own records: a NUL, which would end a statement's
// text, and broken UTF-8 become U+FFFD.
func CleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// QuoteIdent quotes a name for SQL. Every name passes through it: those of user-defined fields are hostile input.
func QuoteIdent(name string) string {
	return `"` + strings.ReplaceAll(CleanText(name), `"`, `""`) + `"`
}

// QuoteLiteral quotes a text for statements that take no parameters.
func QuoteLiteral(text string) string {
	return `'` + strings.ReplaceAll(CleanText(text), `'`, `''`) + `'`
}
