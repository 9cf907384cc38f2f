package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		name, from, to, zone string
		size                 ChunkSize
		last                 string
		want                 []string // the bounds
	}{
		{name: "months, not whole at the ends", from: "2024-01-15T00:00:00Z", to: "2024-03-10T12:00:00Z", size: ChunkMonth,
			want: []string{"2024-01-15T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-03-10T12:00:00Z"}},
		{name: "from the last day of a long month", from: "2024-01-31T00:00:00Z", to: "2024-04-01T00:00:00Z", size: ChunkMonth,
			want: []string{"2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"}},
		{name: "the leap day", from: "2024-02-28T00:00:00Z", to: "2024-03-02T00:00:00Z", size: ChunkDay,
			want: []string{"2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"}},
		{name: "no leap day", from: "2025-02-28T00:00:00Z", to: "2025-03-02T00:00:00Z", size: ChunkDay,
			want: []string{"2025-02-28T00:00:00Z", "2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z"}},
		{name: "a day of 23 hours and one of 25", from: "2024-03-30T23:00:00Z", to: "2024-04-01T22:00:00Z", zone: "Europe/Berlin", size: ChunkDay,
			want: []string{"2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", "2024-04-01T22:00:00Z"}},
		{name: "autumn", from: "2024-10-26T22:00:00Z", to: "2024-10-28T23:00:00Z", zone: "Europe/Berlin", size: ChunkDay,
			want: []string{"2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z", "2024-10-28T23:00:00Z"}},
		{name: "a day without midnight", from: "2018-11-03T03:00:00Z", to: "2018-11-06T02:00:00Z", zone: "America/Sao_Paulo", size: ChunkDay,
			want: []string{"2018-11-03T03:00:00Z", "2018-11-04T02:00:00Z", "2018-11-05T02:00:00Z", "2018-11-06T02:00:00Z"}},
		{name: "weeks begin on Monday", from: "2026-03-01T00:00:00Z", to: "2026-03-10T00:00:00Z", size: ChunkWeek,
			want: []string{"2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z"}},
		{name: "years", from: "2023-07-01T00:00:00Z", to: "2025-01-01T00:00:00Z", size: ChunkYear,
			want: []string{"2023-07-01T00:00:00Z", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"}},
		{name: "the future is one", from: "2026-01-01T00:00:00Z", to: "2026-12-01T00:00:00Z", size: ChunkMonth, last: "2026-02-10T00:00:00Z",
			want: []string{"2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-12-01T00:00:00Z"}},
		{name: "auto begins with one", from: "2020-01-01T00:00:00Z", to: "2026-12-01T00:00:00Z", size: ChunkAuto,
			want: []string{"2020-01-01T00:00:00Z", "2026-12-01T00:00:00Z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			loc, err := time.LoadLocation(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			var last time.Time
			if test.last != "" {
				last = instant(t, test.last)
			}
			chunks, err := cut(instant(t, test.from), instant(t, test.to), test.size, loc, last)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{chunks[0].From.Format(time.RFC3339)}
			for i, c := range chunks {
				got = append(got, c.To.Format(time.RFC3339))
				if i > 0 && !c.From.Equal(chunks[i-1].To) || c.Number != i+1 || !c.From.Before(c.To) || c.Counted != -1 {
					t.Errorf("chunk %d: %+v", i, c)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCutTooFine(t *testing.T) {
	if chunks, err := cut(instant(t, "1990-01-01T00:00:00Z"), instant(t, "2026-01-01T00:00:00Z"), ChunkDay, time.UTC, time.Time{}); err == nil {
		t.Errorf("%d chunks", len(chunks))
	}
}

func TestHalve(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-03T00:00:00Z"},
		{"2026-01-01T10:00:00Z", "2026-01-01T20:00:01Z", "2026-01-01T15:00:00Z"},
		{"2026-01-01T10:00:00Z", "2026-01-01T10:00:02Z", "2026-01-01T10:00:01Z"},
		{"2026-01-01T10:00:00Z", "2026-01-01T10:00:01Z", ""},
	} {
		at, ok := halve(instant(t, test.from), instant(t, test.to), time.UTC)
		if ok != (test.want != "") || ok && !at.Equal(instant(t, test.want)) {
			t.Errorf("between %s and %s: %s, %v", test.from, test.to, at, ok)
		}
	}
}

func TestReads(t *testing.T) {
	for rows, pages := range map[int64]int64{-1: 0, 0: 0, 1: 1, 499: 1, 500: 2, 501: 2, 999: 2, 1000: 3} {
		if got := chunkReads(rows); got != pages {
			t.Errorf("%d rows take %d pages, not %d", rows, pages, got)
		}
	}
}
