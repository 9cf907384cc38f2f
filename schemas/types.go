package schemas

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

const (
	maxPrecision = 38 // digits of the widest decimal
	intDigits    = 19 // digits of the largest int64
)

// SQL returns the type as DuckDB reports it and as DDL takes it: "DECIMAL(18,4)", "TIMESTAMP WITH TIME ZONE".
func (t Type) SQL() string {
	switch t.Kind {
	case Int:
		return "BIGINT"
	case Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case Bool:
		return "BOOLEAN"
	case Timestamp:
		return "TIMESTAMP WITH TIME ZONE"
	case JSON:
		return "JSON"
	}
	return "VARCHAR"
}

// ParseSQLType reads what SQL writes, and TIMESTAMPTZ, whatever the case.
func ParseSQLType(s string) (Type, error) {
	word := strings.ToUpper(strings.TrimSpace(s))
	switch word {
	case "VARCHAR":
		return Type{Kind: String}, nil
	case "BIGINT":
		return Type{Kind: Int}, nil
	case "BOOLEAN":
		return Type{Kind: Bool}, nil
	case "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ":
		return Type{Kind: Timestamp}, nil
	case "JSON":
		return Type{Kind: JSON}, nil
	}
	if args, ok := strings.CutPrefix(word, "DECIMAL("); ok {
		if args, ok = strings.CutSuffix(args, ")"); ok {
			if t, ok := parseDecimalArgs(args); ok {
				return t, nil
			}
		}
	}
	return Type{}, fmt.Errorf("type %q is not one that a warehouse column can have (VARCHAR, BIGINT, DECIMAL(p,s), BOOLEAN, TIMESTAMPTZ, JSON)", s)
}

// parseDecimalArgs reads "28,10".
func parseDecimalArgs(args string) (Type, bool) {
	p, s, _ := strings.Cut(args, ",")
	precision, err1 := strconv.Atoi(strings.TrimSpace(p))
	scale, err2 := strconv.Atoi(strings.TrimSpace(s))
	if err1 != nil || err2 != nil || precision < 1 || precision > maxPrecision || scale < 0 || scale > precision {
		return Type{}, false
	}
	return Type{Kind: Decimal, Precision: precision, Scale: scale}, true
}

// Widen returns the smallest type that holds every value of both. A decimal grows up to 38 digits; what
// does not fit it, and every pair of unlike kinds save Int with Decimal, becomes String. The zero Type holds nothing.
func (t Type) Widen(u Type) Type {
	switch {
	case t == u || u.Kind == 0:
		return t
	case t.Kind == 0:
		return u
	case t.Kind == Int && u.Kind == Decimal:
		return decimalOf(max(intDigits, u.Precision-u.Scale), u.Scale)
	case t.Kind == Decimal && u.Kind == Int:
		return u.Widen(t)
	case t.Kind == Decimal && u.Kind == Decimal:
		return decimalOf(max(t.Precision-t.Scale, u.Precision-u.Scale), max(t.Scale, u.Scale))
	case t.Kind == u.Kind:
		return t
	}
	return Type{Kind: String}
}

// decimalOf returns the decimal with that many digits before and after the point, or String if there is none.
func decimalOf(whole, scale int) Type {
	if whole+scale > maxPrecision {
		return Type{Kind: String}
	}
	return Type{Kind: Decimal, Precision: whole + scale, Scale: scale}
}

// typeOf maps Autotask's dataType words (api.md §6). A word it does not know is text, which holds any value.
// hint is the catalogue's "p,s" of a decimal, or empty.
func typeOf(word, hint string) Type {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "integer", "int", "int32", "int64", "long", "short", "smallint", "bigint":
		return Type{Kind: Int}
	case "decimal", "double", "float", "money", "currency":
		if t, ok := parseDecimalArgs(hint); ok {
			return t
		}
		return DefaultDecimal()
	case "boolean", "bool":
		return Type{Kind: Bool}
	case "datetime", "date", "date-time":
		return Type{Kind: Timestamp}
	}
	return Type{Kind: String}
}

// udfTypeOf maps the type words of user-defined fields. Only "string" is recorded (api.md §6); the others are the
// words of the user interface, where a plain number may have decimals.
func udfTypeOf(f *MetaField) Type {
	word := f.Type
	if word == "" {
		word = f.DataType
	}
	if f.IsPicklist {
		return Type{Kind: String}
	}
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "number", "numeric":
		return DefaultDecimal()
	}
	return typeOf(word, "")
}

// arrowType returns the Arrow type of a column.
func arrowType(t Type) arrow.DataType {
	switch t.Kind {
	case Int:
		return arrow.PrimitiveTypes.Int64
	case Decimal:
		return &arrow.Decimal128Type{Precision: int32(t.Precision), Scale: int32(t.Scale)}
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	}
	return arrow.BinaryTypes.String
}

// ArrowSchema returns the schema of the batches that a Decoder makes of these columns: the columns by their
// warehouse names, then _extra (utf8) and _row_hash (int64). Every field is declared nullable.
func ArrowSchema(cols []Column) *arrow.Schema {
	fields := make([]arrow.Field, 0, len(cols)+2)
	for _, c := range cols {
		fields = append(fields, arrow.Field{Name: c.Name, Type: arrowType(c.Type), Nullable: true})
	}
	fields = append(fields,
		arrow.Field{Name: ColExtra, Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: ColRowHash, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	return arrow.NewSchema(fields, nil)
}
