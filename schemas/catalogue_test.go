package schemas_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

func entityNames(es []*schemas.Entity) []string {
	out := make([]string, len(es))
	for i, e := range es {
		out[i] = e.Name
	}
	return out
}

func TestCatalogueSummary(t *testing.T) {
	classes := map[schemas.Class]int{}
	counts := map[string]int{}
	for _, e := range schemas.Catalogue() {
		classes[e.Class]++
		counts["all"]++
		counts["fields"] += len(e.Fields)
		for what, is := range map[string]bool{"queryable": e.Queryable, "udf": e.HasUDF, "core": e.Core != ""} {
			if is {
				counts[what]++
			}
		}
	}
	// About as many as there were: an entity more is a file more and nothing else.
	leastOf := map[schemas.Class]int{
		schemas.ClassModified: 20, schemas.ClassActivity: 13, schemas.ClassAppend: 41, schemas.ClassParent: 16,
		schemas.ClassFull: 130, schemas.ClassChild: 3, schemas.ClassNone: 9,
	}
	for class, least := range leastOf {
		if classes[class] < least {
			t.Errorf("%d entities of class %s, there were more than %d", classes[class], class, least)
		}
	}
	for what, least := range map[string]int{"all": 230, "fields": 2800, "queryable": 220, "udf": 14, "core": 52} {
		if counts[what] < least {
			t.Errorf("%s: %d, there were more than %d", what, counts[what], least)
		}
	}
}

func TestCatalogueIsSound(t *testing.T) {
	words := []string{"string", "integer", "long", "decimal", "datetime", "boolean", "byte[]"}
	sizes := []string{"tiny", "small", "medium", "large", "huge"}
	all := schemas.Catalogue()
	if !slices.IsSorted(entityNames(all)) {
		t.Error("the catalogue is not sorted by name")
	}
	tables := map[string]string{}
	for _, e := range all {
		if raw, err := os.ReadFile("entities/" + e.Name + ".json"); err != nil || !json.Valid(raw) {
			t.Errorf("%s: no file of that name: %v", e.Name, err)
		}
		if other, taken := tables[schemas.TableName(e.Name)]; taken {
			t.Errorf("%s and %s want one table", e.Name, other)
		}
		tables[schemas.TableName(e.Name)] = e.Name
		field := map[string]schemas.Field{}
		for _, f := range e.Fields {
			if _, twice := field[strings.ToLower(f.Name)]; twice {
				t.Errorf("%s.%s is there twice", e.Name, f.Name)
			}
			field[strings.ToLower(f.Name)] = f
			if !slices.Contains(words, f.Type) {
				t.Errorf("%s.%s has type %q", e.Name, f.Name, f.Type)
			}
			if _, known := schemas.Lookup(f.Reference); f.Reference != "" && !known {
				t.Errorf("%s.%s points to unknown %q", e.Name, f.Name, f.Reference)
			}
		}
		if _, known := schemas.Lookup(e.Parent); e.Parent != "" && !known {
			t.Errorf("%s has unknown parent %q", e.Name, e.Parent)
		}
		stamps := slices.Clone(e.Stamps)
		if e.CreateStamp != "" {
			stamps = append(stamps, e.CreateStamp)
		}
		for _, s := range stamps {
			if field[strings.ToLower(s)].Type != "datetime" {
				t.Errorf("%s: stamp %s is no datetime field", e.Name, s)
			}
		}
		if _, ok := field[strings.ToLower(e.ParentKey)]; e.ParentKey != "" && e.ParentKey != "id" && !ok {
			t.Errorf("%s: parent key %s is no field", e.Name, e.ParentKey)
		}
		dated := slices.Contains([]schemas.Class{schemas.ClassModified, schemas.ClassActivity, schemas.ClassAppend}, e.Class)
		switch {
		case dated != (len(e.Stamps) > 0):
			t.Errorf("%s: class %s with stamps %v", e.Name, e.Class, e.Stamps)
		case e.Follows() != "" && e.ParentKey == "", (e.Class == schemas.ClassParent || e.Class == schemas.ClassChild) && e.Follows() == "":
			t.Errorf("%s: class %s without parent or key", e.Name, e.Class)
		case e.Description == "" || e.Singular == "" || e.Path == "":
			t.Errorf("%s: description, singular or path is missing", e.Name)
		case e.Class != schemas.ClassNone && !slices.Contains(sizes, e.Size):
			t.Errorf("%s: size %q", e.Name, e.Size)
		case (e.Unreadable() == "") != (e.Queryable || e.Class == schemas.ClassChild):
			t.Errorf("%s: queryable is %v, but: %s", e.Name, e.Queryable, e.Unreadable())
		}
	}
}

