package console

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// Column is a table's column.
type Column struct {
	Title string
	Right bool // align to the right, as for numbers; never cut
	Min   int  // cut to no less than this many places, as for names that people type; 0: 8
}

// Left and Right make columns aligned to that side.
func Left(title string) Column { return Column{Title: title} }

// Right makes a column aligned to the right.
func Right(title string) Column { return Column{Title: title, Right: true} }

// Table is text in columns. Widths are those a terminal shows: wide characters count two, combining ones
// none. It is used by one goroutine.
type Table struct {
	columns []Column
	rows    [][]string // nil: a rule
	indent  string
	fitted  bool // Fit was called
	width   int
}

const (
	narrowest = 8  // how far a column is cut to fit a table
	foldable  = 20 // how much room text needs to go on in the next line
)

// NewTable makes an empty table.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Indent sets what stands before each line.
func (t *Table) Indent(blanks string) *Table {
	t.indent = blanks
	return t
}

// Fit sets how many columns of a terminal the table may take; 0 is any number. Without it, Write asks the
// terminal it writes to. What is too wide is cut with "…", the widest column of text first; numbers are
// never cut, so a table of many columns may not fit. A table without titles is a list of facts: its last
// column goes on in the next line instead.
func (t *Table) Fit(width int) *Table {
	t.fitted, t.width = true, width
	return t
}

// Row adds a line. Whole numbers get thousands separators, durations and errors their short form; text is
// Cleaned. Missing cells are empty.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.columns))
	for i, c := range cells[:min(len(cells), len(row))] {
		switch v := c.(type) {
		case nil:
		case int:
			row[i] = Count(int64(v))
		case int64:
			row[i] = Count(v)
		case float64:
			row[i] = fmt.Sprintf("%.1f", v)
		case time.Duration:
			row[i] = Duration(v)
		default:
			row[i] = Clean(fmt.Sprint(v))
		}
	}
	t.rows = append(t.rows, row)
}

// Rule adds a line between rows, as over a total.
func (t *Table) Rule() { t.rows = append(t.rows, nil) }

// Len returns the number of rows, rules left out.
func (t *Table) Len() int {
	n := 0
	for _, r := range t.rows {
		if r != nil {
			n++
		}
	}
	return n
}

// Write prints the table with its titles. No line ends in blanks.
func (t *Table) Write(w io.Writer) error {
	limit := t.width
	if !t.fitted {
		limit = Width(w)
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.Title
	}
	var b strings.Builder
	rows := t.rows
	if strings.Join(titles, "") == "" {
		rows, limit = t.folded(limit), 0
	}
	widths := t.widths(rows, limit)
	if strings.Join(titles, "") != "" {
		t.line(&b, titles, widths)
	}
	for _, row := range rows {
		if row == nil {
			rule := t.total(widths)
			if limit > 0 {
				rule = min(rule, limit)
			}
			b.WriteString(t.indent + strings.Repeat("─", max(rule-len(t.indent), 0)) + "\n")
			continue
		}
		t.line(&b, row, widths)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// folded returns the rows with the last column broken into lines so that it ends within limit.
func (t *Table) folded(limit int) [][]string {
	last := len(t.columns) - 1
	if last < 0 || t.columns[last].Right {
		return t.rows
	}
	widths := t.widths(t.rows, 0)
	room := limit - (t.total(widths) - widths[last])
	if room < foldable {
		return t.rows
	}
	var rows [][]string
	for _, row := range t.rows {
		if row == nil {
			rows = append(rows, nil)
			continue
		}
		for i, line := range fold(row[last], room) {
			part := make([]string, len(row))
			if i == 0 {
				copy(part, row)
			}
			part[last] = line
			rows = append(rows, part)
		}
	}
	return rows
}

// fold breaks text between words; a longer word has its own line. It returns at least one line.
func fold(text string, width int) []string {
	if runewidth.StringWidth(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case runewidth.StringWidth(line)+1+runewidth.StringWidth(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// widths returns the columns' widths, within limit if that can be.
func (t *Table) widths(rows [][]string, limit int) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = runewidth.StringWidth(c.Title)
		for _, row := range rows {
			if row != nil {
				widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
			}
		}
	}
	if limit <= 0 {
		return widths
	}
	for excess := t.total(widths) - limit; excess > 0; excess-- {
		widest := -1
		for i, c := range t.columns {
			if !c.Right && widths[i] > max(c.Min, narrowest) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// total is how wide a line is, indent included.
func (t *Table) total(widths []int) int {
	n := len(t.indent) + 2*(len(widths)-1)
	for _, width := range widths {
		n += width
	}
	return n
}

func (t *Table) line(b *strings.Builder, cells []string, widths []int) {
	var l strings.Builder
	l.WriteString(t.indent)
	for i, cell := range cells {
		if i > 0 {
			l.WriteString("  ")
		}
		if !t.columns[i].Right {
			cell = runewidth.Truncate(cell, widths[i], "…")
		}
		pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell))
		if t.columns[i].Right {
			l.WriteString(pad + cell)
		} else {
			l.WriteString(cell + pad)
		}
	}
	b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
}
