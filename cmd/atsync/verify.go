package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/atsync/atsync/cmd/atsync/internal/console"
	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

func newVerifyCommand(e *env) *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:     "verify",
		GroupID: groupSync,
		Short:   "Prove that the warehouse has the rows that Autotask has",
		Long: "Compares, entity by entity, how many rows Autotask has with how many live rows the warehouse has: one\n" +
			"request each. Where they differ, it brings the entity up to date as sync does, counts again, and halves\n" +
			"the range of ids with counts until what differs can be listed. Rows are called gone only after a second\n" +
			"look by their ids.\n\n" +
			"Without --repair it reports holes and leaves them. With it, missing rows are inserted and gone ones\n" +
			"marked as deleted (_delete_reason 'verify'). If more than 50 rows and 2 % of a table are gone, or all,\n" +
			"it stops and changes nothing.\n\n" +
			"It compares which rows there are, not what is in them; sync --full compares that." +
			exits(console.ExitOK, console.ExitUsage, console.ExitAuth, console.ExitQuota, console.ExitSource,
				console.ExitSink, console.ExitPartial, console.ExitGuard, console.ExitCanceled),
		Example: "  atsync verify\n" +
			"  atsync verify --repair\n" +
			"  atsync verify --tenant acme --entity Tickets --deep\n" +
			"  atsync --json verify | jq '.runs[].streams[] | {entity, verify}'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.verify(cmd.Context(), opts) },
	}
	opts.addFlags(cmd)
	return cmd
}

type verifyOptions struct {
	tenants      []string
	entities     []string
	repair       bool
	deep         bool
	allowDeletes bool
}

func (o *verifyOptions) addFlags(cmd *cobra.Command) {
	addTenantFlag(cmd, &o.tenants)
	cmd.Flags().StringArrayVar(&o.entities, "entity", nil, "verify only this `entity`, preset or pattern in place of what the configuration says; may be repeated")
	cmd.Flags().BoolVar(&o.repair, "repair", false, "insert rows that are missing here and mark rows that are gone as deleted")
	cmd.Flags().BoolVar(&o.deep, "deep", false, "list every id, also where the counts are equal: a request per 500 rows")
	cmd.Flags().BoolVar(&o.allowDeletes, "allow-deletes", false, "go on where more rows are gone than the guard allows (50 rows or 2 %)")
}

// verify prints a syncReport with --json: its streams have the key verify.
func (e *env) verify(ctx context.Context, opts verifyOptions) error {
	return e.eachTenant(ctx, task{"verify", opts.tenants, opts.entities, 0, console.VerifySummary},
		func(ctx context.Context, r *pipeline.Runner, entities []*schemas.Entity) (pipeline.Run, error) {
			return r.Verify(ctx, pipeline.VerifyRequest{Entities: entities, Repair: opts.repair, Deep: opts.deep, AllowDeletes: opts.allowDeletes})
		})
}
