package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newEntitiesCommand(e *env) *cobra.Command {
	var opts entitiesOptions
	cmd := &cobra.Command{
		Use:     "entities [NAME]",
		GroupID: groupLook,
		Short:   "List what can be synced, or describe one entity",
		Long: "Without NAME, lists the entities of Autotask that atsync can sync: table, how\n" +
			"changes are found (class), whether the preset core has it, and about how large\n" +
			"it is. With NAME (or a table's name), prints its data dictionary: columns,\n" +
			"types, references. This is the catalogue that atsync brings along; a tenant's\n" +
			"own fields and user-defined fields are added to it at the first sync. No\n" +
			"configuration is needed. A narrow terminal shows less than a pipe or --json.\n" +
			"With --tenant, NAME's columns are those of that tenant's table: live types,\n" +
			"user-defined fields, and fields that Autotask no longer names (retired).\n\n" +
			"Classes: modified and activity are read by what changed since the last run;\n" +
			"append by what is new, with a look back; parent through changed parents; child\n" +
			"the same, with a request for each parent; full whole, and compared." +
			exits(console.ExitOK, console.ExitUsage),
		Example: "  atsync entities --core\n  atsync entities Tickets\n  atsync entities time_entries --json\n" +
			"  atsync entities Tickets --tenant acme",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if opts.tenant != "" {
					return usage(cmd, "--tenant is for one entity, not for the list")
				}
				return e.listEntities(opts)
			}
			if opts.core || opts.all {
				return usage(cmd, "--core and --all are for the list, not for one entity")
			}
			return e.describeEntity(cmd, args[0], opts.tenant)
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

type entitiesOptions struct {
	core, all bool
	tenant    string
}

func (o *entitiesOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.core, "core", false, "only the preset core")
	cmd.Flags().BoolVar(&o.all, "all", false, "also what can't be synced, and why")
	cmd.Flags().StringVar(&o.tenant, "tenant", "", "describe the entity as this `tenant` has it")
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
	UDF       bool   `json:"udf,omitempty"`
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
	if err := entityTable(list, console.Width(e.stdout)).Write(e.stdout); err != nil {
		return err
	}
	count := fmt.Sprintf("%d entities", len(list))
	if !opts.core {
		count += fmt.Sprintf(", %d of them core", core)
	}
	return e.printf("\n%s. One in full: atsync entities NAME\n", count)
}

// wide is how many columns of a terminal tables of entities need for all there is to tell.
const wide = 120

// entityTable lays out a list for a terminal of a width, 0 for none. A narrow one leaves no room for the
// tables' names, which follow from the entities'.
func entityTable(list []entityReport, width int) *console.Table {
	narrow := width > 0 && width < wide
	columns := []console.Column{{Title: "entity", Min: 34}, console.Left("table"), console.Left("class"),
		console.Left("core"), console.Left("size"), console.Left("description")}
	if narrow {
		columns = slices.Delete(columns, 1, 2)
	}
	t := console.NewTable(columns...).Fit(width)
	for _, r := range list {
		mark, text := "", r.Description
		if r.Core {
			mark = "✓"
		}
		if r.Unreadable != "" {
			text = "not synced: " + r.Unreadable
		}
		cells := []any{r.Name, r.Table, r.Class, mark, r.Size, text}
		if narrow {
			cells = slices.Delete(cells, 1, 2)
		}
		t.Row(cells...)
	}
	return t
}

func (e *env) describeEntity(cmd *cobra.Command, name, tenant string) error {
	entity, ok := schemas.Lookup(name)
	if !ok {
		_, err := schemas.Select([]string{name}) // its error names the nearest
		if err == nil {
			return usage(cmd, "%q is a preset or pattern, not an entity", name)
		}
		return usage(cmd, "%w", err)
	}
	t, err := e.tableFor(cmd.Context(), entity, tenant)
	if err != nil {
		return err
	}
	r := reportEntity(entity)
	r.Columns = dictionary(t)
	if tenant != "" {
		r.Class = string(t.Reads().Class)
	}
	if e.json {
		return e.printJSON(r)
	}
	if err := e.printEntity(r); err != nil {
		return err
	}
	return columnTable(r.Columns, console.Width(e.stdout)).Write(e.stdout)
}

// tableFor returns the shape of an entity's table: the catalogue's, or a tenant's.
func (e *env) tableFor(ctx context.Context, entity *schemas.Entity, tenant string) (*schemas.Table, error) {
	if tenant == "" {
		return schemas.NewTable(entity, nil, nil), nil
	}
	cfg, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	cfgTenant, err := cfg.Tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := synced(cfgTenant); err != nil {
		return nil, err
	}
	t, err := tenantTable(ctx, cfgTenant, entity)
	if err == nil && t == nil {
		err = &pipeline.Error{Class: pipeline.ClassConfig, Tenant: tenant, Entity: entity.Name, Op: "entities",
			Err: errors.New("the tenant has no table of it"), Remedy: "run: atsync sync --tenant " + tenant + " --entity " + entity.Name}
	}
	return t, err
}

// columnTable lays out a dictionary for a terminal of a width, 0 for none. A narrow one leaves no room for
// Autotask's names of the columns, and references stand among the notes.
func columnTable(dictionary []columnReport, width int) *console.Table {
	narrow := width > 0 && width < wide
	columns := []console.Column{{Title: "column", Min: 48}, console.Left("type"), console.Left("field"),
		console.Left("refers to"), console.Left("note")}
	if narrow {
		columns = slices.Delete(columns, 2, 4)
	}
	t := console.NewTable(columns...).Fit(width)
	for _, c := range dictionary {
		note := c.Note
		if c.Picklist && note == "" {
			note = "labels in picklists"
		}
		typ := strings.Replace(c.Type, "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", 1)
		switch {
		case !narrow:
			t.Row(c.Name, typ, c.Field, c.Reference, note)
		case note == "" && c.Reference != "":
			t.Row(c.Name, typ, "of "+c.Reference)
		default:
			t.Row(c.Name, typ, note)
		}
	}
	return t
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

// dictionary lists the columns of a table, atsync's own included.
func dictionary(t *schemas.Table) []columnReport {
	live := slices.ContainsFunc(t.Columns, func(c schemas.Column) bool { return c.InMetadata })
	var out []columnReport
	for _, c := range t.Columns {
		r := columnReport{Name: c.Name, Type: c.Type.SQL(), Field: c.Source, UDF: c.UDF, Reference: c.Reference, Picklist: c.Picklist}
		switch {
		case live && !c.InMetadata:
			r.Note = "retired: Autotask no longer names it"
		case c.UDF:
			r.Note = "user-defined"
		}
		out = append(out, r)
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
		columnReport{Name: schemas.ColDeleteReason, Type: text, Note: "how that was found: full, parent, log, verify, fetch"},
	)
}
