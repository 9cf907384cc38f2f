package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// killEntities has every way of reading.
func killEntities() []string {
	return []string{"Companies", "Tickets", "TicketNotes", "TimeEntries", "TicketSecondaryResources", "BillingItems", "Resources"}
}

// victim is an atsync of its own process, and the simulator that it syncs.
type victim struct {
	*testing.T
	server *autotasktest.Server
	dir    string
	rounds int

	prepare func(*exec.Cmd) // changes how a daemon is started; may be nil
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	server := autotasktest.NewServer(autotasktest.WithClock(simulatedNow), autotasktest.WithGenerated(autotasktest.Tiny(), 7),
		autotasktest.WithLatency(3*time.Millisecond))
	return newVictimOf(t, server, killEntities()...)
}

// newVictimOf is a victim that syncs some entities, three requests at a time for each.
func newVictimOf(t *testing.T, server *autotasktest.Server, entities ...string) *victim {
	t.Helper()
	t.Cleanup(server.Close)
	v := &victim{T: t, server: server, dir: t.TempDir()}
	config := fmt.Sprintf("data_dir: ./data\nautotask: {discovery_url: %q}\nsync: {entities: [%s], threads_per_entity: 3}\ntenants:\n"+
		"  acme: {username: %q, integration_code: \"env:CODE\", secret: \"env:SECRET\", url: %q}\n",
		server.URL, strings.Join(entities, ", "), server.Username, server.BaseURL())
	if err := os.WriteFile(filepath.Join(v.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) published() string { return filepath.Join(v.dir, "data", "acme.duckdb") }

// command makes a sync that runs in a process of its own.
func (v *victim) command(output *bytes.Buffer) *exec.Cmd {
	v.Helper()
	self, err := os.Executable()
	if err != nil {
		v.Fatal(err)
	}
	cmd := exec.CommandContext(v.Context(), self)
	cmd.Args = []string{"atsync", "--config", filepath.Join(v.dir, "config.yaml"), "sync"}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ATSYNC_TEST_") })
	cmd.Env = append(environ, "CODE="+v.server.IntegrationCode, "SECRET="+v.server.Secret)
	cmd.Stdout, cmd.Stderr = output, output
	return cmd
}

// sync runs one sync to its end, which must be a good one, and returns how long it took.
func (v *victim) sync() time.Duration {
	v.Helper()
	var output bytes.Buffer
	started := time.Now()
	if err := v.command(&output).Run(); err != nil {
		v.Fatalf("sync: %v\n%s", err, output.String())
	}
	return time.Since(started)
}

// killed starts a sync and kills it when moment returns. It reports whether the process was still alive.
func (v *victim) killed(moment func(ended <-chan struct{})) bool {
	v.Helper()
	var output bytes.Buffer
	cmd := v.command(&output)
	if err := cmd.Start(); err != nil {
		v.Fatal(err)
	}
	ended := make(chan struct{})
	var err error
	go func() {
		err = cmd.Wait()
		close(ended)
	}()
	moment(ended)
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && !exit.Exited():
		return true
	}
	v.Fatalf("it ended by itself: %v\n%s", err, output.String())
	return false
}

// edit changes, adds and removes a few rows.
func (v *victim) edit(r *rand.Rand) {
	v.rounds++
	data := v.server.Data()
	for _, entity := range []string{"Tickets", "TimeEntries", "Companies", "Resources"} {
		ids := data.IDs(entity)
		for range 3 {
			data.Update(entity, ids[r.IntN(len(ids))], map[string]any{textField(entity): fmt.Sprintf("round %d %d", v.rounds, r.Int())})
		}
	}
	for i := range 2 {
		id := data.Insert("Tickets", map[string]any{"title": fmt.Sprintf("new in round %d, %d", v.rounds, i)})
		data.Insert("TicketNotes", map[string]any{"ticketID": id, "title": "a note"})
		data.Insert("TicketSecondaryResources", map[string]any{"ticketID": id, "resourceID": data.IDs("Resources")[0]})
	}
	ids := data.IDs("Resources")
	if v.rounds%4 == 0 && len(ids) > 4 {
		data.Delete("Resources", ids[len(ids)-1])
	}
}

// consistent checks that the publication, if there is one, opens and has no id twice.
func (v *victim) consistent(after string) {
	v.Helper()
	if _, err := os.Stat(v.published()); errors.Is(err, os.ErrNotExist) {
		return
	}
	db, err := sql.Open("duckdb", v.published()+"?access_mode=READ_ONLY")
	if err != nil {
		v.Fatalf("%s: %v", after, err)
	}
	defer func() { _ = db.Close() }()
	tables, err := tablesOf(db)
	if err != nil {
		v.Fatalf("%s: %v", after, err)
	}
	for _, table := range tables {
		var n, ids int
		if err := db.QueryRow(`SELECT count(*), count(DISTINCT id) FROM "`+table+`"`).Scan(&n, &ids); err != nil {
			v.Errorf("%s: %s: %v", after, table, err)
		} else if n != ids {
			v.Errorf("%s: %s has %d rows with %d ids", after, table, n, ids)
		}
	}
}

func tablesOf(db *sql.DB) (tables []string, err error) {
	rows, err := db.Query("SELECT DISTINCT table_name FROM _atsync.columns ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, name)
	}
	return tables, rows.Err()
}

func (v *victim) equal(when string) {
	v.Helper()
	for _, difference := range differences(v.published(), v.server.Data(), killEntities()) {
		v.Errorf("%s: %s", when, difference)
	}
}

// TestKill kills syncs at random moments, the first load included, with edits between them. Whatever the moment,
// readers have a consistent publication or none, and the next sync that is left alone brings everything.
func TestKill(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	model := newVictim(t)
	first := model.sync()
	model.edit(r)
	later := model.sync()
	killed := 0
	short := 1.0 // of the moments: syncs are faster when other tests are done
	for round := range 20 {
		lasts := later
		if round < 7 {
			lasts = first // nothing is complete before the seventh round is
		}
		if round >= 7 && round%3 != 0 { // some are killed while they make up for the one before
			v.edit(r)
		}
		delay := time.Duration(short * r.Float64() * float64(lasts))
		alive := v.killed(func(ended <-chan struct{}) {
			select {
			case <-time.After(delay):
			case <-ended:
			}
		})
		if alive {
			killed++
		} else {
			short = max(short*0.6, 0.05)
		}
		v.consistent(fmt.Sprintf("round %d, killed after %v", round, delay))
		if round%7 == 6 {
			v.sync()
			v.equal(fmt.Sprintf("after round %d", round))
		}
	}
	if killed < 7 {
		t.Errorf("only %d of 20 were alive when they were to be killed", killed)
	}
	v.edit(r)
	v.sync()
	v.consistent("at the end")
	v.equal("at the end")
}

// TestKillWhilePublishing kills syncs that have committed and are about to hand their work to readers. The next
// sync finds nothing new at the source, and must publish all the same.
func TestKillWhilePublishing(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	seed := testSeed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	v.sync()
	killed := 0
	for round := range 3 {
		v.edit(r)
		alive := v.killed(func(ended <-chan struct{}) {
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			for {
				if names, _ := filepath.Glob(filepath.Join(v.dir, "data", ".acme.duckdb.partial-*")); len(names) > 0 {
					return
				}
				select {
				case <-tick.C:
				case <-ended:
					return
				}
			}
		})
		if alive {
			killed++
		}
		v.consistent(fmt.Sprintf("round %d", round))
		v.sync()
		v.equal(fmt.Sprintf("after round %d", round))
	}
	if killed == 0 {
		t.Error("none was killed while it published")
	}
	if names, _ := filepath.Glob(filepath.Join(v.dir, "data", ".*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}
