package views

import (
	"strings"

	"github.com/atsync/atsync/schemas"
)

// isDate reports whether a datetime column means a date, not an instant: what people enter and see without a time of
// day. The API sends both as datetimes (api.md §5). User-defined fields of that type are dates: Autotask has
// no other. What is not listed is an instant.
func isDate(entity string, c schemas.Column) bool {
	switch {
	case c.Type.Kind != schemas.Timestamp:
		return false
	case c.UDF:
		return true
	}
	switch strings.ToLower(c.Source) {
	case "approveandpostdate", "datedue", "datepurchased", "dateworked", "duedate", "effectivedate", "enddate", "estimatedarrivaldate",
		"expensedate", "expirationdate", "fromdate", "hiredate", "holidaydate", "installdate", "itemdate", "latestestimatedarrivaldate",
		"lostdate", "closeddate", "paiddate", "perioddate", "posteddate", "projectedclosedate", "promisedfulfillmentdate", "requestdate",
		"salesorderdate", "shippingdate", "startdate", "throughdate", "todate", "warrantyexpirationdate", "weekending",
		"invoicedatetime": // an invoice's date, whatever its name says
		return true
	case "startdatetime", "enddatetime": // a project runs from day to day, a task by the clock
		return entity == "Projects"
	}
	return false
}

// date turns a datetime into the date that it means. Midnight UTC is that day, wherever the tenant is; any other
// value is the midnight of some zone, as older data holds it (api.md §5), and means the day that it is in the
// tenant's. For UTC nothing is used that needs DuckDB's extension icu.
func (b *builder) date(expr string) string {
	utc := "CAST(make_timestamp(epoch_us(" + expr + ")) AS DATE)"
	if b.w.TimeZone == "" || b.w.TimeZone == "UTC" {
		return utc
	}
	return "CASE WHEN epoch_us(" + expr + ") % 86400000000 = 0 THEN " + utc +
		" ELSE CAST(timezone(" + schemas.QuoteLiteral(b.w.TimeZone) + ", " + expr + ") AS DATE) END"
}
