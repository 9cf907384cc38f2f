package autotask_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
	"github.com/atsync/atsync/sources/autotask"
	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// described returns the ids that Describe gives to an entity's UDFs.
func described(t *testing.T, c *autotask.Client, entity string) map[string]int64 {
	t.Helper()
	e, _ := schemas.Lookup(entity)
	m, err := c.Describe(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, f := range m.UDFs {
		out[f.Name] = f.ID
	}
	return out
}

// definitions returns the ids of definitions of one udfType by name.
func definitions(d *autotasktest.Data, udfType string) map[string]int64 {
	out := map[string]int64{}
	for _, r := range d.Rows("UserDefinedFieldDefinitions") {
		if name := r.Raw("name"); r.Raw("udfType") == udfType {
			out[name[1:len(name)-1]] = r.ID
		}
	}
	return out
}

func TestDefinitionsOfUDFs(t *testing.T) {
	data := autotasktest.NewData()
	for _, u := range [][2]string{{"Companies", "Rank"}, {"Companies", "Seats"}, {"Tickets", "Rank"}, {"Tickets", "Cause"}, {"Contacts", "Same"}, {"Projects", "Same"}} {
		data.AddUDF(u[0], autotasktest.UDF{Name: u[1]})
	}
	s := simulator(t, autotasktest.WithData(data))
	c, _ := simulated(t, s, nil)
	for entity, udfType := range map[string]string{"Companies": "1", "Tickets": "12", "Contacts": "2", "Projects": "14"} {
		if d := cmp.Diff(definitions(data, udfType), described(t, c, entity)); d != "" {
			t.Errorf("%s (-want +got):\n%s", entity, d)
		}
	}
	// One query for all entities, and the labels of the types once, since two entities have the same names.
	if n := s.RequestCounts()["UserDefinedFieldDefinitions"]; n != 2 {
		t.Errorf("%d requests for definitions", n)
	}

	// A name that was given since makes the client look again.
	rank := definitions(data, "1")["Rank"]
	data.RenameUDF("Companies", "Rank", "Tier")
	if got := described(t, c, "Companies"); got["Tier"] != rank {
		t.Errorf("renamed: %v, want %d", got, rank)
	}
	if got := described(t, c, "Resources"); len(got) != 0 {
		t.Errorf("an entity without UDFs: %v", got)
	}
}

// TestDefinitionsThatCantBeRead: what the user may not see leaves the names; what may pass is no reason to forget ids.
func TestDefinitionsThatCantBeRead(t *testing.T) {
	for name, denial := range map[string]autotasktest.Denial{"401": autotasktest.Denied401, "403": autotasktest.Denied403, "500": autotasktest.Denied500} {
		s := simulator(t)
		s.Deny("UserDefinedFieldDefinitions", denial)
		c, _ := simulated(t, s, nil)
		for range 2 {
			for udf, id := range described(t, c, "Companies") {
				if id != 0 {
					t.Errorf("%s: %s has the id %d", name, udf, id)
				}
			}
		}
	}
	s := simulator(t)
	s.Fault(autotasktest.Fault{Entity: "UserDefinedFieldDefinitions", Op: autotasktest.OpQuery, Do: autotasktest.Status(http.StatusServiceUnavailable)})
	c, _ := simulated(t, s, nil)
	e, _ := schemas.Lookup("Companies")
	if m, err := c.Describe(t.Context(), e); err == nil {
		t.Errorf("a service that is down is no missing right: %+v", m.UDFs)
	}
	s.ClearFaults()
	for udf, id := range described(t, c, "Companies") {
		if id == 0 {
			t.Errorf("%s has no id", udf)
		}
	}
}
