package schemas_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/schemas"
)

func TestColumnName(t *testing.T) {
	for field, want := range map[string]string{
		"id": "id", "Id": "id", "ID": "id",
		"companyID":                       "company_id",
		"lastActivityDate":                "last_activity_date",
		"rmmAlertID":                      "rmm_alert_id",
		"problemTicketId":                 "problem_ticket_id",
		"glCode":                          "gl_code",
		"gLCode":                          "gl_code",
		"GLCode":                          "gl_code",
		"changeInfoField1":                "change_info_field1",
		"address1":                        "address1",
		"emailTypeCode2":                  "email_type_code2",
		"organizationalLevel1ID":          "organizational_level1_id",
		"dattoOSVersionID":                "datto_os_version_id",
		"dattoZFSVersionID":               "datto_zfs_version_id",
		"dattoInternalIP":                 "datto_internal_ip",
		"dattoNICSpeedKilobitsPerSecond":  "datto_nic_speed_kilobits_per_second",
		"displayColorRGB":                 "display_color_rgb",
		"externalPONumber":                "external_po_number",
		"rmmDeviceUID":                    "rmm_device_uid",
		"rmmDeviceAuditSNMPContact":       "rmm_device_audit_snmp_contact",
		"rmmDeviceAuditExternalIPAddress": "rmm_device_audit_external_ip_address",
		"webhookGUID":                     "webhook_guid",
		"eMailAddress":                    "e_mail_address",
		"companyIDs":                      "company_ids",
		"isSSLEnabled":                    "is_ssl_enabled",
		"order":                           "order",
		"_row_hash":                       "row_hash",
		"with space-and.dots":             "with_space_and_dots",
		"\"; DROP TABLE x":                "drop_table_x",
		"":                                "field_e3b0c442",
		"é":                               "field_4a99557e",
	} {
		if got := schemas.ColumnName(field); got != want {
			t.Errorf("ColumnName(%q) = %q, want %q", field, got, want)
		}
	}
	long := schemas.ColumnName(strings.Repeat("VeryLong", 1000))
	if len(long) > 100 || long == schemas.ColumnName(strings.Repeat("VeryLong", 1001)) {
		t.Errorf("a long name is not cut to a name of its own: %q", long)
	}
}

func TestTableName(t *testing.T) {
	for entity, want := range map[string]string{
		"Tickets": "tickets", "TimeEntries": "time_entries", "OrganizationalLevel1s": "organizational_level1s",
		"CompanyToDos": "company_to_dos", "TicketRmaCredits": "ticket_rma_credits", "AttachmentInfo": "attachment_info",
		"ConfigurationItemSslSubjectAlternativeNames": "configuration_item_ssl_subject_alternative_names",
	} {
		if got := schemas.TableName(entity); got != want {
			t.Errorf("TableName(%q) = %q, want %q", entity, got, want)
		}
	}
}

// TestCatalogueColumns finds fields whose columns would need a suffix, and names that are cut or out of form.
func TestCatalogueColumns(t *testing.T) {
	for _, e := range schemas.Catalogue() {
		table := schemas.NewTable(e, nil, nil)
		checkColumns(t, table)
		for _, c := range table.Columns {
			if c.Name != schemas.ColumnName(c.Source) {
				t.Errorf("%s.%s: column %s, want %s", e.Name, c.Source, c.Name, schemas.ColumnName(c.Source))
			}
			if strings.ReplaceAll(c.Name, "_", "") != strings.ToLower(c.Source) {
				t.Errorf("%s.%s: column %s loses or adds letters", e.Name, c.Source, c.Name)
			}
			for word := range strings.SplitSeq(c.Name, "_") {
				if len(word) == 1 {
					t.Errorf("%s.%s: column %s has a word of one letter", e.Name, c.Source, c.Name)
				}
			}
		}
	}
}

func udfNames(t *testing.T, prior []schemas.Column, udfs ...string) map[string]string {
	t.Helper()
	e, _ := schemas.Lookup("CompanySiteConfigurations")
	m := &schemas.Metadata{Fields: []schemas.MetaField{{Name: "id", DataType: "long"}}}
	for _, u := range udfs {
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: u, Type: "string"})
	}
	table := schemas.NewTable(e, m, prior)
	checkColumns(t, table)
	out := map[string]string{}
	for _, c := range table.Columns {
		if c.UDF {
			out[c.Source] = c.Name
		}
	}
	return out
}

func TestUDFNames(t *testing.T) {
	long := strings.Repeat("a long name ", 900)
	names := []string{"Customer Ranking", "  $$ Cost / Centre (EUR)  ", "Straße", "日本語", "…", "Foo", "FOO", "f-o-o", "a\x00\"b\n", long}
	want := map[string]string{
		"Customer Ranking":           "udf_customer_ranking",
		"  $$ Cost / Centre (EUR)  ": "udf_cost_centre_eur",
		"Straße":                     "udf_stra_e",
		"日本語":                        "udf_77710aed",
		"…":                          "udf_b4935894",
		"Foo":                        "udf_foo_1cbec737",
		"FOO":                        "udf_foo_9520437c",
		"f-o-o":                      "udf_f_o_o",
		"a\x00\"b\n":                 "udf_a_b",
		long:                         "udf_a_long_name_a_long_name_a_long_name_a_long_name_a_",
	}
	delete(want, long)
	got := udfNames(t, nil, names...)
	if n := len(got[long]); n == 0 || n > 64 {
		t.Errorf("a long name becomes %q", got[long])
	}
	delete(got, long)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUDFNamesAreStable(t *testing.T) {
	a := udfNames(t, nil, "Foo", "foo", "Bar")
	if b := udfNames(t, nil, "Bar", "foo", "Foo"); !cmp.Equal(a, b) {
		t.Errorf("names hang on the order: %v, %v", a, b)
	}
	// The one that was there first keeps the plain name, also when it is gone.
	prior := []schemas.Column{{Name: "id", Source: "id", Type: schemas.Type{Kind: schemas.Int}},
		{Name: "udf_foo", Source: "Foo", UDF: true, Type: schemas.Type{Kind: schemas.String}}}
	for _, live := range [][]string{{"foo", "Foo"}, {"FOO"}, {"foo"}} {
		got := udfNames(t, prior, live...)
		if got["Foo"] != "udf_foo" {
			t.Errorf("with %q the prior column is called %q", live, got["Foo"])
		}
		for _, u := range live {
			if u != "Foo" && !strings.HasPrefix(got[u], "udf_foo_") {
				t.Errorf("with %q, %s is called %q", live, u, got[u])
			}
		}
	}
	// Two slugs that differ beyond the cut.
	x, y := strings.Repeat("x", 70)+"1", strings.Repeat("x", 70)+"2"
	if got := udfNames(t, nil, x, y); got[x] == got[y] {
		t.Errorf("both are called %q", got[x])
	}
}
