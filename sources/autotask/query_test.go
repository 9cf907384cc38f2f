package autotask_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

func TestQueryBodies(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 30, 45, 123_999_999, time.FixedZone("", 3600))
	for _, tc := range []struct {
		name              string
		slice             pipeline.Slice
		page, countOrSame string
	}{
		{"everything", pipeline.Slice{},
			`{"filter":[{"op":"exist","field":"id"}],"MaxRecords":500}`,
			`{"filter":[{"op":"exist","field":"id"}]}`},
		{"after zero", pipeline.Slice{After: new(int64(0))},
			`{"filter":[{"op":"gt","field":"id","value":0}],"MaxRecords":500}`,
			`{"filter":[{"op":"gt","field":"id","value":0}]}`},
		{"range", pipeline.Slice{After: new(int64(-3)), Until: new(int64(9007199254740993))},
			`{"filter":[{"op":"lte","field":"id","value":9007199254740993},{"op":"gt","field":"id","value":-3}],"MaxRecords":500}`,
			`{"filter":[{"op":"lte","field":"id","value":9007199254740993},{"op":"gt","field":"id","value":-3}]}`},
		{"one stamp needs no group", pipeline.Slice{Window: pipeline.Window{Stamps: []string{"lastModifiedDateTime"}, Since: since}},
			`{"filter":[{"op":"gte","field":"lastModifiedDateTime","value":"2026-03-01T11:30:45.123Z"},{"op":"exist","field":"id"}],"MaxRecords":500}`,
			`{"filter":[{"op":"gte","field":"lastModifiedDateTime","value":"2026-03-01T11:30:45.123Z"},{"op":"exist","field":"id"}]}`},
		{"stamps or newer, whole second", pipeline.Slice{Window: pipeline.Window{Stamps: []string{"lastActivityDate", "createDate"},
			Since: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), NewerID: new(int64(7))}},
			`{"filter":[{"op":"or","items":[{"op":"gte","field":"lastActivityDate","value":"2026-03-01T00:00:00.000Z"},` +
				`{"op":"gte","field":"createDate","value":"2026-03-01T00:00:00.000Z"},{"op":"gt","field":"id","value":7}]},` +
				`{"op":"exist","field":"id"}],"MaxRecords":500}`,
			`{"filter":[{"op":"or","items":[{"op":"gte","field":"lastActivityDate","value":"2026-03-01T00:00:00.000Z"},` +
				`{"op":"gte","field":"createDate","value":"2026-03-01T00:00:00.000Z"},{"op":"gt","field":"id","value":7}]},` +
				`{"op":"exist","field":"id"}]}`},
		{"a span", pipeline.Slice{Window: pipeline.Window{Stamps: []string{"createDate"}, Since: since, Before: since.Add(time.Hour)}, After: new(int64(7))},
			`{"filter":[{"op":"gte","field":"createDate","value":"2026-03-01T11:30:45.123Z"},` +
				`{"op":"lt","field":"createDate","value":"2026-03-01T12:30:45.123Z"},{"op":"gt","field":"id","value":7}],"MaxRecords":500}`,
			`{"filter":[{"op":"gte","field":"createDate","value":"2026-03-01T11:30:45.123Z"},` +
				`{"op":"lt","field":"createDate","value":"2026-03-01T12:30:45.123Z"},{"op":"gt","field":"id","value":7}]}`},
		{"in", pipeline.Slice{Window: pipeline.Window{In: []int64{0, 5, -1}, InField: "ticketID"}, After: new(int64(10))},
			`{"filter":[{"op":"in","field":"ticketID","value":[0,5,-1]},{"op":"gt","field":"id","value":10}],"MaxRecords":500}`,
			`{"filter":[{"op":"in","field":"ticketID","value":[0,5,-1]},{"op":"gt","field":"id","value":10}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := autotask.PageBody(tc.slice, 500)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.page, string(got)); d != "" {
				t.Error(d)
			}
			if got, err = autotask.CountBody(tc.slice); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.countOrSame, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestImpossibleWindows(t *testing.T) {
	for name, w := range map[string]pipeline.Window{
		"no time":               {Stamps: []string{"createDate"}},
		"an end for two stamps": {Stamps: []string{"createDate", "lastActivityDate"}, Since: time.Unix(1, 0), Before: time.Unix(9, 0)},
		"an end for ids":        {In: []int64{1}, InField: "id", Before: time.Unix(9, 0)},
		"an end for nothing":    {Before: time.Unix(9, 0)},
		"an end before it":      {Stamps: []string{"createDate"}, Since: time.Unix(9, 0), Before: time.Unix(1, 0)},
		"no field":              {In: []int64{1}},
		"too many":              {In: make([]int64, 500), InField: "ticketID", NewerID: new(int64(1))},
	} {
		if body, err := autotask.PageBody(pipeline.Slice{Window: w}, 500); err == nil {
			t.Errorf("%s: %s", name, body)
		}
	}
}
