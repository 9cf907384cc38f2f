package autotasktest

import "time"

type project struct {
	id      int64
	company *company
}

// addProjects makes projects with phases, tasks, notes, work and material.
func (g *generator) addProjects() {
	for i := range g.size.Projects {
		c := g.customerAt()
		lead := g.tech()
		from := day(g.between(g.start, g.now))
		to := from.AddDate(0, 2+g.r.IntN(3), 0)
		done := to.Before(g.now) && g.chance(85)
		status, percent := int64(10), int64(g.r.IntN(90))
		if done {
			status, percent = 5, 100
		}
		touched := g.between(from, g.now)
		b := g.row("Projects").int("companyID", c.id).str("projectName", pick(g, []string{"Server migration", "Office move", "Cloud onboarding", "Wi-Fi roll-out", "ERP upgrade"})+" – "+initialsOf(c.name)).
			str("projectNumber", "P"+from.Format("20060102")+"."+pad4(i+1)).int("projectType", 5).int("status", status).when("startDateTime", from).when("endDateTime", to).
			when("createDateTime", from.Add(9*time.Hour)).int("creatorResourceID", lead.id).int("projectLeadResourceID", lead.id).int("companyOwnerResourceID", c.owner).
			int("completedPercentage", percent).int("duration", int64(to.Sub(from).Hours()/24)).dec("estimatedTime", 40).dec("actualHours", float64(percent)*0.4).
			dec("actualBilledHours", 0).dec("laborEstimatedRevenue", 5200).dec("laborEstimatedCosts", 2400).when("lastActivityDateTime", maxTime(touched, from.Add(9*time.Hour))).
			int("lastActivityResourceID", lead.id).int("lastActivityPersonType", 1).str("description", g.paragraph(sentences, 2)).blank("extProjectNumber", "purchaseOrderNumber", "statusDetail")
		if done {
			b.when("completedDateTime", to.Add(15*time.Hour))
		}
		p := project{b.put(), c}
		g.projects = append(g.projects, p)
		g.addPhases(p, from, to, lead)
		if g.chance(60) {
			g.charge(g.row("ProjectCharges").int("projectID", p.id), g.past(from.AddDate(0, 0, 7)), "project", c, nil, 4)
		}
	}
}

func (g *generator) addPhases(p project, from, to time.Time, lead *person) {
	step := to.Sub(from) / 3
	for i, name := range []string{"Planning", "Implementation", "Handover"} {
		start := from.Add(time.Duration(i) * step)
		phase := g.row("Phases").int("projectID", p.id).str("title", name).str("phaseNumber", "T"+from.Format("20060102")+"."+pad4(i+1)).when("startDate", start).when("dueDate", start.Add(step)).
			when("createDate", g.past(from.Add(9*time.Hour))).int("creatorResourceID", lead.id).dec("estimatedHours", 12).bool("isScheduled", true).
			when("lastActivityDateTime", g.past(start)).blank("description", "externalID").put()
		for k := range 2 + g.r.IntN(3) {
			g.addTask(p, phase, from, start.Add(time.Duration(k)*step/5), lead, k)
		}
	}
}

func (g *generator) addTask(p project, phase int64, from, start time.Time, lead *person, k int) {
	who := g.tech()
	end := start.AddDate(0, 0, 4)
	done := end.Before(g.now)
	created := g.past(from.Add(10 * time.Hour))
	last := maxTime(created, g.past(end))
	b := g.row("Tasks").int("projectID", p.id).int("phaseID", phase).str("title", pick(g, []string{"Order hardware", "Install switches", "Migrate mailboxes", "Train users", "Document network", "Go live 🎉"})).
		str("taskNumber", "T"+from.Format("20060102")+"."+pad4(int(phase)%1000*10+k)).int("status", map[bool]int64{true: 5, false: 1}[done]).int("taskType", 1).int("priority", int64(k)).
		int("priorityLabel", 2).when("startDateTime", start).when("endDateTime", end).when("createDateTime", created).int("creatorResourceID", lead.id).int("creatorType", 1).
		int("assignedResourceID", who.id).int("assignedResourceRoleID", who.role).int("billingCodeID", g.codes.work[3]).dec("estimatedHours", 6).dec("remainingHours", 0).
		dec("hoursToBeScheduled", 0).bool("isTaskBillable", true).bool("isVisibleInClientPortal", true).bool("canClientPortalUserCompleteTask", false).
		when("lastActivityDateTime", last).int("lastActivityResourceID", who.id).int("lastActivityPersonType", 1).str("description", g.paragraph(sentences, 1)).blank("externalID", "purchaseOrderNumber")
	if done {
		b.when("completedDateTime", end).int("completedByResourceID", who.id).int("completedByType", 1)
	}
	id := b.put()
	if at := work(start.Add(9 * time.Hour)); at.Add(3 * time.Hour).Before(g.now) {
		e := g.row("TimeEntries").int("taskID", id).int("timeEntryType", 6)
		g.timeEntry(e, nil, who, at, at.Add(2*time.Hour), 2)
		note := at.Add(3 * time.Hour)
		g.row("TaskNotes").int("taskID", id).int("noteType", 3).int("publish", 1).str("title", "Progress").str("description", g.paragraph(workNotes, 2)).
			int("creatorResourceID", who.id).when("createDateTime", note).when("lastActivityDate", note).put()
	}
}
