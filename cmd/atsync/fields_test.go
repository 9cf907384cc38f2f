package main

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// scriptField is the command field: field NAME addudf|removeudf|renameudf|addfield|label ENTITY WHAT, where WHAT is a
// name, OLD=NEW, or FIELD=VALUE=LABEL.
func scriptField(ts *testscript.TestScript, args []string) {
	d, entity, what := simulatorOf(ts, args[0]).Data(), args[2], args[3]
	parts := strings.Split(what, "=")
	switch args[1] {
	case "addudf":
		d.AddUDF(entity, autotasktest.UDF{Name: what})
	case "removeudf":
		d.RemoveUDF(entity, what)
	case "renameudf":
		d.RenameUDF(entity, parts[0], parts[1])
	case "addfield":
		d.AddField(entity, schemas.Field{Name: what, Type: "integer"})
	case "label":
		d.RenameLabel(entity, parts[0], parts[1], parts[2])
	default:
		ts.Fatalf("no such change of a field: %s", args[1])
	}
}
