package schemas

import (
	"encoding/json"
)

// Kind is the logical type of a column.
type Kind uint8

// The kinds of column a warehouse table can have.
const (
	String    Kind = iota + 1 // VARCHAR, UTF-8
	Int                       // BIGINT
	Decimal                   // DECIMAL(Precision, Scale), exact
	Bool                      // BOOLEAN
	Timestamp                 // TIMESTAMPTZ, microseconds since 1970 UTC
	JSON                      // JSON text
)

// Type is a column's type. Precision and Scale are set for Decimal only.
type Type struct {
	Kind      Kind
	Precision int // total digits, at most 38
	Scale     int // digits after the point
}

// DefaultDecimal is the type of a decimal that nothing else is known of: Autotask sends four places (api.md §5).
func DefaultDecimal() Type { return Type{Kind: Decimal, Precision: 18, Scale: 4} }

// Column is one column of a warehouse table that comes from the source.
type Column struct {
	Name       string `json:"name"`        // in the warehouse: company_id, udf_customer_ranking
	Source     string `json:"source"`      // Autotask's own name: companyID, "Customer Ranking"
	UDF        bool   `json:"udf"`         // from userDefinedFields
	Type       Type   `json:"-"`           // the sink persists it as SQL
	Reference  string `json:"reference"`   // plural entity name it points to, or empty
	Picklist   bool   `json:"picklist"`    // labels are in the table picklists
	Queryable  bool   `json:"queryable"`   // may stand in a filter
	InMetadata bool   `json:"in_metadata"` // the tenant's live metadata names it (false: catalogue or history only)

	UDFID        int64 `json:"udf_id,omitempty"`        // definition of a UDF, by which a rename is followed; 0: unknown
	Retired      bool  `json:"retired,omitempty"`       // the metadata named it once and does no more: it keeps its last values
	PartialSince int64 `json:"partial_since,omitempty"` // load since which only rows read have its values; 0: all rows have. The sink's
}

// System columns follow a table's own columns, in this order, in every batch and table.
// The decoder fills the first two; the sink fills the rest.
const (
	ColExtra        = "_extra"         // JSON: properties that no column takes, as sent
	ColRowHash      = "_row_hash"      // BIGINT: hash of the row's content, see Decoder
	ColSyncedAt     = "_synced_at"     // TIMESTAMPTZ: when the version was read from Autotask
	ColLoadID       = "_load_id"       // BIGINT: load that wrote the row, rising per warehouse
	ColDeletedAt    = "_deleted_at"    // TIMESTAMPTZ: when the row was found deleted, or NULL
	ColDeleteReason = "_delete_reason" // VARCHAR: full, parent, log, verify, fetch
)

// Table is the shape of one entity's table for one tenant. It is immutable once made.
type Table struct {
	Entity  *Entity
	Name    string   // tickets
	Columns []Column // id first; no system columns
	Fixed   bool     // no column may become wider (see Frozen)
}

// Column returns the column that holds Autotask's field name (case-insensitive, UDFs left out), or nil.
func (t *Table) Column(field string) *Column {
	for i := range t.Columns {
		if c := &t.Columns[i]; !c.UDF && equalFold(c.Source, field) {
			return c
		}
	}
	return nil
}

// Metadata is what a tenant's entityInformation says of one entity (api.md §6).
type Metadata struct {
	Fields []MetaField `json:"fields"`
	UDFs   []MetaField `json:"udfs,omitempty"`
}

// MetaField is one element of entityInformation/fields or /userDefinedFields.
// Autotask calls the type dataType in the one and type in the other.
type MetaField struct {
	ID              int64           `json:"id,omitempty"` // of a UDF's definition; 0: unknown. The source fills it in
	Name            string          `json:"name"`
	Label           string          `json:"label,omitempty"`
	DataType        string          `json:"dataType,omitempty"`
	Type            string          `json:"type,omitempty"`
	Length          json.Number     `json:"length,omitempty"`
	IsRequired      bool            `json:"isRequired,omitempty"`
	IsReadOnly      bool            `json:"isReadOnly,omitempty"`
	IsQueryable     bool            `json:"isQueryable"`
	IsReference     bool            `json:"isReference,omitempty"`
	ReferenceEntity string          `json:"referenceEntityType,omitempty"`
	IsPicklist      bool            `json:"isPickList,omitempty"`
	PicklistValues  []PicklistValue `json:"picklistValues,omitempty"`
	PicklistParent  string          `json:"picklistParentValueField,omitempty"`
}

// PicklistValue is one choice of a picklist field. Value is text even where rows carry integers.
type PicklistValue struct {
	Value       string `json:"value"`
	Label       string `json:"label"`
	ParentValue string `json:"parentValue,omitempty"`
	SortOrder   int    `json:"sortOrder"`
	IsActive    bool   `json:"isActive"`
	IsDefault   bool   `json:"isDefaultValue"`
	IsSystem    bool   `json:"isSystem"`
}

// Reject is a value that could not be typed. The row is kept with NULL in that column.
type Reject struct {
	ID     int64  // of the row
	Column string // warehouse name
	Field  string // Autotask's name
	Raw    string // as sent, at most 4 KiB
	Reason string // "not an integer", …
}

// Page says what Decoder.Decode found in one response body.
type Page struct {
	Rows    int
	FirstID int64
	LastID  int64
	More    bool // pageDetails has a nextPageUrl: there is more, however few rows the page has
}
