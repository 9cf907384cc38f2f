package pipeline_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
)

// newStaff is a lab with resources, each with one balance.
func newStaff(t *testing.T, n int64) *lab {
	l := newLab(t)
	for id := range n {
		l.put("Resources", id, map[string]any{"firstName": fmt.Sprint(id)})
		l.source.Put("ResourceTimeOffBalances", 1000+id, map[string]any{"resourceID": id, "year": 2026})
	}
	return l
}

func (l *lab) requests(entity string, during func()) int64 {
	before := l.source.Requests()[entity]
	during()
	return l.source.Requests()[entity] - before
}

func (l *lab) must(t *testing.T, names ...string) pipeline.Run {
	t.Helper()
	run, err := l.sync(names...)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

var staff = []string{"Resources", "ResourceTimeOffBalances"}

func TestChildOnlyEntityFollowsItsParents(t *testing.T) {
	l := newStaff(t, 120)
	if s := one(t, l.must(t, staff...), "ResourceTimeOffBalances"); s.Mode != "first" || s.Inserted != 120 || s.Requests != 121 {
		t.Errorf("first: %+v", s) // with one for its metadata
	}
	l.now = l.now.Add(time.Hour)
	if n := l.requests("ResourceTimeOffBalances", func() { l.must(t, staff...) }); n != 0 {
		t.Errorf("nothing changed, %d requests", n)
	}
	// Of two resources that change, one has a new balance. A third one's balance goes, but nothing tells.
	l.now = l.now.Add(time.Hour)
	l.put("Resources", 3, map[string]any{"firstName": "changed"})
	l.put("Resources", 4, map[string]any{"firstName": "changed"})
	l.source.Put("ResourceTimeOffBalances", 1003, map[string]any{"resourceID": 3, "year": 2027})
	l.source.Delete("ResourceTimeOffBalances", 1050)
	if s := one(t, l.must(t, staff...), "ResourceTimeOffBalances"); s.Mode != "parent" || s.Requests != 2 || s.Updated != 1 || s.Deleted != 0 {
		t.Errorf("two parents changed: %+v", s)
	}
	// The resource is deleted: its balances go without a question.
	l.source.Delete("Resources", 7)
	l.source.Delete("ResourceTimeOffBalances", 1007)
	l.now = l.now.Add(time.Hour)
	if s := one(t, l.must(t, staff...), "ResourceTimeOffBalances"); s.Requests != 0 || s.Deleted != 1 {
		t.Errorf("a parent is gone: %+v", s)
	}
	// A week later all parents are asked again.
	l.now = l.now.Add(7 * 24 * time.Hour)
	s := one(t, l.must(t, staff...), "ResourceTimeOffBalances")
	if s.Mode != "full" || s.Deleted != 1 || s.Unchanged != 118 {
		t.Errorf("after a week: %+v", s)
	}
	if got := l.live("ResourceTimeOffBalances", "year"); len(got) != 118 || got["1003"] != "2027" || got["1050"] != "" {
		t.Errorf("%d balances: %v", len(got), got)
	}
}

// TestFirstReadParentByParentGoesOnWhereItWasKilled: only the parents of the load that was not committed are asked again.
func TestFirstReadParentByParentGoesOnWhereItWasKilled(t *testing.T) {
	l := newStaff(t, 230)
	asked := 0
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "ResourceTimeOffBalances" {
			if asked++; asked == 170 {
				return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
			}
		}
		return nil
	}
	if _, err := l.sync(staff...); err == nil {
		t.Fatal("no error")
	}
	st, err := l.sink.Stream(t.Context(), "ResourceTimeOffBalances")
	if err != nil || !st.Checkpoint.CompleteThrough.IsZero() || st.LiveRows != 150 {
		t.Errorf("after the failure: %+v, %v", st, err)
	}
	l.now = l.now.Add(time.Hour)
	s := one(t, l.must(t, staff...), "ResourceTimeOffBalances")
	if s.Mode != "first" || s.Requests != 80 || s.CompleteThrough.IsZero() {
		t.Errorf("the rest: %+v", s)
	}
	if n := len(l.live("ResourceTimeOffBalances", "id")); n != 230 {
		t.Errorf("%d rows", n)
	}
	l.now = l.now.Add(time.Hour)
	if n := l.requests("ResourceTimeOffBalances", func() { l.must(t, staff...) }); n != 0 {
		t.Errorf("complete, and yet %d requests", n)
	}
}

