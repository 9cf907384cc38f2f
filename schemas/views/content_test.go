package views_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas/views"
)

func TestLabels(t *testing.T) {
	w := views.Warehouse{Tables: []views.Table{table(t, "Tickets", "status", "int!", "priority", "int!", "gender", "text!", "Tools", "udf text!", "Empty", "udf text!")}}
	db := create(t, w)
	exec(t, db, `INSERT INTO picklists VALUES
		('Tickets', 'status', '1', 'New', true, now()), ('Tickets', 'status', '-5', 'Complete', true, now()),
		('Tickets', 'status', '8', 'Gone', false, now()),
		('Tickets', 'status', '9', 'older', true, now() - INTERVAL 1 DAY), ('Tickets', 'status', '9', 'newer', true, now()), ('Tickets', 'status', '9', 'inactive', false, now()),
		('Tickets', 'status', NULL, 'none', true, now()), ('Tickets', 'status', '10', NULL, true, now()),
		('Tasks', 'status', '1', 'of tasks', true, now()),
		('Tickets', 'gender', 'M', 'Male', true, now()),
		('Tickets', 'udf_tools', '1', 'Hammer', true, now()), ('Tickets', 'udf_tools', '2', 'Saw, big', true, now())`)
	for _, c := range []struct{ cells, want string }{
		{"1, 1, 'M', '1'", "New|NULL|Male|Hammer"},
		{"-5, NULL, 'Male', 'Hammer'", "Complete|NULL|Male|Hammer"},
		{"8, 0, '', ''", "Gone|NULL|NULL|NULL"},
		{"9, 0, NULL, '1,2'", "newer|NULL|NULL|Hammer, Saw, big"},
		{"10, 0, 'x, M', ' 2 , 1'", "NULL|NULL|x, M|Saw, big, Hammer"},
		{"11, 0, 'M,M', '1, rope'", "NULL|NULL|M,M|Hammer, rope"},
		{"NULL, 0, 'm', 'rope,nail'", "NULL|NULL|m|rope,nail"},
		{"1, 0, 'm', 'Saw, big'", "New|NULL|m|Saw, big"},
	} {
		exec(t, db, "DELETE FROM tickets")
		exec(t, db, "INSERT INTO tickets (id, status, priority, gender, udf_tools) VALUES (1, "+c.cells+")")
		got := lines(t, db, "SELECT status_label, priority_label, gender_label, udf_tools_label FROM v_tickets")
		if diff := cmp.Diff([]string{c.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.cells, diff)
		}
	}
	exec(t, db, "UPDATE picklists SET label = 'Renamed' WHERE value = '1' AND entity = 'Tickets'")
	if got := lines(t, db, "SELECT status_label, udf_empty_label FROM v_tickets"); len(got) != 1 || got[0] != "Renamed|NULL" {
		t.Errorf("after a rename: %v", got)
	}
}

