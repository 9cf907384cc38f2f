package autotasktest

import "time"

// addSales makes opportunities and quotes.
func (g *generator) addSales() {
	for range g.size.Opportunities {
		c := &g.companies[g.r.IntN(len(g.companies))]
		created := g.between(maxTime(c.created, g.start), g.now)
		closes := day(created.AddDate(0, 1+g.r.IntN(5), 0))
		amount := 500 + float64(g.r.IntN(40000))
		status, probability := int64(1), int64(10*(1+g.r.IntN(9)))
		if closes.Before(g.now) {
			status = pick(g, []int64{2, 3, 3, 4})
			probability = map[int64]int64{2: 0, 3: 100, 4: 100}[status]
		}
		b := g.row("Opportunities").int("companyID", c.id).str("title", pick(g, []string{"Managed services renewal", "New firewall", "Laptop refresh", "M365 migration", "Backup \"Plus\""})).
			dec("amount", amount).dec("cost", amount*0.6).dec("onetimeRevenue", amount).dec("onetimeCost", amount*0.6).dec("monthlyRevenue", 0).dec("monthlyCost", 0).
			when("createDate", created).when("startDate", day(created)).when("projectedCloseDate", closes).int("ownerResourceID", c.owner).int("creatorResourceID", c.owner).
			int("probability", probability).int("stage", 29682800+int64(g.r.IntN(5))).int("status", status).int("rating", 1+int64(g.r.IntN(3))).int("leadSource", 1+int64(g.r.IntN(4))).
			bool("useQuoteTotals", false).when("lastActivity", g.between(created, g.now)).str("revenueSpreadUnit", "Months").int("revenueSpread", 1).
			str("description", g.paragraph(sentences, 1)).blank("barriers", "helpNeeded", "market", "nextStep", "promotionName", "lossReasonDetail", "winReasonDetail")
		if status == 2 {
			b.when("lostDate", closes)
		} else if status > 2 {
			b.when("closedDate", closes)
		}
		contact := int64(0)
		if len(c.contacts) > 0 {
			contact = pick(g, c.contacts)
		}
		id := b.ref("contactID", contact).put()
		if g.chance(60) {
			g.addQuote(c, id, contact, created)
		}
	}
}

func (g *generator) addQuote(c *company, opportunity, contact int64, at time.Time) {
	where := g.row("QuoteLocations").str("address1", g.street()).str("city", pick(g, cities)).put()
	id := g.row("Quotes").int("opportunityID", opportunity).int("companyID", c.id).ref("contactID", contact).str("name", "Quote "+at.Format("2006-01-02")).
		when("createDate", at).when("effectiveDate", day(at)).when("expirationDate", day(at).AddDate(0, 1, 0)).when("lastActivityDate", g.between(at, g.now)).
		int("creatorResourceID", c.owner).int("lastModifiedBy", c.owner).int("billToLocationID", where).int("shipToLocationID", where).int("soldToLocationID", where).
		bool("isActive", true).bool("primaryQuote", true).bool("calculateTaxSeparately", false).bool("showEachTaxInGroup", false).bool("showTaxCategory", false).
		int("quoteNumber", 1000+int64(len(g.quotes))).int("paymentTerm", 1).blank("comment", "description", "externalQuoteNumber", "purchaseOrderNumber").put()
	g.quotes = append(g.quotes, id)
	for i := range 1 + g.r.IntN(4) {
		cost := 20 + float64(g.r.IntN(90000))/100
		g.row("QuoteItems").int("quoteID", id).int("quoteItemType", 1).ref("productID", pick(g, g.products)).str("name", pick(g, []string{"Laptop", "Licence", "Dock", "Monitor 27\""})).
			str("description", "").dec("quantity", float64(1+g.r.IntN(9))).dec("unitPrice", cost*1.3).dec("unitCost", cost).dec("unitDiscount", 0).dec("lineDiscount", 0).
			dec("percentageDiscount", float64(5*g.r.IntN(3))).bool("isOptional", i == 3).bool("isTaxable", true).int("sortOrderID", int64(i+1)).int("periodType", 1).
			dec("averageCost", cost).dec("highestCost", cost).dec("markupRate", 30).dec("totalEffectiveTax", 0).put()
	}
}

// addCRM makes notes and to-dos of companies.
func (g *generator) addCRM() {
	for i := range g.companies {
		c := &g.companies[i]
		for range 1 + g.r.IntN(4) {
			at := work(g.between(maxTime(c.created, g.start), g.now))
			if at.After(g.now) {
				continue
			}
			g.row("CompanyNotes").int("companyID", c.id).int("actionType", 1+int64(g.r.IntN(3))).int("assignedResourceID", c.owner).str("name", pick(g, []string{"Call", "Visit", "Review"})).
				str("note", g.paragraph(sentences, 1+g.r.IntN(4))).when("startDateTime", at).when("endDateTime", at.Add(time.Hour)).when("createDateTime", at).
				when("completedDateTime", at).when("lastModifiedDate", g.between(at, g.now)).put()
			due := at.AddDate(0, 0, 14)
			todo := g.row("CompanyToDos").int("companyID", c.id).int("actionType", 29682776).int("assignedToResourceID", c.owner).int("creatorResourceID", c.owner).
				str("activityDescription", "Follow up: "+pick(g, sentences)).when("startDateTime", due).when("endDateTime", due.Add(30*time.Minute)).when("createDateTime", at)
			if due.Before(g.now) && g.chance(70) {
				todo.when("completedDate", due).when("lastModifiedDate", due)
			} else {
				todo.when("lastModifiedDate", at)
			}
			todo.put()
		}
	}
}