func TestTicketHistoryOfChangedTicketsOnly(t *testing.T) {
	names := []string{"Tickets", "TicketHistory"}
	l := newLab(t)
	for id := range int64(60) {
		l.put("Tickets", id, map[string]any{"title": "t"})
		l.source.Put("TicketHistory", 100+id, map[string]any{"ticketID": id, "detail": "old"})
	}
	if s := one(t, l.must(t, names...), "TicketHistory"); s.Requests != 1 || s.Fetched != 0 || s.Mode != "first" {
		t.Errorf("the first run asks for metadata alone: %+v", s)
	}
	l.now = l.now.Add(time.Hour)
	l.put("Tickets", 5, map[string]any{"title": "changed"})
	l.source.Put("TicketHistory", 900, map[string]any{"ticketID": 5, "detail": "new"})
	l.now = l.now.Add(time.Minute)
	if s := one(t, l.must(t, names...), "TicketHistory"); s.Requests != 1 || s.Inserted != 2 {
		t.Errorf("one ticket changed: %+v", s)
	}
	// Weeks do not make it a whole read.
	l.now = l.now.Add(30 * 24 * time.Hour)
	if n := l.requests("TicketHistory", func() { l.must(t, names...) }); n > 1 { // metadata
		t.Errorf("%d requests", n)
	}
	// Asked for, it is; and if that is stopped, the next run goes on.
	asked := 0
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "TicketHistory" {
			if asked++; asked == 55 {
				return &pipeline.Error{Class: pipeline.ClassTransient, Err: errors.New("down")}
			}
		}
		return nil
	}
	if _, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find(names...), Full: true}); err == nil {
		t.Fatal("no error")
	}
	if s := one(t, l.must(t, names...), "TicketHistory"); s.Requests != 10 || s.Inserted != 9 || s.Unchanged != 2 {
		t.Errorf("the rest: %+v", s)
	}
	if got := l.live("TicketHistory", "detail"); len(got) != 61 {
		t.Errorf("%d rows after --full", len(got))
	}
}

