package autotasktest

import (
	"fmt"
	"slices"
	"time"
)

// contract is what later steps need to know of a contract.
type contract struct {
	id         int64
	kind       int64
	start, end time.Time
}

// contractAt returns the contract that covers work at an instant, or nil.
func (c *company) contractAt(at time.Time) *contract {
	for i := range c.contracts {
		if k := &c.contracts[i]; !at.Before(k.start) && at.Before(k.end) {
			return k
		}
	}
	return nil
}

// addContracts gives most customers a recurring contract, some block hours, and some none.
func (g *generator) addContracts() {
	for rank, i := range g.customers {
		c := &g.companies[i]
		if rank%5 == 4 {
			continue
		}
		kind := int64(7)
		if rank%4 == 2 {
			kind = 4
		}
		start := month(g.between(maxTime(c.created, g.start.AddDate(-1, 0, 0)), g.start.Add(g.now.Sub(g.start)/3)))
		for first := true; first || start.Before(g.now); first = false {
			end := start.AddDate(1, 0, 0)
			c.contracts = append(c.contracts, g.contract(c, kind, start, end))
			if rank%7 == 6 {
				break // not renewed
			}
			start = end
		}
	}
}

func (g *generator) contract(c *company, kind int64, start, end time.Time) contract {
	name := map[int64]string{7: "Managed Services", 4: "Block Hours"}[kind]
	b := g.row("Contracts").int("companyID", c.id).str("contractName", name+" "+itoa(start.Year())+" – "+fmt.Sprintf("%.40s", ascii(c.name))).
		int("contractType", kind).int("status", 1).when("startDate", start).when("endDate", end.AddDate(0, 0, -1)).int("contractCategory", 12).
		int("contractPeriodType", 2).int("billingPreference", 2).bool("isCompliant", true).bool("isDefaultContract", true).int("timeReportingRequiresStartAndStopTimes", 1).
		int("serviceLevelAgreementID", 1+int64(g.r.IntN(2))).dec("estimatedCost", 0).dec("estimatedHours", 0).dec("estimatedRevenue", 12000).dec("setupFee", 0).
		when("lastModifiedDateTime", g.between(start, g.now)).blank("description", "contractNumber", "purchaseOrderNumber", "contactName")
	if len(c.contacts) > 0 {
		b.int("contactID", c.contacts[0])
	}
	if len(g.orgs) > 0 {
		b.int("organizationalLevelAssociationID", g.orgs[0])
	}
	k := contract{id: b.put(), kind: kind, start: start, end: end}
	if kind == 7 {
		g.addContractServices(c, k)
	} else {
		g.addBlocks(k)
	}
	if g.chance(30) {
		g.charge(g.row("ContractCharges").int("contractID", k.id), g.past(start.AddDate(0, 0, 5)), "set-up", c, &k, 5)
	}
	return k
}

// addContractServices adds services, a bundle for some, and their units of every month.
func (g *generator) addContractServices(c *company, k contract) {
	for _, s := range g.services[:2+g.r.IntN(len(g.services)-1)] {
		id := g.row("ContractServices").int("contractID", k.id).int("serviceID", s.id).dec("unitPrice", s.price).dec("unitCost", s.cost).
			dec("internalCurrencyUnitPrice", s.price).dec("internalCurrencyAdjustedPrice", s.price).str("invoiceDescription", s.name).blank("internalDescription").put()
		units := 1 + g.r.IntN(12)
		g.eachPeriod(k, func(from, to, posted time.Time) {
			units = max(1, units+g.r.IntN(3)-1)
			b := g.row("ContractServiceUnits").int("contractID", k.id).int("contractServiceID", id).int("serviceID", s.id)
			g.units(b, billed{company: c, contract: &k, line: id, at: from, posted: posted, quantity: float64(units), kind: 5, sub: 7}, to, s)
		})
	}
	if len(g.bundles) > 0 && g.chance(40) {
		s := pick(g, g.bundles)
		id := g.row("ContractServiceBundles").int("contractID", k.id).int("serviceBundleID", s.id).dec("unitPrice", s.price).dec("adjustedPrice", s.price).
			dec("internalCurrencyUnitPrice", s.price).dec("internalCurrencyAdjustedPrice", s.price).str("invoiceDescription", s.name).put()
		g.eachPeriod(k, func(from, to, posted time.Time) {
			b := g.row("ContractServiceBundleUnits").int("contractID", k.id).int("contractServiceBundleID", id).int("serviceBundleID", s.id)
			g.units(b, billed{company: c, contract: &k, line: id, at: from, posted: posted, quantity: 3, kind: 8, sub: 8}, to, s)
		})
	}
}

// eachPeriod calls f for every month of a contract up to the next one, with the date of posting.
func (g *generator) eachPeriod(k contract, f func(from, to, posted time.Time)) {
	for from := k.start; from.Before(k.end) && from.Before(g.now.AddDate(0, 1, 0)); from = from.AddDate(0, 1, 0) {
		f(from, from.AddDate(0, 1, -1), from.AddDate(0, 0, 1).Add(8*time.Hour))
	}
}

// units fills and stores the units of one month, and has them billed once they are posted.
func (g *generator) units(b *builder, x billed, to time.Time, s service) {
	x.rate, x.cost, x.code, x.name = s.price, s.cost*x.quantity, g.codes.recurring, s.name
	total := s.price * x.quantity
	b.when("startDate", x.at).when("endDate", to).int("units", int64(x.quantity)).dec("price", total).dec("cost", x.cost).dec("internalCurrencyPrice", total)
	if !x.posted.After(g.now) {
		b.when("approveAndPostDate", x.posted)
		g.billed = append(g.billed, x)
	}
	b.put()
}

