package autotasktest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// company is what later steps need to know of a company.
type company struct {
	id        int64
	name      string
	domain    string
	location  int64
	contacts  []int64
	owner     int64
	created   time.Time
	weight    float64
	contracts []contract
	assets    []int64
	customer  bool
}

// person is a resource.
type person struct {
	id   int64
	name string
	role int64
	rate float64
	cost float64
	user string
}

func (g *generator) addUDFs() {
	for i, u := range []struct {
		entity string
		UDF
		dataType int64
	}{
		{"Companies", UDF{Name: "Customer Ranking", Choices: choices("Gold=Gold;Silver=Silver;Bronze=Bronze")}, 5},
		{"Companies", UDF{Name: "Number of Seats", Type: "integer", Length: 0}, 3},
		{"Companies", UDF{Name: "Kündigungsfrist (Monate)", Type: "integer"}, 3},
		{"Tickets", UDF{Name: "Root Cause"}, 1},
		{"Tickets", UDF{Name: "Change Window", Type: "datetime"}, 4},
		{"Tickets", UDF{Name: "Status", Description: "named like a standard field"}, 1},
		{"ConfigurationItems", UDF{Name: "Rack / Position"}, 1},
		{"ConfigurationItems", UDF{Name: "BitLocker key \"escrowed\"?", Type: "boolean"}, 1},
		{"ConfigurationItems", UDF{Name: "Purchase Price", Type: "decimal"}, 3},
	} {
		g.d.addUDF(u.entity, u.UDF, func(UDF) int64 {
			id := g.row(definitionsOf).str("name", u.Name).int("udfType", udfTypes()[u.entity]).int("dataType", u.dataType).
				bool("isActive", true).bool("isRequired", false).bool("isPrivate", false).bool("isProtected", false).
				bool("isEncrypted", false).bool("isFieldMapping", false).bool("isVisibleToClientPortal", i%2 == 0).
				int("sortOrder", int64(i+1)).int("numberOfDecimalPlaces", 0).when("createDate", g.start).str("description", "").put()
			for _, c := range u.Choices {
				g.row("UserDefinedFieldListItems").int("udfFieldId", id).str("valueForDisplay", c.Label).str("valueForExport", c.Value).
					bool("isActive", true).when("createDate", g.start).put()
			}
			return id
		})
	}
}

func (g *generator) addResources() {
	b := g.row("Resources")
	b.cells[0].n = builtinResource
	g.resource(b, "Autotask", "Administrator", "autotaskadmin", 1, 14, 0).put()
	g.d.table("Resources").last = firstID("Resources")
	n := max(g.size.Resources, 3)
	for i := range n {
		first, last := pick(g, firstNames), pick(g, lastNames)
		license, user := int64(4), int64(18)
		role := g.codes.roles[i%len(g.codes.roles)]
		switch {
		case i == 0:
			license, user = 1, 14
		case i%7 == 3:
			license, user = 3, 17
		}
		cost := 28 + float64(g.r.IntN(30))
		name := strings.ToLower(ascii(first)[:1] + ascii(last))
		b := g.resource(g.row("Resources"), first, last, fmt.Sprintf("%s%d", name, i), license, user, cost)
		b.ref("defaultServiceDeskRoleID", role.id)
		p := person{id: b.put(), name: first + " " + last, role: role.id, rate: role.rate, cost: cost, user: name}
		g.resources = append(g.resources, p)
		if i%7 != 3 {
			g.techs = append(g.techs, i)
		}
		g.row("ResourceRoleDepartments").int("resourceID", p.id).int("roleID", role.id).int("departmentID", pick(g, g.codes.departments)).
			bool("isActive", true).bool("isDefault", true).bool("isDepartmentLead", i < 2).put()
		for q := range 1 + i%3 {
			g.row("ResourceRoleQueues").int("resourceID", p.id).int("queueID", ticketQueues[(i+q)%len(ticketQueues)]).put()
		}
	}
	g.resource(g.row("Resources"), "API", "Sync", "apisync", 7, 13, 0).put()
}

