package bench_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atsync/atsync/sources/autotask/autotasktest"
)

// simulatorArgs say what a simulator serves.
type simulatorArgs struct {
	Tickets    int
	PerTicket  float64       // notes, and as many time entries
	TicketSize int           // mean bytes of a ticket as JSON; 0: as Autotask has them
	UDFs       int           // user-defined fields of tickets, beside the three that they have; 30 % have a value
	Latency    time.Duration // of every answer
	Skewed     bool          // the ids of tickets lie in clusters far apart, with gaps that grow
}

// simulator is a running child that serves the API. Its fields are its greeting.
type simulator struct {
	BaseURL, Username, IntegrationCode, Secret string

	in  *json.Encoder
	out *json.Decoder
}

// order is what the parent asks of the simulator.
type order struct {
	Do     string // dump: write an entity's items to File, one a line; edit: change N of them and do the same
	Entity string
	File   string
	N      int
}

// reply says what an order did.
type reply struct {
	Error string
	Rows  int64
	Bytes int64
}

// startSimulator starts a child that ends with the benchmark.
func startSimulator(b *testing.B, args simulatorArgs) *simulator {
	b.Helper()
	cmd, err := asChild("simulate", args)
	if err != nil {
		b.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stop(b, cmd, stdin) })
	s := &simulator{in: json.NewEncoder(stdin), out: json.NewDecoder(stdout)}
	if err := s.out.Decode(s); err != nil {
		b.Fatalf("the simulator did not start: %v", err)
	}
	return s
}

func stop(b *testing.B, cmd *exec.Cmd, stdin io.Closer) {
	if err := stdin.Close(); err != nil {
		b.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Errorf("simulator: %v", err)
	}
}

// order has the simulator do something and waits for it.
func (s *simulator) order(b *testing.B, o order) reply {
	b.Helper()
	if err := s.in.Encode(o); err != nil {
		b.Fatal(err)
	}
	var r reply
	if err := s.out.Decode(&r); err != nil || r.Error != "" {
		b.Fatalf("simulator: %s: %v %s", o.Do, err, r.Error)
	}
	return r
}

// simulate is the child: it serves until its standard input ends.
func simulate(raw string) error {
	var args simulatorArgs
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		return err
	}
	size := autotasktest.Scaled(args.Tickets)
	size.NotesPerTicket, size.TimePerTicket = args.PerTicket, args.PerTicket
	if args.Skewed {
		size = autotasktest.Tiny()
	}
	data := autotasktest.Generate(size, 1, time.Now())
	if args.Skewed {
		skewed(data, args.Tickets)
	}
	if args.TicketSize > 0 {
		shrink(data, "Tickets", args.TicketSize)
	}
	addUDFs(data, "Tickets", args.UDFs)
	server := autotasktest.NewServer(autotasktest.WithData(data), autotasktest.WithoutLog(), autotasktest.WithThreshold(0),
		autotasktest.WithLatency(args.Latency))
	defer server.Close()
	out := json.NewEncoder(os.Stdout)
	err := out.Encode(simulator{BaseURL: server.BaseURL(), Username: server.Username, IntegrationCode: server.IntegrationCode, Secret: server.Secret})
	for in := json.NewDecoder(os.Stdin); err == nil; {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the parent has what it wanted
		}
		r, failed := o.obey(data)
		if failed != nil {
			r.Error = failed.Error()
		}
		err = out.Encode(r)
	}
	return err
}

// skewed adds tickets: a quarter with ids side by side, a quarter far from there, and the others ever farther apart.
func skewed(data *autotasktest.Data, n int) {
	ids := data.IDs("Tickets")
	last := ids[len(ids)-1]
	n -= len(ids)
	text := strings.Repeat("The printer on the second floor is out of order again. ", 8)
	for i := range n {
		id := last + 1 + int64(i)
		if i >= n/4 {
			id += 1e9
		}
		if far := int64(i - n/2); far > 0 {
			id += 1e12 + far*far*far/100
		}
		data.Insert("Tickets", autotasktest.Fields{"id": id, "title": fmt.Sprintf("Ticket %d", i), "description": text, "companyID": 0})
	}
}

// shrink brings rows to a mean size: it cuts long descriptions, and then removes the fields that are null
// most often, since Autotask sends some 80 keys with every ticket.
func shrink(data *autotasktest.Data, entity string, want int) {
	const longest = 1000
	for _, r := range data.Rows(entity) {
		var text string
		if err := json.Unmarshal([]byte(r.Raw("description")), &text); err != nil {
			panic(err) // the simulator's own JSON
		}
		if len(text) > longest {
			data.UpdateQuietly(entity, r.ID, autotasktest.Fields{"description": strings.ToValidUTF8(text[:longest], "")})
		}
	}
	rows := data.Rows(entity)
	sample := rows[:0:0]
	for i := 0; i < len(rows); i += max(1, len(rows)/500) {
		sample = append(sample, rows[i])
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(sample[0].JSON()), &keys); err != nil {
		panic(err) // the simulator's own JSON
	}
	nulls, bytes := map[string]int{}, map[string]int{}
	excess := 0
	for _, r := range sample {
		excess += len(r.JSON()) - want
		for name := range keys {
			value := r.Raw(name)
			bytes[name] += len(name) + len(`"":,`) + len(value)
			if value == "null" {
				nulls[name]++
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(nulls), func(a, b string) int {
		return cmp.Or(cmp.Compare(nulls[b], nulls[a]), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for _, name := range names {
		if excess <= 0 {
			return
		}
		if name == "description" {
			continue
		}
		data.RemoveField(entity, name)
		excess -= bytes[name]
	}
}

// obey does what an order says.
func (o order) obey(data *autotasktest.Data) (reply, error) {
	switch o.Do {
	case "dump":
		return o.dump(data.Rows(o.Entity))
	case "edit":
		return o.dump(edit(data, o.Entity, o.N))
	}
	return reply{}, fmt.Errorf("no order %q", o.Do)
}

// edit changes n rows: four in five among the newest twentieth, the others anywhere, as people do.
func edit(data *autotasktest.Data, entity string, n int) []autotasktest.Row {
	ids := data.IDs(entity)
	recent := len(ids) / 20
	chosen := map[int64]bool{}
	for i := 0; len(chosen) < n; i++ {
		if i%5 == 0 {
			chosen[ids[i*7919%len(ids)]] = true
		} else {
			chosen[ids[len(ids)-1-i*7919%recent]] = true
		}
	}
	var rows []autotasktest.Row
	for _, id := range ids {
		if !chosen[id] {
			continue
		}
		data.Update(entity, id, autotasktest.Fields{"title": fmt.Sprintf("Edited: ticket %d", id), "priority": 1})
		row, _ := data.Row(entity, id)
		rows = append(rows, row)
	}
	return rows
}

// dump writes rows as a query would send them, one a line.
func (o order) dump(rows []autotasktest.Row) (reply, error) {
	f, err := os.Create(o.File)
	if err != nil {
		return reply{}, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var r reply
	for _, row := range rows {
		n, err := w.WriteString(row.JSON() + "\n")
		if err != nil {
			return r, err
		}
		r.Rows++
		r.Bytes += int64(n)
	}
	if err := w.Flush(); err != nil {
		return r, err
	}
	return r, f.Close()
}
