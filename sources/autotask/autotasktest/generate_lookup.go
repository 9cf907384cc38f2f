package autotasktest

import "time"

// codes are the lookups that later steps refer to.
type codes struct {
	roles       []role
	departments []int64
	work        []int64 // billing codes of labour
	material    int64
	recurring   int64
	expense     int64
}

type role struct {
	id   int64
	rate float64
}

type service struct {
	id          int64
	name        string
	price, cost float64
}

func (g *generator) lookups() {
	for _, r := range []struct {
		name string
		rate float64
	}{{"Service Desk", 95}, {"Systems Engineer", 130}, {"Field Technician", 110}, {"Project Manager", 150}, {"Security Analyst", 165}} {
		id := g.row("Roles").str("name", r.name).str("description", "").dec("hourlyFactor", 1).dec("hourlyRate", r.rate).
			bool("isActive", true).bool("isExcludedFromNewContracts", false).bool("isSystemRole", false).int("roleType", 0).put()
		g.codes.roles = append(g.codes.roles, role{id, r.rate})
	}
	for _, name := range []string{"Service Desk", "Projects", "Administration"} {
		g.codes.departments = append(g.codes.departments, g.row("Departments").str("name", name).blank("description", "number").int("primaryLocationID", 10).put())
	}
	country := g.row("Countries").str("name", "United States").str("countryCode", "US").str("displayName", "United States").bool("isActive", true)
	country.cells[0].n = 237
	country.put()
	currency := g.row("Currencies").str("name", "USD").dec("exchangeRate", 1).bool("isActive", true).bool("isInternalCurrency", true).when("lastModifiedDateTime", g.start)
	currency.cells[0].n = 1
	currency.put()
	g.addBillingCodes()
	g.addServices()
	g.addProducts()
	for _, name := range []string{"Northwind", "Northwind Cloud"} {
		one := g.row("OrganizationalLevel1s").str("name", name).put()
		two := g.row("OrganizationalLevel2s").str("name", name+" Services").put()
		g.orgs = append(g.orgs, g.row("OrganizationalLevelAssociations").int("organizationalLevel1ID", one).int("organizationalLevel2ID", two).bool("isActive", true).put())
	}
	for _, name := range []string{"Ticket closed", "Yearly satisfaction"} {
		g.surveys = append(g.surveys, g.row("Surveys").str("name", name).str("displayName", name).str("description", "How did we do? ★★★★★").put())
	}
}

func (g *generator) addBillingCodes() {
	code := func(name string, use, kind int64) int64 {
		return g.row("BillingCodes").str("name", name).int("useType", use).int("billingCodeType", kind).bool("isActive", true).
			bool("isExcludedFromNewContracts", false).dec("unitCost", 0).dec("unitPrice", 0).dec("markupRate", 0).blank("description", "externalNumber").put()
	}
	for _, name := range []string{"Remote Support", "Onsite Support", "Maintenance", "Project Work"} {
		g.codes.work = append(g.codes.work, code(name, 1, 0))
	}
	code("Internal Meeting", 2, 2)
	g.codes.material = code("Hardware", 4, 0)
	g.codes.recurring = code("Managed Services", 5, 0)
	g.codes.expense = code("Mileage", 3, 0)
	code("Milestone", 6, 0)
}

func (g *generator) addServices() {
	for _, s := range []service{
		{name: "Managed Workstation", price: 45, cost: 14.5}, {name: "Managed Server", price: 180, cost: 52.25}, {name: "Mailbox Protection", price: 4.9, cost: 1.8525},
		{name: "Cloud Backup 1 TB", price: 89, cost: 36}, {name: "Managed Firewall", price: 120, cost: 44.1}, {name: "Endpoint Detection & Response", price: 9.75, cost: 4.3333},
	} {
		created := g.between(g.start.AddDate(-1, 0, 0), g.start)
		s.id = g.row("Services").str("name", s.name).str("description", s.name).str("invoiceDescription", s.name+" – monthly").int("billingCodeID", g.codes.recurring).
			int("periodType", 2).dec("unitPrice", s.price).dec("unitCost", s.cost).dec("markupRate", 0).bool("isActive", true).when("createDate", created).
			when("lastModifiedDate", g.between(created, g.now)).int("creatorResourceID", builtinResource).blank("sku", "url", "externalID").put()
		g.services = append(g.services, s)
	}
	for _, s := range []service{{name: "Essential Bundle", price: 59, cost: 21}, {name: "Complete Care Bundle", price: 99, cost: 37.5}} {
		created := g.between(g.start.AddDate(-1, 0, 0), g.start)
		s.id = g.row("ServiceBundles").str("name", s.name).str("description", s.name).str("invoiceDescription", s.name).int("billingCodeID", g.codes.recurring).
			int("periodType", 2).dec("unitPrice", s.price).dec("percentageDiscount", 0).dec("unitDiscount", 0).bool("isActive", true).
			when("createDate", created).when("lastModifiedDate", g.between(created, g.now)).int("creatorResourceID", builtinResource).put()
		g.bundles = append(g.bundles, s)
	}
}

