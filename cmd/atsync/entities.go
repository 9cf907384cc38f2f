package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/schemas"
)

func newEntitiesCommand(e *env) *cobra.Command {
	var opts entitiesOptions
	cmd := &cobra.Command{
		Use:     "entities [NAME]",
		GroupID: groupLook,
		Short:   "List what can be synced, or describe one entity",
		Long: "Without NAME, lists the entities of Autotask that atsync can sync: table, how changes are found (class),\n" +
			"whether the preset core has it, and about how large it is. With NAME (or a table's name), prints its data\n" +
			"dictionary: columns, types, references. This is the catalogue that atsync brings along; a tenant's own\n" +
			"fields and user-defined fields are added to it at the first sync. No configuration is needed.\n\n" +
			"Classes: modified and activity are read by what changed since the last run; append by what is new, with\n" +
			"a look back; parent through changed parents; full whole, and compared." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync entities --core\n  atsync entities Tickets\n  atsync entities time_entries --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return e.listEntities(opts)
			}
			if opts.core || opts.all {
				return usage(cmd, "--core and --all are for the list, not for one entity")
			}
			return e.describeEntity(cmd, args[0])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, entity := range schemas.Catalogue() {
				if len(args) == 0 {
					names = append(names, entity.Name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	opts.addFlags(cmd)
	return cmd
}

type entitiesOptions struct{ core, all bool }

func (o *entitiesOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.core, "core", false, "only the preset core")
	cmd.Flags().BoolVar(&o.all, "all", false, "also what can't be synced, and why")
	cmd.MarkFlagsMutuallyExclusive("core", "all")
}

// entityReport is one element of the --json output of entities, and with Columns that of entities NAME.
type entityReport struct {
	Name        string         `json:"name"`
	Table       string         `json:"table"`
	Class       string         `json:"class"`
	Core        bool           `json:"core"`
	CoreReason  string         `json:"core_reason,omitempty"`
	Size        string         `json:"size,omitempty"`
	Description string         `json:"description,omitempty"`
	Unreadable  string         `json:"unreadable,omitempty"` // why it can't be synced
	Parent      string         `json:"parent,omitempty"`
	Stamps      []string       `json:"stamps,omitempty"` // fields that tell a change, as Autotask names them
	CreateStamp string         `json:"create_stamp,omitempty"`
	Deletable   bool           `json:"deletable"`
	HasUDF      bool           `json:"has_udf"`
	Note        string         `json:"note,omitempty"`
	Columns     []columnReport `json:"columns,omitempty"`
}

type columnReport struct {
	Name      string `json:"name"`
	Type      string `json:"type"`            // as in SQL
	Field     string `json:"field,omitempty"` // Autotask's name; empty: atsync's own column
	Reference string `json:"reference,omitempty"`
	Picklist  bool   `json:"picklist,omitempty"`
	Note      string `json:"note,omitempty"`
}

func reportEntity(entity *schemas.Entity) entityReport {
	return entityReport{
		Name: entity.Name, Table: schemas.TableName(entity.Name), Class: string(entity.Class),
		Core: entity.Core != "", CoreReason: entity.Core, Size: entity.Size, Description: entity.Description,
		Unreadable: entity.Unreadable(), Parent: entity.Parent, Stamps: entity.Stamps, CreateStamp: entity.CreateStamp,
		Deletable: entity.Deletable, HasUDF: entity.HasUDF, Note: entity.Note,
	}
}

func (e *env) listEntities(opts entitiesOptions) error {
	list := []entityReport{}
	core := 0
	for _, entity := range schemas.Catalogue() {
		r := reportEntity(entity)
		if opts.core && !r.Core || !opts.all && r.Unreadable != "" {
			continue
		}
		if r.Core {
			core++
		}
		list = append(list, r)
	}
	if e.json {
		return e.printJSON(list)
	}
	t := console.NewTable(console.Left("entity"), console.Left("table"), console.Left("class"), console.Left("core"),
		console.Left("size"), console.Left("description"))
	for _, r := range list {
		mark, text := "", r.Description
		if r.Core {
			mark = "✓"
		}
		if r.Unreadable != "" {
			text = "not synced: " + r.Unreadable
		}
		t.Row(r.Name, r.Table, r.Class, mark, r.Size, text)
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	return e.printf("\n%d entities, %d of them core. One in full: atsync entities NAME\n", len(list), core)
}

func (e *env) describeEntity(cmd *cobra.Command, name string) error {
	entity, ok := schemas.Lookup(name)
	if !ok {
		_, err := schemas.Select([]string{name}) // its error names the nearest
		if err == nil {
			return usage(cmd, "%q is a preset or pattern, not an entity", name)
		}
		return usage(cmd, "%w", err)
	}
	r := reportEntity(entity)
	r.Columns = dictionary(entity)
	if e.json {
		return e.printJSON(r)
	}
	if err := e.printEntity(r); err != nil {
		return err
	}
	t := console.NewTable(console.Left("column"), console.Left("type"), console.Left("field"), console.Left("refers to"),
		console.Left("note"))
	for _, c := range r.Columns {
		note := c.Note
		if c.Picklist {
			note = "labels in picklists"
		}
		t.Row(c.Name, c.Type, c.Field, c.Reference, note)
	}
	return t.Write(e.stdout)
}

func (e *env) printEntity(r entityReport) error {
	t := console.NewTable(console.Left(""), console.Left(""))
	row := func(title, text string) {
		if text != "" {
			t.Row(title, text)
		}
	}
	row("entity", r.Name)
	row("is", r.Description)
	row("table", r.Table)
	row("class", r.Class)
	row("changes by", strings.Join(r.Stamps, ", "))
	row("new rows by", r.CreateStamp)
	row("parent", r.Parent)
	row("size", r.Size)
	row("core", r.CoreReason)
	row("not synced", r.Unreadable)
	row("note", r.Note)
	if r.HasUDF {
		row("udfs", "a column udf_… for each user-defined field of the tenant")
	}
	if err := t.Write(e.stdout); err != nil {
		return err
	}
	return e.printf("\n")
}

// dictionary lists the columns of an entity's table as the catalogue knows it, atsync's own included.
func dictionary(entity *schemas.Entity) []columnReport {
	var out []columnReport
	for _, c := range schemas.NewTable(entity, nil, nil).Columns {
		out = append(out, columnReport{
			Name: c.Name, Type: c.Type.SQL(), Field: c.Source, Reference: c.Reference, Picklist: c.Picklist,
		})
	}
	timestamp := schemas.Type{Kind: schemas.Timestamp}.SQL()
	integer := schemas.Type{Kind: schemas.Int}.SQL()
	text := schemas.Type{Kind: schemas.String}.SQL()
	return append(out,
		columnReport{Name: schemas.ColExtra, Type: schemas.Type{Kind: schemas.JSON}.SQL(), Note: "properties that no column takes, as sent"},
		columnReport{Name: schemas.ColRowHash, Type: integer, Note: "hash of the row's content"},
		columnReport{Name: schemas.ColSyncedAt, Type: timestamp, Note: "when this version was read"},
		columnReport{Name: schemas.ColLoadID, Type: integer, Note: "load that wrote the row"},
		columnReport{Name: schemas.ColDeletedAt, Type: timestamp, Note: "when the row was found deleted"},
		columnReport{Name: schemas.ColDeleteReason, Type: text, Note: "how that was found: full, parent, log, verify"},
	)
}
