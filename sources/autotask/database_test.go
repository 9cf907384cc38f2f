package autotask_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/sources/autotask"
)

// database counts requests as Autotask does: those of the last 60 minutes, of all integrations. Entities are named
// after the priority that asks for them.
type database struct {
	*fake
	threshold int
	latency   func() time.Duration

	mu      sync.Mutex
	others  []time.Time
	own     []arrival
	sent    map[string]int // own requests by entity, refused ones included
	refused int
	broken  string // the first rule that a request broke
	shares  map[string]float64
}

type arrival struct {
	at     time.Time
	entity string
}

func newDatabase(t *testing.T, threshold int) *database {
	d := &database{fake: newFake(t, 1), threshold: threshold, sent: map[string]int{},
		shares: map[string]float64{"Live": 0.75, "Verify": 0.40, "Backfill": 0.40, "ThresholdInformation": 0.75}}
	d.hook = d.serve
	return d
}

func (d *database) serve(w http.ResponseWriter, _ *http.Request, op string, _ int) bool {
	if op == "zoneInformation" {
		return false
	}
	entity, _, _ := strings.Cut(op, "/")
	served := d.arrive(entity)
	if d.latency != nil {
		time.Sleep(d.latency())
	}
	switch {
	case !served:
		return text(w, 429, "")
	case op == "ThresholdInformation":
		d.mu.Lock()
		defer d.mu.Unlock()
		return text(w, 200, fmt.Sprintf(`{"externalRequestThreshold":%d,"requestThresholdTimeframe":60,"currentTimeframeRequestCount":%d}`, d.threshold, d.inUse()))
	}
	return false
}

// arrive counts a request, unless the window is full.
func (d *database) arrive(entity string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[entity]++
	if d.inUse() >= d.threshold {
		d.refused++
		return false
	}
	d.own = append(d.own, arrival{time.Now(), entity})
	n := 0
	for _, a := range d.own {
		switch {
		case time.Since(a.at) >= time.Hour:
		case time.Since(a.at) == 0 && a.entity != entity && d.shares[a.entity] > d.shares[entity]: // it may have been admitted later
		default:
			n++
		}
	}
	if share := d.shares[entity]; float64(n) > share*float64(d.threshold) && d.broken == "" {
		d.broken = fmt.Sprintf("%s makes it %d of %d requests", entity, n, d.threshold)
	}
	return true
}

func (d *database) inUse() int {
	n := within(d.others)
	for _, a := range d.own {
		if time.Since(a.at) < time.Hour {
			n++
		}
	}
	return n
}

// within counts the instants of the last hour.
func within(at []time.Time) (n int) {
	for _, t := range at {
		if time.Since(t) < time.Hour {
			n++
		}
	}
	return n
}

// use lets other integrations send n requests now.
func (d *database) use(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		d.others = append(d.others, time.Now())
	}
}

func (d *database) count(entity string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sent[entity]
}

func count(t *testing.T, c *autotask.Client, p pipeline.Priority) error {
	entity := map[pipeline.Priority]string{pipeline.Live: "Live", pipeline.Verify: "Verify", pipeline.Backfill: "Backfill"}[p]
	_, err := c.Count(t.Context(), pipeline.Slice{Table: table(entity), Priority: p})
	return err
}
