package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"github.com/atsync/atsync/schemas"
)

// TestEntitiesFitANarrowTerminal holds both tables to a terminal's width, with the names in them whole.
func TestEntitiesFitANarrowTerminal(t *testing.T) {
	var list []entityReport
	for _, entity := range schemas.Catalogue() {
		list = append(list, reportEntity(entity))
	}
	tickets, _ := schemas.Lookup("Tickets")
	for _, width := range []int{80, 100, 120, 200} {
		var b bytes.Buffer
		if err := entityTable(list, width).Write(&b); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "time_entries"); got != (width >= wide) {
			t.Errorf("%d: shows tables: %v", width, got)
		}
		if err := columnTable(dictionary(schemas.NewTable(tickets, nil, nil)), width).Write(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d: a line takes %d: %q", width, n, line)
			}
		}
		for _, name := range []string{"ContractExclusionBillingCodes ", "\nlast_tracked_modification_date_time ", "TIMESTAMPTZ"} {
			if !strings.Contains(b.String(), name) {
				t.Errorf("%d: %q is missing", width, name)
			}
		}
	}
}
