package autotasktest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// ticket is what belongs to one ticket while it is made.
type ticket struct {
	b        *builder
	id       int64
	company  *company
	contact  int64
	contract *contract
	tech     *person
	created  time.Time
	done     time.Time // zero: open
	last     time.Time // last activity
	priority int64
	slaID    int64
	title    string
	worked   bool
	asset    int64
}

// addTickets makes the tickets in the order of their ids and so of their creation, each with its notes,
// time entries and results.
func (g *generator) addTickets() {
	notes, times := &quota{per: g.size.NotesPerTicket}, &quota{per: g.size.TimePerTicket}
	i := 0
	g.eachArrival(g.size.Tickets, func(at time.Time, nth int) {
		t := g.ticket(at, i)
		g.addTimeEntries(t, times.next(g))
		g.addNotes(t, notes.next(g))
		g.finishTicket(t, nth)
		g.addTicketLinks(t)
		i++
	})
}

// quota spreads a total over many parents: random numbers whose sum follows the average closely.
type quota struct {
	per, want float64
	given     int
}

func (q *quota) next(g *generator) int {
	q.want += q.per
	n := int(math.Round((q.want - float64(q.given)) * (0.3 + 1.4*g.r.Float64())))
	n = max(0, n)
	q.given += n
	return n
}

// eachArrival calls f for n instants from g.start to now, rising, with the number within the day. Business
// days carry nearly all of them, later years more than earlier ones.
func (g *generator) eachArrival(n int, f func(at time.Time, nth int)) {
	days := int(day(g.now).Sub(day(g.start)).Hours()/24) + 1
	weights := make([]float64, days)
	sum := 0.0
	for i := range weights {
		d := day(g.start).AddDate(0, 0, i)
		w := 1 + 0.5*float64(i)/float64(days)
		switch d.Weekday() {
		case time.Saturday:
			w *= 0.1
		case time.Sunday:
			w *= 0.05
		case time.Monday:
			w *= 1.3
		}
		weights[i] = w * (0.8 + 0.4*g.r.Float64())
		sum += weights[i]
	}
	made, share := 0, 0.0
	var times []time.Time
	for i, w := range weights {
		share += w / sum
		upTo := int(math.Round(share * float64(n)))
		if i == days-1 {
			upTo = n
		}
		times = times[:0]
		for range upTo - made {
			times = append(times, g.timeOn(day(g.start).AddDate(0, 0, i)))
		}
		slices.SortFunc(times, time.Time.Compare)
		for k, at := range times {
			f(at, k+1)
		}
		made = max(made, upTo)
	}
}

// timeOn returns an instant of a day: two humps around ten and three o'clock, some at night.
func (g *generator) timeOn(d time.Time) time.Time {
	hour := 10 + g.r.NormFloat64()*1.5
	switch x := g.r.IntN(100); {
	case x < 6:
		hour = 24 * g.r.Float64()
	case x < 48:
		hour = 15 + g.r.NormFloat64()*1.3
	}
	at := d.Add(time.Duration(min(max(hour, 0), 23.99) * float64(time.Hour)))
	if at.After(g.now) {
		return g.between(d, g.now)
	}
	return at
}