func (g *generator) resource(b *builder, first, last, user string, license, userType int64, cost float64) *builder {
	b.str("firstName", first).str("lastName", last).str("userName", user).str("email", user+"@northwind-msp.example").
		str("emailTypeCode", "PRIMARY").int("licenseType", license).int("userType", userType).int("locationID", 10+int64(g.r.IntN(2))).
		int("payrollType", 1).str("resourceType", "Employee").bool("isActive", license == 7 || !g.chance(8)).
		str("dateFormat", "MM/dd/yyyy").str("timeFormat", "hh:mm a").str("numberFormat", "X,XXX.XX").
		str("initials", initials(first, last)).when("hireDate", day(g.between(g.start.AddDate(-4, 0, 0), g.start))).
		dec("internalCost", cost).str("travelAvailabilityPct", pick(g, []string{"0%", "25%", "50%"}))
	b.blank("homePhone", "middleName", "email2", "email3", "officeExtension", "payrollIdentifier", "accountingReferenceID")
	return b.str("title", pick(g, []string{"Service Desk Engineer", "Systems Engineer", "Field Technician", "Account Manager"})).
		str("officePhone", g.phone())
}

func initials(first, last string) string {
	return string([]rune(first)[:1]) + string([]rune(last)[:1])
}

func (g *generator) phone() string {
	return fmt.Sprintf("+1 555 %03d %04d", g.r.IntN(1000), g.r.IntN(10000))
}

func (g *generator) addCompanies() {
	own := g.row("Companies")
	own.cells[0].n = 0
	g.company(own, "Northwind Managed Services", "northwind-msp.example", 1, 0)
	for i := range g.size.Companies {
		name := g.companyName(i)
		kind := int64(1)
		switch {
		case i%9 == 7:
			kind = 3
		case i%11 == 10:
			kind = 7
		}
		g.company(g.row("Companies"), name, domainOf(name, i), kind, i+1)
	}
	sum := 0.0
	for _, i := range g.customers {
		sum += g.companies[i].weight
		g.cumulated = append(g.cumulated, sum)
	}
}

// company stores a company with its location and contacts. Customers get a share of the work that falls
// off steeply: a few large ones make up most of it.
func (g *generator) company(b *builder, name, domain string, kind int64, rank int) {
	c := company{id: b.id(), name: name, domain: domain, owner: pick(g, g.resources).id, customer: kind == 1}
	c.created = g.between(g.start.AddDate(-3, 0, 0), g.start)
	c.weight = 1 / math.Pow(float64(rank)+1.5, 0.9)
	b.str("companyName", name).int("companyType", kind).bool("isActive", rank == 0 || !g.chance(6)).str("phone", g.phone()).
		str("webAddress", "https://www."+domain).int("ownerResourceID", c.owner).int("createdByResourceID", c.owner).
		when("createDate", c.created).str("address1", g.street()).str("city", pick(g, cities)).str("postalCode", fmt.Sprintf("%05d", g.r.IntN(99999))).
		str("state", pick(g, []string{"NY", "CA", "TX", "WA", ""})).int("countryID", 237).int("currencyID", 1).int("billToAddressToUse", 1).
		bool("isClientPortalActive", g.chance(60)).bool("isTaskFireActive", false).bool("isTaxExempt", g.chance(5)).
		bool("isEnabledForComanaged", false).bool("isSample", false).bool("invoiceNonContractItemsToParentCompany", false).
		int("classification", 1+int64(min(rank/8, 2))).int("marketSegmentID", 29682777+int64(g.r.IntN(6))).
		ref("territoryID", 29682790+int64(g.r.IntN(3))).str("companyNumber", fmt.Sprintf("C%05d", 10000+rank))
	b.blank("address2", "additionalAddressInformation", "alternatePhone1", "alternatePhone2", "fax", "taxID", "sicCode", "stockMarket", "stockSymbol", "billToCity")
	if g.chance(40) {
		b.set("udf:Customer Ranking", stringCell(pick(g, []string{"Gold", "Silver", "Bronze"})))
		b.set("udf:Number of Seats", stringCell(fmt.Sprint(5+g.r.IntN(120))))
	}
	if g.chance(10) {
		b.set("udf:Kündigungsfrist (Monate)", stringCell("3"))
		b.dec("surveyCompanyRating", 3+2*g.r.Float64())
	}
	touched := g.between(g.now.AddDate(0, -2, 0), g.now)
	b.when("lastActivityDate", touched).when("lastTrackedModifiedDateTime", g.between(c.created, touched))
	b.put()
	g.addLocations(&c)
	g.addContacts(&c, rank)
	g.companies = append(g.companies, c)
	if c.customer && rank > 0 || g.size.Companies == 0 {
		g.customers = append(g.customers, len(g.companies)-1)
	}
}

