package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// TestUDFIsRenamed: the column keeps its name and its values, whatever is done with names.
func TestUDFIsRenamed(t *testing.T) {
	r := newDriftRig(t, "Companies", "Tickets")
	d := r.server.Data()
	before := r.query(`SELECT udf_customer_ranking FROM companies ORDER BY id`)
	d.RenameUDF("Companies", "Customer Ranking", `Tier "A"`)
	want := []string{"renamed udf_customer_ranking"}
	if diff := cmp.Diff(want, r.drift("Companies")); diff != "" {
		t.Error(diff)
	}
	r.mustLater()
	r.equal()
	if diff := cmp.Diff(before, r.query(`SELECT udf_customer_ranking FROM companies ORDER BY id`)); diff != "" {
		t.Error(diff)
	}
	r.wants(`SELECT column_name || '=' || source FROM _atsync.columns WHERE entity = 'Companies' AND udf ORDER BY ordinal`,
		`udf_customer_ranking=Tier "A"`, "udf_number_of_seats=Number of Seats", "udf_k_ndigungsfrist_monate=Kündigungsfrist (Monate)")
	r.wants(`SELECT comment FROM duckdb_columns() WHERE column_name = 'udf_customer_ranking' AND table_name = 'companies'`,
		`Tier "A" (user-defined field), labels are in picklists (entity Companies, column_name udf_customer_ranking)`)
	r.wants(`SELECT old_name || ' -> ' || new_name FROM _atsync.schema_changes WHERE change = 'renamed'`, `Customer Ranking -> Tier "A"`)
	run, err := r.later(pipeline.SyncRequest{Full: true})
	if err != nil || stream(t, run, "Companies").Mode != string(pipeline.ModeFull) {
		t.Fatal(err)
	}
	r.equal()

	// Two entities have UDFs of one name; each keeps to its own definition.
	d.AddUDF("Companies", autotasktest.UDF{Name: "Root Cause"})
	d.RenameUDF("Tickets", "Root Cause", "Cause")
	r.mustLater()
	r.equal()
	r.wants(`SELECT column_name || '=' || source FROM _atsync.columns WHERE source IN ('Cause', 'Root Cause') ORDER BY entity`,
		"udf_root_cause=Root Cause", "udf_root_cause=Cause")
}

// TestDefinitionsMayBeUnreadable: without the right to them, UDFs are known by their names.
func TestDefinitionsMayBeUnreadable(t *testing.T) {
	for _, how := range []autotasktest.Denial{autotasktest.Denied401, autotasktest.Denied403, autotasktest.Denied500} {
		r := newRig(t, autotasktest.Tiny())
		r.cfg.Entities = entities(t, "Companies")
		r.server.Deny("UserDefinedFieldDefinitions", how)
		r.mustSync()
		r.server.Data().RenameUDF("Companies", "Customer Ranking", "Tier")
		r.mustLater()
		r.equal()
		r.wants(`SELECT column_name FROM _atsync.columns WHERE source IN ('Tier', 'Customer Ranking') ORDER BY 1`, "udf_customer_ranking", "udf_tier")
	}
}

