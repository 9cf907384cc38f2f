package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	udfPrefix   = "udf_"
	maxNameLen  = 100 // of a field's column, without a suffix that makes it unique
	maxSlugLen  = 50  // of a UDF's slug
	shortSuffix = 8   // hex digits of the usual suffix
)

// TableName returns the table of an entity: "TimeEntries" is time_entries, "OrganizationalLevel1s" is
// organizational_level1s.
func TableName(entity string) string { return snake(entity) }

// ColumnName returns the column of a field, by its name alone: "companyID" is company_id, "rmmAlertID" is
// rmm_alert_id, and both "glCode" (rows) and "gLCode" (metadata, api.md §13a) are gl_code. The result consists of
// lower-case ASCII letters, digits and single underscores and starts with a letter or a digit, so that it can't
// be a system column. A name without any such character becomes "field_" and a hash.
// Reserved words are not avoided: identifiers are always quoted.
func ColumnName(field string) string {
	name := snake(field)
	switch {
	case name == "":
		return "field_" + nameHash(field)[:shortSuffix]
	case len(name) > maxNameLen:
		return strings.TrimRight(name[:maxNameLen-1-shortSuffix], "_") + "_" + nameHash(field)[:shortSuffix]
	}
	return name
}

// udfColumnName returns the column of a UDF when no other column wants the same name.
func udfColumnName(udf string) (name string, plain bool) {
	s := slug(udf)
	if s == "" {
		return udfPrefix + nameHash(udf)[:shortSuffix], false
	}
	return udfPrefix + s, true
}

// suffixed makes a wanted name unique by a hash of the exact source name, so that it depends on nothing else.
func suffixed(wanted, source string, taken map[string]bool) string {
	h := nameHash(source)
	for n := shortSuffix; ; n *= 2 {
		name := wanted + "_" + h[:min(n, len(h))]
		if !taken[name] || n >= len(h) {
			return name
		}
	}
}

// slug is a UDF's name reduced to runs of lower-case ASCII letters and digits, joined by underscores.
func slug(name string) string {
	var b strings.Builder
	gap := false
	for i := 0; i < len(name) && b.Len() < maxSlugLen; i++ {
		c := lowerByte(name[i])
		if !isLower(c) && !isDigit(c) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('_')
		}
		gap = false
		b.WriteByte(c)
	}
	return b.String()
}

// snake splits a camel-case name into lower-case words. A run of capitals is one word (IPAddress is ip_address),
// a plural s belongs to it (companyIDs is company_ids), digits belong to the word before them, and a
// single small letter before capitals is a capital that lost its case (gLCode).
func snake(name string) string {
	src := []byte(name)
	if len(src) > 2 && isLower(src[0]) && isUpper(src[1]) {
		src[0] -= 'a' - 'A'
	}
	out := make([]byte, 0, len(src)+8)
	gap := false
	for i, c := range src {
		if !isUpper(c) && !isLower(c) && !isDigit(c) {
			gap = true
			continue
		}
		if len(out) > 0 && (gap || startsWord(src, i)) {
			out = append(out, '_')
		}
		gap = false
		out = append(out, lowerByte(c))
	}
	return string(out)
}

// startsWord reports whether the character at i, which has one before it, begins a new word.
func startsWord(s []byte, i int) bool {
	if i == 0 || !isUpper(s[i]) {
		return false
	}
	if !isUpper(s[i-1]) {
		return true
	}
	if i+1 >= len(s) || !isLower(s[i+1]) {
		return false // within a run of capitals
	}
	plural := s[i+1] == 's' && (i+2 == len(s) || !isLower(s[i+2]))
	return !plural
}

func nameHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func lowerByte(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}