// ticket starts a ticket: who, what and when.
func (g *generator) ticket(at time.Time, i int) *ticket {
	c := g.customerAt()
	is := pick(g, issues)
	t := &ticket{b: g.row("Tickets"), company: c, tech: g.tech(), created: at, title: pick(g, is.titles)}
	t.id, t.last = t.b.id(), at
	t.priority = [...]int64{2, 2, 2, 2, 3, 3, 1, 1, 4, 2}[g.r.IntN(10)]
	if len(c.contacts) > 0 && !g.chance(15) {
		t.contact = pick(g, c.contacts)
	}
	t.contract = c.contractAt(at)
	if !g.chance(15) {
		t.slaID = 1 + int64(g.r.IntN(2))
		if t.priority == 4 {
			t.slaID = 3
		}
	}
	if len(c.assets) > 0 && g.chance(35) {
		t.asset = pick(g, c.assets)
	}
	source := [...]int64{2, 2, 2, 4, 4, 4, 4, -1, 8, 6}[g.r.IntN(10)]
	kind := int64(2)
	if source == 8 {
		kind = 5
	} else if is.issue == 16 || is.sub == 103 {
		kind = 1
	}
	b := t.b.int("companyID", c.id).ref("companyLocationID", c.location).ref("contactID", t.contact).ref("configurationItemID", t.asset).
		int("issueType", is.issue).int("subIssueType", is.sub).str("title", t.title).int("priority", t.priority).int("source", source).
		int("ticketType", kind).int("ticketCategory", 3).ref("serviceLevelAgreementID", t.slaID).when("createDate", at).
		int("creatorType", 1).int("creatorResourceID", t.tech.id).int("billingCodeID", g.codes.work[g.r.IntN(2)]).
		int("queueID", ticketQueues[int(t.id)%len(ticketQueues)]).bool("isAssignedToComanaged", false).bool("isVisibleToComanaged", false).
		dec("hoursToBeScheduled", 0).blank("changeInfoField1", "externalID", "purchaseOrderNumber", "rmmAlertID")
	if source == -1 && t.contact != 0 {
		b.int("creatorType", 2).int("createdByContactID", t.contact)
	}
	if t.contract != nil {
		b.int("contractID", t.contract.id)
	}
	g.describe(t, i)
	return t
}

func (g *generator) describe(t *ticket, i int) {
	switch {
	case i%211 == 100:
		t.b.str("description", g.dump())
	case g.chance(6):
		t.b.blank("description")
	default:
		t.b.str("description", g.request(t.company.name))
	}
	if g.chance(4) {
		t.b.set("udf:Root Cause", stringCell(pick(g, []string{"User error", "Hardware", "Vendor outage", "\"unknown\""})))
	}
	if g.chance(2) {
		t.b.set("udf:Change Window", stringCell(day(t.created.AddDate(0, 0, 7)).Format("2006-01-02T15:04:05Z")))
	}
}

// finishTicket decides how far the ticket has come, and stores it.
func (g *generator) finishTicket(t *ticket, nth int) {
	respond := time.Duration(math.Exp(g.r.NormFloat64()*1.1+3.2-float64(t.priority%4)*0.2) * float64(time.Minute))
	typical := map[int64]float64{4: 0.8, 1: 1.8, 2: 2.4, 3: 3.1}[t.priority] // hours to solve it, as a logarithm
	solve := respond + time.Duration(math.Exp(g.r.NormFloat64()*1.2+typical)*float64(time.Hour))
	responded, done := work(t.created.Add(respond)), work(t.created.Add(solve))
	if done.Before(responded) {
		done = responded.Add(20 * time.Minute)
	}
	if t.last.After(done) {
		done = t.last
	}
	b := t.b.str("ticketNumber", "T"+t.created.Format("20060102")+"."+pad4(nth)).dec("estimatedHours", float64(g.r.IntN(12))/2)
	var due, respondDue time.Time
	if t.slaID != 0 {
		hours := map[int64][2]int{4: {1, 12}, 1: {2, 28}, 2: {4, 60}, 3: {8, 140}}[t.priority]
		respondDue, due = work(t.created.Add(time.Duration(hours[0])*time.Hour)), work(t.created.Add(time.Duration(hours[1])*time.Hour))
		b.when("firstResponseDueDateTime", respondDue).when("resolvedDueDateTime", due).when("dueDateTime", due)
	} else {
		b.when("dueDateTime", work(t.created.AddDate(0, 0, 3)))
	}
	if !responded.After(g.now) {
		b.when("firstResponseDateTime", responded).int("firstResponseAssignedResourceID", t.tech.id).int("firstResponseInitiatingResourceID", t.tech.id)
		b.when("lastCustomerNotificationDateTime", responded).when("lastCustomerVisibleActivityDateTime", maxTime(responded, t.last))
		t.last = maxTime(t.last, responded)
	}
	if !done.After(g.now) && (!g.chance(2) || t.worked && g.now.Sub(t.created) > 60*24*time.Hour) {
		t.done, t.last = done, maxTime(done, t.last)
		b.int("status", 5).when("completedDate", done).when("resolvedDateTime", done).int("completedByResourceID", t.tech.id).
			str("resolution", pick(g, workNotes)).int("assignedResourceID", t.tech.id).int("assignedResourceRoleID", t.tech.role)
		if t.slaID != 0 {
			b.bool("serviceLevelAgreementHasBeenMet", !done.After(due) && !responded.After(respondDue))
		}
	} else {
		g.leaveOpen(t)
	}
	g.stampTicket(t)
	g.addResult(t, responded, respondDue, due)
}