// TestHostileUDFs: other people choose these names.
func TestHostileUDFs(t *testing.T) {
	names := []string{
		"Rank", "rank", "RANK", "status", "id", "_row_hash", "udf_rank", `"; DROP TABLE companies; --`, "'", "  ", "!!!", "…", "ключ", "日本",
		"tab\tand\nnewline", strings.Repeat("long ", 60), "🛠 tool", "select", "C++", "C#", "C",
	}
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Companies")
	d := r.server.Data()
	for i, name := range names {
		d.AddUDF("Companies", autotasktest.UDF{Name: name})
		for j, id := range d.IDs("Companies") {
			if (i+j)%3 > 0 {
				d.UpdateQuietly("Companies", id, autotasktest.Fields{"udf:" + name: fmt.Sprintf("%q of %d", name, id)})
			}
		}
	}
	r.mustSync()
	r.equal()
	columns := func() map[string]string {
		out := map[string]string{}
		for _, pair := range r.query(`SELECT source || chr(1) || column_name FROM _atsync.columns WHERE udf`) {
			source, name, _ := strings.Cut(pair, "\x01")
			out[source] = name
		}
		return out
	}
	before := columns()
	if len(before) != len(names)+3 {
		t.Errorf("%d columns of %d UDFs", len(before), len(names)+3)
	}
	for range 2 {
		if run := r.mustLater(); totals(run).Updated+totals(run).Inserted > 0 || stream(t, run, "Companies").Mode == string(pipeline.ModeFull) {
			t.Errorf("nothing has changed: %+v", stream(t, run, "Companies"))
		}
	}
	d.RemoveUDF("Companies", "rank")
	d.AddUDF("Companies", autotasktest.UDF{Name: "rAnK"})
	d.AddUDF("Companies", autotasktest.UDF{Name: "c"})
	for _, id := range d.IDs("Companies")[:4] {
		d.UpdateQuietly("Companies", id, autotasktest.Fields{"udf:rAnK": "new", "udf:c": "new"})
	}
	r.mustLater()
	r.equal()
	after := columns()
	for source, name := range before {
		if after[source] != name {
			t.Errorf("%q was %s, is %s", source, name, after[source])
		}
	}
	if len(after) != len(before)+2 {
		t.Errorf("%d columns, %d before", len(after), len(before))
	}
}

// TestUnknownCaseIsNotMixedUp: a UDF that differs from a known one in case alone appears in rows before the metadata is
// read again. Neither takes the other's place.
func TestUnknownCaseIsNotMixedUp(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Companies")
	d := r.server.Data()
	id := d.IDs("Companies")[1]
	d.AddUDF("Companies", autotasktest.UDF{Name: "Rank"})
	d.UpdateQuietly("Companies", id, autotasktest.Fields{"udf:Rank": "known"})
	r.mustSync()
	d.AddUDF("Companies", autotasktest.UDF{Name: "rank"})
	d.AddUDF("Companies", autotasktest.UDF{Name: "nameless"})
	r.clock.Advance(time.Hour)
	d.Update("Companies", id, autotasktest.Fields{"udf:rank": "unknown"})
	r.mustSync()
	row := fmt.Sprintf(`SELECT udf_rank || ' ' || (_extra->'userDefinedFields'->>'rank') FROM companies WHERE id = %d`, id)
	r.wants(row, "known unknown")
	r.mustLater()
	r.equal()
	r.wants(fmt.Sprintf(`SELECT _extra FROM companies WHERE id = %d`, id), "∅")
}

func TestManyUDFs(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Companies")
	d := r.server.Data()
	kinds := []string{"string", "integer", "decimal", "datetime", "boolean"}
	values := []string{"text", "42", "1.25", "2026-01-31T10:00:00Z", "true"}
	ids := d.IDs("Companies")
	fields := make([]autotasktest.Fields, len(ids))
	for i := range 200 {
		name := fmt.Sprintf("Field %03d", i)
		d.AddUDF("Companies", autotasktest.UDF{Name: name, Type: kinds[i%5]})
		for j := range ids {
			if (i+j)%3 == 0 {
				if fields[j] == nil {
					fields[j] = autotasktest.Fields{}
				}
				fields[j]["udf:"+name] = values[i%5]
			}
		}
	}
	for j, id := range ids {
		d.UpdateQuietly("Companies", id, fields[j])
	}
	r.mustSync()
	r.equal()
	r.wants(`SELECT string_agg(n, ' ') FROM (SELECT type || ':' || count(*) AS n FROM _atsync.columns WHERE column_name LIKE 'udf_field_%' GROUP BY type ORDER BY type)`,
		"BIGINT:40 BOOLEAN:40 DECIMAL(18,4):40 TIMESTAMP WITH TIME ZONE:40 VARCHAR:40")
}