func TestChildWithoutItsParent(t *testing.T) {
	l := newStaff(t, 3)
	_, err := l.sync("ResourceTimeOffBalances")
	if pipeline.ClassOf(err) != pipeline.ClassConfig || !strings.Contains(err.Error(), "add Resources to sync.entities") {
		t.Errorf("error %v", err)
	}
	l.source.DescribeErr = func(entity string) error {
		if entity == "Resources" {
			return &pipeline.Error{Class: pipeline.ClassAbsent, Err: errors.New("HTTP 404")}
		}
		return nil
	}
	run := l.must(t, staff...)
	if s := one(t, run, "ResourceTimeOffBalances"); s.Status != pipeline.StatusAbsent {
		t.Errorf("%+v", s)
	}
	l.source.DescribeErr = func(entity string) error {
		if entity == "Resources" {
			return &pipeline.Error{Class: pipeline.ClassRights, Err: errors.New("HTTP 403")}
		}
		return nil
	}
	run, err = l.sync(staff...)
	if s := one(t, run, "ResourceTimeOffBalances"); err == nil || s.ErrorClass != pipeline.ClassRights || !strings.Contains(s.Error, "Resources") {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestChildThatIsMissingOnceStays: an answer that leaves rows out once is not believed.
func TestChildThatIsMissingOnceStays(t *testing.T) {
	l := newStaff(t, 3)
	l.must(t, staff...)
	l.now = l.now.Add(time.Hour)
	l.put("Resources", 1, map[string]any{"firstName": "changed"})
	row := l.source.Row("ResourceTimeOffBalances", 1001)
	l.source.Delete("ResourceTimeOffBalances", 1001)
	asked := 0
	l.source.OnPage = func(entity string, _ int) error {
		if entity == "ResourceTimeOffBalances" {
			if asked++; asked == 2 {
				l.source.Put("ResourceTimeOffBalances", 1001, row)
			}
		}
		return nil
	}
	if s := one(t, l.must(t, staff...), "ResourceTimeOffBalances"); s.Deleted != 0 || asked != 2 {
		t.Errorf("%+v, asked %d times", s, asked)
	}
}

// TestRightRemovedSilently: rows that are not shown any more are no deleted rows.
func TestRightRemovedSilently(t *testing.T) {
	all := func(id int64) bool { return true }
	tests := map[string]struct {
		rows   int64
		gone   func(id int64) bool
		access pipeline.Access
		allow  bool
		class  pipeline.Class // "": the rows become tombstones
		asks   int64
	}{
		"emptied, no right":            {rows: 3, gone: all, access: pipeline.AccessNone, class: pipeline.ClassRights, asks: 1},
		"emptied, no right, allowed":   {rows: 100, gone: all, access: pipeline.AccessNone, allow: true, class: pipeline.ClassRights, asks: 1},
		"small and emptied, some":      {rows: 3, gone: all, access: pipeline.AccessRestricted, class: pipeline.ClassGuard, asks: 1},
		"emptied, some, allowed":       {rows: 3, gone: all, access: pipeline.AccessRestricted, allow: true, asks: 1},
		"small and emptied, all":       {rows: 3, gone: all, access: pipeline.AccessAll, asks: 1},
		"small and emptied, not known": {rows: 3, gone: all, asks: 1},
		"emptied, all":                 {rows: 40, gone: all, access: pipeline.AccessAll, class: pipeline.ClassGuard, asks: 1},
		"six of a hundred, no right":   {rows: 100, gone: func(id int64) bool { return id < 6 }, access: pipeline.AccessNone, class: pipeline.ClassRights, asks: 1},
		"six of a hundred, some":       {rows: 100, gone: func(id int64) bool { return id < 6 }, access: pipeline.AccessRestricted, class: pipeline.ClassGuard, asks: 1},
		"six of 400, some":             {rows: 400, gone: func(id int64) bool { return id < 6 }, access: pipeline.AccessRestricted, asks: 1},
		"five of a hundred":            {rows: 100, gone: func(id int64) bool { return id < 5 }, access: pipeline.AccessNone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			asked := int64(0)
			l.source.OnAccess = func(string) (pipeline.Access, error) { asked++; return tt.access, nil }
			for id := range tt.rows {
				l.put("Roles", id, map[string]any{"name": "r"})
			}
			l.must(t, "Roles")
			left := map[string]string{}
			for id := range tt.rows {
				if tt.gone(id) {
					l.source.Delete("Roles", id)
				}
				if tt.class != "" || !tt.gone(id) {
					left[fmt.Sprint(id)] = "r"
				}
			}
			l.now = l.now.Add(time.Hour)
			_, err := l.runner.Sync(t.Context(), pipeline.SyncRequest{Entities: find("Roles"), AllowDeletes: tt.allow})
			if err == nil && tt.class != "" || err != nil && pipeline.ClassOf(err) != tt.class {
				t.Errorf("error %v, want class %q", err, tt.class)
			}
			if tt.class == pipeline.ClassRights && !strings.Contains(err.Error(), "right to view Roles") {
				t.Errorf("the remedy does not name the right: %v", err)
			}
			if got := l.live("Roles", "name"); !maps.Equal(got, left) {
				t.Errorf("%d rows are left, want %d", len(got), len(left))
			}
			if asked != tt.asks {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// TestRightThatCannotBeAskedFor: then nothing is tombstoned either.
func TestRightThatCannotBeAskedFor(t *testing.T) {
	l := newLab(t)
	for id := range int64(9) {
		l.put("Roles", id, nil)
	}
	l.must(t, "Roles")
	for id := range int64(8) {
		l.source.Delete("Roles", id)
	}
	l.source.OnAccess = func(string) (pipeline.Access, error) {
		return "", &pipeline.Error{Class: pipeline.ClassRights, Err: errors.New("HTTP 403")}
	}
	if _, err := l.sync("Roles"); pipeline.ClassOf(err) != pipeline.ClassRights {
		t.Errorf("error %v", err)
	}
	if n := len(l.live("Roles", "id")); n != 9 {
		t.Errorf("%d rows are left", n)
	}
}

// TestRightsAreAskedForOnceAStream: many groups of children, one question.
func TestRightsAreAskedForOnceAStream(t *testing.T) {
	l := newStaff(t, 120)
	l.must(t, staff...)
	asked := 0
	l.source.OnAccess = func(string) (pipeline.Access, error) { asked++; return pipeline.AccessAll, nil }
	for id := range int64(120) {
		l.put("Resources", id, map[string]any{"firstName": "changed"})
		if id%6 == 0 {
			l.source.Delete("ResourceTimeOffBalances", 1000+id)
		}
	}
	l.now = l.now.Add(time.Hour)
	if s := one(t, l.must(t, staff...), "ResourceTimeOffBalances"); s.Deleted != 20 || asked != 1 {
		t.Errorf("%+v, asked %d times", s, asked)
	}
}

// TestEntityThatComesAndGoes: one that the zone does not have is read as soon as it is there; one that vanishes keeps its rows.
func TestEntityThatComesAndGoes(t *testing.T) {
	l := newLab(t)
	gone := true
	absent := func(string) error {
		if gone {
			return &pipeline.Error{Class: pipeline.ClassAbsent, Err: errors.New("HTTP 404")}
		}
		return nil
	}
	l.source.DescribeErr = absent
	l.source.OnPage = func(entity string, _ int) error { return absent(entity) }
	l.put("Roles", 1, map[string]any{"name": "r"})
	if s := one(t, l.must(t, "Roles"), "Roles"); s.Status != pipeline.StatusAbsent {
		t.Errorf("%+v", s)
	}
	gone = false
	l.now = l.now.Add(time.Hour)
	if s := one(t, l.must(t, "Roles"), "Roles"); s.Mode != "first" || s.Inserted != 1 {
		t.Errorf("%+v", s)
	}
	gone = true
	for _, pause := range []time.Duration{time.Hour, 25 * time.Hour} { // with known metadata, and with none
		l.now = l.now.Add(pause)
		if s := one(t, l.must(t, "Roles"), "Roles"); s.Status != pipeline.StatusAbsent || len(l.live("Roles", "name")) != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// TestChildrenOfLinks: a link has no field that an edit could change, so its children follow what it hangs on.
func TestChildrenOfLinks(t *testing.T) {
	l := newLab(t)
	for id := range int64(3) {
		l.put("ServiceCalls", id, nil)
		l.source.Put("ServiceCallTickets", 10+id, map[string]any{"serviceCallID": id, "ticketID": 5})
		l.source.Put("ServiceCallTicketResources", 20+id, map[string]any{"serviceCallTicketID": 10 + id, "resourceID": 1})
	}
	names := []string{"ServiceCallTicketResources", "ServiceCallTickets", "ServiceCalls"}
	l.must(t, names...)
	l.now = l.now.Add(time.Hour)
	l.put("ServiceCalls", 1, nil)
	l.source.Put("ServiceCallTicketResources", 21, map[string]any{"serviceCallTicketID": 11, "resourceID": 9})
	l.source.Put("ServiceCallTicketResources", 29, map[string]any{"serviceCallTicketID": 11, "resourceID": 8})
	l.now = l.now.Add(time.Minute)
	if s := one(t, l.must(t, names...), "ServiceCallTicketResources"); s.Updated != 1 || s.Inserted != 1 || s.Requests != 1 {
		t.Errorf("%+v", s)
	}
	want := map[string]string{"20": "1", "21": "9", "22": "1", "29": "8"}
	if got := l.live("ServiceCallTicketResources", "resource_id"); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
