package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in the configuration.
type Problem struct {
	File   string `json:"file,omitempty"`   // empty: the environment
	Line   int    `json:"line,omitempty"`   // from 1; 0: the file as a whole
	Column int    `json:"column,omitempty"` // from 1, in characters
	Path   string `json:"path,omitempty"`   // "tenants.acme.secret", or the variable's name
	What   string `json:"what"`             // what is wrong
	Fix    string `json:"fix,omitempty"`    // what to write
}

// Error prints "file:line:col: path: what (fix)"; empty parts are left out.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
		}
		b.WriteString(" ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Fix != "" {
		b.WriteString(" (" + p.Fix + ")")
	}
	return b.String()
}

// Problems are all mistakes found, in the order of the file, those of the environment last.
type Problems []Problem

// Error prints one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(b2i(a.File == ""), b2i(b.File == "")),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
		)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// finding is what is wrong with a value and what to write instead, before it has a place.
type finding struct{ what, fix string }

func (f *finding) Error() string { return f.what }

func wrong(fix, format string, args ...any) *finding {
	return &finding{what: fmt.Sprintf(format, args...), fix: fix}
}

// fromText turns "what is wrong (what to write)" into a finding.
func fromText(text string) *finding {
	if i := strings.LastIndex(text, " ("); i > 0 && strings.HasSuffix(text, ")") {
		return &finding{what: text[:i], fix: text[i+2 : len(text)-1]}
	}
	return &finding{what: text}
}

// nearest returns the candidate that word is most likely a slip of, or "".
func nearest(word string, candidates []string) string {
	best, least := "", 1+max(1, len(word)/2)
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates { // "code" for "integration_code", "tz" for nothing
		if len(word) >= 3 && (strings.Contains(c, strings.ToLower(word)) || strings.Contains(strings.ToLower(word), c)) {
			return c
		}
	}
	return ""
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that lead from a to b.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := b2i(a[i-1] != b[j-1])
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
