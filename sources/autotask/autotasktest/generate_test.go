package autotasktest

import (
	"runtime"
	"testing"
	"time"
)

func TestQuick(t *testing.T) {
	now := time.Date(2026, 3, 4, 11, 30, 0, 0, time.UTC)
	start := time.Now()
	g := newGenerator(Small(), 1, now).run()
	t.Log(time.Since(start), g.missingFields())
	g = nil
	start = time.Now()
	g = newGenerator(Scaled(100000), 1, now).run()
	t.Log(time.Since(start))
	d := g.d
	g = nil
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	n := 0
	for _, e := range d.Entities() {
		n += d.Count(e)
		t.Log(e, d.Count(e))
	}
	t.Log(n, m.HeapAlloc>>20, m.HeapSys>>20)
	rows := d.tables["tickets"]
	buf := make([]byte, 0, 4<<20)
	start = time.Now()
	total := 0
	for i := 0; i+500 <= len(rows.ids) && i < 100000; i += 500 {
		b := buf[:0]
		for j := i; j < i+500; j++ {
			b = rows.shape.appendRow(b, rows.ids[j], rows.rows[j], true, false)
		}
		total += len(b)
	}
	t.Log("MB/s", float64(total)/1e6/time.Since(start).Seconds(), total/200)
	q, _ := parseQuery([]byte(`{"filter":[{"op":"or","items":[{"op":"gte","field":"lastActivityDate","value":"2026-03-04T11:00:00Z"},{"op":"gte","field":"createDate","value":"2026-03-04T11:00:00Z"}]}]}`))
	start = time.Now()
	f, _ := rows.compile(q)
	t.Log(rows.count(f), time.Since(start))
	q, _ = parseQuery([]byte(`{"filter":[{"op":"eq","field":"companyID","value":200}]}`))
	start = time.Now()
	f, _ = rows.compile(q)
	t.Log(rows.count(f), time.Since(start))
}
