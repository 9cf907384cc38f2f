package autotasktest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/schemas"
)

var testNow = time.Date(2026, 3, 4, 11, 30, 0, 0, time.UTC)

func TestGenerateSetsOnlyKnownFields(t *testing.T) {
	if got := newGenerator(Small(), 1, testNow).run().missingFields(); len(got) > 0 {
		t.Errorf("the catalogue has no %s", strings.Join(got, ", "))
	}
}

func TestGenerateCoversCore(t *testing.T) {
	for name, size := range map[string]Size{"tiny": Tiny(), "small": Small()} {
		d := Generate(size, 7, testNow)
		for _, e := range schemas.Catalogue() {
			if e.Core != "" && d.Count(e.Name) == 0 {
				t.Errorf("%s: no %s", name, e.Name)
			}
		}
	}
	d := Generate(Small(), 7, testNow)
	if n := d.Count("Tickets"); n != Small().Tickets {
		t.Errorf("%d tickets, want %d", n, Small().Tickets)
	}
	for _, e := range []string{"TicketNotes", "TimeEntries"} {
		if n := d.Count(e); n < 2700 || n > 3700 {
			t.Errorf("%d %s, want two for each ticket, about", n, e)
		}
	}
	if _, ok := d.Row("Companies", 0); !ok {
		t.Error("the tenant's own company is missing")
	}
	if _, ok := d.Row("Resources", builtinResource); !ok {
		t.Error("the built-in administrator is missing")
	}
}

// The same seed gives the same rows; another seed gives others.
func TestGenerateIsDeterministic(t *testing.T) {
	text := func(seed uint64) string {
		d := Generate(Tiny(), seed, testNow)
		var b strings.Builder
		for _, e := range d.Entities() {
			for _, r := range d.Rows(e) {
				b.WriteString(e + r.JSON() + "\n")
			}
		}
		return b.String()
	}
	one, again, other := text(1), text(1), text(2)
	if one != again {
		t.Error("two runs with one seed differ")
	}
	if one == other {
		t.Error("two seeds give the same")
	}
}

// References point to rows that exist, and change stamps lie between the start and now.
func TestGenerateIsConsistent(t *testing.T) {
	d := Generate(Small(), 3, testNow)
	latest := testNow.UnixMilli()
	for _, name := range d.Entities() {
		rows := d.table(name)
		for slot, f := range rows.shape.fields {
			var target *table
			if ref, ok := schemas.Lookup(f.reference); ok && f.reference != "" && !dangling(name, f.name) {
				target = d.table(ref.Name)
			}
			stamp := isStamp(rows.shape.entity, f.name)
			for i, row := range rows.rows {
				c := findCell(row, slot)
				if target != nil && slot > 0 && c.kind == kindInt {
					if _, ok := target.find(c.n); !ok {
						t.Fatalf("%s %d: %s refers to %d, which is not there", name, rows.ids[i], f.name, c.n)
					}
				}
				if stamp && c.kind == kindTime && c.n > latest && name != "ContractServiceUnits" && name != "ContractServiceBundleUnits" {
					t.Fatalf("%s %d: %s lies in the future: %s", name, rows.ids[i], f.name, time.UnixMilli(c.n).UTC())
				}
			}
		}
	}
}

// dangling names references that point to rows that are gone, as in a real tenant.
func dangling(entity, field string) bool { return entity == "DeletedTicketLogs" && field == "ticketID" }

func isStamp(e *schemas.Entity, field string) bool {
	if field == e.CreateStamp {
		return true
	}
	return slices.Contains(e.Stamps, field)
}

// The texts that trip loaders are there: long ones, quotes, line breaks, umlauts, emoji, empty and null.
func TestGenerateTexts(t *testing.T) {
	d := Generate(Small(), 1, testNow)
	var all strings.Builder
	long, empty, null := 0, 0, 0
	for _, r := range d.Rows("Tickets") {
		text := r.Raw("description")
		all.WriteString(text + r.Raw("title"))
		switch {
		case len(text) > 10000:
			long++
		case text == `""`:
			empty++
		case text == "null":
			null++
		}
	}
	if long < 2 || empty < 5 || null < 5 {
		t.Errorf("%d long, %d empty, %d null", long, empty, null)
	}
	for _, want := range []string{`\"`, `\r\n`, "ü", "👍", `\\`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no text with %s", want)
		}
	}
}

// The shape of the business: a few customers make most of the work, on working days, and most of it is done.
func TestGenerateSkew(t *testing.T) {
	d := Generate(Small(), 1, testNow)
	byCompany, weekend, open, missed := map[string]int{}, 0, 0, 0
	for _, r := range d.Rows("Tickets") {
		byCompany[r.Raw("companyID")]++
		at, err := time.Parse(`"2006-01-02T15:04:05.999Z"`, r.Raw("createDate"))
		if err != nil {
			t.Fatal(err)
		}
		if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			weekend++
		}
		if r.Raw("status") != "5" {
			open++
		}
		if r.Raw("serviceLevelAgreementHasBeenMet") == "false" {
			missed++
		}
	}
	top := 0
	for _, n := range byCompany {
		top = max(top, n)
	}
	if total := d.Count("Tickets"); top < total/8 || weekend > total/10 || open < 5 || open > total/5 || missed < total/50 {
		t.Errorf("of %d tickets: %d of the largest customer, %d on weekends, %d open, %d missed", total, top, weekend, open, missed)
	}
}

func TestFillOthersLeavesNothingEmpty(t *testing.T) {
	d := Generate(Tiny(), 1, testNow)
	before := d.Count("Tickets")
	d.FillOthers(4, 1)
	for _, e := range schemas.Catalogue() {
		if e.Queryable && d.Count(e.Name) == 0 {
			t.Errorf("no %s", e.Name)
		}
	}
	if d.Count("Tickets") != before || d.Count("Tags") != 4 {
		t.Errorf("%d tickets before, %d after; %d tags", before, d.Count("Tickets"), d.Count("Tags"))
	}
}
