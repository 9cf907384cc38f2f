package schemas_test

import (
	"encoding/json"
	"fmt"

	"github.com/atsync/atsync/schemas"
)

// Adding an entity takes one file under entities/, named after it. This shows what such a file becomes.
func Example_addAnEntity() {
	file := `{
  "name": "Rockets",
  "singular": "Rocket",
  "path": "Rockets",
  "description": "What the company flies",
  "size": "tiny",
  "queryable": true,
  "class": "modified",
  "stamps": ["lastModifiedDateTime"],
  "create_stamp": "createDate",
  "fields": [
    {"name": "id", "type": "long", "required": true, "read_only": true},
    {"name": "companyID", "type": "integer", "reference": "Companies"},
    {"name": "createDate", "type": "datetime"},
    {"name": "isReusable", "type": "boolean"},
    {"name": "lastModifiedDateTime", "type": "datetime"},
    {"name": "thrust", "type": "decimal", "decimal": "28,10"}
  ]
}`
	var e schemas.Entity
	if err := json.Unmarshal([]byte(file), &e); err != nil {
		fmt.Println(err)
		return
	}
	table := schemas.NewTable(&e, nil, nil)
	for _, c := range table.Columns {
		fmt.Println(table.Name, c.Name, c.Type.SQL())
	}
	fmt.Println(table.Reads().Class, table.Reads().Stamps)

	d := schemas.NewDecoder(table)
	page, err := d.Decode([]byte(`{"items":[{"id":7,"companyID":0,"isReusable":true,"thrust":1.25}],"pageDetails":{}}`), nil)
	fmt.Println(page.Rows, page.LastID, err)
	batch, rejects := d.Flush()
	defer batch.Release()
	fmt.Println(batch.NumRows(), batch.NumCols(), len(rejects))
	// Output:
	// rockets id BIGINT
	// rockets company_id BIGINT
	// rockets create_date TIMESTAMP WITH TIME ZONE
	// rockets is_reusable BOOLEAN
	// rockets last_modified_date_time TIMESTAMP WITH TIME ZONE
	// rockets thrust DECIMAL(28,10)
	// modified [lastModifiedDateTime createDate]
	// 1 7 <nil>
	// 1 8 0
}
