package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// storm edits a tenant without a pause while syncs run, and lets a tenth of all requests fail.
type storm struct {
	*victim
	r     *rand.Rand
	edits int
}

// TestStorm syncs while the source changes 50 times a second, a tenth of the requests fail in random ways and
// the process is killed three times. Once the source is silent, one sync leaves no live row missing or stale, and one
// verify --repair makes the warehouse equal.
// ATSYNC_TEST_STORM=20 tries as many seeds.
func TestStorm(t *testing.T) {
	t.Parallel()
	seeds := uint64(2)
	if n, err := strconv.ParseUint(os.Getenv("ATSYNC_TEST_STORM"), 10, 64); err == nil {
		seeds = n
	}
	first := testSeed(t)
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", first+seed), func(t *testing.T) {
			t.Parallel()
			server := autotasktest.NewServer(autotasktest.WithGenerated(autotasktest.Tiny(), 7), autotasktest.WithLatency(20*time.Millisecond))
			s := &storm{victim: newVictimOf(t, server, killEntities()...), r: rand.New(rand.NewPCG(first+seed, 5))}
			s.run()
		})
	}
}

func (s *storm) run() {
	s.Helper()
	delays := rand.New(rand.NewPCG(s.r.Uint64(), 7))
	silence := s.blow()
	s.fail() // from here on s.r belongs to the faults
	for range 3 {
		delay := time.Duration(delays.Float64() * float64(1500*time.Millisecond))
		s.killed(func(ended <-chan struct{}) {
			select {
			case <-time.After(delay):
			case <-ended:
			}
		})
	}
	s.must("sync", 0, 5, 7) // a request may fail once too often
	silence()
	s.Logf("%d edits", s.edits)

	s.must("sync", 0)
	for _, entity := range killEntities() {
		if lost := s.lostRows(entity); lost != "" {
			s.Errorf("after one sync in silence: %s: %s", entity, lost)
		}
	}
	s.must("verify --repair --allow-deletes", 0)
	s.equal("after one verify")
}

// must runs one command to its end, which must be one of codes.
func (s *storm) must(command string, codes ...int) {
	s.Helper()
	var output bytes.Buffer
	cmd := s.command(&output)
	cmd.Args = append(cmd.Args[:len(cmd.Args)-1], strings.Fields(command)...)
	err := cmd.Run()
	for _, code := range codes {
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == code {
			return
		}
	}
	s.Fatalf("%s: %v\n%s", command, err, output.String())
}

// fail lets a tenth of all requests fail, each in a way of its own, but none three times: that ends the read of an
// entity, and rightly so.
func (s *storm) fail() {
	var mu sync.Mutex
	failed := map[string]int{}
	actions := []autotasktest.Action{
		autotasktest.Status(503), autotasktest.Status(500, "Timeout expired."), autotasktest.HTML(200), autotasktest.EmptyBody(),
		autotasktest.Truncate(), autotasktest.InvalidJSON(), autotasktest.Reset(), autotasktest.Errors200("no"),
		autotasktest.UnorderedIDs(), autotasktest.DuplicatePage(),
	}
	for _, action := range actions {
		s.server.Fault(autotasktest.Fault{Do: action, When: func(r autotasktest.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			request := r.Path + r.Body
			if s.r.IntN(100) != 0 || failed[request] == 2 {
				return false
			}
			failed[request]++
			return true
		}})
	}
}

// blow edits 50 times a second until the function that it returns is called.
func (s *storm) blow() (silence func()) {
	r := rand.New(rand.NewPCG(s.r.Uint64(), 6))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second / 50)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.gust(r)
			case <-stop:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}

// gust is one edit: a change, a new row or a deletion. What has only a date of creation is not changed, and links are
// changed together with their ticket: nothing else shows them.
func (s *storm) gust(r *rand.Rand) {
	s.edits++
	data := s.server.Data()
	text := fmt.Sprintf("edit %d é 🛠", s.edits)
	pick := func(entity string) int64 {
		ids := data.IDs(entity)
		return ids[r.IntN(len(ids))]
	}
	stamped := []string{"Tickets", "Companies", "TimeEntries", "TicketNotes", "Resources"}
	switch entity := stamped[r.IntN(len(stamped))]; r.IntN(10) {
	case 0, 1, 2, 3:
		data.Update(entity, pick(entity), map[string]any{textField(entity): text})
	case 4, 5:
		data.Insert(entity, map[string]any{textField(entity): text})
	case 6:
		data.Insert("BillingItems", map[string]any{textField("BillingItems"): text})
	case 7:
		ticket := pick("Tickets")
		data.Insert("TicketSecondaryResources", map[string]any{"ticketID": ticket, "resourceID": pick("Resources")})
		data.Update("Tickets", ticket, map[string]any{"title": text})
	default:
		entity = append(stamped, "BillingItems", "TicketSecondaryResources")[r.IntN(len(stamped)+2)]
		if data.Count(entity) > 20 && entity != "Companies" {
			s.remove(entity, pick(entity))
		}
	}
}

// remove deletes a row quietly, and with a ticket its links, as the service does: nothing would tell of them any more.
func (s *storm) remove(entity string, id int64) {
	data := s.server.Data()
	if entity == "Tickets" {
		for _, link := range data.Rows("TicketSecondaryResources") {
			if link.Raw("ticketID") == strconv.FormatInt(id, 10) {
				data.DeleteQuietly("TicketSecondaryResources", link.ID)
			}
		}
	}
	data.DeleteQuietly(entity, id)
}

// lostRows returns the first row of the source that the warehouse lacks or holds in another version, or "". Rows that the
// source no longer has don't count.
func (s *storm) lostRows(entity string) string {
	db, err := sql.Open("duckdb", s.published()+"?access_mode=READ_ONLY")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = db.Close() }() // DuckDB would show the same version to whoever opens the file next
	cols, err := warehouseColumns(db, entity)
	if err != nil {
		return err.Error()
	}
	rows, err := db.Query(selectAll(entity, cols))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	have := map[string][]sql.NullString{}
	for rows.Next() {
		values := make([]sql.NullString, len(cols))
		targets := make([]any, len(cols))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err.Error()
		}
		have[values[0].String] = values
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	for _, row := range s.server.Data().Rows(entity) {
		values := have[strconv.FormatInt(row.ID, 10)]
		if values == nil {
			return fmt.Sprintf("row %d is missing", row.ID)
		}
		for i, c := range cols {
			if d := differs(row.Raw(c.key()), values[i], c.kind); d != "" {
				return fmt.Sprintf("row %d is stale: column %s: %s", row.ID, c.name, d)
			}
		}
	}
	return ""
}