// TestLabelsOfTheCatalogue: the columns are there although the tenant's metadata knows no picklist.
func TestLabelsOfTheCatalogue(t *testing.T) {
	db := create(t, views.Warehouse{Tables: []views.Table{table(t, "Tickets", "status", "int", "queueID", "int", "companyID", "int", "assignedResourceID", "int")}})
	exec(t, db, "INSERT INTO tickets (id, status, queue_id) VALUES (1, 5, 8)")
	got := lines(t, db, "SELECT status_label, queue_label, company_name, assigned_resource_name FROM v_tickets")
	if diff := cmp.Diff([]string{"NULL|NULL|NULL|NULL"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	w := views.Warehouse{Tables: []views.Table{
		table(t, "Tickets", "ticketNumber", "text", "companyID", "int>Companies", "assignedResourceID", "int>Resources", "contactID", "text>Contacts",
			"problemTicketId", "int>Tickets", "projectID", "int>Projects"),
		table(t, "Companies", "companyName", "text", "parentCompanyID", "int>Companies"),
		table(t, "Resources", "firstName", "text", "lastName", "text"),
		table(t, "Contacts", "lastName", "text"),
	}}
	db := create(t, w)
	exec(t, db, "INSERT INTO companies BY NAME SELECT 0 AS id, 'Own' AS company_name UNION ALL BY NAME SELECT 7 AS id, 'Closed' AS company_name, now() AS _deleted_at, 0 AS parent_company_id")
	exec(t, db, "INSERT INTO resources (id, first_name, last_name) VALUES (1, 'Ada', 'Lovelace'), (2, NULL, 'Plato'), (3, NULL, NULL)")
	exec(t, db, "INSERT INTO contacts (id, last_name) VALUES (5, 'Wong')")
	exec(t, db, `INSERT INTO tickets (id, ticket_number, company_id, assigned_resource_id, contact_id, problem_ticket_id) VALUES
		(1, 'T1', 0, 1, '5', NULL), (2, 'T2', 7, 2, 'none', 1), (3, 'T3', 99, 3, NULL, 99)`)
	got := lines(t, db, "SELECT company_name, assigned_resource_name, contact_name, problem_ticket_name, project_name FROM v_tickets ORDER BY id")
	want := []string{"Own|Ada Lovelace|Wong|NULL|NULL", "Closed|Plato|NULL|T1|NULL", "NULL|NULL|NULL|NULL|NULL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDates(t *testing.T) {
	for _, c := range []struct{ zone, at, want string }{
		{"", "2026-03-31 00:00:00Z", "2026-03-31"},
		{"", "2026-03-31 05:00:00Z", "2026-03-31"},
		{"UTC", "2026-03-31 23:59:59.999Z", "2026-03-31"},
		{"Etc/UTC", "2026-03-31 23:59:59.999Z", "2026-03-31"},
		{"America/New_York", "2026-03-31 00:00:00Z", "2026-03-31"},
		{"America/New_York", "2012-10-24 04:00:00Z", "2012-10-24"}, // midnight in summer
		{"America/New_York", "2012-12-24 05:00:00Z", "2012-12-24"}, // in winter
		{"America/New_York", "2012-12-24 00:00:01Z", "2012-12-23"},
		{"Australia/Sydney", "2026-06-30 14:00:00Z", "2026-07-01"},
		{"Australia/Sydney", "2026-07-01 00:00:00Z", "2026-07-01"},
		{"Europe/Berlin", "1969-12-31 00:00:00Z", "1969-12-31"}, // before the epoch
		{"Europe/Berlin", "1969-12-31 23:00:00Z", "1970-01-01"},
	} {
		db := create(t, views.Warehouse{TimeZone: c.zone, Tables: []views.Table{table(t, "Contracts", "startDate", "time", "endDate", "time", "lastModifiedDateTime", "time")}})
		exec(t, db, "SET TimeZone = 'Asia/Tokyo'") // the reader's, which must not matter
		exec(t, db, "INSERT INTO contracts (id, start_date, last_modified_date_time) VALUES (1, '"+c.at+"', '"+c.at+"')")
		got := lines(t, db, "SELECT start_date::VARCHAR, typeof(start_date), end_date, last_modified_date_time = '"+c.at+"' FROM v_contracts")
		if diff := cmp.Diff([]string{c.want + "|DATE|NULL|true"}, got); diff != "" {
			t.Errorf("%s in %q (-want +got):\n%s", c.at, c.zone, diff)
		}
	}
}

func TestLinks(t *testing.T) {
	const root = "https://ww3.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code="
	w := views.Warehouse{WebURL: "https://ww3.autotask.net/", Tables: []views.Table{
		table(t, "Companies"), table(t, "TimeEntries", "ticketID", "int", "taskID", "int"), table(t, "Roles"), table(t, "DeletedTicketLogs", "ticketID", "int"),
	}}
	db := create(t, w)
	exec(t, db, "INSERT INTO companies (id) VALUES (0)")
	exec(t, db, "INSERT INTO time_entries (id, ticket_id, task_id) VALUES (1, 8, NULL), (2, NULL, 9), (3, NULL, NULL)")
	got := append(lines(t, db, "SELECT deep_link FROM v_companies"), lines(t, db, "SELECT deep_link FROM v_time_entries ORDER BY id")...)
	want := []string{root + "OpenAccount&AccountID=0", root + "OpenTicketDetail&TicketID=8", root + "OpenTaskDetail&TaskID=9", "NULL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	with := lines(t, db, "SELECT table_name FROM duckdb_columns() WHERE column_name = 'deep_link' ORDER BY 1")
	if diff := cmp.Diff([]string{"v_companies", "v_time_entries"}, with); diff != "" {
		t.Errorf("views with links (-want +got):\n%s", diff)
	}
	w.WebURL = ""
	db = create(t, w)
	exec(t, db, "INSERT INTO time_entries (id, ticket_id) VALUES (1, 8)")
	if got := lines(t, db, "SELECT deep_link FROM v_time_entries"); len(got) != 1 || got[0] != "NULL" {
		t.Errorf("without the application's address: %v", got)
	}
}

// TestWhichDatetimesAreDates lists every datetime of the catalogue: a new one has to be looked at.
func TestWhichDatetimesAreDates(t *testing.T) {
	var text string
	for _, v := range catalogue().Views() {
		for _, c := range v.Columns {
			switch {
			case c.Type == "DATE":
				text += "date     " + v.Entity + "." + c.Name + "\n"
			case c.Type == "TIMESTAMP WITH TIME ZONE" && c.Name != "_synced_at":
				text += "instant  " + v.Entity + "." + c.Name + "\n"
			}
		}
	}
	golden(t, "datetimes.txt", text)
}
