package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atsync/atsync/schemas"
)

var update = flag.Bool("update", false, "rewrite docs/entities.md")

// maxDictionary keeps the data dictionary a page that a browser can show.
const maxDictionary = 1_500_000

// TestDataDictionaryIsCurrent holds docs/entities.md to the catalogue. go generate ./... rewrites it.
func TestDataDictionaryIsCurrent(t *testing.T) {
	got := dataDictionary()
	if len(got) > maxDictionary {
		t.Errorf("docs/entities.md takes %d bytes", len(got))
	}
	file := filepath.Join("..", "..", "docs", "entities.md")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil { //nolint:gosec // documentation
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, got) {
		t.Error("docs/entities.md is not what the catalogue says: run go generate ./...")
	}
	for _, e := range schemas.Catalogue() {
		if !strings.Contains(string(got), "\n## "+e.Name+"\n") {
			t.Errorf("no section on %s", e.Name)
		}
	}
}

const dictionaryHead = `# Entities

The data dictionary: what atsync knows of each entity of Autotask before a tenant is asked. It is generated from the catalogue
(` + "`schemas/entities`" + `) by ` + "`go generate ./...`" + `; don't edit it. ` + "`atsync entities NAME`" + ` prints the same, and with
` + "`--tenant`" + ` the columns as a tenant has them: its own types and user-defined fields.

Classes, in short ([how changes are found](architecture.md#how-changes-are-found)): **modified** and **activity** are read by what changed
since the last run; **append** by what is new, with a look back; **parent** through changed parents; **full** whole, and compared.
Sizes are guesses for plans: tiny, small, medium, large, huge.

Every table also has [system columns](warehouse.md#system-columns). References name the entity whose ` + "`id`" + ` the column holds. A column
with ◆ is a picklist: its labels are in the table ` + "`picklists`" + `. TIMESTAMPTZ stands for TIMESTAMP WITH TIME ZONE.

`

// dataDictionary writes docs/entities.md: an index, then a section for each entity.
func dataDictionary() []byte {
	var b bytes.Buffer
	b.WriteString(dictionaryHead)
	b.WriteString("| entity | table | class | core | size | what it is |\n|---|---|---|---|---|---|\n")
	for _, e := range schemas.Catalogue() {
		r := reportEntity(e)
		core := ""
		if r.Core {
			core = "✓"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", r.Name, strings.ToLower(r.Name), code(r.Table), r.Class, core, r.Size, tableText(r.Description))
	}
	for _, e := range schemas.Catalogue() {
		entitySection(&b, e)
	}
	return b.Bytes()
}

func entitySection(b *bytes.Buffer, e *schemas.Entity) {
	r := reportEntity(e)
	fmt.Fprintf(b, "\n## %s\n\n%s.\n\n", r.Name, strings.TrimSuffix(r.Description, "."))
	fact := func(title, text string) {
		if text != "" {
			fmt.Fprintf(b, "* %s: %s\n", title, text)
		}
	}
	fact("Table", code(r.Table))
	fact("Class", r.Class)
	fact("Changes by", code(r.Stamps...))
	if r.CreateStamp != "" {
		fact("New rows by", code(r.CreateStamp))
	}
	if r.Parent != "" {
		fact("Parent", fmt.Sprintf("[%s](#%s)", r.Parent, strings.ToLower(r.Parent)))
	}
	fact("Size", r.Size)
	fact("In core", r.CoreReason)
	fact("Not synced", r.Unreadable)
	if r.HasUDF {
		fact("User-defined fields", "a column `udf_…` for each that the tenant has")
	}
	fact("Note", r.Note)
	b.WriteString("\n| column | type | field | refers to |\n|---|---|---|---|\n")
	for _, c := range schemas.NewTable(e, nil, nil).Columns {
		mark, reference := "", ""
		if c.Picklist {
			mark = " ◆"
		}
		if c.Reference != "" {
			reference = fmt.Sprintf("[%s](#%s)", c.Reference, strings.ToLower(c.Reference))
		}
		typ := strings.Replace(c.Type.SQL(), "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", 1)
		fmt.Fprintf(b, "| %s%s | %s | %s | %s |\n", code(c.Name), mark, typ, c.Source, reference)
	}
}

func code(words ...string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}

// tableText keeps a text from ending its cell of a table.
func tableText(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
