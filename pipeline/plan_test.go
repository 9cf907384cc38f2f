package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func planTable(t *testing.T, entity string) *schemas.Table {
	t.Helper()
	e, ok := schemas.Lookup(entity)
	if !ok {
		t.Fatalf("no entity %s", entity)
	}
	return schemas.NewTable(e, nil, nil)
}

// with changes the last column of a table.
func with(t *schemas.Table, change func(c *schemas.Column)) *schemas.Table {
	change(&t.Columns[len(t.Columns)-1])
	return t
}

func TestPlanStream(t *testing.T) {
	seen := Checkpoint{CompleteThrough: noon.Add(-time.Hour), FullAt: noon.Add(-time.Hour), RereadAt: noon.Add(-time.Hour), ParentLoad: 7}
	maxID := int64(41)
	ids := func(n int) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = int64(i)
		}
		return out
	}
	tests := []struct {
		name string
		in   planInput
		want func(Plan) string // "" if right
	}{
		{"nothing stored: everything, checkpoint at the server's clock less the settle time", planInput{
			table: planTable(t, "Tickets"),
		}, func(p Plan) string {
			if p.Mode != ModeFirst || !p.Window.All() || !p.Next.CompleteThrough.Equal(noon.Add(-Settle)) || !p.Next.FullAt.Equal(noon) {
				return "want a first read of everything"
			}
			return ""
		}},
		{"stamps and new ids since the checkpoint less the overlap", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: seen, MaxID: &maxID},
		}, func(p Plan) string {
			want := Window{
				Stamps: []string{"lastActivityDate", "lastTrackedModificationDateTime", "createDate"},
				Since:  noon.Add(-time.Hour - 5*time.Minute), NewerID: &maxID,
			}
			if p.Mode != ModeIncremental {
				return "want incremental"
			}
			return cmp.Diff(want, p.Window)
		}},
		{"no usable date: whole read", planInput{
			table: planTable(t, "Resources"), state: StreamState{Checkpoint: seen},
		}, func(p Plan) string {
			if p.Mode != ModeFull || !p.Window.All() {
				return "want a full read"
			}
			return ""
		}},
		{"asked for in full", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: seen}, full: true,
		}, func(p Plan) string {
			if p.Mode != ModeFull || !p.Window.All() {
				return "want a full read"
			}
			return ""
		}},
		{"the server's clock went back: the checkpoint can't be trusted", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: Checkpoint{CompleteThrough: noon.Add(time.Hour)}},
		}, func(p Plan) string {
			if p.Mode != ModeFull || !p.Next.CompleteThrough.Equal(noon.Add(-Settle)) {
				return "want a full read that puts the checkpoint right"
			}
			return ""
		}},
		{"a column is to be added: the table is read whole to fill it", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: seen, LiveRows: 100_000, Columns: planTable(t, "Tickets").Columns[:20]},
		}, func(p Plan) string {
			if p.Mode != ModeFull || !p.Refill || !p.Window.All() {
				return "want a full read"
			}
			return ""
		}},
		{"the same in a large table: it becomes partial", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: seen, LiveRows: 100_001, Columns: planTable(t, "Tickets").Columns[:20]},
		}, func(p Plan) string {
			if p.Mode != ModeIncremental || p.Refill {
				return "want an incremental read"
			}
			return ""
		}},
		{"the same in an empty table: there is nothing to fill", planInput{
			table: planTable(t, "Tickets"), state: StreamState{Checkpoint: seen, Columns: planTable(t, "Tickets").Columns[:20]},
		}, func(p Plan) string {
			if p.Mode != ModeIncremental {
				return "want an incremental read"
			}
			return ""
		}},
		{"a column is partial, and the table small enough by now", planInput{
			table: with(planTable(t, "Tickets"), func(c *schemas.Column) { c.PartialSince = 5 }),
			state: StreamState{Checkpoint: seen, LiveRows: 10, Columns: planTable(t, "Tickets").Columns},
		}, func(p Plan) string {
			if p.Mode != ModeFull || !p.Refill {
				return "want a full read"
			}
			return ""
		}},
		{"a partial column whose field is gone can't be filled", planInput{
			table: with(planTable(t, "Tickets"), func(c *schemas.Column) { c.PartialSince, c.Retired = 5, true }),
			state: StreamState{Checkpoint: seen, LiveRows: 10, Columns: with(planTable(t, "Tickets"), func(c *schemas.Column) { c.Retired = true }).Columns},
		}, func(p Plan) string {
			if p.Mode != ModeIncremental {
				return "want an incremental read"
			}
			return ""
		}},
		{"a wider type, a retired column and a renamed one need no whole read", planInput{
			table: with(planTable(t, "Tickets"), func(c *schemas.Column) {
				c.Type, c.Retired, c.UDF, c.Source = schemas.Type{Kind: schemas.String}, true, true, "x"
			}),
			state: StreamState{Checkpoint: seen, LiveRows: 10, Columns: with(planTable(t, "Tickets"), func(c *schemas.Column) { c.UDF = true }).Columns},
		}, func(p Plan) string {
			if p.Mode != ModeIncremental {
				return "want an incremental read"
			}
			return ""
		}},
		{"a whole class is read whole for its own sake", planInput{
			table: planTable(t, "Resources"), state: StreamState{Checkpoint: seen, LiveRows: 10, Columns: planTable(t, "Resources").Columns[:5]},
		}, func(p Plan) string {
			if p.Mode != ModeFull || p.Refill {
				return "want a full read whose guard holds"
			}
			return ""
		}},
		{"append: the recent window once a day", planInput{
			table: planTable(t, "BillingItems"),
			state: StreamState{Checkpoint: Checkpoint{CompleteThrough: noon.Add(-time.Hour), RereadAt: noon.Add(-25 * time.Hour)}},
		}, func(p Plan) string {
			if !p.Window.Since.Equal(noon.Add(-rereadWindow)) || !p.Next.RereadAt.Equal(noon) {
				return "want the window of 35 days"
			}
			return ""
		}},
		{"append: otherwise since the checkpoint", planInput{
			table: planTable(t, "BillingItems"), state: StreamState{Checkpoint: seen},
		}, func(p Plan) string {
			if !p.Window.Since.Equal(noon.Add(-time.Hour-5*time.Minute)) || !p.Next.RereadAt.Equal(seen.RereadAt) {
				return "want the window since the checkpoint"
			}
			return ""
		}},
		{"children of changed parents", planInput{
			table: planTable(t, "TicketSecondaryResources"), state: StreamState{Checkpoint: seen, LiveRows: 5000},
			parents: ids(3), parentLoad: 9, parentRead: true, parentThrough: noon.Add(-time.Minute),
		}, func(p Plan) string {
			if p.Mode != ModeParent || len(p.Parents) != 3 || p.Key != "ticketID" || p.Next.ParentLoad != 9 || !p.Next.CompleteThrough.Equal(noon.Add(-time.Minute)) {
				return "want the children of three parents, complete as far as these are"
			}
			return ""
		}},
		{"most parents changed: a whole read costs less", planInput{
			table: planTable(t, "TicketSecondaryResources"), state: StreamState{Checkpoint: seen, LiveRows: 700},
			parents: ids(1600), parentLoad: 9, parentRead: true,
		}, func(p Plan) string {
			if p.Mode != ModeFull {
				return "want a full read"
			}
			return ""
		}},
		{"parents not read in this run: whole read", planInput{
			table: planTable(t, "TicketSecondaryResources"), state: StreamState{Checkpoint: seen, LiveRows: 700}, parentLoad: 9,
		}, func(p Plan) string {
			if p.Mode != ModeFull {
				return "want a full read"
			}
			return ""
		}},
		{"parents not in the warehouse: whole read", planInput{
			table: planTable(t, "TicketSecondaryResources"), state: StreamState{Checkpoint: seen, LiveRows: 700},
		}, func(p Plan) string {
			if p.Mode != ModeFull {
				return "want a full read"
			}
			return ""
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.serverTime, tt.in.overlap = noon, 5*time.Minute
			p := planStream(tt.in)
			if msg := tt.want(p); msg != "" {
				t.Errorf("%s\nplan: %+v", msg, p)
			}
		})
	}
}

func TestLevels(t *testing.T) {
	var in []*schemas.Entity
	for _, name := range []string{"ServiceCallTicketResources", "ServiceCallTickets", "Countries", "Tickets", "ServiceCalls", "TicketSecondaryResources"} {
		e, ok := schemas.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		in = append(in, e)
	}
	level := map[string]int{}
	for i, l := range levels(in) {
		for _, e := range l {
			level[e.Name] = i
		}
	}
	want := map[string]int{"Countries": 0, "Tickets": 0, "ServiceCalls": 0, "ServiceCallTickets": 1, "TicketSecondaryResources": 1, "ServiceCallTicketResources": 2}
	if d := cmp.Diff(want, level); d != "" {
		t.Error(d)
	}
	if first := levels(in)[0][0].Name; first != "Tickets" {
		t.Errorf("the biggest entity comes first, got %s", first)
	}
	if got := levels(in[:1]); len(got) != 1 || len(got[0]) != 1 {
		t.Errorf("a child without its parent in the run stands alone: %v", got)
	}
}
