package pipeline

import (
	"testing"
	"time"

	"github.com/atsync/atsync/schemas"
)

// TestWholeReadsAreDueEarlyByUpToAQuarter: every entity gets its turn within the time, and not all at once.
func TestWholeReadsAreDueEarlyByUpToAQuarter(t *testing.T) {
	const week = 7 * 24 * time.Hour
	due := func(e *schemas.Entity, age time.Duration) bool {
		cp := Checkpoint{CompleteThrough: noon.Add(-time.Hour), FullAt: noon.Add(-age), RereadAt: noon}
		p := planStream(planInput{table: schemas.NewTable(e, nil, nil), state: StreamState{Checkpoint: cp}, serverTime: noon, fullEvery: week, parentLoad: 1, parentRead: true})
		return p.Due && p.Mode == ModeFull && p.Next.FullAt.Equal(noon)
	}
	days := map[int]int{}
	for _, e := range schemas.Catalogue() {
		if !e.Countable() || e.Class == schemas.ClassFull {
			continue
		}
		if due(e, week*3/4-time.Minute) || !due(e, week) {
			t.Errorf("%s is due too early or too late", e.Name)
		}
		for h := range 43 {
			if due(e, week*3/4+time.Duration(h)*time.Hour) {
				days[h/10]++
				break
			}
		}
	}
	for part := range 4 {
		if days[part] < 5 {
			t.Errorf("%d entities are due in part %d of the time: %v", days[part], part, days)
		}
	}
}

func TestPlanOfWholeReads(t *testing.T) {
	old := Checkpoint{CompleteThrough: noon.Add(-time.Hour), FullAt: noon.Add(-1000 * time.Hour), RereadAt: noon.Add(-1000 * time.Hour)}
	in := planInput{table: planTable(t, "Tickets"), state: StreamState{Checkpoint: old}, serverTime: noon, overlap: 5 * time.Minute}
	if p := planStream(in); p.Mode != ModeIncremental {
		t.Errorf("never asked for: %+v", p)
	}
	in.fullEvery = time.Hour
	if p := planStream(in); p.Mode != ModeFull || !p.MissedSince.Equal(noon.Add(-65*time.Minute)) {
		t.Errorf("due: %+v", p)
	}
	in.catchUp = true
	if p := planStream(in); p.Mode != ModeIncremental {
		t.Errorf("only what is new: %+v", p)
	}
	in.table = planTable(t, "BillingItems")
	if p := planStream(in); p.Mode != ModeIncremental || !p.Window.Since.Equal(noon.Add(-65*time.Minute)) || !p.Next.RereadAt.Equal(old.RereadAt) {
		t.Errorf("only what is new, append: %+v", p)
	}
	in.catchUp = false
	if p := planStream(in); p.Mode != ModeFull || !p.MissedSince.IsZero() {
		t.Errorf("without change stamps nothing can be missed by them: %+v", p)
	}
	in.table = planTable(t, "Roles")
	if p := planStream(in); p.Mode != ModeFull || p.Due {
		t.Errorf("what is always read whole is never due: %+v", p)
	}
}

func TestLogsComeBeforeWhatFollowsThem(t *testing.T) {
	var in []*schemas.Entity
	for _, name := range []string{"TicketSecondaryResources", "Tickets", "TimeEntries", "Countries", "DeletedTicketLogs", "Companies"} {
		e, ok := schemas.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		in = append(in, e)
	}
	level := map[string]int{}
	for i, l := range levels(in) {
		for _, e := range l {
			level[e.Name] = i
		}
	}
	if level["DeletedTicketLogs"] != 0 || level["Companies"] != 0 || level["Tickets"] != 1 || level["TimeEntries"] != 1 || level["TicketSecondaryResources"] != 2 {
		t.Errorf("%v", level)
	}
}

// TestLanesFitTheCatalogue: the logs exist, and hold what the lanes take from them.
func TestLanesFitTheCatalogue(t *testing.T) {
	follow := map[string]int{}
	for _, e := range schemas.Catalogue() {
		for _, l := range lanes(e) {
			f := (&run{Runner: &Runner{}}).logFeed(l, Checkpoint{}, time.Time{})
			log, _ := schemas.Lookup(l.log)
			if l.key != "id" && schemas.NewTable(e, nil, nil).Column(l.key) == nil || f.Table != schemas.TableName(log.Name) {
				t.Errorf("%s: %+v", e.Name, l)
			}
			follow[l.log]++
		}
	}
	if follow[deletedTickets] < 10 || follow[deletedTicketActivity] < 5 || follow[deletedTaskActivity] < 5 {
		t.Errorf("entities that follow the logs: %v", follow)
	}
}