func (g *generator) addLocations(c *company) {
	for i := range 1 + g.r.IntN(2) {
		b := g.row("CompanyLocations").int("companyID", c.id).str("name", []string{"Main office", "Warehouse"}[i]).
			str("address1", g.street()).str("city", pick(g, cities)).str("postalCode", fmt.Sprintf("%05d", g.r.IntN(99999))).
			int("countryID", 237).bool("isActive", true).bool("isPrimary", i == 0).bool("isTaxExempt", false).
			bool("overrideCompanyTaxSettings", false).str("phone", g.phone()).dec("roundtripDistance", float64(g.r.IntN(90))).
			blank("address2", "alternatePhone1", "alternatePhone2", "description", "fax", "state")
		if id := b.put(); i == 0 {
			c.location = id
		}
	}
}

func (g *generator) addContacts(c *company, rank int) {
	n := max(1, int(float64(g.size.ContactsPerCompany)*(0.5+1.5/(1+float64(rank)/10))))
	for i := range n {
		first, last := pick(g, firstNames), pick(g, lastNames)
		created := g.between(c.created, g.now)
		changed := g.between(created, g.now)
		b := g.row("Contacts").int("companyID", c.id).ref("companyLocationID", c.location).str("firstName", first).str("lastName", last).
			int("isActive", min(1, int64(g.r.IntN(11)))).when("createDate", created).
			str("emailAddress", strings.ToLower(ascii(first)+"."+ascii(last))+"@"+c.domain).str("phone", g.phone()).
			bool("primaryContact", i == 0).bool("billingContact", i == 1).bool("receivesEmailNotifications", true).
			bool("isOptedOutFromBulkEmail", false).bool("solicitationOptOut", false).bool("surveyOptOut", g.chance(4)).
			str("title", pick(g, []string{"Office Manager", "Director", "Accountant", "Sales", "Geschäftsführer", "Nurse", "Foreman"})).
			when("lastActivityDate", changed).int("countryID", 237).
			blank("addressLine", "addressLine1", "alternatePhone", "city", "emailAddress2", "emailAddress3", "extension", "externalID",
				"faxNumber", "middleInitial", "mobilePhone", "note", "roomNumber", "state", "zipCode", "facebookUrl", "linkedInUrl", "twitterUrl")
		if g.chance(80) { // a new contact may have no modified stamp yet (api.md §8)
			b.when("lastModifiedDate", g.between(created, changed))
		}
		c.contacts = append(c.contacts, b.put())
	}
}

// customerAt returns a customer by its share of the work.
func (g *generator) customerAt() *company {
	x := g.r.Float64() * g.cumulated[len(g.cumulated)-1]
	i, _ := slices.BinarySearch(g.cumulated, x)
	return &g.companies[g.customers[min(i, len(g.customers)-1)]]
}

func (g *generator) tech() *person { return &g.resources[pick(g, g.techs)] }
