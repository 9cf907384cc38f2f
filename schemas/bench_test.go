package schemas_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/atsync/atsync/schemas"
)

// ticketPage makes a page of n tickets of about 2 KB and 60 fields each.
func ticketPage(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"apiVendorID":null,"assignedResourceID":29682899,"assignedResourceRoleID":29683355,"billingCodeID":29683502,"changeApprovalBoard":null,"changeApprovalStatus":null,"changeApprovalType":null,"changeInfoField1":"","changeInfoField2":"","changeInfoField3":"","changeInfoField4":"","changeInfoField5":"","companyID":%d,"companyLocationID":457,"completedByResourceID":29682899,"completedDate":"2022-12-07T09:15:28.147Z","configurationItemID":null,"contactID":30684718,"contractID":29683361,"contractServiceBundleID":null,"contractServiceID":null,"createDate":"2020-09-24T09:40:14.113Z","createdByContactID":null,"creatorResourceID":29682885,"creatorType":1,"currentServiceThermometerRating":null,"description":"The printer on the second floor shows a paper jam although there is none. Restarting did not help.\r\nPlease call back before noon, Mrs. Müller is out of the office afterwards. %s","dueDateTime":"2022-12-06T13:00:00Z","estimatedHours":3.5000,"externalID":"","firstResponseAssignedResourceID":null,"firstResponseDateTime":"2020-09-24T09:40:16.073Z","firstResponseDueDateTime":null,"hoursToBeScheduled":0.0000,"impersonatorCreatorResourceID":null,"isAssignedToComanaged":false,"issueType":6,"isVisibleToComanaged":false,"lastActivityDate":"2022-12-07T09:15:52.407Z","lastActivityPersonType":1,"lastActivityResourceID":4,"lastCustomerNotificationDateTime":"2022-12-07T09:15:45.2Z","lastTrackedModificationDateTime":"2020-09-24T09:40:14.113Z","opportunityID":null,"organizationalLevelAssociationID":null,"priority":2,"problemTicketId":null,"projectID":null,"purchaseOrderNumber":"","queueID":29683354,"resolution":"Cleaned the sensor.","resolvedDateTime":"2022-12-06T16:10:00Z","serviceLevelAgreementHasBeenMet":true,"source":13,"status":5,"subIssueType":132,"ticketCategory":3,"ticketNumber":"T20200924.%04d","ticketType":1,"title":"Printer on the second floor","userDefinedFields":[{"name":"Customer Ranking","value":"Golden"},{"name":"Cost Centre","value":null}]}`,
			1000+i, i%300, "Asset tag 4711-0815, driver version 10.2.33, connected by cable.", i)
	}
	b.WriteString(`],"pageDetails":{"count":500,"requestCount":500,"prevPageUrl":null,"nextPageUrl":null}}`)
	return b.Bytes()
}

func ticketTable() *schemas.Table {
	e, _ := schemas.Lookup("Tickets")
	m := &schemas.Metadata{UDFs: []schemas.MetaField{{Name: "Customer Ranking", Type: "string"}, {Name: "Cost Centre", Type: "string"}}}
	for _, f := range e.Fields {
		m.Fields = append(m.Fields, schemas.MetaField{Name: f.Name, DataType: f.Type, IsQueryable: true})
	}
	return schemas.NewTable(e, m, nil)
}

// BenchmarkDecode decodes eight pages of 500 tickets into one batch; "ns/row" is the time of one row.
func BenchmarkDecode(b *testing.B) {
	page := ticketPage(500)
	d := schemas.NewDecoder(ticketTable())
	b.SetBytes(8 * int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		for range 8 {
			if _, err := d.Decode(page, nil); err != nil {
				b.Fatal(err)
			}
		}
		batch, _ := d.Flush()
		batch.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4000, "ns/row")
}

// BenchmarkDecodeUDFs decodes pages of rows that have little but 200 UDFs each, 30 % of them with a value.
func BenchmarkDecodeUDFs(b *testing.B) {
	var page bytes.Buffer
	m := &schemas.Metadata{}
	for u := range 200 {
		m.UDFs = append(m.UDFs, schemas.MetaField{Name: fmt.Sprintf("Custom field %03d", u), Type: []string{"string", "string", "integer", "decimal", "datetime"}[u%5]})
	}
	values := []string{`"some text"`, `"other text"`, `"4711"`, `"12.50"`, `"2026-01-31T10:00:00Z"`}
	page.WriteString(`{"items":[`)
	for i := range 500 {
		if i > 0 {
			page.WriteByte(',')
		}
		fmt.Fprintf(&page, `{"id":%d,"userDefinedFields":[`, i)
		for u := range m.UDFs {
			if u > 0 {
				page.WriteByte(',')
			}
			value := "null"
			if (i*7+u*3)%10 < 3 {
				value = values[u%5]
			}
			fmt.Fprintf(&page, `{"name":%q,"value":%s}`, m.UDFs[u].Name, value)
		}
		page.WriteString("]}")
	}
	page.WriteString(`]}`)
	e, _ := schemas.Lookup("Tickets")
	d := schemas.NewDecoder(schemas.NewTable(e, m, nil))
	b.SetBytes(8 * int64(page.Len()))
	b.ReportAllocs()
	for b.Loop() {
		for range 8 {
			if _, err := d.Decode(page.Bytes(), nil); err != nil {
				b.Fatal(err)
			}
		}
		batch, _ := d.Flush()
		batch.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4000, "ns/row")
}
