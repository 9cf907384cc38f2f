package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sinks/duckdb"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

const requiredQuery = `SELECT status_label, queue_label, company_name, assigned_resource_name FROM v_tickets ORDER BY id`

// TestViewsOfATenant: every table of a synced tenant has a view with exactly its live rows.
func TestViewsOfATenant(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	hostile := "\"; DROP TABLE tickets; --\n'🛠" + strings.Repeat("x", 5000)
	r.server.Data().AddUDF("Tickets", autotasktest.UDF{Name: hostile, Choices: []autotasktest.Choice{{Value: "1", Label: hostile}}})
	for i, id := range r.server.Data().IDs("Tickets") {
		r.server.Data().Update("Tickets", id, map[string]any{"udf:" + hostile: fmt.Sprint(i % 2)})
	}
	r.server.Data().DeleteQuietly("Roles", r.server.Data().IDs("Roles")[0])
	r.mustSync()
	r.equal()
	db := openPublished(t, r.cfg.PublishPath)
	for _, e := range r.cfg.Entities {
		var live, shown, distinct int
		table := schemas.TableName(e.Name)
		err := db.QueryRow(`SELECT (SELECT count(*) FROM `+table+` WHERE _deleted_at IS NULL), count(*), count(DISTINCT id)
			FROM (SELECT id, hash(v) AS h FROM v_`+table+` AS v) WHERE h IS NOT NULL`).Scan(&live, &shown, &distinct)
		if err != nil || shown != live || distinct != live {
			t.Errorf("v_%s: %d rows, %d ids of %d live ones, error %v", table, shown, distinct, live, err)
		}
	}
	var status, queue, company, resource, labels int
	err := db.QueryRow(`SELECT count(status_label), count(queue_label), count(company_name), count(assigned_resource_name) FROM (`+requiredQuery+`)`).
		Scan(&status, &queue, &company, &resource)
	if n := r.server.Data().Count("Tickets"); err != nil || status != n || queue == 0 || company != n || resource == 0 {
		t.Errorf("of %d tickets: %d status, %d queue, %d company, %d resource, error %v", n, status, queue, company, resource, err)
	}
	query := `SELECT count(*) FROM v_tickets t, picklists p WHERE p.entity = 'Tickets' AND p.value = '1' AND p.label = ? AND
		COLUMNS(c -> c LIKE 'udf_drop_table%_label') = p.label`
	if err := db.QueryRow(query, hostile).Scan(&labels); err != nil || labels == 0 {
		t.Errorf("%d labels of a hostile name, error %v", labels, err)
	}
}

// TestViewsOfTicketsAlone: what is not synced has no names, but the columns are there.
func TestViewsOfTicketsAlone(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Tickets")
	r.server.Data().SetPicklist("Tickets", "queueID", nil)
	r.mustSync()
	var n, status, others int
	err := openPublished(t, r.cfg.PublishPath).QueryRow(`SELECT count(*), count(status_label),
		count(queue_label) + count(company_name) + count(assigned_resource_name) FROM (`+requiredQuery+`)`).Scan(&n, &status, &others)
	if err != nil || n != r.server.Data().Count("Tickets") || status != n || others != 0 {
		t.Errorf("%d tickets, %d status, %d others, error %v", n, status, others, err)
	}
}

// TestRenamedLabelShowsWithoutASyncOfRows: only the metadata is read again.
func TestRenamedLabelShowsWithoutASyncOfRows(t *testing.T) {
	r := newRig(t, autotasktest.Tiny())
	r.cfg.Entities = entities(t, "Tickets")
	r.server.Data().Update("Tickets", r.server.Data().IDs("Tickets")[0], map[string]any{"status": 1})
	r.mustSync()
	count := func(label string) (n int) {
		db, err := duckdb.OpenReader(t.Context(), r.cfg.PublishPath)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }() // the next call wants the newest publication
		if err := db.QueryRow(`SELECT count(*) FROM v_tickets WHERE status_label = ?`, label).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	complete := count("Complete")
	r.server.Data().RenameLabel("Tickets", "status", "5", "Erledigt")
	choices := r.server.Data().Picklist("Tickets", "status")
	for i, c := range choices {
		if c.Value == "1" { // and one that vanishes
			r.server.Data().SetPicklist("Tickets", "status", append(choices[:i:i], choices[i+1:]...))
		}
	}
	fresh := count("New")
	r.clock.Advance(time.Hour)
	s := r.open()
	runner := s.runner(nil)
	runner.MetadataAge = time.Nanosecond
	run, err := runner.Sync(t.Context(), pipeline.SyncRequest{Entities: r.cfg.Entities})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := totals(run); err != nil || n.Inserted+n.Updated != 0 {
		t.Fatalf("%+v, error %v", n, err)
	}
	if complete == 0 || count("Erledigt") != complete || count("Complete") != 0 || fresh == 0 || count("New") != fresh {
		t.Errorf("of %d tickets that were Complete %d are Erledigt, %d Complete; of %d New ones %d", complete, count("Erledigt"), count("Complete"), fresh, count("New"))
	}
}
