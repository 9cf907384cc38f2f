package autotasktest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Size says how large a generated tenant is. Rows that depend on others (locations, charges, billing
// items, invoices, results, links and so on) follow from these numbers; lookups stay small in any size.
type Size struct {
	Years              float64 // of history, ending now
	Companies          int     // besides the tenant's own, which has the id 0
	ContactsPerCompany int     // on average
	Resources          int     // people; the built-in administrator and the API user come on top
	Tickets            int
	NotesPerTicket     float64 // on average
	TimePerTicket      float64 // time entries, on average
	Assets             int     // configuration items
	Projects           int
	Opportunities      int
}

// Small is the tenant of demonstrations and quick tests: some 14,000 rows in the 52 core entities.
func Small() Size {
	return Size{
		Years: 0.75, Companies: 22, ContactsPerCompany: 5, Resources: 8, Tickets: 1500, NotesPerTicket: 2,
		TimePerTicket: 2.2, Assets: 240, Projects: 10, Opportunities: 30,
	}
}

// Tiny is a tenant of some 2,000 rows, for tests that need every core entity but no volume.
func Tiny() Size {
	return Size{
		Years: 0.7, Companies: 9, ContactsPerCompany: 3, Resources: 6, Tickets: 120, NotesPerTicket: 2,
		TimePerTicket: 2, Assets: 40, Projects: 4, Opportunities: 10,
	}
}

// Scaled is a tenant with so many tickets, twice as many notes and twice as many time entries. Everything
// else grows as it would in a service provider of that size.
func Scaled(tickets int) Size {
	return Size{
		Years: 4, Companies: max(20, tickets/300), ContactsPerCompany: 8, Resources: min(max(8, tickets/3000), 250),
		Tickets: tickets, NotesPerTicket: 2, TimePerTicket: 2, Assets: max(50, tickets/15),
		Projects: max(5, tickets/600), Opportunities: max(10, tickets/200),
	}
}

// Generate makes a tenant whose history ends at now. The same size, seed and instant give the same rows.
// All core entities get rows that refer to each other consistently; see [Data.FillOthers] for the rest.
func Generate(size Size, seed uint64, now time.Time) *Data {
	return newGenerator(size, seed, now).run().d
}

// WithGenerated answers from a generated tenant that ends at the present of the server's clock.
// Give WithClock first.
func WithGenerated(size Size, seed uint64) Option {
	return func(h *Handler) { h.data = Generate(size, seed, h.clock()) }
}

// generator makes a tenant. It works on one goroutine.
type generator struct {
	d        *Data
	size     Size
	r        *rand.Rand
	now      time.Time
	start    time.Time
	builders map[string]*builder
	missing  map[string]bool // fields that the catalogue has not

	companies []company
	customers []int // indexes of companies that buy, most valuable first
	cumulated []float64
	resources []person
	techs     []int // indexes of resources that work on tickets
	codes     codes
	services  []service
	bundles   []service
	products  []int64
	projects  []project
	quotes    []int64
	invoices  map[invoiceKey]*invoice
	billed    []billed
	orgs      []int64
	surveys   []int64
}

func newGenerator(size Size, seed uint64, now time.Time) *generator {
	d := NewData()
	now = now.UTC()
	d.clock = func() time.Time { return now }
	return &generator{
		d: d, size: size, r: rand.New(rand.NewPCG(seed, 0x5bd1e995)), now: now,
		start:    now.Add(-time.Duration(max(size.Years, 0.1) * 365.25 * 24 * float64(time.Hour))),
		builders: map[string]*builder{}, missing: map[string]bool{}, invoices: map[invoiceKey]*invoice{},
	}
}

func (g *generator) run() *generator {
	g.addUDFs()
	g.lookups()
	g.addResources()
	g.addCompanies()
	g.addContracts()
	g.addAssets()
	g.addSales()
	g.addProjects()
	g.addTickets()
	g.addServiceCalls()
	g.addCRM()
	g.addExpenses()
	g.addRecurring()
	g.addInvoices()
	g.addDeletedLogs()
	return g
}

// builder puts rows of one entity together.
type builder struct {
	g     *generator
	t     *table
	slots map[string]int
	cells []cell
}

// row starts a row with the next free id; gaps are left as by rows that were deleted since.
func (g *generator) row(entity string) *builder {
	b := g.builders[entity]
	if b == nil {
		t := g.d.table(entity)
		b = &builder{g: g, t: t, slots: map[string]int{}, cells: make([]cell, t.width())}
		for i := range t.shape.fields {
			b.slots[t.shape.fields[i].name] = i
		}
		for i, u := range t.shape.udfs {
			b.slots[udfPrefix+u.Name] = len(t.shape.fields) + i
		}
		if t.last == 0 {
			t.last = firstID(entity)
		}
		g.builders[entity] = b
	}
	for i := range b.cells {
		b.cells[i] = null()
	}
	id := b.t.last + 1
	if g.r.IntN(12) == 0 {
		id += int64(g.r.IntN(4))
	}
	b.cells[0] = cell{kind: kindInt, n: id}
	return b
}

// firstID spreads the entities' ids as in a tenant that has been in use for years.
func firstID(entity string) int64 {
	switch entity {
	case "Companies":
		return 173
	case "Contacts":
		return 30684700
	case "Resources":
		return 29682884
	case "Tickets":
		return 7405
	case "TicketNotes":
		return 29690210
	case "TimeEntries":
		return 36011
	case "Contracts", "Roles", "BillingCodes":
		return 29683360
	case "BillingItems":
		return 110420
	case "DeletedTicketLogs", "DeletedTicketActivityLogs", "DeletedTaskActivityLogs":
		return 11
	}
	return 29683500
}

func (b *builder) id() int64 { return b.cells[0].n }

func (b *builder) set(name string, c cell) *builder {
	if slot, ok := b.slots[name]; ok {
		b.cells[slot] = c
	} else {
		b.g.missing[b.t.shape.entity.Name+"."+name] = true
	}
	return b
}

func (b *builder) int(name string, v int64) *builder { return b.set(name, cell{kind: kindInt, n: v}) }

// ref sets a reference; 0 stays null.
func (b *builder) ref(name string, id int64) *builder {
	if id == 0 {
		return b
	}
	return b.int(name, id)
}

// dec sets a decimal to four places.
func (b *builder) dec(name string, v float64) *builder {
	n := int64(v*10000 + 0.5)
	if v < 0 {
		n = int64(v*10000 - 0.5)
	}
	return b.set(name, cell{kind: kindDecimal, n: n})
}

func (b *builder) bool(name string, v bool) *builder { return b.set(name, boolCell(v)) }

func (b *builder) str(name, v string) *builder { return b.set(name, stringCell(v)) }

// when sets a stamp; the zero time stays null.
func (b *builder) when(name string, t time.Time) *builder {
	if t.IsZero() {
		return b
	}
	return b.set(name, cell{kind: kindTime, n: stampMillis(t)})
}

// blank leaves some text fields empty and others null, as the service does without a system.
func (b *builder) blank(names ...string) *builder {
	for _, name := range names {
		if b.g.r.IntN(2) == 0 {
			b.str(name, "")
		}
	}
	return b
}

// put stores the row and returns its id.
func (b *builder) put() int64 {
	b.t.put(b.cells)
	return b.cells[0].n
}

// pick returns one of list.
func pick[T any](g *generator, list []T) T { return list[g.r.IntN(len(list))] }

// chance is true in percent of the cases.
func (g *generator) chance(percent float64) bool { return g.r.Float64()*100 < percent }

// between returns a time from a to b.
func (g *generator) between(a, b time.Time) time.Time {
	if !b.After(a) {
		return a
	}
	return a.Add(time.Duration(g.r.Int64N(int64(b.Sub(a)))))
}

func day(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }

func month(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }

// past returns t, or now if t is later.
func (g *generator) past(t time.Time) time.Time {
	if t.After(g.now) {
		return g.now
	}
	return t
}

// work moves t into business hours: 7 to 19 o'clock, Monday to Friday.
func work(t time.Time) time.Time {
	switch h := t.Hour(); {
	case h < 7:
		t = t.Add(time.Duration(7-h) * time.Hour)
	case h >= 19:
		t = t.Add(time.Duration(31-h) * time.Hour)
	}
	switch t.Weekday() {
	case time.Saturday:
		t = t.AddDate(0, 0, 2)
	case time.Sunday:
		t = t.AddDate(0, 0, 1)
	}
	return t
}

// missingFields lists what the generator wanted to set and the catalogue has not, sorted.
func (g *generator) missingFields() []string {
	out := []string{}
	for name := range g.missing {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
