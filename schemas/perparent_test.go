package schemas_test

import (
	"slices"
	"testing"

	"github.com/atsync/atsync/schemas"
)

func TestPerParent(t *testing.T) {
	var got []string
	for _, e := range schemas.Catalogue() {
		if !e.PerParent() {
			continue
		}
		got = append(got, e.Name)
		reads := schemas.NewTable(e, &schemas.Metadata{}, nil).Reads() // no field of it is queryable
		if reads.ParentKey == "" || reads.Class != e.Class || e.Follows() != e.Parent {
			t.Errorf("%s: %+v, follows %q", e.Name, reads, e.Follows())
		}
	}
	want := []string{"AccountInvoiceSettings", "ResourceTimeOffAdditional", "ResourceTimeOffBalances", "TicketHistory"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if e, _ := schemas.Lookup("Tickets"); e.Follows() != "" || e.ByNameOnly() {
		t.Error("tickets follow nothing")
	}
}

// TestWhatAllMeans: everything that has rows, parents first, but what costs a request for every ticket.
func TestWhatAllMeans(t *testing.T) {
	all, err := schemas.Select([]string{"all"})
	if err != nil {
		t.Fatal(err)
	}
	names := entityNames(all)
	for _, e := range schemas.Catalogue() {
		has := e.Queryable || e.Class == schemas.ClassChild
		if want := has && e.Name != "TicketHistory"; slices.Contains(names, e.Name) != want {
			t.Errorf("%s is in all: %v", e.Name, !want)
		}
		if e.Follows() != "" && slices.Index(names, e.Name) >= 0 && slices.Index(names, e.Follows()) > slices.Index(names, e.Name) {
			t.Errorf("%s comes before %s", e.Name, e.Follows())
		}
	}
	with, err := schemas.Select([]string{"all", "TicketHistory"})
	if err != nil || len(with) != len(all)+1 {
		t.Errorf("%d entities, error %v", len(with), err)
	}
}
