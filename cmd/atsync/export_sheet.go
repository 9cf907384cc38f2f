package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"

	"github.com/atsync/atsync/pipeline"
)

// sheet writes a workbook with one sheet: a header row, times and dates as such (UTC), numbers as numbers where Excel
// keeps all of their digits, else as text.
type sheet struct {
	w      io.Writer
	types  []*sql.ColumnType
	file   *excelize.File
	stream *excelize.StreamWriter
	next   int // row
	stamp  int // styles
	day    int
}

// exactDigits is how many digits of a number Excel keeps.
const exactDigits = 15

func newSheet(w io.Writer, types []*sql.ColumnType) (*sheet, error) {
	if len(types) > excelize.MaxColumns {
		return nil, sheetError(fmt.Errorf("%d columns, and Excel takes %d", len(types), excelize.MaxColumns))
	}
	s := &sheet{w: w, types: types, file: excelize.NewFile(), next: 1}
	var err error
	if s.stream, err = s.file.NewStreamWriter("Sheet1"); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	stamp, day := "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"
	if s.stamp, err = s.file.NewStyle(&excelize.Style{CustomNumFmt: &stamp}); err == nil {
		s.day, err = s.file.NewStyle(&excelize.Style{CustomNumFmt: &day})
	}
	names := make([]any, len(types))
	for i, t := range types {
		names[i] = t.Name()
	}
	if err == nil {
		err = s.write(names)
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

func sheetError(err error) error {
	return &pipeline.Error{Class: pipeline.ClassConfig, Op: "export", Err: err, Remedy: "select less with --query, or write --format csv or parquet"}
}

func (s *sheet) row(values []any) error {
	cells := make([]any, len(values))
	for i, v := range values {
		var err error
		if cells[i], err = s.cell(s.types[i], v); err != nil {
			return errors.Join(err, s.file.Close())
		}
	}
	if err := s.write(cells); err != nil {
		return errors.Join(err, s.file.Close())
	}
	return nil
}

func (s *sheet) write(cells []any) error {
	if s.next > excelize.TotalRows {
		return sheetError(fmt.Errorf("more than %d rows, which is what Excel takes with the header", excelize.TotalRows))
	}
	at, err := excelize.CoordinatesToCellName(1, s.next)
	if err != nil {
		return err
	}
	s.next++
	return s.stream.SetRow(at, cells)
}

// cell makes a value one of Excel's.
func (s *sheet) cell(t *sql.ColumnType, v any) (any, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case time.Time:
		if v.Year() >= 1901 { // Excel's calendar is wrong in 1900 and ends there
			return excelize.Cell{StyleID: s.stamp, Value: v.UTC()}, nil
		}
	case string:
		if day, err := time.Parse(time.DateOnly, v); err == nil && t.DatabaseTypeName() == "DATE" && day.Year() >= 1901 {
			return excelize.Cell{StyleID: s.day, Value: day}, nil
		}
	case float64:
		return v, nil
	case float32:
		return float64(v), nil
	}
	text := cell(v)
	if isNumber(t) || isBig(v) {
		digits := strings.Count(text, "") - 1 - strings.Count(text, "-") - strings.Count(text, ".")
		if n, err := strconv.ParseFloat(text, 64); err == nil && digits <= exactDigits {
			return n, nil
		}
	}
	if n := len(utf16.Encode([]rune(text))); n > excelize.TotalCellChars {
		return nil, sheetError(fmt.Errorf("row %d has a text of %d characters in %s, and Excel takes %d a cell", s.next, n, t.Name(), excelize.TotalCellChars))
	}
	return text, nil
}

func isBig(v any) bool {
	_, ok := v.(*big.Int)
	return ok
}

func (s *sheet) end() error {
	if err := s.stream.Flush(); err != nil {
		return errors.Join(err, s.file.Close())
	}
	_, err := s.file.WriteTo(s.w)
	return errors.Join(err, s.file.Close())
}
