package autotasktest

import (
	"math"
	"time"
)

// addTimeEntries stores n pieces of work on a ticket.
func (g *generator) addTimeEntries(t *ticket, n int) {
	at := t.created
	for range n {
		at = work(at.Add(time.Duration(15+g.r.IntN(240)) * time.Minute)).Truncate(5 * time.Minute)
		hours := math.Ceil(math.Exp(g.r.NormFloat64()*0.7-0.7)*4) / 4
		end := at.Add(time.Duration(hours * float64(time.Hour)))
		if end.After(g.now) {
			return
		}
		p := t.tech
		if g.chance(12) {
			p = g.tech()
		}
		b := g.row("TimeEntries").int("ticketID", t.id).int("timeEntryType", 2)
		if t.contract != nil {
			b.int("contractID", t.contract.id)
		}
		g.timeEntry(b, t, p, at, end, hours)
		t.worked, t.last = true, maxTime(t.last, g.past(end.Add(10*time.Minute)))
		at = end
	}
}

// timeEntry fills and stores a time entry, and notes it for billing if it is to be billed.
func (g *generator) timeEntry(b *builder, t *ticket, p *person, at, end time.Time, hours float64) {
	free := g.chance(12)
	bill := hours
	if g.chance(15) {
		bill = math.Max(0, hours-0.25)
	}
	entered := g.past(end.Add(time.Duration(g.r.ExpFloat64()*90) * time.Minute))
	code := g.codes.work[g.r.IntN(2)]
	b.int("resourceID", p.id).int("roleID", p.role).int("billingCodeID", code).when("dateWorked", day(at)).
		when("startDateTime", at).when("endDateTime", end).dec("hoursWorked", hours).dec("hoursToBill", bill).dec("offsetHours", 0).
		bool("isNonBillable", free).bool("showOnInvoice", !free).when("createDateTime", entered).int("creatorUserID", p.id).
		int("lastModifiedUserID", p.id).str("summaryNotes", g.paragraph(workNotes, 1+g.r.IntN(3))).bool("isInternalNotesVisibleToComanaged", false)
	modified := entered
	posted := month(at).AddDate(0, 1, 2).Add(9 * time.Hour)
	if !free && posted.Before(g.now) && !g.chance(6) {
		b.when("billingApprovalDateTime", posted).int("billingApprovalLevelMostRecent", 1).int("billingApprovalResourceID", g.resources[0].id)
		g.billLabour(b.id(), t, p, at, posted, bill, code)
		if g.chance(50) {
			modified = posted
		}
	}
	if g.chance(10) {
		b.str("internalNotes", pick(g, workNotes))
	} else {
		b.blank("internalNotes")
	}
	b.when("lastModifiedDateTime", modified).put()
}

// billLabour keeps what a billing item needs. Work under a recurring contract is covered by it.
func (g *generator) billLabour(entry int64, t *ticket, p *person, at, posted time.Time, hours float64, code int64) {
	if t == nil || t.contract != nil && t.contract.kind == 7 && !g.chance(10) {
		return
	}
	g.billed = append(g.billed, billed{
		company: t.company, contract: t.contract, ticket: t.id, entry: entry, at: at, posted: posted, quantity: hours, rate: p.rate,
		cost: p.cost * hours, code: code, role: p.role, kind: 1, sub: 1, name: t.title,
	})
}

// addNotes stores n notes of people and workflow rules on a ticket.
func (g *generator) addNotes(t *ticket, n int) {
	at := t.created
	for k := range n {
		at = work(at.Add(time.Duration(5+g.r.IntN(700)) * time.Minute)).Add(time.Duration(g.r.IntN(60000)) * time.Millisecond)
		if at.After(g.now) {
			return
		}
		b := g.row("TicketNotes").int("ticketID", t.id).when("createDateTime", at)
		switch {
		case k == 0 && g.chance(50):
			b.int("creatorResourceID", builtinResource).int("noteType", 13).int("publish", 2).str("title", "Workflow Rule").
				str("description", "Fired by workflow rule \"Acknowledge new ticket\".\nTicket: "+t.title)
		case g.chance(25) && t.contact != 0:
			b.int("createdByContactID", t.contact).int("noteType", 3).int("publish", 1).str("title", "RE: "+t.title).str("description", g.request(t.company.name))
		default:
			b.int("creatorResourceID", t.tech.id).int("noteType", 1+int64(g.r.IntN(3))).int("publish", 1+int64(g.r.IntN(2))).str("title", pick(g, []string{"Update", "Call", "", "Next step"})).
				str("description", g.paragraph(workNotes, 1+g.r.IntN(4)))
		}
		changed := at
		if g.chance(8) {
			changed = g.past(at.Add(time.Duration(g.r.IntN(5000)) * time.Minute))
		}
		b.when("lastActivityDate", changed).put()
		t.last = maxTime(t.last, changed)
	}
}

func (g *generator) addTicketCharge(t *ticket) {
	at := g.past(t.created.Add(2 * time.Hour))
	b := g.row("TicketCharges").int("ticketID", t.id)
	g.charge(b, at, t.title, t.company, t.contract, 3)
}

// charge fills and stores material on a ticket, project or contract. sub is the kind of billing item.
func (g *generator) charge(b *builder, at time.Time, name string, c *company, k *contract, sub int64) {
	cost := 15 + float64(g.r.IntN(60000))/100
	quantity := float64(1 + g.r.IntN(4))
	price := cost * 1.25
	posted := month(at).AddDate(0, 1, 2).Add(10 * time.Hour)
	isBilled := posted.Before(g.now) && !g.chance(10)
	if len(name) > 90 {
		name = "Material"
	}
	b.str("name", "Material: "+name).str("description", "").int("chargeType", 1).int("status", 1+int64(g.r.IntN(4))).when("createDate", at).
		int("creatorResourceID", g.resources[0].id).when("datePurchased", day(at)).dec("unitCost", cost).dec("unitPrice", price).dec("unitQuantity", quantity).
		dec("billableAmount", price*quantity).dec("extendedCost", cost*quantity).bool("isBillableToCompany", true).bool("isBilled", isBilled).
		int("billingCodeID", g.codes.material).ref("productID", pick(g, g.products)).when("statusLastModifiedDate", g.past(at.AddDate(0, 0, 3))).
		int("statusLastModifiedBy", g.resources[0].id).dec("internalCurrencyBillableAmount", price*quantity).dec("internalCurrencyUnitPrice", price).
		blank("notes", "internalPurchaseOrderNumber", "purchaseOrderNumber")
	id := b.put()
	if isBilled {
		g.billed = append(g.billed, billed{company: c, contract: k, charge: id, at: at, posted: posted, quantity: quantity, rate: price,
			cost: cost * quantity, code: g.codes.material, kind: 2, sub: sub, name: name})
	}
}