func (g *generator) addBlocks(k contract) {
	for at := k.start; at.Before(k.end) && at.Before(g.now); at = at.AddDate(0, 3, 0) {
		hours := float64(10 * (1 + g.r.IntN(3)))
		g.row("ContractBlocks").int("contractID", k.id).when("datePurchased", at).when("startDate", at).when("endDate", at.AddDate(0, 3, -1)).
			dec("hours", hours).dec("hourlyRate", 92.5).dec("hoursApproved", hours*0.25*float64(g.r.IntN(5))).int("status", 1).bool("isPaid", g.chance(80)).
			int("paymentType", 1).blank("invoiceNumber", "paymentNumber").put()
	}
}

// invoiceKey says which invoice a billing item is on: one for each company and month.
type invoiceKey struct {
	company int64
	month   int64
}

type invoice struct {
	id    int64
	total float64
	tax   float64
}

// billed is something that was approved and posted.
type billed struct {
	company        *company
	contract       *contract
	ticket, entry  int64
	charge         int64
	line           int64 // contract service or bundle
	at, posted     time.Time
	quantity, rate float64
	cost           float64
	code, role     int64
	kind, sub      int64
	name           string
}

// addRecurring brings what was posted into the order of posting, in which billing items get their ids.
func (g *generator) addRecurring() {
	slices.SortStableFunc(g.billed, func(a, b billed) int { return a.posted.Compare(b.posted) })
}

// addInvoices makes the invoices of all months that are over, and the billing items, most of them on one.
func (g *generator) addInvoices() {
	const taxRate = 0.08
	var keys []invoiceKey
	number := firstID("Invoices")
	for i := range g.billed {
		x := &g.billed[i]
		amount := x.quantity * x.rate
		key := invoiceKey{x.company.id, month(x.posted).Unix()}
		open := month(x.posted).AddDate(0, 0, 6).After(g.now)
		if !open && g.invoices[key] == nil {
			number++
			g.invoices[key] = &invoice{id: number}
			keys = append(keys, key)
		}
		if !open {
			inv := g.invoices[key]
			inv.total += amount * (1 + taxRate)
			inv.tax += amount * taxRate
		}
		g.billingItem(x, amount, amount*taxRate, g.invoices[key])
	}
	for _, key := range keys {
		g.invoice(key, g.invoices[key])
	}
	g.billed, g.invoices = nil, nil
}

func (g *generator) billingItem(x *billed, amount, tax float64, inv *invoice) {
	b := g.row("BillingItems").int("companyID", x.company.id).int("billingItemType", x.kind).int("subType", x.sub).str("itemName", x.name).
		str("description", x.name).when("itemDate", day(x.at)).when("postedDate", day(x.posted)).when("postedOnTime", x.posted).dec("quantity", x.quantity).dec("rate", x.rate).
		dec("extendedPrice", amount).dec("taxDollars", tax).dec("totalAmount", amount+tax).dec("ourCost", x.cost).int("nonBillable", 0).int("billingCodeID", x.code).
		ref("roleID", x.role).ref("ticketID", x.ticket).ref("timeEntryID", x.entry).
		int("itemApproverID", g.resources[0].id).dec("internalCurrencyExtendedPrice", amount).dec("internalCurrencyRate", x.rate).
		dec("internalCurrencyTaxDollars", tax).dec("internalCurrencyTotalAmount", amount+tax).int("accountManagerWhenApprovedID", x.company.owner).blank("purchaseOrderNumber")
	if x.contract != nil {
		b.int("contractID", x.contract.id)
	}
	if x.charge != 0 {
		b.int(map[int64]string{3: "ticketChargeID", 4: "projectChargeID", 5: "contractChargeID"}[x.sub], x.charge)
	}
	switch x.sub {
	case 7:
		b.int("contractServiceID", x.line)
	case 8:
		b.int("contractServiceBundleID", x.line)
	}
	if inv != nil {
		b.int("invoiceID", inv.id)
	}
	b.put()
}

func (g *generator) invoice(key invoiceKey, inv *invoice) {
	from := time.Unix(key.month, 0).UTC()
	at := from.AddDate(0, 0, 5).Add(14 * time.Hour)
	b := g.row("Invoices").int("companyID", key.company).str("invoiceNumber", "INV-"+from.Format("200601")+"-"+itoa(int(inv.id))).when("createDateTime", at).
		when("invoiceDateTime", day(at)).when("dueDate", day(at).AddDate(0, 0, 30)).when("fromDate", from.AddDate(0, -1, 0)).when("toDate", from.AddDate(0, 0, -1)).
		dec("invoiceTotal", inv.total).dec("totalTaxValue", inv.tax).bool("isVoided", false).int("paymentTerm", 1).int("creatorResourceID", g.resources[0].id).
		int("batchID", key.month/86400).int("invoiceStatus", 1).blank("comments", "orderNumber")
	b.cells[0].n = inv.id
	if paid := day(at).AddDate(0, 0, 10+g.r.IntN(40)); paid.Before(g.now) && !g.chance(7) {
		b.when("paidDate", paid).int("invoiceStatus", 2)
	}
	b.put()
}
