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
	Right bool // align to the right, as for numbers
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
}

// NewTable makes an empty table.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Indent sets what stands before each line.
func (t *Table) Indent(blanks string) *Table {
	t.indent = blanks
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
	widths := make([]int, len(t.columns))
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.Title
		widths[i] = runewidth.StringWidth(c.Title)
		for _, row := range t.rows {
			if row != nil {
				widths[i] = max(widths[i], runewidth.StringWidth(row[i]))
			}
		}
	}
	var b strings.Builder
	if strings.Join(titles, "") != "" {
		t.line(&b, titles, widths)
	}
	for _, row := range t.rows {
		if row == nil {
			total := 2 * (len(widths) - 1)
			for _, n := range widths {
				total += n
			}
			b.WriteString(t.indent + strings.Repeat("─", total) + "\n")
			continue
		}
		t.line(&b, row, widths)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) line(b *strings.Builder, cells []string, widths []int) {
	var l strings.Builder
	l.WriteString(t.indent)
	for i, cell := range cells {
		if i > 0 {
			l.WriteString("  ")
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
