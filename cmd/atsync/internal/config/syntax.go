package config

import (
	"regexp"
	"strconv"
	"strings"
)

// syntax records the YAML parser's one complaint, with a better place and hint for what people trip over
// most. The text of the file is not repeated: it might be a secret.
func (d *document) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	lines := strings.Split(string(data), "\n")
	line = max(1, min(line, len(lines)))
	at := place{line, firstColumn(lines[line-1])}
	fix := "check quotes, brackets and indentation around here"
	switch {
	case strings.Contains(text, "UTF-8") || strings.Contains(text, "control characters"):
		fix = "save the file as UTF-8 text"
	case strings.Contains(text, "second document"):
		fix = "keep one document a file: take the --- out"
	case strings.Contains(lines[line-1][:at.column-1], "\t"):
		text, fix = "a tab stands in the indentation", "indent with spaces"
	case unquoted(lines, line) != place{}:
		at = unquoted(lines, line)
		text = "a value can't start with " + string([]rune(lines[at.line-1])[at.column-1])
		fix = "put the value in quotes"
	case strings.Contains(text, "mapping values are not allowed"):
		fix = "check the indentation, and put a value that holds a colon in quotes"
	case strings.Contains(text, "end of stream"):
		at = firstOpen(lines, 1, at, odd)
		text, fix = "a quote is not closed", "write the closing quote"
	case strings.Contains(text, "did not find expected ','"):
		at = firstOpen(lines, line, at, unbalanced)
		fix = "close the bracket, and put a value that holds { or [ in quotes"
	case strings.Contains(text, "unknown anchor"):
		text, fix = "a value that starts with * is an alias", "put the value in quotes"
	}
	d.report(at, "", wrong(fix, "not YAML: %s", text))
}

// unquoted finds a value near line that starts with a character YAML reserves, or returns the zero place.
func unquoted(lines []string, line int) place {
	value := regexp.MustCompile("^(\\s*(?:- *)?(?:[\\w-]+:\\s+)?)[*@%`&]")
	for _, n := range []int{line, line - 1, line + 1} {
		if n < 1 || n > len(lines) {
			continue
		}
		if m := value.FindStringSubmatch(lines[n-1]); m != nil {
			return place{n, len([]rune(m[1])) + 1}
		}
	}
	return place{}
}

// firstOpen returns the first line at or after from that is open, or otherwise.
func firstOpen(lines []string, from int, otherwise place, open func(string) bool) place {
	for n := from; n <= len(lines); n++ {
		if open(lines[n-1]) {
			return place{n, firstColumn(lines[n-1])}
		}
	}
	return otherwise
}

func odd(line string) bool {
	return strings.Count(line, `"`)%2 == 1 || strings.Count(line, `'`)%2 == 1
}

func unbalanced(line string) bool {
	return strings.Count(line, "[") != strings.Count(line, "]") ||
		strings.Count(line, "{") != strings.Count(line, "}") || strings.Count(line, "{") > 1
}

// firstColumn is the column of a line's first character that is not blank.
func firstColumn(line string) int {
	return len([]rune(line)) - len([]rune(strings.TrimLeft(line, " \t"))) + 1
}
