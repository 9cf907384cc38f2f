package main

import (
	"testing"
)

// TestProposedSchedule holds that the most frequent schedule is chosen that leaves others their share.
func TestProposedSchedule(t *testing.T) {
	hourly := map[string]int64{"*/15 * * * *": 4, "*/30 * * * *": 2, "@hourly": 1, "0 */2 * * *": 1, "0 */6 * * *": 1, "@daily": 1}
	for _, c := range []struct {
		name     string
		each     int64 // requests a run
		used     int64
		schedule string
	}{
		{"small", 60, 0, "*/15 * * * *"},
		{"at the limit", 625, 0, "*/15 * * * *"},
		{"above it", 626, 0, "*/30 * * * *"},
		{"large", 2500, 0, "@hourly"},
		{"others leave room for one", 600, 6500, "@hourly"},
		{"too large for any", 9000, 0, "@daily"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := propose(schedules(), func(schedule string) (forecast, error) {
				busiest := c.each * hourly[schedule]
				return forecast{Schedule: schedule, BusiestHour: busiest, Threshold: 10_000, Used: c.used, Share: float64(busiest) / 10_000}, nil
			})
			if err != nil || f.Schedule != c.schedule {
				t.Errorf("schedule %q, %v; want %q", f.Schedule, err, c.schedule)
			}
		})
	}
}