func TestStamps(t *testing.T) {
	for name, want := range map[string][]string{
		"Tickets":            {"lastActivityDate", "lastTrackedModificationDateTime", "createDate"},
		"Companies":          {"lastTrackedModifiedDateTime", "lastActivityDate", "createDate"},
		"ConfigurationItems": {"lastModifiedTime", "createDate"},
		"Quotes":             {"lastActivityDate", "createDate"},
		"Contracts":          {"lastModifiedDateTime"},
		"TicketCharges":      {"createDate", "statusLastModifiedDate"},
		"SurveyResults":      {"sendDate", "completeDate"},
		"Invoices":           {"createDateTime", "paidDate", "voidedDate", "webServiceDate"},
		"BillingItems":       {"postedDate", "webServiceDate"},
		"Roles":              nil,
		"TicketHistory":      nil,
	} {
		e, _ := schemas.Lookup(name)
		if diff := cmp.Diff(want, schemas.NewTable(e, nil, nil).Reads().Stamps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLookup(t *testing.T) {
	for in, want := range map[string]string{
		"TimeEntries": "TimeEntries", "timeentry": "TimeEntries", " time_entries": "TimeEntries", "Tax": "Taxes",
		"Company": "Companies", "TICKETHISTORY": "TicketHistory", "organizational_level1s": "OrganizationalLevel1s",
	} {
		e, ok := schemas.Lookup(in)
		if !ok || e.Name != want {
			t.Errorf("Lookup(%q) = %v %v, want %s", in, e, ok, want)
		}
	}
	for _, in := range []string{"", "Queues", "Ticket s"} {
		if e, ok := schemas.Lookup(in); ok {
			t.Errorf("Lookup(%q) = %s", in, e.Name)
		}
	}
}

func TestSelectCore(t *testing.T) {
	got, err := schemas.Select([]string{"core"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(`BillingCodes BillingItems Companies CompanyLocations CompanyNotes CompanyToDos ConfigurationItems
		Contacts ContractBlocks ContractCharges ContractServiceBundleUnits ContractServiceBundles ContractServiceUnits
		ContractServices Contracts DeletedTaskActivityLogs DeletedTicketActivityLogs DeletedTicketLogs Departments ExpenseItems
		ExpenseReports Invoices Opportunities OrganizationalLevelAssociations Phases Products ProjectCharges Projects Quotes
		QuoteItems ResourceRoleDepartments ResourceRoleQueues Resources Roles ServiceBundles ServiceCalls ServiceCallTickets
		ServiceCallTicketResources Tickets ServiceLevelAgreementResults Services SurveyResults Surveys TaskNotes Tasks
		TicketAdditionalConfigurationItems TicketCharges TicketNotes TicketSecondaryResources TimeEntries
		UserDefinedFieldDefinitions UserDefinedFieldListItems`)
	// Children stand behind their parents, all else by name.
	sorted := slices.Clone(want)
	slices.Sort(sorted)
	have := entityNames(got)
	haveSorted := slices.Clone(have)
	slices.Sort(haveSorted)
	if diff := cmp.Diff(sorted, haveSorted); diff != "" {
		t.Errorf("core (-want +got):\n%s", diff)
	}
	for i, e := range got {
		if at := slices.Index(have, e.Parent); e.Class == schemas.ClassParent && at > i {
			t.Errorf("%s comes before its parent %s", e.Name, e.Parent)
		}
	}
	again, _ := schemas.Select([]string{"core", "CORE", "Tickets"})
	if diff := cmp.Diff(have, entityNames(again)); diff != "" {
		t.Errorf("not stable:\n%s", diff)
	}
}

func TestSelect(t *testing.T) {
	tests := []struct {
		in   []string
		want string // names, or "n entities"
		err  string // parts of the error, one a line
	}{
		{in: []string{"tickets", "Resource", "time_entries"}, want: "Resources Tickets TimeEntries"},
		{in: []string{"ServiceCallTicketResources", "ServiceCalls", "ServiceCallTickets"}, want: "ServiceCalls ServiceCallTickets ServiceCallTicketResources"},
		{in: []string{"Service*", "-ServiceL*", "-service_call_t*"}, want: "ServiceBundleServices ServiceBundles ServiceCalls Services"},
		{in: []string{"-Contacts", "Contacts", "Roles"}, want: "Roles"},
		{in: []string{"TicketHistory", "tickets"}, want: "Tickets TicketHistory"},
		{in: []string{"TicketHist*"}, err: "only TicketHistory, which costs a request for every ticket"},
		{in: []string{"TicketH*", "Ticket?istory", "-TicketHistory", "Roles"}, err: "by its exact name only"},
		{in: []string{"AccountInvoiceSettings", "Companies", "ResourceTimeOff*"}, want: "Companies AccountInvoiceSettings ResourceTimeOffAdditional ResourceTimeOffApprovers ResourceTimeOffBalances"},
		{in: []string{"Time*", "-TimeOffRequestsApprove"}, want: "TimeEntries TimeEntryAttachments TimeOffRequests"},
		{in: []string{"Tickts", "Kompanies"}, err: "\"Tickts\" (did you mean \"Tickets\"?)\n\"Kompanies\" (did you mean \"Companies\"?)"},
		{in: []string{"TimeOffRequestsReject"}, err: "write-only action"},
		{in: []string{"InventoryStockedItemsA*"}, err: "InventoryStockedItemsAdd: it is a write-only action"},
		{in: []string{"Zzz*"}, err: "matches nothing"},
		{in: []string{"[a"}, err: "bad entity pattern"},
		{in: []string{"-Nope", "core"}, err: "\"Nope\""},
		{in: nil, err: "no entity is selected"},
		{in: []string{"Roles", "-core"}, err: "no entity is selected"},
		{in: []string{" "}, err: "is empty"},
	}
	for _, tt := range tests {
		got, err := schemas.Select(tt.in)
		if tt.err == "" && err != nil || tt.err != "" && err == nil {
			t.Errorf("Select(%q): error %v, want %q", tt.in, err, tt.err)
			continue
		}
		for part := range strings.SplitSeq(tt.err, "\n") {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("Select(%q): error %q lacks %q", tt.in, err, part)
			}
		}
		if names := strings.Join(entityNames(got), " "); names != tt.want {
			t.Errorf("Select(%q) = %s, want %s", tt.in, names, tt.want)
		}
	}
}
