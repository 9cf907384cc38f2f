package schemas

// Class says how an entity's changes can be found (watermarks.md).
type Class string

// The change classes, from the cheapest read to the dearest.
const (
	ClassModified Class = "modified" // a stamp of the record's own last change
	ClassActivity Class = "activity" // a stamp of the last change or related activity
	ClassAppend   Class = "append"   // only a create or event date: later edits don't move it
	ClassParent   Class = "parent"   // no date: re-read the children of changed parents
	ClassFull     Class = "full"     // no usable date: whole read, compared by hash
	ClassChild    Class = "child"    // no root query: read through its parent's path
	ClassNone     Class = "none"     // write-only or an action: nothing to read
)

// Entity is one catalogue entry: what is known of an Autotask entity before a tenant is asked.
// It is made from one file under entities/ and is immutable.
type Entity struct {
	Name        string   `json:"name"`                   // plural API name: "Tickets"
	Singular    string   `json:"singular,omitempty"`     // as in error texts and referenceEntityType: "Ticket"
	Path        string   `json:"path"`                   // root collection below V1.0/: "Tickets"
	ChildPath   string   `json:"child_path,omitempty"`   // "Companies/{parentId}/Contacts"
	Parent      string   `json:"parent,omitempty"`       // entity whose change means that these rows may have changed
	ParentKey   string   `json:"parent_key,omitempty"`   // field that holds the parent's id (class parent)
	Description string   `json:"description,omitempty"`  // one line for the data dictionary
	Size        string   `json:"size,omitempty"`         // tiny, small, medium, large, huge: a guess for planning
	Queryable   bool     `json:"queryable"`              // POST {Path}/query works
	Deletable   bool     `json:"deletable,omitempty"`    // the API can delete rows
	HasUDF      bool     `json:"has_udf,omitempty"`      // rows carry userDefinedFields
	Core        string   `json:"core,omitempty"`         // why it is in the preset "core"; empty: it is not
	Class       Class    `json:"class"`                  // preferred class; the tenant's metadata may force a dearer one
	Stamps      []string `json:"stamps,omitempty"`       // change stamps, most telling first (append: its event dates)
	CreateStamp string   `json:"create_stamp,omitempty"` // ORed in, since a new row's change stamp may be null
	Note        string   `json:"note,omitempty"`         // what a newcomer would trip over
	Fields      []Field  `json:"fields"`
}

// Field is one property of an entity as the catalogue knows it. Nil flags mean "unknown".
type Field struct {
	Name      string `json:"name"`                 // spelling of the rows' JSON key
	Type      string `json:"type"`                 // Autotask's dataType word
	Decimal   string `json:"decimal,omitempty"`    // "28,10" where 18,4 is known to be too small
	MaxLength int    `json:"max_length,omitempty"` // strings; 0: unknown
	Reference string `json:"reference,omitempty"`  // plural name of the entity it points to
	Required  *bool  `json:"required,omitempty"`
	ReadOnly  *bool  `json:"read_only,omitempty"`
	Picklist  *bool  `json:"picklist,omitempty"`
}