// leaveOpen gives an open ticket one of the states in between.
func (g *generator) leaveOpen(t *ticket) {
	t.b.blank("resolution")
	if !t.worked && g.chance(50) {
		t.b.int("status", 1)
		return
	}
	t.b.int("status", pick(g, []int64{8, 8, 14, 7, 7, 12, 13, 9, 11})).int("assignedResourceID", t.tech.id).int("assignedResourceRoleID", t.tech.role)
}

// stampTicket sets the change stamps. In a third of the tickets the tracked stamp never moved after the
// creation, as recorded (api.md §8).
func (g *generator) stampTicket(t *ticket) {
	t.last = g.past(t.last)
	tracked := t.last
	if g.chance(33) {
		tracked = t.created
	}
	t.b.when("lastActivityDate", t.last).when("lastTrackedModificationDateTime", tracked).int("lastActivityResourceID", t.tech.id).int("lastActivityPersonType", 1)
	t.b.put()
}

func pad4(n int) string { return fmt.Sprintf("%04d", n) }

// addResult stores how the service level was met: for tickets that have one and got an answer.
func (g *generator) addResult(t *ticket, responded, respondDue, due time.Time) {
	if t.slaID == 0 || responded.After(g.now) {
		return
	}
	b := g.row("ServiceLevelAgreementResults").int("ticketID", t.id).
		str("serviceLevelAgreementName", [...]string{"Standard SLA", "Premium SLA", "24/7 Critical Infrastructure"}[t.slaID-1]).
		dec("firstResponseElapsedHours", responded.Sub(t.created).Hours()).bool("isFirstResponseMet", !responded.After(respondDue)).
		int("firstResponseResourceID", t.tech.id).int("firstResponseInitiatingResourceID", t.tech.id)
	if !t.done.IsZero() {
		b.dec("resolutionElapsedHours", t.done.Sub(t.created).Hours()).bool("isResolutionMet", !t.done.After(due)).int("resolutionResourceID", t.tech.id)
	}
	b.put()
}

// addTicketLinks stores what hangs on some tickets: second people, further assets, charges, surveys.
func (g *generator) addTicketLinks(t *ticket) {
	if other := g.tech(); g.chance(8) && other.id != t.tech.id {
		g.row("TicketSecondaryResources").int("ticketID", t.id).int("resourceID", other.id).int("roleID", other.role).put()
	}
	if len(t.company.assets) > 1 && g.chance(5) {
		if other := pick(g, t.company.assets); other != t.asset {
			g.row("TicketAdditionalConfigurationItems").int("ticketID", t.id).int("configurationItemID", other).put()
		}
	}
	if g.chance(5) {
		g.addTicketCharge(t)
	}
	if !t.done.IsZero() && g.chance(15) {
		g.addSurvey(t)
	}
}

func (g *generator) addSurvey(t *ticket) {
	b := g.row("SurveyResults").int("surveyID", g.surveys[0]).ref("companyID", t.company.id).ref("contactID", t.contact).int("ticketID", t.id)
	sent := g.past(t.done.Add(time.Hour))
	b.when("sendDate", sent)
	if g.chance(35) {
		rating := float64(3+g.r.IntN(3)) - float64(g.r.IntN(2))/2
		b.when("completeDate", g.between(sent, g.now)).dec("surveyRating", rating).dec("companyRating", rating).
			dec("contactRating", rating).dec("resourceRating", rating)
	}
	b.put()
}
