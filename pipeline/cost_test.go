package pipeline

import (
	"testing"
	"time"

	"github.com/atsync/atsync/schemas"
)

func TestWorkload(t *testing.T) {
	entity := func(name string) *schemas.Entity {
		e, ok := schemas.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		return e
	}
	tests := []struct {
		name string
		workload
		want int64
	}{
		{"first, small, empty", workload{entity: entity("Roles"), mode: ModeFirst}, 1},
		{"first, small, a page less one", workload{entity: entity("Roles"), mode: ModeFirst, rows: 499}, 1},
		{"first, small, a full page and an empty one", workload{entity: entity("Roles"), mode: ModeFirst, rows: 500}, 2},
		{"first, small, confirmed by a count", workload{entity: entity("Roles"), mode: ModeFirst, rows: 501}, 3},
		{"first, large: counted ahead", workload{entity: entity("Tickets"), mode: ModeFirst, rows: 10}, 2},
		{"first, large, 100,000 rows", workload{entity: entity("Tickets"), mode: ModeFirst, rows: 100_000}, 1 + 201},
		{"incremental, nothing", workload{entity: entity("Tickets"), mode: ModeIncremental, live: 100_000}, 1},
		{"incremental, two pages", workload{entity: entity("Tickets"), mode: ModeIncremental, rows: 700, live: 100_000}, 3},
		{"full, small", workload{entity: entity("Roles"), mode: ModeFull, rows: 30, live: 30}, 1},
		{"full, small, one gone: a second look", workload{entity: entity("Roles"), mode: ModeFull, rows: 29, live: 30}, 2},
		{"full, large", workload{entity: entity("Tickets"), mode: ModeFull, rows: 10_000, live: 10_000}, 1 + 21},
		{"children of no parent", workload{entity: entity("TicketSecondaryResources"), mode: ModeParent, live: 900}, 0},
		{"children of a few parents", workload{entity: entity("TicketSecondaryResources"), mode: ModeParent, parents: 3, rows: 5}, 1},
		{"children of 1,001 parents: three groups", workload{entity: entity("TicketSecondaryResources"), mode: ModeParent, parents: 1001, rows: 300}, 3},
		{"many children a group", workload{entity: entity("TicketSecondaryResources"), mode: ModeParent, parents: 500, rows: 1200}, 3},
		{"history: a request a changed ticket", workload{entity: entity("TicketHistory"), mode: ModeParent, parents: 1234, rows: 9000}, 1234},
		{"history, whole: a request a ticket", workload{entity: entity("TicketHistory"), mode: ModeFull, parents: 120_000, rows: 2_000_000}, 120_000},
		{"child-only: a request a parent", workload{entity: entity("ResourceTimeOffBalances"), mode: ModeFull, parents: 40, rows: 40}, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.requests(); got != tt.want {
				t.Errorf("%d requests, want %d", got, tt.want)
			}
		})
	}
}

func TestChurn(t *testing.T) {
	tests := []struct {
		name       string
		rows, seen int64
		over, in   time.Duration
		want       int64
	}{
		{"unknown: one in a hundred a day", 10_000, 0, 0, 24 * time.Hour, 100},
		{"unknown, a quarter of an hour", 120_000, 0, 0, 15 * time.Minute, 12},
		{"by the rate so far", 10_000, 960, 24 * time.Hour, 15 * time.Minute, 10},
		{"nothing came", 10_000, 0, time.Hour, 24 * time.Hour, 0},
	}
	for _, tt := range tests {
		if got := churn(tt.rows, tt.seen, tt.over, tt.in); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
