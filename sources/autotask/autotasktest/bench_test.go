package autotasktest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// BenchmarkPage serves pages of 500 tickets through the handler, without a network.
func BenchmarkPage(b *testing.B) {
	h := autotasktest.NewHandler(
		autotasktest.WithData(autotasktest.Generate(autotasktest.Scaled(20000), 1, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC))),
		autotasktest.WithThreshold(0), autotasktest.WithThreads(0), autotasktest.WithoutLog(), autotasktest.WithoutGzip())
	ids := h.Data().IDs("Tickets")
	n := 0
	for i := 0; b.Loop(); i++ {
		after := ids[(i*500)%(len(ids)-500)]
		w := direct(h, "POST", "/ATServicesRest/V1.0/Tickets/query", fmt.Sprintf(`{"filter":[{"op":"gt","field":"id","value":%d}],"MaxRecords":500}`, after))
		n += w.Body.Len()
	}
	b.SetBytes(int64(n / b.N))
}

// BenchmarkWindow counts what changed in the last day of 20,000 tickets.
func BenchmarkWindow(b *testing.B) {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	h := autotasktest.NewHandler(autotasktest.WithData(autotasktest.Generate(autotasktest.Scaled(20000), 1, now)),
		autotasktest.WithThreshold(0), autotasktest.WithoutLog())
	body := `{"filter":[{"op":"or","items":[{"op":"gte","field":"lastActivityDate","value":"2026-03-03"},{"op":"gte","field":"createDate","value":"2026-03-03"}]}]}`
	for b.Loop() {
		direct(h, "POST", "/ATServicesRest/V1.0/Tickets/query/count", body)
	}
}

// BenchmarkGenerateSmall makes the tenant of the demonstration.
func BenchmarkGenerateSmall(b *testing.B) {
	for b.Loop() {
		autotasktest.Generate(autotasktest.Small(), 1, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC))
	}
}