// addServiceCalls plans visits for some tickets, in the past and in the coming weeks.
func (g *generator) addServiceCalls() {
	tickets := g.d.table("Tickets")
	company, _ := tickets.shape.slot("companyID")
	created, _ := tickets.shape.slot("createDate")
	n := min(len(tickets.ids), max(3, len(tickets.ids)/30))
	for k := range n {
		i := k * len(tickets.ids) / n
		from := work(time.UnixMilli(findCell(tickets.rows[i], created).n).UTC().AddDate(0, 0, 1+g.r.IntN(6))).Truncate(15 * time.Minute)
		made := g.past(from.AddDate(0, 0, -1))
		isPast := from.Before(g.now)
		id := g.row("ServiceCalls").int("companyID", findCell(tickets.rows[i], company).n).str("description", "On-site visit").when("startDateTime", from).
			when("endDateTime", from.Add(2*time.Hour)).dec("duration", 2).when("createDateTime", made).when("lastModifiedDateTime", maxTime(made, g.past(from))).
			int("creatorResourceID", g.resources[0].id).int("isComplete", map[bool]int64{true: 1, false: 0}[isPast]).int("status", map[bool]int64{true: 4, false: 1}[isPast]).put()
		link := g.row("ServiceCallTickets").int("serviceCallID", id).int("ticketID", tickets.ids[i]).put()
		g.row("ServiceCallTicketResources").int("serviceCallTicketID", link).int("resourceID", g.tech().id).put()
	}
}

// addExpenses makes a weekly report of mileage for some people.
func (g *generator) addExpenses() {
	for week := day(g.start).AddDate(0, 0, 7); week.Before(g.now); week = week.AddDate(0, 0, 28) {
		for _, i := range g.techs[:min(len(g.techs), 4)] {
			p := &g.resources[i]
			total := 20 + float64(g.r.IntN(9000))/100
			report := g.row("ExpenseReports").str("name", "Week of "+week.Format("2006-01-02")).int("submitterID", p.id).when("weekEnding", week).int("status", 4).
				when("submitDate", week.Add(17*time.Hour)).when("approvedDate", g.past(week.AddDate(0, 0, 3))).int("approverID", g.resources[0].id).dec("internalCurrencyExpenseTotal", total).
				dec("amountDue", total).dec("internalCurrencyCashAdvanceAmount", 0).bool("submit", true).int("reimbursementCurrencyID", 1).blank("rejectionReason", "departmentNumber", "quickBooksReferenceNumber").put()
			c := g.customerAt()
			g.row("ExpenseItems").int("expenseReportID", report).int("companyID", c.id).str("description", "Drive to "+pick(g, cities)).int("expenseCategory", 1).
				when("expenseDate", week.AddDate(0, 0, -2)).dec("expenseCurrencyExpenseAmount", total).int("expenseCurrencyID", 1).dec("internalCurrencyExpenseAmount", total).
				bool("haveReceipt", g.chance(80)).bool("isBillableToCompany", true).bool("isReimbursable", true).bool("isRejected", false).int("paymentType", 1).dec("miles", total/0.7).
				str("glCode", "4930").blank("destination", "origin", "entertainmentLocation", "purchaseOrderNumber").put()
		}
	}
}

// addDeletedLogs writes what deleted tickets, notes and time entries left behind.
func (g *generator) addDeletedLogs() {
	tickets := g.d.table("Tickets")
	number, _ := tickets.shape.slot("ticketNumber")
	n := max(2, len(tickets.ids)/250)
	for k := range n {
		at := g.start.Add(g.now.Sub(g.start) * time.Duration(k+1) / time.Duration(n+1))
		gone := firstID("Tickets") - int64(n) + int64(k)
		g.row("DeletedTicketLogs").int("ticketID", gone).str("ticketNumber", "T"+at.Format("20060102")+".0999").str("ticketTitle", "Test ticket, please ignore").
			int("deletedByResourceID", g.resources[0].id).when("deletedDateTime", at).put()
		if len(tickets.ids) == 0 {
			continue
		}
		i := k * len(tickets.ids) / n
		g.row("DeletedTicketActivityLogs").int("typeID", 1+int64(k%3)).int("ticketID", tickets.ids[i]).str("ticketNumber", unescape(findCell(tickets.rows[i], number).s)).
			str("noteOrAttachmentTitle", "Duplicate").int("createdByResourceID", g.resources[0].id).when("activityDateTime", at).when("startDateTime", at).when("endDateTime", at).
			dec("hoursWorked", 0.25).int("deletedByResourceID", g.resources[0].id).when("deletedDateTime", at).put()
	}
	tasks := g.d.table("Tasks")
	for k := range min(2, len(tasks.ids)) {
		at := g.between(g.start, g.now)
		g.row("DeletedTaskActivityLogs").int("typeID", 2).int("taskID", tasks.ids[k]).str("taskNumber", "T"+at.Format("20060102")+".0001").str("noteOrAttachmentTitle", "Draft").
			int("createdByResourceID", g.resources[0].id).when("activityDateTime", at).when("startDateTime", at).when("endDateTime", at).dec("hoursWorked", 0).
			int("deletedByResourceID", g.resources[0].id).when("deletedDateTime", at).put()
	}
}