func (g *generator) addProducts() {
	for i, p := range []string{"Business Laptop 14\"", "Tower Server 2U", "24-Port Switch", "Office Licence", "USB-C Dock", "27\" Monitor", "UPS 1500 VA", "Wi-Fi 6 Access Point"} {
		cost := 40 + float64(g.r.IntN(90000))/100
		g.products = append(g.products, g.row("Products").str("name", p).str("description", p).bool("isActive", i != 6).bool("isSerialized", i < 3).
			bool("doesNotRequireProcurement", false).bool("isEligibleForRma", i < 3).int("productBillingCodeID", g.codes.material).dec("unitCost", cost).
			dec("unitPrice", cost*1.25).dec("msrp", cost*1.4).dec("markupRate", 25).int("productCategory", 1+int64(i%5)).int("billingType", 1).int("periodType", 1).
			when("createdTime", g.between(g.start.AddDate(-1, 0, 0), g.start)).int("createdByResourceID", builtinResource).
			str("manufacturerName", pick(g, []string{"Contoso", "Fabrikam", "Møller"})).blank("sku", "link", "internalProductID", "externalProductID", "manufacturerProductName").put())
	}
	for _, name := range []string{"Workstation", "Server", "Network", "Cloud"} {
		g.row("ConfigurationItemTypes").str("name", name).bool("isActive", true).put()
		g.row("ConfigurationItemCategories").str("name", name).bool("isActive", true).put()
	}
}

// addAssets makes configuration items, more of them for larger customers.
func (g *generator) addAssets() {
	for i := range g.size.Assets {
		c := g.customerAt()
		created := g.between(maxTime(c.created, g.start), g.now)
		host := pick(g, []string{"WS", "NB", "SRV", "FW"}) + "-" + initialsOf(c.name) + "-" + itoa(1000+i)
		b := g.row("ConfigurationItems").int("companyID", c.id).ref("companyLocationID", c.location).int("productID", pick(g, g.products)).
			bool("isActive", !g.chance(12)).when("createDate", created).int("createdByPersonID", builtinResource).str("referenceTitle", host).
			when("installDate", day(created)).when("lastModifiedTime", g.between(created, g.now)).int("configurationItemType", 1+int64(g.r.IntN(4))).
			when("warrantyExpirationDate", day(created.AddDate(3, 0, 0))).str("serialNumber", "SN"+itoa(700000+g.r.IntN(99999))).dec("hourlyCost", 0).
			dec("monthlyCost", 0).dec("dailyCost", 0).dec("perUseCost", 0).dec("setupFee", 0).blank("location", "notes", "referenceNumber")
		if len(c.contacts) > 0 && g.chance(60) {
			b.int("contactID", pick(g, c.contacts))
		}
		if g.chance(70) { // managed by the RMM
			b.str("rmmDeviceAuditHostname", host).str("rmmDeviceAuditIPAddress", "10."+itoa(g.r.IntN(250))+".0."+itoa(1+g.r.IntN(250))).
				int("rmmDeviceID", 90000000000+int64(i)).int("rmmOpenAlertCount", int64(g.r.IntN(3))).int("rmmDeviceAuditMissingPatchCount", int64(g.r.IntN(14))).
				str("rmmDeviceAuditOperatingSystem", pick(g, []string{"Microsoft Windows 11 Pro 10.0.26100", "Microsoft Windows Server 2022", "macOS 15"})).
				int("rmmDeviceAuditMemoryBytes", int64(8+8*g.r.IntN(8))<<30).int("rmmDeviceAuditStorageBytes", int64(256+g.r.IntN(2000))<<30).
				bool("rmmIsInMaintenanceMode", false).bool("rmmIsMobileDeviceManagementEnrolled", false)
		}
		if g.chance(25) {
			b.set("udf:Rack / Position", stringCell("R"+itoa(1+g.r.IntN(4))+" / U"+itoa(1+g.r.IntN(40))))
			b.set("udf:Purchase Price", stringCell(itoa(300+g.r.IntN(4000))+".50"))
		}
		c.assets = append(c.assets, b.put())
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func initialsOf(name string) string {
	s := ascii(name)
	return s[:min(3, len(s))]
}
